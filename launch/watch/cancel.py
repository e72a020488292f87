"""`avsync cancel`: marked in the job's folder, so that it saves and stays ended; then taken from the queue."""

import re
import time
from collections.abc import Sequence
from contextlib import suppress

from launch.commands.flags import typed
from launch.job.paths import JobPaths
from launch.job.record import End, JobRecord, Outcome
from launch.queue.ask import ask
from launch.queue.squeue import QueueRow, indices, owner_of, read_jobs, read_queue
from launch.watch.jobs import short
from launch.watch.status import OVER, JobStatus, Standing, ask_queue, read_queued, read_status
from sharding.base.files import read_json, write_json
from sharding.base.text import first_few
from sharding.errors import InputError

LOOK_S = 1.0
LEAVE_S = 45.0
"""After scancel: SLURM's KillWait, and time to clear away."""


def cancel(paths: JobPaths, wait_s: float) -> str:
    """End it; returns how it ended. Raises InputError when it is over already or SLURM is not here, QueueError."""
    record, queued = read_json(paths.record, JobRecord), read_queued(paths)
    before = read_status(paths, ask_queue([paths]))
    if before.standing in OVER:
        raise InputError(f"{short(paths.target)}: {record.kind} is over already: {before.standing} ({before.why})")
    ids = queued.ids if queued else ()
    if not ids:
        raise InputError(f"{short(paths.target)}: {record.kind} is not in the queue; nothing is to be cancelled")
    rows, followers = _live(paths, ids), _followers(ids)
    _mark(paths)
    _scancel([_name(row) for row in rows if row.waiting])  # first: else one that waits takes the place of one that ends
    _ask_to_save(paths, record)
    left = _until_gone(paths, ids, wait_s)
    if left:
        _scancel(ids)
        left = _until_gone(paths, ids, LEAVE_S)
    if not left:
        _conclude(paths, record)
    after = read_status(paths, ask_queue([paths]))
    return "\n".join((_report(paths, after, left), *_followers_report(followers)))


def _mark(paths: JobPaths) -> None:
    """By this the job knows, whenever it looks: no requeue after it."""
    paths.cancelled.write_text("avsync cancel\n")


def _ask_to_save(paths: JobPaths, record: JobRecord) -> None:
    for number in range(record.array) if record.array else (None,):
        task = paths.task(number)
        if task.folder.is_dir() and not task.outcome.exists():
            task.stop.touch()


def _live(paths: JobPaths, ids: Sequence[str]) -> list[QueueRow]:
    return [row for row in read_jobs(ids, {owner_of(paths.record)}) if row.live]


def _until_gone(paths: JobPaths, ids: Sequence[str], patience_s: float) -> list[QueueRow]:
    """What is left in the queue after at most so many seconds."""
    ends = time.monotonic() + patience_s
    while left := _live(paths, ids):
        if time.monotonic() >= ends:
            break
        _scancel([_name(row) for row in left if row.waiting])  # SLURM has preempted it meanwhile
        time.sleep(LOOK_S)
    return left


def _scancel(jobs: Sequence[str]) -> None:
    if jobs:
        ask(["scancel", "--quiet", *jobs])


def _name(row: QueueRow) -> str:
    """As scancel takes it: of an array only the tasks of this row."""
    return f"{row.job}_[{','.join(map(str, indices(row.tasks)))}]" if row.tasks else row.job


def _conclude(paths: JobPaths, record: JobRecord) -> None:
    """It is over; what never began, or was killed, could not write so itself."""
    for number in range(record.array) if record.array else (None,):
        task = paths.task(number)
        with suppress(FileNotFoundError):
            task.stop.unlink()
        if not task.outcome.exists():
            task.folder.mkdir(parents=True, exist_ok=True)
            write_json(task.outcome, Outcome(end=End.CANCELLED, reason="avsync cancel", at=time.time()))


def _report(paths: JobPaths, status: JobStatus, left: Sequence[QueueRow]) -> str:
    target = short(paths.target)
    if left:
        return f"{target}: SLURM still has job {left[0].job} ({left[0].state}); it will not start again"
    if status.standing is Standing.DONE:
        return f"{target}: it was done before it could be cancelled"
    kept = f"; step {status.saved:,} is saved" if status.progress else ""
    return f"{target}: {status.standing}{kept}. Next: {typed('resubmit', target)}"


def _followers(ids: Sequence[str]) -> list[QueueRow]:
    """Jobs that wait for this one to end well."""
    queue = ask_queue()  # where it cannot be asked, nobody knows of any
    live = (row for row in queue.rows or () if row.live and row.job not in ids)
    return [row for row in live if any(_needs(row, job) for job in ids)]


def _followers_report(followers: Sequence[QueueRow]) -> list[str]:
    """They never start; those that were submitted so, SLURM takes from the queue itself."""
    live = {row.job for row in read_queue() if row.live} if followers else set[str]()
    gone, left = ([row for row in followers if (row.job in live) is here] for here in (False, True))
    lines = [f"SLURM has taken out what waited for it: {first_few([_named(row) for row in gone])}"] if gone else []
    if left:
        targets = [short(row.folder.parent.parent) for row in left if row.folder]
        remedy = typed("cancel", targets[0]) if targets else f"scancel {left[0].job}"
        lines.append(f"Waiting for it, and now for ever: {first_few([_named(row) for row in left])}. Next: {remedy}")
    return lines


def _named(row: QueueRow) -> str:
    return f"{row.name} (job {row.job})"


def _needs(row: QueueRow, job: str) -> bool:
    """It waits for a good end of that job."""
    return re.search(rf"after(ok|corr):{job}\b", row.dependency) is not None
