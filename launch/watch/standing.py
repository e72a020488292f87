"""How a job stands: what its folder says and what SLURM says, weighed against each other."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from launch.job.record import End, Outcome
from launch.queue.reasons import plainly
from launch.queue.sacct import BookRow
from launch.queue.squeue import QueueRow
from sharding.base.text import duration


class Standing(StrEnum):
    """In a word."""

    UNSENT = "not queued"
    WAITING = "waiting"
    RUNNING = "running"
    ENDING = "ending"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SILENT = "ended without a word"
    UNKNOWN = "not known"
    """SLURM cannot be asked from here."""


OVER = {Standing.DONE, Standing.FAILED, Standing.CANCELLED}
"""Nothing more will happen."""
_ENDS = {End.DONE: Standing.DONE, End.FAILED: Standing.FAILED, End.CANCELLED: Standing.CANCELLED}
_RUNS = {"RUNNING": "", "SUSPENDED": "suspended by SLURM", "CONFIGURING": "its nodes are started for it"}
_ENDING = ("COMPLETING", "STAGE_OUT", "SIGNALING")


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """All that the standing depends on."""

    ids: tuple[str, ...]
    """SLURM's numbers of the job; empty: it was never queued."""
    outcome: Outcome | None
    rows: Sequence[QueueRow] | None
    """Of these ids; None: SLURM cannot be asked."""
    books: Sequence[BookRow] = ()
    cancelled: bool = False
    """`avsync cancel` has left its mark."""
    fresh: bool = False
    """It was queued after SLURM was asked."""


def stands(seen: Seen, now: float | None = None) -> tuple[Standing, str]:
    """The standing, and why, in plain words. Row by row, from what is certain to what is left."""
    if seen.outcome:
        return _ENDS[seen.outcome.end], seen.outcome.reason
    if not seen.ids:
        return Standing.UNSENT, "it was written down, but sbatch did not take it"
    if seen.rows is None:
        return Standing.UNKNOWN, "SLURM cannot be asked from here"
    live = [row for row in seen.rows if row.live]
    if live:
        return _alive(live, time.time() if now is None else now)
    if seen.fresh:
        return Standing.WAITING, "just queued"
    return _gone(seen)


def _alive(live: Sequence[QueueRow], now: float) -> tuple[Standing, str]:
    if any(row.state in _ENDING for row in live) and all(row.state in _ENDING for row in live if not row.waiting):
        return Standing.ENDING, "its processes are on their way out"
    running = [row for row in live if not row.waiting]
    if running:
        return Standing.RUNNING, _RUNS.get(running[0].state, f"SLURM says {running[0].state}")
    return Standing.WAITING, why_it_waits(live[0], now)


def why_it_waits(row: QueueRow, now: float) -> str:
    """The reason, and when SLURM means to start it."""
    said = plainly(row.reason) or "SLURM has not looked at it yet"
    if row.state in ("REQUEUE_HOLD", "SPECIAL_EXIT"):
        said = plainly("JobHeldUser")
    if row.start is None or row.start <= now:
        return said
    if row.reason == "BeginTime":
        return f"requeued, starts in {duration(round(row.start - now))}"
    return f"{said}; may start in {duration(round(row.start - now))}"


def _gone(seen: Seen) -> tuple[Standing, str]:
    """No outcome, and SLURM has no such job any more."""
    states = [row.state for row in seen.rows or ()] or [row.state for row in seen.books]
    telling = [state for state in states if state not in ("COMPLETED", "REQUEUED", "PREEMPTED")] or states
    last = telling[-1] if telling else ""  # of an array: of a task that did not end well
    if last.startswith("CANCELLED") or (seen.cancelled and not last):
        waited = any(row.reason.startswith("Dependency") for row in seen.rows or ())
        said = "the job it waited for did not end well" if waited else "scancel"
        return Standing.CANCELLED, "avsync cancel" if seen.cancelled else said
    number = seen.ids[-1]
    said = f"; SLURM says {last}{_code(seen.books)}" if last else ""
    return Standing.SILENT, f"job {number} is not in SLURM's queue any more{said}"


def _code(books: Sequence[BookRow]) -> str:
    code = books[-1].exit_code if books else "0:0"
    return "" if code == "0:0" else f", exit code {code}"
