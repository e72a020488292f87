"""`avsync cancel`: marked in the jobs' folders, so that they save and stay ended; then taken from the queue."""

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from launch.job.paths import JobPaths
from launch.job.record import End, JobRecord, Outcome
from launch.queue.ask import ask
from launch.queue.squeue import QueueRow, indices, owner_of, read_jobs
from launch.watch.gather import Gathered, gather
from launch.watch.hints import about, again, command
from launch.watch.jobs import short
from launch.watch.meant import ChainJob, Meant, meant_by_cancel
from launch.watch.on_disk import task_numbers
from launch.watch.status import OVER, JobStatus, Standing, ask_queue, read_status
from sharding.base.files import OWN, OWN_FOLDER, publish, read_json, write_json
from sharding.base.guarded import claim, is_ours, make_folder, opened_folder
from sharding.base.housekeeping import delete_file, housekeeping
from sharding.base.text import first_few
from sharding.errors import InputError

LOOK_S = 1.0
LEAVE_S = 45.0
"""After scancel: SLURM's KillWait, and time to clear away."""


def cancel(name: str, kind: str, wait_s: float) -> str:
    """End what is meant; returns how it ended. Raises InputError when all is over or SLURM is not here, QueueError."""
    found, exact = gather(name, kind)
    meant = Meant(jobs=(found.exactly(exact),)) if exact else meant_by_cancel(found.jobs)
    elsewhere = [(job, command("cancel", job.root)) for job in _elsewhere(meant)]
    if meant.refusal and len(found.jobs) > 1:
        raise InputError("; ".join([f"{name}: {meant.refusal}", *(f"{line} ends that" for _, line in elsewhere)]))
    going = [_Going.of(job, found) for job in meant.jobs or found.jobs if job.here or not _is_strangers(job, found)]
    rows, ids = _live(going), {one for each in going for one in each.ids}
    queue = ask_queue().rows or ()  # where it cannot be asked, nobody knows of any that wait
    followers = [row for row in queue if row.live and row.job not in ids and not ids.isdisjoint(row.needs)]
    for one in going:
        _mark(one.paths)
    _scancel([_name(row) for row in rows if row.waiting])  # first: else one that waits takes the place of one that ends
    for one in going:
        _ask_to_save(one.paths, one.record)
    moved = any(found.statuses[one.paths.root].works_in for one in going)  # it looks for its marks where they are not
    left = _until_gone(going, 0 if moved else wait_s)
    if left:
        _scancel(sorted(ids))
        left = _until_gone(going, LEAVE_S)
    lines = [_conclude(one, [row for row in left if row.job in one.ids]) for one in going]
    lines += [f"{short(job.target)}: {job.said}; {line} ends it" for job, line in elsewhere]
    lines += _followers_report(followers)
    following = [f"Next: {line}" for line in again(str(going[0].paths.target))]
    if len(going) == len(following) == 1:
        lines[0] += f". {following.pop()}"
    return "\n".join([*lines, *following])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Going:
    """A job that is being ended."""

    paths: JobPaths
    record: JobRecord
    ids: tuple[str, ...]

    @classmethod
    def of(cls, job: ChainJob, found: Gathered) -> "_Going":
        """Raises InputError for one that is over or not in the queue, or belongs to somebody else."""
        status, called = found.statuses[job.root], short(job.target)
        if status.standing in OVER:
            raise InputError(f"{called}: {status.kind} is over already: {status.standing} ({status.why})")
        if not status.ids or status.standing is Standing.UNSENT:
            why = f" ({status.why})" if status.why else ""
            raise InputError(f"{called}: {status.kind} is not in the queue{why}; nothing is to be cancelled")
        paths = JobPaths(job.root)
        record = read_json(paths.record, JobRecord)
        if not _may_end(paths):  # its numbers may be those of any job of ours
            owner = owner_of(paths.record)
            raise InputError(f"{called}: {status.kind} belongs to {owner}, who alone can cancel it")
        claim(paths.target)
        return cls(paths=paths, record=record, ids=status.ids)


