"""RUN/progress.json: where a run stands now, for whoever watches it from outside. No torch here; launch imports it.

It is also the run's heartbeat. While a step waits for data nothing is written: `updated` grows old, and that is what a
watcher must see. Written anew, never waited for; a disk that takes it no more does not end the training.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from avsync.run.alarm import Alarm
from avsync.run.paths import RunPaths
from sharding.base.files import LARGEST_RECORD, Count, Measured, Moment, read_json, write_json
from sharding.base.guarded import touch
from sharding.base.housekeeping import housekeeping
from sharding.base.locks import LOCK_NAME
from sharding.errors import AvsyncError

BEAT_S = 5.0
"""A step writes when so much time has passed since the last write."""
POINT_S = 1.0
"""... and a point of the curves, which may come with every step."""

Phase = Literal["starting", "training", "validating", "saving", "stopped", "done"]


@dataclass(frozen=True, slots=True)
class ValidationScore:
    """What one validation measured."""

    step: Count
    accuracy: Measured
    loss: Measured | None
    """None: not a finite number."""
    audited: Measured | None = None
    """The accuracy, less what one stream alone is worth; None: nobody has asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunProgress:
    """progress.json. What is not known yet is None, or 0 where nothing else can be meant."""

    LARGEST_FILE: ClassVar[int] = LARGEST_RECORD

    updated: Moment = 0.0
    """UNIX seconds."""
    phase: Phase = "starting"
    """starting: until the first step is done; stopped: somebody wished it, and all is saved."""
    step: Count = 0
    """Steps done."""
    steps: Count
    """Of so many."""
    first_step: Count = 0
    """Where this attempt began."""
    attempt: Count = 0
    """Number of its receipt; 0: its first clips have not come."""
    clips_per_s: Measured = 0.0
    step_s: Measured = 0.0
    """Mean seconds of a step lately, validation and saving left out."""
    eta_s: Measured | None = None
    """Seconds to the end at this attempt's pace, validation and saving included."""
    data_wait: Measured = 0.0
    """Share of time that a step waits for data, 0 to 1; of the process that waits longest."""
    gpu_busy: Measured | None = None
    """Share of time in which the GPUs do something, 0 to 1; None where there is none."""
    loss: Measured | None = None
    """Of training; None also when it is not a finite number."""
    accuracy: Measured | None = None
    validation: ValidationScore | None = None
    """The last."""
    best: ValidationScore | None = None
    alarm: Alarm | None = None
    """One stream alone tells the network the label, by the last validation."""
    advice: str = ""
    """What the guard of efficiency says now; empty: nothing."""
    slow: str = ""
    """Which rank the others wait for, and on which node; empty: none."""
    preflight: str = ""
    """What was measured before the first step; empty: nothing was."""


def last_sign(run: Path) -> float:
    """When a run last wrote progress.json, or wanted to and could not; UNIX seconds, 0 for never."""
    progress, signs = read_progress(run), [0.0]
    for file in (RunPaths(run).progress, run / LOCK_NAME):
        with suppress(OSError):
            signs.append(file.stat().st_mtime)
    return max(*signs, progress.updated if progress else 0.0)


def _touch(progress: Path) -> None:
    """Takes no room, and is a sign of life; where it may not be changed, the lock that the run holds is."""
    for file in (progress, progress.with_name(LOCK_NAME)):
        with suppress(OSError):
            touch(file)
            return


def read_progress(run: Path) -> RunProgress | None:
    """What a run last wrote; None when it has written nothing, or nothing that can be understood."""
    try:
        return read_json(RunPaths(run).progress, RunProgress)
    except AvsyncError:
        return None


def finite(number: float | None) -> float | None:
    """JSON has no other numbers."""
    return number if number is not None and math.isfinite(number) else None


class Pulse:
    """Writes progress.json. Without a path it writes nothing: only one process of a run may."""

    def __init__(self, path: Path | None, now: RunProgress) -> None:
        self.now, self._path, self._written = now, path, -math.inf
        self._rhythm: tuple[int, float] | None = None

    def write(self, **changes: Any) -> None:
        """Fields of RunProgress that have changed; written at once."""
        self.now = replace(self.now, **changes, updated=time.time())
        self._written = time.monotonic()
        if self._path:
            with housekeeping("write", self._path):  # a full disk, a quota: no reason to end what it tells of
                try:
                    write_json(self._path, self.now, lasting=False)
                except OSError:
                    _touch(self._path)
                    raise

    def beat(self, step: int) -> None:
        """Something was done: `step` steps are."""
        self.now = replace(self.now, step=step)
        if self.now.phase == "starting":
            self.write(phase="training")
        elif time.monotonic() - self._written >= BEAT_S:
            self.write()

    def point(self, step: int, **changes: Any) -> None:
        """A point of the curves, with the pace since the first one."""
        now, left = time.monotonic(), self.now.steps - step
        if self._rhythm is None:
            self._rhythm = step, now  # the first steps wait for files and compilers: no measure for the rest
        first, since = self._rhythm
        pace = (now - since) / (step - first) if step > first else changes.get("step_s", 0.0)
        self.now = replace(self.now, step=step, eta_s=left * pace, **changes)
        if now - self._written >= POINT_S or not left:
            self.write()

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Written at its begin and, if all went well, at its end."""
        before = self.now.phase
        self.write(phase=phase)
        yield
        self.write(phase=before)
