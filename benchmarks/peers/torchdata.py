"""torchdata's StatefulDataLoader over the same map-style dataset; a sampler that shares clips out to processes."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from torch.utils.data import DistributedSampler

from benchmarks.load_job import Delivered, Job
from benchmarks.peers.torch_loader import Clips

stateful: Any = import_module("torchdata.stateful_dataloader")


class Stateful:
    """One pass."""

    def __init__(self, job: Job) -> None:
        clips = Clips(job)
        shares = DistributedSampler(clips, job.ranks, job.rank, shuffle=True, seed=0, drop_last=True)
        self.loader = stateful.StatefulDataLoader(
            clips, batch_size=job.rows, sampler=shares, num_workers=job.workers, drop_last=True
        )

    def __iter__(self) -> Iterator[Delivered]:
        for keys, video, audio in self.loader:
            yield Delivered(keys, video, audio)

    def state(self) -> Any:
        return self.loader.state_dict()

    def restore(self, state: Any, done: int) -> None:
        self.loader.load_state_dict(state)
