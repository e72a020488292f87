"""The one object that answers questions about ranks and devices. The trainer builds it from accelerate."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import Tensor

from sharding.cores import available_cores
from sharding.errors import AvsyncError

T = TypeVar("T")


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

    broadcast: Callable[[Tensor], None]
    """Every rank's tensor becomes rank 0's, in place."""

    @property
    def is_main(self) -> bool:
        """Rank 0 writes files and speaks."""
        return self.rank == 0

    def agree(self, number: int) -> int:
        """Rank 0's number, on every rank: what each reads from a shared disk may differ for a moment."""
        shared = torch.tensor(number, device=self.device)
        self.broadcast(shared)
        return int(shared)

    def together(self, work: Callable[[], T]) -> T:
        """Do something that may fail on one rank only; then all ranks fail, instead of waiting for it for ever."""
        result, error = None, None
        try:
            result = work()
        except Exception as caught:  # whatever it is, the others must hear of it; it is raised again below
            error = caught
        failed = int(self.gather(torch.tensor([int(error is not None)], device=self.device)).sum())
        if error is not None:
            raise error
        if failed:
            raise AvsyncError(f"{failed} of {self.ranks} processes failed; its message says why")
        return cast(T, result)


def cores_of_rank() -> int:
    """This process's share of the cores that the processes of this machine may use together."""
    return max(1, available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def use_cores(device: torch.device) -> None:
    """Let a network on the CPU use this rank's share of the cores; OMP_NUM_THREADS, when set, wins.

    torch by itself counts the machine's cores, not those that a SLURM job or container may use.
    """
    if device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(cores_of_rank())
