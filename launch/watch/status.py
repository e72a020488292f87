"""A job's status as one typed object: what the table, the page and --json show. SLURM is asked once for all jobs."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from avsync.run.progress import RunProgress, read_progress
from launch.job.attempts import Attempt, read_attempts
from launch.job.paths import JobPaths
from launch.job.progress_on_disk import saved
from launch.job.record import End, JobRecord, Outcome, Queued
from launch.queue.ask import QueueError
from launch.queue.sacct import BookRow, read_books
from launch.queue.squeue import QueueRow, own_name, owner_of, plainly, read_queue
from sharding.base.files import read_json
from sharding.base.text import duration
from sharding.errors import AvsyncError, InputError

# How a job stands: what its folder says and what SLURM says, weighed against each other.


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
class QueueObservation:
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


def stands(job: QueueObservation, now: float | None = None) -> tuple[Standing, str]:
    """The standing, and why, in plain words. Row by row, from what is certain to what is left."""
    if job.outcome:
        return _ENDS[job.outcome.end], job.outcome.reason
    if not job.ids:
        return Standing.UNSENT, "it was written down, but sbatch did not take it"
    if job.rows is None:
        return Standing.UNKNOWN, "SLURM cannot be asked from here"
    live = [row for row in job.rows if row.live]
    if live:
        return _alive(live, time.time() if now is None else now)
    if job.fresh:
        return Standing.WAITING, "just queued"
    return _gone(job)


def _alive(live: Sequence[QueueRow], now: float) -> tuple[Standing, str]:
    if any(row.state in _ENDING for row in live) and all(row.state in _ENDING for row in live if not row.waiting):
        return Standing.ENDING, "its processes are on their way out"
    running = [row for row in live if not row.waiting]
    if running:
        return Standing.RUNNING, _RUNS.get(running[0].state, f"SLURM says {running[0].state}")
    return Standing.WAITING, why_it_waits(live[0], now)


def why_it_waits(row: QueueRow, now: float) -> str:
    """The reason, and when SLURM means to start it."""
    why = plainly(row.reason) or "SLURM has not looked at it yet"
    if row.state in ("REQUEUE_HOLD", "SPECIAL_EXIT"):
        why = plainly("JobHeldUser")
    if row.start is None or row.start <= now:
        return why
    if row.reason == "BeginTime":
        return f"requeued, starts in {duration(round(row.start - now))}"
    return f"{why}; may start in {duration(round(row.start - now))}"


def _gone(job: QueueObservation) -> tuple[Standing, str]:
    """No outcome, and SLURM has no such job any more."""
    states = [row.state for row in job.rows or ()] or [row.state for row in job.books]
    telling = [state for state in states if state not in ("COMPLETED", "REQUEUED", "PREEMPTED")] or states
    last = telling[-1] if telling else ""  # of an array: of a task that did not end well
    if last.startswith("CANCELLED") or (job.cancelled and not last):
        waited = any(row.reason.startswith("Dependency") for row in job.rows or ())
        why = "the job it waited for did not end well" if waited else "scancel"
        return Standing.CANCELLED, "avsync cancel" if job.cancelled else why
    number = job.ids[-1]
    last_state = f"; SLURM says {last}{_code(job.books)}" if last else ""
    return Standing.SILENT, f"job {number} is not in SLURM's queue any more{last_state}"


def _code(books: Sequence[BookRow]) -> str:
    code = books[-1].exit_code if books else "0:0"
    return "" if code == "0:0" else f", exit code {code}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tasks:
    """Of an array: how many stand how."""

    total: int
    done: int
    running: int
    failed: int

    @property
    def waiting(self) -> int:
        return max(self.total - self.done - self.running - self.failed, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobStatus:
    """What --json prints for a job."""

    folder: str
    """Of the job; its run or dataset is `target`."""
    target: str
    kind: str
    name: str
    cluster: str
    """Name of the profile."""
    ids: tuple[str, ...]
    standing: Standing
    why: str
    """In plain words; may be empty."""
    rows: tuple[QueueRow, ...]
    """What SLURM's queue says."""
    nodes: str
    submitted: float
    """UNIX seconds."""
    asked: float
    """UNIX seconds when this was read."""
    saved: int
    """Steps in the newest checkpoint; of pack: parts on disk."""
    heartbeat_s: int
    """After so long without a sign of life the job is ended and requeued; 0: never."""
    progress: RunProgress | None
    attempts: tuple[Attempt, ...]
    tasks: Tasks | None
    outcome: Outcome | None

    @property
    def age_s(self) -> float | None:
        """Seconds since the last sign of life of a run that ought to give some."""
        moving = self.progress and self.standing in (Standing.RUNNING, Standing.UNKNOWN)
        return max(self.asked - self.progress.updated, 0.0) if moving and self.progress else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """SLURM's answer, and when it was asked."""

    rows: list[QueueRow] | None
    """None: it cannot be asked from here."""
    problem: str
    """Why not."""
    asked: float


