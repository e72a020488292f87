"""How far a job has come, read from what it leaves on disk: what is saved counts, not what was tried."""

import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import msgspec

from avsync.run.paths import RunPaths
from avsync.run.progress import last_sign
from launch.job.attempts import Action, Attempt, Event, What
from launch.job.record import JobRecord
from sharding.base.files import LARGEST_LIST, Count, read_json
from sharding.base.guarded import is_file
from sharding.base.housekeeping import below, is_there
from sharding.base.share_progress import PROGRESS, read_share
from sharding.errors import AvsyncError

FAILURES = (What.CRASHED, What.OUT_OF_MEMORY, What.HUNG, What.TIME_LIMIT)
"""Of these, too many in a row without a new checkpoint end a job. What SLURM does to it is not its fault."""
BLAME_NODES = (What.CRASHED, What.HUNG, What.TIME_LIMIT)
"""Of these, the node may be the cause. Memory that the job asked for is as little on any other."""
WHOLE = 10_000
"""Parts that a whole shard is worth: more than it was made of, since these go when it comes."""
_CHECKPOINT = re.compile(r"\d{8,15}", re.ASCII)


def saved(record: JobRecord, share: int | None = None) -> int:
    """Of a run: steps in its newest checkpoint. Of a packing: parts and shards that are whole, of a task of an array
    those of its share. Of curating: answers, of a task of an array as far as it has told. Of others: 0.
    """
    if record.run:
        found = below(RunPaths(Path(record.run)).checkpoints, "*")  # a link is no work of this job
        return max((int(path.name) for path in found if _CHECKPOINT.fullmatch(path.name)), default=0)
    if record.kind in ("curate", "curate-merge"):
        if record.dataset and share is not None:
            told = read_share(Path(record.dataset) / PROGRESS, share)
            return told.done if told else 0
        return len(below(Path(record.dataset), "*.json")) if record.dataset else 0
    if record.dataset and share is not None:
        return _packed_of(Path(record.dataset), share)
    if record.dataset:
        dataset = Path(record.dataset)
        return sum(len(below(dataset, pattern)) for pattern in (".parts/[0-9a-f]*/*.json", "[!.]*/??????.json"))
    return 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shard:
    split: Literal["train", "val", "test"]
    number: Count
    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16,}$")]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Share:
    """What of a share's file (docs/data-format.md) tells where its parts and shards lie."""

    LARGEST_FILE: ClassVar[int] = LARGEST_LIST

    shards: tuple[_Shard, ...]


def _packed_of(dataset: Path, share: int) -> int:
    try:
        shards = read_json(dataset / ".parts" / f"share-{share:05d}.json", _Share).shards
    except AvsyncError:  # the merge has come and gone, or it was never divided
        return 0
    files = (dataset / one.split / f"{one.number:06d}.json" for one in shards)
    whole = sum(is_there(path) and is_file(path) for path in files)
    return whole * WHOLE + sum(len(below(dataset / ".parts" / one.digest[:16], "*.json")) for one in shards)


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
    def last_end(self) -> str:
        """How the last one ended, to go on a line of the log."""
        if not self.attempts:
            return ""
        last = self.attempts[-1].ended
        return f"; the last one ended: {last.what if last else What.LOST}"

    def fruitless_at(self, now: int) -> list[Event]:
        """Ends of failed attempts without gain, in a row, up to now that `now` steps are saved; those that SLURM ended
        do not count, nor end the row.
        """
        row, most = list[Event](), 0
        for one in self.attempts:
            if one.began.saved > most:  # saved after the end of the one before was noted
                row, most = [], one.began.saved
            if one.ended is None:
                continue
            if one.ended.saved > most:
                row, most = [], one.ended.saved
            elif one.ended.what in FAILURES:
                row.append(one.ended)
            if one.ended.action is Action.GIVEN_UP:
                row = []  # somebody has queued it again nevertheless
        return [] if now > most else row

    def failures_at(self, now: int) -> int:
        """How many these are."""
        return len(self.fruitless_at(now))


@dataclass(slots=True)
class Heartbeat:
    """Whether a run still moves."""

    run: str
    limit_s: int
    """0: it is not watched."""
    began: float
    """UNIX seconds; what is older was an earlier attempt's."""

    @property
    def patience_s(self) -> float:
        return self.limit_s if self.run and self.limit_s else math.inf

    def still_for(self) -> float:
        """Seconds since its last sign of life: what it wrote; what it cannot write it touches only."""
        if not self.run:
            return 0.0
        return time.time() - max(self.began, last_sign(Path(self.run)))

    def begin_anew(self) -> None:
        """What was before now does not count."""
        self.began = time.time()
