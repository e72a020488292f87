"""The one object that answers questions about ranks and devices. The trainer builds it from accelerate."""

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
