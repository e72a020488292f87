"""When a job's time is over. Some sites send no signal before, so the job looks at the clock itself."""

import os
import time
from dataclasses import dataclass, field
from types import FrameType
from typing import Self

from launch.queue.scontrol import Scontrol
from sharding.base.signals import STOPS, TO_SAVE, install, restore

# Signals that the batch script gets, as facts to be looked at: nothing happens inside a handler.

# SLURM sends SIGUSR2 some minutes before the time limit (sbatch --signal=B:USR2@...), people and sites SIGUSR1, too.


class JobSignals:
    """Use as a context manager in the main thread."""

    def __init__(self) -> None:
        self.to_save = False
        """The time limit is near, or somebody wants it saved."""
        self.to_end = False
        """SIGTERM: preempted, cancelled, or the limit is reached; SIGKILL follows after the site's KillWait."""

    def __enter__(self) -> Self:
        self._before = install(STOPS, self._hear, replace=lambda _: True)
        return self

    def __exit__(self, *error: object) -> None:
        restore(self._before)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if number in TO_SAVE:
            self.to_save = True
        else:
            self.to_end = True


LOOK_EVERY_S = 300.0
"""An administrator may give a running job more time, or less."""


@dataclass(slots=True)
class EndClock:
    """Of one attempt."""

    job: str
    scontrol: Scontrol
    limit_s: int
    """As submitted: where nothing better is known."""
    lead_s: int
    """So long before the end it is time to save."""
    began: float = field(default_factory=time.time)
    _end: float = 0.0
    _looked: float = 0.0

    def __post_init__(self) -> None:
        self._end = float(os.environ.get("SLURM_JOB_END_TIME") or self.began + self.limit_s)

    @property
    def near(self) -> bool:
        """Time to save."""
        if time.time() - self._looked > LOOK_EVERY_S:
            self._looked = time.time()
            facts = self.scontrol.job(self.job)
            if facts and facts.end_time:
                self._end = facts.end_time
        return time.time() > self._end - self.lead_s
