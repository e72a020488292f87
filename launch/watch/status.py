"""A job's status as one typed object: what the table, the page and --json show. SLURM is asked once for all jobs."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from avsync.run.progress import RunProgress, read_progress
from launch.job.attempts import Attempt
from launch.job.paths import JobPaths
from launch.job.progress_on_disk import saved
from launch.job.record import End, Outcome
from launch.queue.ask import QueueError
from launch.queue.sacct import BookRow, read_books
from launch.queue.squeue import MARK, QueueRow, indices, own_name, owner_of, plainly, read_queue
from launch.watch.jobs import short
from launch.watch.on_disk import (
    Tasks,
    modified,
    read_ends,
    read_queued,
    read_record,
    read_tasks,
    read_tries,
    read_work,
    whole_outcome,
    works_in,
)
from sharding.base.share_progress import WorkProgress
from sharding.base.text import counted, duration, first_few
from sharding.errors import InputError

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
LIVE = {Standing.WAITING, Standing.RUNNING, Standing.ENDING}
"""SLURM has it."""
STATES = {
    "RUNNING": "",
    "SUSPENDED": "suspended by SLURM",
    "STOPPED": "stopped by SLURM",
    "CONFIGURING": "its nodes are started for it",
    "POWER_UP_NODE": "its nodes are started for it",
    "RESIZING": "its nodes are being changed",
}
ENDING = {
    "COMPLETING": "its processes are on their way out",
    "STAGE_OUT": "its files are being brought away",
    "SIGNALING": "its processes are being asked to leave",
}


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
    running = [row for row in live if not row.waiting]
    if running and all(row.state in ENDING for row in running):
        return Standing.ENDING, ENDING[running[0].state]
    running = [row for row in running if row.state not in ENDING]
    if running:
        unknown = f"SLURM says {running[0].state}, a state that is not known here: taken for alive"
        return Standing.RUNNING, STATES.get(running[0].state, unknown)
    return Standing.WAITING, why_it_waits(live[0], now)


def why_it_waits(row: QueueRow, now: float) -> str:
    """The reason, and when SLURM means to start it."""
    why = row.why or "SLURM has not looked at it yet"
    if row.start is None or row.start <= now or row.held or row.in_vain:
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
    """That it has now."""
    nodes_asked: str
    """`2`, or `2-4`."""
    submitted: float
    """UNIX seconds."""
    asked: float
    """UNIX seconds when this was read."""
    saved: int
    """Steps in the newest checkpoint; of pack: parts on disk; of curate: answers."""
    heartbeat_s: int
    """After so long without a sign of life the job is ended and requeued; 0: never."""
    progress: RunProgress | None
    attempts: tuple[Attempt, ...]
    """Of an array: of the first task that did not end well."""
    tasks: Tasks | None
    outcome: Outcome | None
    chain: tuple[str, ...] = ()
    """Folders of the jobs that were submitted in one line with it, in order."""
    depends_on: tuple[str, ...] = ()
    """Jobs that must end well before it."""
    work: WorkProgress | None = None
    """Of curate: sources, of all tasks."""
    works_in: str = ""
    """The run or dataset that the job works in, when it is not `target`: that was moved, or is a copy."""
    private: bool = False
    """job.json is for its owner alone: its settings are not told."""

    @property
    def waits_in_vain(self) -> bool:
        """What it waits for did not end well: it will never start."""
        return self.standing is Standing.WAITING and any(row.in_vain for row in self.rows)

    @property
    def lost_tasks(self) -> list[str]:
        """Of an array that lives: tasks that are over and did not end well, as SLURM numbers them."""
        if not self.tasks or self.standing not in LIVE:
            return []
        left = [row for row in self.rows if not row.live and row.state != "COMPLETED"]
        numbers = [number for row in left for number in indices(row.tasks)] or [self.tasks.failing]
        return [str(number) for number in numbers if number is not None]

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
    record, readable = read_record(paths)
    queued = read_queued(paths)
    ids = queued.ids if queued else ()
    rows = None if queue.rows is None else _rows_of(paths, queue.rows, ids)
    elsewhere = works_in(paths, record, rows or ())
    copied = elsewhere is not None and modified(JobPaths.of(elsewhere, paths.root.name).record) > 0
    here = str(paths.target)  # what lies here is told, not what the job does elsewhere, nor what else its file names
    record = replace(record, run=record.run and here, dataset=record.dataset and here)
    if copied:  # the job is not this folder's
        ids, rows = (), []
    ids = ids or tuple(dict.fromkeys(row.job for row in rows or ()))
    ends = read_ends(paths, record.array)
    tasks = read_tasks(record.array, ends, rows) if record.array else None
    job = QueueObservation(
        ids=ids,
        outcome=whole_outcome(paths, tasks, ends),
        rows=rows,
        cancelled=os.path.lexists(paths.cancelled),
        fresh=modified(paths.queued) > queue.asked,
    )
    standing, why = stands(job, queue.asked)
    if standing is Standing.WAITING and (waited := _waited_for(rows or (), queue.rows or ())):
        why = why.replace(plainly("Dependency"), f"waits for {first_few(waited)}")
    if tasks and not job.outcome and standing in (Standing.CANCELLED, Standing.SILENT):
        why = f"{tasks.total - tasks.done} of {counted(tasks.total, 'task')}; {why}"
    if standing is Standing.UNSENT and copied:
        why = f"this is a copy of {elsewhere}, and so is its job"
    if standing is Standing.SILENT and books:
        standing, why = stands(replace(job, books=read_books(ids) or ()), queue.asked)
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
        nodes_asked=str(record.resources.node_counts),
        nodes=next((row.nodes for row in rows or () if row.live and row.nodes), ""),
        submitted=record.submitted,
        asked=time.time(),
        saved=saved(record),
        heartbeat_s=record.profile.heartbeat_s if readable else 0,
        progress=read_progress(Path(record.run)) if record.run else None,
        attempts=read_tries(paths.task(tasks.failing if tasks else None).attempts),
        tasks=tasks,
        outcome=job.outcome,
        chain=record.chain,
        depends_on=queued.depends_on if queued else (),
        work=read_work(record, tasks),
        works_in=str(elsewhere or ""),
        private=not readable,
    )


def _waited_for(rows: Sequence[QueueRow], queue: Sequence[QueueRow]) -> list[str]:
    """`pack of DATASET`: what must end well before, as far as it is avsync's."""
    needed = {job for row in rows if row.waiting for job in row.needs}
    folders = dict.fromkeys(row.folder for row in queue if row.job in needed and row.folder) if needed else {}
    return [f"{folder.name} of {short(folder.parent.parent)}" for folder in folders]


def _rows_of(paths: JobPaths, rows: Sequence[QueueRow], ids: Sequence[str]) -> list[QueueRow]:
    """By number, and by the mark in the comment what was queued and not noted, or noted where only its owner reads."""
    mark = f"{MARK}{paths.root}"
    return [row for row in rows if row.job in ids or (row.comment == mark and row.live)]


def jobs_in(queue: Queue) -> list[JobPaths]:
    """The user's jobs that are in the queue, by the folder in their comment, as far as it is there."""
    folders = {row.folder: None for row in queue.rows or () if row.folder and row.live}
    return [JobPaths(folder) for folder in folders if modified(JobPaths(folder).record)]
