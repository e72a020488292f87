"""Our ways of loading, planes as stored and RGB made of them on the CPU; and what no loader can be faster than."""

import io
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, cycle
from typing import Any

import av
import numpy as np
import torch
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from avsync.config import PairConfig, ViewConfig
from avsync.data.order import Draw, Order
from avsync.data.pairs import Pair, SoundWindow
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from benchmarks.load.job import BATCH, Delivered, Job, Resident, shape_of

WHOLE = Pair(0, (SoundWindow(0, 0, True),))
"""The window is the clip."""
MATRIX = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709, "bt2020": Colorspace.BT2020}


class Planes:
    """To YUV, which is what training takes: colour is converted on the device."""

    def __init__(self, job: Job) -> None:
        self.feed = Feed.open(job.dataset, "train", PairConfig(law="cyclic"), ViewConfig(crop=1, flip=False))
        self.options = LoaderOptions(workers=job.workers)
        clips = np.asarray(job.clips)
        self.order = Order(clips=clips, shards=self.feed.dataset.index.shard[clips], batch=BATCH, seed=0)

    def __iter__(self) -> Iterator[Delivered]:
        with self.feed.loader(self.options) as loader:
            for batch in loader.batches(self.rows()):
                yield Delivered(batch.keys, batch.yuv, batch.audio)

    def rows(self) -> Iterator[list[Draw]]:
        """Endless batches in the order that training has: another permutation each epoch."""
        for step in count():
            yield [Draw(int(clip), WHOLE, 0, 0, False) for clip in self.order.step(step).clips]


class AsItLies(Planes):
    """Without the copy: a slot is resident memory, and beside a GPU page-locked, so the GPU copies from it itself."""

    def __iter__(self) -> Iterator[Delivered]:
        for delivered in super().__iter__():
            yield delivered._replace(in_place=True)


class RGB(Planes):
    """To RGB, for the comparison: one swscale context for all, which costs as much as OpenCV and knows the matrix."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.resident, self.convert = Resident(shape_of(job, "rgb")), VideoReformatter()

    def __iter__(self) -> Iterator[Delivered]:
        with self.feed.loader(self.options) as loader:
            for batch in loader.batches(self.rows()):
                for yuv, out, meta in zip(batch.yuv.numpy(), self.resident.video.numpy(), batch.metas, strict=True):
                    assert meta is not None
                    to_rgb(yuv, out, MATRIX[meta.matrix], self.convert)
                self.resident.audio.copy_(batch.audio[:, 0])
                yield Delivered(batch.keys, self.resident.video, self.resident.audio, in_place=True)


def to_rgb(yuv: Any, out: Any, matrix: int, convert: VideoReformatter) -> None:
    """yuv: uint8 (T, H*3/2, W), I420, limited range; out: uint8 (T, H, W, 3), full range."""
    for planes, rows in zip(yuv, out, strict=True):
        frame, colours = av.VideoFrame.from_numpy_buffer(planes, format="yuv420p"), (matrix, matrix)
        made = convert.reformat(frame, None, None, "rgb24", *colours, Interpolation.BILINEAR, threads=1)
        plane = made.planes[0]
        view = np.frombuffer(memoryview(plane), np.uint8)  # pyright: ignore[reportArgumentType]
        rows.reshape(len(rows), -1)[:] = view.reshape(-1, plane.line_size)[:, : 3 * rows.shape[1]]


BLOCK_BYTES = 2**22


class ReadTars:
    """The tars from front to back, a thread for each worker, into one small buffer each."""

    def __init__(self, job: Job) -> None:
        self.tars, self.workers = job.tars(), job.workers
        total = sum(tar.stat().st_size for tar in self.tars)
        self.portion = total * BATCH // len(job.clips) // job.workers
        """Bytes of a batch that each thread reads."""

    def __iter__(self) -> Iterator[Delivered]:
        readers = [self._read(self.tars[number % len(self.tars) :]) for number in range(self.workers)]
        with ThreadPoolExecutor(self.workers) as pool:
            while True:
                for done in [pool.submit(next, reader) for reader in readers]:
                    done.result()
                yield Delivered()

    def _read(self, tars: Sequence) -> Iterator[None]:
        buffer, done = bytearray(BLOCK_BYTES), 0
        for tar in cycle(tars):
            with tar.open("rb", buffering=0) as file:
                while got := file.readinto(buffer):
                    done += got
                    if done >= self.portion:
                        done -= self.portion
                        yield


class Copy:
    """Batches from one place in memory to another, in one thread, as a training process takes them over."""

    def __init__(self, job: Job) -> None:
        shape = shape_of(job, "planes")
        self.given, self.resident = Resident(shape), Resident(shape)

    def __iter__(self) -> Iterator[Delivered]:
        while True:
            self.resident.video.copy_(self.given.video)
            self.resident.audio.copy_(self.given.audio)
            yield Delivered()


class Decode:
    """Pictures and sound of clips that lie in memory, decoded and forgotten: a process for each worker."""

    def __init__(self, job: Job) -> None:
        data = job.open()
        self.members = [(stored.video.tobytes(), stored.audio.tobytes()) for stored in map(data.read, job.clips)]
        self.workers = job.workers

    def __iter__(self) -> Iterator[Delivered]:
        fork = multiprocessing.get_context("fork")
        done = fork.Semaphore(0)
        decoders = [
            fork.Process(target=self._decode, args=(done, number), daemon=True) for number in range(self.workers)
        ]
        for decoder in decoders:
            decoder.start()
        try:
            while True:
                for _ in range(BATCH):
                    done.acquire()
                yield Delivered()
        finally:
            for decoder in decoders:
                decoder.terminate()
                decoder.join()

    def _decode(self, done, first: int) -> None:
        torch.set_num_threads(1)
        for pair in cycle(self.members[first :: self.workers]):
            for member in pair:
                with av.open(io.BytesIO(member), "r") as container:
                    stream = container.streams[0]
                    stream.codec_context.thread_count = 1
                    for packet in container.demux(stream):
                        packet.decode()
            done.release()
