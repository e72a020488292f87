"""How far a job has come, read from what it leaves on disk: what is saved counts, not what was tried."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avsync.progress import read_progress
from launch.job.attempts import Action, Attempt, What
from launch.job.record import JobRecord
from sharding.errors import AvsyncError

FAILURES = (What.CRASHED, What.OUT_OF_MEMORY, What.HUNG, What.TIME_LIMIT)
"""Of these, too many in a row without a new checkpoint end a job. What SLURM does to it is not its fault."""
_CHECKPOINT = re.compile(r"\d{8,}", re.ASCII)


def saved(record: JobRecord) -> int:
    """Of a run: steps in its newest checkpoint. Of a packing: parts and shards that are whole. Of others: 0."""
    if record.run:
        found = Path(record.run, "checkpoints").glob("*")
        return max((int(path.name) for path in found if _CHECKPOINT.fullmatch(path.name)), default=0)
    if record.dataset:
        dataset = Path(record.dataset)
        return sum(1 for pattern in (".parts/*/*.json", "*/??????.json") for _ in dataset.glob(pattern))
    return 0


@dataclass(frozen=True, slots=True)
class Past:
    """The attempts before this one."""

    attempts: Sequence[Attempt]

    @property
    def most(self) -> int:
        """The most that was ever saved."""
        events = (event for one in self.attempts for event in (one.began, one.ended) if event)
        return max((event.saved for event in events), default=0)

    @property
    def told(self) -> str:
        """How the last one ended, to go on a line of the log."""
        if not self.attempts:
            return ""
        last = self.attempts[-1].ended
        return f"; the last one ended: {last.what if last else What.LOST}"

    def failures_at(self, now: int) -> int:
        """Failed attempts without gain, in a row, up to now that `now` steps are saved; those that SLURM ended do not
        count, nor end the row.
        """
        count = most = 0
        for one in self.attempts:
            if one.began.saved > most:  # saved after the end of the one before was noted
                count, most = 0, one.began.saved
            if one.ended is None:
                continue
            if one.ended.saved > most:
                count, most = 0, one.ended.saved
            elif one.ended.what in FAILURES:
                count += 1
            if one.ended.action is Action.GIVEN_UP:
                count = 0  # somebody has queued it again nevertheless
        return 0 if now > most else count

    def failed_on(self, node: str) -> int:
        """Attempts that failed there."""
        return sum(1 for one in self.attempts if one.ended and one.ended.failed_node == node)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Whether a run still moves."""

    run: str
    limit_s: int
    """0: it is not watched."""
    began: float
    """UNIX seconds; what is older was an earlier attempt's."""

    def still_for(self) -> float:
        """Seconds since its last sign of life."""
        try:
            told = read_progress(Path(self.run))
        except AvsyncError:
            told = None
        return time.time() - max(self.began, told.updated if told else 0.0)

    @property
    def lost(self) -> bool:
        return bool(self.run and self.limit_s) and self.still_for() > self.limit_s
