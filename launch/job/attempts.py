"""attempts.jsonl: what began and ended, when, where and why; a line each, written by the job itself."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from sharding.base.files import OWN, OWN_FOLDER, Count, Moment, add_line, from_json, read_end
from sharding.base.guarded import make_folder
from sharding.errors import FormatError

MOST_BYTES = 2**22
"""Of attempts.jsonl that are read: some ten thousand attempts."""


class What(StrEnum):
    """What happened to an attempt."""

    BEGAN = "began"
    DONE = "done"
    PREEMPTED = "preempted"
    TIME_LIMIT = "time limit"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out of memory"
    HUNG = "hung"
    CANCELLED = "cancelled"
    LOST = "lost"
    """It ended without a word: its node failed, or it was killed by force. The next attempt notes it."""
    STOPPED = "stopped"
    """By a SIGTERM of which SLURM does not say why."""
    REFUSED = "refused"
    """The work itself says that it cannot be: settings, dataset or number of tasks are wrong. Nothing was trained."""


class Action(StrEnum):
    """What was done then."""

    NONE = ""
    REQUEUED = "requeued"
    BY_SLURM = "requeued by SLURM"
    SUCCESSOR = "the next job in line goes on"
    GIVEN_UP = "given up"


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A line."""

    what: What
    attempt: Count
    """1: the first."""
    job: str
    restart: Count
    """SLURM's count of requeues of this job."""
    nodes: str
    saved: Count
    """Steps in the newest checkpoint; of pack: parts on disk."""
    at: Moment
    """UNIX seconds."""
    action: Action = Action.NONE
    exit: Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31)] = 0
    """Of srun; negative: it was killed by that signal."""
    detail: str = ""
    """Why, in plain words."""
    failed_node: str = ""
    """Where it failed, if that is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One time that SLURM has started the job."""

    began: Event
    ended: Event | None
    """None: it runs, or it ended without a word."""

    @property
    def gained(self) -> int:
        """Steps, or parts, that it brought; 0 when it ended without a word."""
        return self.ended.saved - self.began.saved if self.ended else 0


def note(path: Path, event: Event) -> None:
    """Add a line; what a kill cut short before it is left as it is, on a line of its own. Raises OSError."""
    make_folder(path.parent, mode=OWN_FOLDER)
    add_line(path, msgspec.json.encode(event), OWN)


def read_events(path: Path) -> Iterator[Event]:
    """Whole lines, in order; of a file of very many the last. Raises OSError other than that there is no file yet."""
    try:
        lines = read_end(path, MOST_BYTES).splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield from_json(line, Event, str(path))
        except FormatError:  # cut short by a kill, or of another version: a record only, and others follow
            continue


def read_attempts(path: Path) -> list[Attempt]:
    """In order; an attempt that began and has no end is the last, or was lost."""
    attempts = list[Attempt]()
    for event in read_events(path):
        if event.what is What.BEGAN:
            attempts.append(Attempt(began=event, ended=None))
        elif attempts and attempts[-1].began.attempt == event.attempt:
            attempts[-1] = Attempt(began=attempts[-1].began, ended=event)
    return attempts


def now() -> float:
    """UNIX seconds, as events carry them."""
    return time.time()
