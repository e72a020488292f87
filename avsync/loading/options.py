"""How to load, whatever is loaded; and what is forgiven on the way."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

import torch

from avsync.config import UNKNOWN_WAIT_S, RuntimeConfig
from avsync.world import World
from sharding.errors import AvsyncError, SkipClip

CPU = torch.device("cpu")


class StoppedWaiting(Exception):
    """Somebody wishes to stop, and the batch that was waited for has not come."""


class WaitWatch(Protocol):
    """Who knows how long a wait for a clip may be, and hears of it."""

    def limit_s(self) -> float:
        """Without a clip for so long the wait ends."""
        ...

    def again(self, what: str = "") -> None:
        """A clip came in, or a wait begins; `what` is waited for."""
        ...

    def hangs(self, waited_s: float) -> str:
        """It has ended: the report's first line."""
        ...


@dataclass(frozen=True, slots=True)
class FixedWait:
    """The limit of who asks once and learns nothing."""

    seconds: float

    def limit_s(self) -> float:
        return self.seconds

    def again(self, what: str = "") -> None:
        pass

    def hangs(self, waited_s: float) -> str:
        return f"no clip came in for {waited_s:.0f} s (--runtime.stop-after-s)"


@dataclass(frozen=True, kw_only=True, slots=True)
class LoaderOptions:
    """How to load."""

    workers: int = 0
    """Processes that read and decode; 0: one per core this process may use."""
    prefetch: int = 4
    """Batches ahead."""
    error_budget: int = 20
    """Unusable clips in a row that stop the work."""
    device: torch.device = CPU
    """Where batches are wanted."""
    rank: int = 0
    """For reports."""
    report_after_s: float = 60
    """Without a batch for so long, say what everybody is waiting for."""
    stop_after_s: float = UNKNOWN_WAIT_S
    """Without a batch for so long, stop; where nobody watches."""
    watch: WaitWatch | None = None
    """Who knows better how long that may be."""
    stopping: Callable[[], bool] = bool
    """True ends a wait for a batch."""

    @classmethod
    def of(
        cls, runtime: RuntimeConfig, world: World, stopping: Callable[[], bool], watch: WaitWatch | None = None
    ) -> Self:
        """What a run's settings ask for."""
        return cls(
            workers=runtime.workers,
            prefetch=runtime.prefetch,
            error_budget=runtime.error_budget,
            device=world.device,
            rank=world.rank,
            report_after_s=runtime.report_after_s,
            stop_after_s=runtime.stop_after_s or UNKNOWN_WAIT_S,
            watch=watch,
            stopping=stopping,
        )


@dataclass(slots=True)
class ErrorBudget:
    """Forgives scattered bad clips, not a broken dataset: stops after `limit` in a row."""

    limit: int
    in_a_row: int = 0
    total: int = 0
    last: str = ""

    def ok(self) -> None:
        self.in_a_row = 0

    def skip(self, error: SkipClip) -> None:
        self.in_a_row, self.total, self.last = self.in_a_row + 1, self.total + 1, str(error)
        if self.in_a_row >= self.limit:
            raise AvsyncError(
                f"{self.in_a_row} clips in a row were unusable; the last: {error}. "
                "Check the disk, then pack the dataset again"
            ) from error
