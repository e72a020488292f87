"""When a job's time is over. Some sites send no signal before, so the job looks at the clock itself."""

import os
import time
from dataclasses import dataclass, field

from launch.queue.scontrol import Scontrol

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
