"""The one object that answers questions about ranks and devices. The trainer builds it from accelerate."""

import ctypes
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Self, TypeVar, cast

import torch
from torch import Tensor

from sharding.base.environment import GRANTED, available_cores
from sharding.base.text import counted
from sharding.errors import PeerError

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Names of malloc.h in glibc."""
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
    reduce: Callable[[Tensor], Tensor] = lambda tensor: tensor
    """The sum of all ranks' tensors, on every rank."""
    count: Callable[[bool], int] = int
    """How many ranks say yes; every rank must call it. From CPU to CPU: no GPU waits for it, or is waited for."""

    @classmethod
    def alone(cls, device: torch.device) -> Self:
        """One process that trains for itself."""
        return cls(
            rank=0,
            ranks=1,
            device=device,
            gather=lambda table: table,
            autocast=nullcontext,
            broadcast=lambda _: None,
        )

    @property
    def is_main(self) -> bool:
        """Rank 0 writes files and speaks."""
        return self.rank == 0

    def agree(self, number: int) -> int:
        """Rank 0's number, on every rank: what each reads from a shared disk may differ for a moment."""
        shared = torch.tensor(number, device=self.device)
        self.broadcast(shared)
        return int(shared)

    def any(self, yes: bool) -> bool:
        """Whether any rank says yes, on every rank. With one rank it costs nothing."""
        return self.count(yes) > 0

    def together(self, work: Callable[[], T]) -> T:
        """Do something that may fail on one rank only; then all ranks fail, instead of waiting for it for ever."""
        result, error = None, None
        try:
            result = work()
        except Exception as caught:  # whatever it is, the others must hear of it; it is raised again below
            error = caught
        failed = self.count(error is not None)
        if error is not None:
            raise error
        if failed:
            raise PeerError(f"{failed} of {self.ranks} processes failed; its message says why")
        return cast(T, result)


def counter(patience: timedelta) -> Callable[[bool], int]:
    """World.count over a group of its own: what is asked between two steps must not wait in line with gradients."""
    control = torch.distributed.new_group(backend="gloo", timeout=patience)
    assert not isinstance(control, int)  # a number is for processes outside of a group; this one has all ranks

    def count(yes: bool) -> int:
        votes = torch.tensor(int(yes))
        torch.distributed.all_reduce(votes, group=control)
        return int(votes)

    return count


def cores_of_rank() -> int:
    """This process's part of the cores that the processes of this machine may use together, or what a job gave it."""
    if os.environ.get(GRANTED):
        return available_cores()
    return max(1, available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def words_for(device: torch.device) -> str:
    """What computes, in words."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    return f"the CPU ({counted(torch.get_num_threads(), 'core')})" if device.type == "cpu" else str(device)


def use_cores(device: torch.device, busy: int = 0) -> None:
    """Let a network on the CPU use this rank's part of the cores, but those that are `busy` otherwise; OMP_NUM_THREADS,
    when set, wins.

    torch by itself counts the machine's cores, not those that a SLURM job or container may use.
    """
    if device.type != "cpu":
        return
    _keep_memory()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, cores_of_rank() - busy))


def _keep_memory() -> None:
    """Let what is freed stay with this process. Else glibc gives tensors back to the kernel one by one, and each new
    one is zeroed page by page: a seventh of a training step, a quarter of `score` (docs/log.md).
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):  # glibc's alone
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
