"""The one object that answers questions about ranks and devices. The trainer builds it from accelerate."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """This process among the processes of a run."""

    rank: int
    ranks: int
    device: torch.device
    gather: Callable[[Tensor], Tensor]
    """Rows of all ranks, joined along the first axis; every rank must call it with as many rows."""
    autocast: Callable[[], AbstractContextManager[object]]
    """The run's precision."""

    @property
    def is_main(self) -> bool:
        """Rank 0 writes files and speaks."""
        return self.rank == 0


def use_cores(device: torch.device) -> None:
    """Let a network on the CPU use this rank's share of the cores, hyper-threads too (measured: 1.7 times as fast).

    torch counts physical cores only, and every rank would take them all. OMP_NUM_THREADS, when set, wins.
    """
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        ranks_here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // ranks_here))