def ask_queue(jobs: Sequence[JobPaths] = ()) -> Queue:
    """One question for one's own jobs and for those of the owners of these folders. Raises nothing."""
    users, asked = {own_name()}, time.time()
    for paths in jobs:
        with suppress(OSError):
            users.add(owner_of(paths.record))
    try:
        return Queue(rows=read_queue(users if len(users) > 1 else ()), problem="", asked=asked)
    except (InputError, QueueError) as error:
        return Queue(rows=None, problem=str(error), asked=asked)


def read_status(paths: JobPaths, queue: Queue, *, books: bool = True) -> JobStatus:
    """Read after the queue: a job that ends between the two is over, not lost. Raises AvsyncError without a job.json.

    SLURM's books are asked only of a job that left no word.
    """
    record = read_json(paths.record, JobRecord)
    queued = read_queued(paths)
    ids = queued.ids if queued else ()
    rows = None if queue.rows is None else [row for row in queue.rows if row.job in ids]
    tasks = _tasks(paths, record, rows) if record.array else None
    job = QueueObservation(
        ids=ids,
        outcome=_outcome(paths, tasks),
        rows=rows,
        cancelled=paths.cancelled.exists(),
        fresh=_written(paths.queued) > queue.asked,
    )
    standing, why = stands(job, queue.asked)
    if standing is Standing.SILENT and books:
        standing, why = stands(replace(job, books=read_books(ids) or ()), queue.asked)
    if standing in (Standing.WAITING, Standing.RUNNING, Standing.SILENT):
        why = elsewhere(paths, record, rows or ()) or why
    return JobStatus(
        folder=str(paths.root),
        target=str(paths.target),
        kind=record.kind,
        name=record.name,
        cluster=record.profile.name,
        ids=ids,
        standing=standing,
        why=why,
        rows=tuple(rows or ()),
        nodes=next((row.nodes for row in rows or () if row.live and row.nodes), ""),
        submitted=record.submitted,
        asked=time.time(),
        saved=saved(record),
        heartbeat_s=record.profile.heartbeat_s,
        progress=read_progress(Path(record.run)) if record.run else None,
        attempts=tuple(read_attempts(paths.task(None).attempts)),
        tasks=tasks,
        outcome=job.outcome,
    )


def elsewhere(paths: JobPaths, record: JobRecord, rows: Sequence[QueueRow]) -> str:
    """What to say of a job whose folder was renamed, moved or copied since: it works where it was submitted."""
    marked = (str(row.folder.parent.parent) for row in rows if row.folder)
    works_on = next(marked, record.run or record.dataset)
    if not works_on or os.path.realpath(works_on) == os.path.realpath(paths.target):
        return ""
    if os.path.isdir(works_on):
        return f"this folder is a copy: the job works on {works_on}"
    return (
        f"this folder was renamed or moved: the job will look for {works_on} and fail; move it back, or submit it anew"
    )


def jobs_in(queue: Queue) -> list[JobPaths]:
    """The user's jobs that are in the queue, by the folder in their comment, as far as it is there."""
    folders = {row.folder: None for row in queue.rows or () if row.folder and row.live}
    return [JobPaths(folder) for folder in folders if JobPaths(folder).record.is_file()]


def read_queued(paths: JobPaths) -> Queued | None:
    """None: SLURM never took the job. Raises AvsyncError for a damaged file."""
    return read_json(paths.queued, Queued) if paths.queued.exists() else None


def _outcome(paths: JobPaths, tasks: Tasks | None) -> Outcome | None:
    """Of the whole job; of an array that of its tasks together, once all have one."""
    found = read_outcome(paths.task(None).outcome)
    if found or tasks is None or tasks.done + tasks.failed < tasks.total:
        return found
    if not tasks.failed:
        return Outcome(end=End.DONE, reason=f"all {tasks.total} tasks", at=0)
    each = [read_outcome(paths.task(number).outcome) for number in range(tasks.total)]
    worst = [outcome for outcome in each if outcome and outcome.end is not End.DONE]
    end = End.FAILED if any(outcome.end is End.FAILED for outcome in worst) else End.CANCELLED
    first = next(outcome for outcome in worst if outcome.end is end)
    reason = f"{tasks.failed} of {tasks.total} tasks; the first: {first.reason}"
    return Outcome(end=end, reason=reason, at=max(outcome.at for outcome in worst), log_tail=first.log_tail)


def _tasks(paths: JobPaths, record: JobRecord, rows: Sequence[QueueRow] | None) -> Tasks:
    ends = [read_outcome(paths.task(number).outcome) for number in range(record.array)]
    done = sum(1 for outcome in ends if outcome and outcome.end is End.DONE)
    failed = sum(1 for outcome in ends if outcome and outcome.end is not End.DONE)
    running = sum(row.count for row in rows or () if row.live and not row.waiting)
    return Tasks(total=record.array, done=done, failed=failed, running=min(running, record.array - done - failed))


def read_outcome(path: Path) -> Outcome | None:
    """None while it is not over, or when what is there cannot be understood."""
    try:
        return read_json(path, Outcome)
    except AvsyncError:
        return None


def _written(path: Path) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
