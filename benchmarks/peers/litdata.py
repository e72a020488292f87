"""litdata: chunks made by `optimize`, its StreamingDataset and StreamingDataLoader."""

import os
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any

from benchmarks.load.job import Delivered, Handed, Job, arrays

litdata: Any = import_module("litdata")
CHUNK_BYTES = "256MB"


def prepare(job: Job) -> None:
    """The planes and the sound of each clip as arrays, by one process of its own."""
    how = {"chunk_bytes": CHUNK_BYTES, "num_workers": 1, "verbose": False}
    litdata.optimize(fn=partial(clip_of, job), inputs=job.clips, output_dir=str(job.copy), **how)


def clip_of(job: Job, clip: int) -> dict[str, Any]:
    """Opened there: what is open does not go to another process."""
    return arrays(job.open(), clip)


class Chunks(Handed):
    """Shuffled as it does by itself; pass after pass, for it knows no endless one."""

    def __init__(self, job: Job) -> None:
        clips = litdata.StreamingDataset(str(job.copy), shuffle=True, seed=0, drop_last=True)
        self.loader = litdata.StreamingDataLoader(
            clips, batch_size=job.rows, num_workers=job.workers, drop_last=True, persistent_workers=True
        )
        self.endless = job.endless

    def __iter__(self) -> Iterator[Delivered]:
        yield from super().__iter__()
        while self.endless:
            yield from super().__iter__()


os.environ.setdefault("LITDATA_DISABLE_VERSION_CHECK", "1")
