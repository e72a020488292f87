"""Our ways of loading: planes as stored, and RGB made of them on the CPU."""

from collections.abc import Iterator
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from avsync.config import PairConfig, ViewConfig
from avsync.data.order import Draw, Order
from avsync.data.pairs import Pair, SoundWindow
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from benchmarks.load_job import BATCH, Delivered, Job, Resident, shape_of

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
        step = 0
        while True:
            yield [Draw(int(clip), WHOLE, 0, 0, False) for clip in self.order.step(step).clips]
            step += 1


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
    for planes, target in zip(yuv, out, strict=True):
        made = convert.reformat(
            av.VideoFrame.from_numpy_buffer(planes, format="yuv420p"),
            format="rgb24", src_colorspace=matrix, dst_colorspace=matrix, interpolation=Interpolation.BILINEAR,
            threads=1,
        )  # fmt: skip
        plane = made.planes[0]
        view = np.frombuffer(memoryview(plane), np.uint8)  # pyright: ignore[reportArgumentType]
        target.reshape(len(target), -1)[:] = view.reshape(-1, plane.line_size)[:, : 3 * target.shape[1]]