def _is_strangers(job: ChainJob, found: Gathered) -> bool:
    """Somebody else's, who waits for ours: SLURM takes it out."""
    return found.statuses[job.root].private or not _may_end(JobPaths(job.root))


def _may_end(paths: JobPaths) -> bool:
    """It was submitted by this user, whose files may have another owner on a server; or an administrator asks."""
    with suppress(OSError), opened_folder(paths.root) as folder:
        there = [path.name for path in (paths.record, paths.queued) if os.path.lexists(path)]
        return os.geteuid() == 0 or all(is_ours(os.lstat(name, dir_fd=folder), folder) for name in there)
    return True  # there is nothing to see: whoever reads it says so


def _mark(paths: JobPaths) -> None:
    """By this the job knows, whenever it looks: no requeue after it."""
    with publish(paths.cancelled) as file:
        file.write(b"avsync cancel\n")


def _ask_to_save(paths: JobPaths, record: JobRecord) -> None:
    for number in task_numbers(paths, record.array) if record.array else (None,):
        task = paths.task(number)
        if task.folder.is_dir() and not os.path.lexists(task.outcome):
            with housekeeping("ask to save by", task.stop):  # scancel ends it all the same
                task.ask_to_stop()


def _live(going: Iterable[_Going]) -> list[QueueRow]:
    """What the queue still holds of these jobs. Raises InputError, QueueError."""
    ids, owners = {one for each in going for one in each.ids}, {owner_of(each.paths.record) for each in going}
    return [row for row in read_jobs(ids, owners) if row.live]


def _until_gone(going: Sequence[_Going], patience_s: float) -> list[QueueRow]:
    """What is left in the queue after at most so many seconds."""
    ends = time.monotonic() + patience_s
    while left := _live(going):
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


def _conclude(one: _Going, left: Sequence[QueueRow]) -> str:
    """How it stands now. What never began, or was killed, could not write so itself."""
    called = about(one.paths)
    if left:
        return f"{called}: SLURM still has job {left[0].job} ({left[0].state}); it will not start again"
    began = task_numbers(one.paths, one.record.array) if one.record.array else ()
    unheard = () if one.record.array and len(began) == one.record.array else (None,)  # of an array for all the others
    for number in (*began, *unheard):
        task = one.paths.task(number)
        delete_file(task.stop)
        if not os.path.lexists(task.outcome):
            make_folder(task.folder, mode=OWN_FOLDER)
            write_json(task.outcome, Outcome(end=End.CANCELLED, reason="avsync cancel", at=time.time()), mode=OWN)
    status = read_status(one.paths, ask_queue([one.paths]))
    if status.standing is Standing.DONE:
        return f"{called}: it was done before it could be cancelled"
    return f"{called}: {status.standing}{_kept(status)}"


def _kept(status: JobStatus) -> str:
    return f"; step {status.saved:,} is saved" if status.progress else ""


def _elsewhere(meant: Meant) -> list[ChainJob]:
    """What lives on in other folders of the chain."""
    return [job for job in meant.others if not job.here and job.live and not job.stuck]


def _followers_report(followers: Sequence[QueueRow]) -> list[str]:
    """They never start; those that were submitted so, SLURM takes from the queue itself."""
    live = {row.job for row in ask_queue().rows or () if row.live} if followers else set[str]()
    gone, left = ([row for row in followers if (row.job in live) is here] for here in (False, True))
    lines = [f"SLURM has taken out what waited for it: {first_few([_named(row) for row in gone])}"] if gone else []
    if left:
        folders = [row.folder for row in left if row.folder]
        remedy = command("cancel", folders[0]) if folders else f"scancel {left[0].job}"
        lines.append(f"Waiting for it, and now for ever: {first_few([_named(row) for row in left])}. Next: {remedy}")
    return lines


def _named(row: QueueRow) -> str:
    return f"{row.name} (job {row.job})"
