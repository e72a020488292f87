"""What no loader can be faster than: reading the tars, copying into resident memory, decoding and forgetting."""

import io
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import av
import torch

from benchmarks.load_job import BATCH, Delivered, Job, Resident, shape_of

BLOCK_BYTES = 2**22


class ReadTars:
    """The tars from front to back, a thread for each worker, into one small buffer each."""

    def __init__(self, job: Job) -> None:
        self.tars, self.workers = job.tars(), job.workers
        total = sum(tar.stat().st_size for tar in self.tars)
        self.share = total * BATCH // len(job.clips) // job.workers
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
                    if done >= self.share:
                        done -= self.share
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
