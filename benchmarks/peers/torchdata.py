"""torchdata's StatefulDataLoader over the same map-style dataset; a sampler that shares clips out to processes."""

from importlib import import_module
from typing import Any

from torch.utils.data import DistributedSampler

from benchmarks.load.job import Handed, Job
from benchmarks.peers.torch_loader import Clips

stateful: Any = import_module("torchdata.stateful_dataloader")


class Stateful(Handed):
    """One pass."""

    names = (0, 1, 2)

    def __init__(self, job: Job) -> None:
        clips = Clips(job)
        rows = DistributedSampler(clips, job.ranks, job.rank, shuffle=True, seed=0, drop_last=True)
        self.loader = stateful.StatefulDataLoader(
            clips, batch_size=job.rows, sampler=rows, num_workers=job.workers, drop_last=True
        )
