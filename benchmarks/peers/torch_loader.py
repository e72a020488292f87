"""torch's DataLoader over a map-style dataset: our tars read by our index, a clip at a time."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from benchmarks.load.job import BATCH, Handed, Job, shape_of


class Clips(Dataset):
    """The arrays of a clip, read into fresh memory with one call each."""

    def __init__(self, job: Job) -> None:
        data = job.open()
        self.shape = shape_of(job, "planes")
        self.keys = [data.key(clip) for clip in job.clips]
        self.tars = [data.shard_path(clip) for clip in job.clips]
        self.places = [(int(data.index.offset[clip]), data.index.layout(clip)) for clip in job.clips]

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, number: int) -> tuple[str, torch.Tensor, torch.Tensor]:
        offset, layout = self.places[number]
        video, audio = np.empty(self.shape.video, np.uint8), np.empty(self.shape.audio, np.int16)
        file = os.open(self.tars[number], os.O_RDONLY)
        try:
            for array, (start, length) in ((video, layout.video), (audio, layout.audio)):
                # past npy's header; by its type an array is no buffer, a view of its memory is
                got = os.preadv(file, [array.data], offset + start + length - array.nbytes)
                if got != array.nbytes:
                    raise EOFError(f"{self.tars[number]} is cut off")
        finally:
            os.close(file)
        return self.keys[number], torch.from_numpy(video), torch.from_numpy(audio)


class Endless(Sampler[int]):
    """One permutation after the other."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(0)
        while True:
            yield from torch.randperm(self.count, generator=generator).tolist()


class Workers(Handed):
    """Any map-style dataset by the workers of a DataLoader, as most people would write it."""

    names = (0, 1, 2)

    def __init__(self, clips: Any, job: Job) -> None:
        self.loader = DataLoader(clips, batch_size=BATCH, sampler=Endless(len(clips)), num_workers=job.workers)


class Pread(Workers):
    """... our tars."""

    def __init__(self, job: Job) -> None:
        super().__init__(Clips(job), job)
