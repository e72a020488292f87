"""Signals that the batch script gets, as facts to be looked at: nothing happens inside a handler."""

import signal
from types import FrameType
from typing import Self

STOP = signal.SIGUSR2
"""SLURM sends it some minutes before the time limit (sbatch --signal=B:USR2@...)."""


class Told:
    """Use as a context manager in the main thread."""

    def __init__(self) -> None:
        self.to_save = False
        """The time limit is near."""
        self.to_end = False
        """SIGTERM: preempted, cancelled, or the limit is reached; SIGKILL follows after the site's KillWait."""

    def __enter__(self) -> Self:
        self._before = {
            number: signal.signal(number, self._hear) for number in (STOP, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        }
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if number == STOP:
            self.to_save = True
        else:
            self.to_end = True
