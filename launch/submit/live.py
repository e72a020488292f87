"""Whether a job may be queued: not while one of it waits or runs, nor while somebody works in its folder by hand."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

from launch.commands.flags import typed
from launch.job.own import make_jobs
from launch.job.paths import JobPaths
from launch.job.record import End, JobRecord, Outcome, Queued
from launch.queue.ask import QUESTION_S, QueueError, Unasked, ask
from launch.queue.squeue import QueueRow, own_name, owner_of, read_jobs, read_queue
from launch.submit.plan import JobPlan
from launch.watch.jobs import has_several
from launch.watch.on_disk import task_numbers
from sharding.base.files import OWN, read_json, write_json
from sharding.base.guarded import InTheWay, check_steps, move, open_in_place, remove
from sharding.base.locks import folder_lock
from sharding.errors import AvsyncError, BusyError, InputError


@contextmanager
def held(plans: Sequence[JobPlan]) -> Iterator[None]:
    """Hold the jobs' folders: of two submissions at the same moment one is refused. Raises BusyError, InputError."""
    with ExitStack() as stack:
        for folder in sorted({plan.paths.root.parent for plan in plans}):
            with suppress(OSError):  # the lock says why
                make_jobs(folder)
            stack.enter_context(folder_lock(folder, "avsync submit"))
        yield


def refuse_live(plans: Sequence[JobPlan], unasked: Unasked) -> None:
    """Raises BusyError that names the job and what to do; InputError for a folder that cannot be written."""
    for plan, alive in unasked.ask(lambda: queued_already(plans), [], NOT_LIVE):
        _recover(plan.paths, alive)
        raise BusyError(refusal(plan, alive[0]))
    for plan in plans:
        if (plan.record.run or plan.record.dataset) and plan.paths.target.is_dir():
            with folder_lock(plan.paths.target, "avsync submit"):
                pass


def queued_already(plans: Sequence[JobPlan]) -> list[tuple[JobPlan, list[QueueRow]]]:
    """The plans that are in SLURM's queue, or run, with what is of them there. Raises InputError, QueueError."""
    folders = {folder for plan in plans for folder in (plan.paths.target, plan.paths.root)}
    users = {own_name(), *(owner for folder in folders for owner in _owners(folder))}
    try:
        rows = read_queue(users)
    except (InputError, QueueError):  # what was noted of earlier submissions can be asked by its number
        rows = read_jobs({job for plan in plans for job in noted(plan.paths)}, users)
    found = ((plan, live_rows(plan.paths, rows)) for plan in plans)
    return [(plan, alive) for plan, alive in found if alive]


def refusal(plan: JobPlan, row: QueueRow) -> str:
    """Why it is refused, and what to do."""
    target = plan.paths.target
    why = f" ({row.why})" if row.why and row.waiting else ""
    kind = ("--kind", plan.paths.root.name) if has_several(target) else ()
    return (
        f"{target} has a {plan.record.kind} job in SLURM already: {row.job} is {row.state}{why}; "
        f"{typed('status', target)} tells how it stands, {typed('cancel', target, *kind)} ends it"
    )


NOT_LIVE = "whether a job of it waits or runs already"
UNKNOWN = "Invalid job id"
"""What SLURM says of a job that it does not know."""


def check_known(jobs: Sequence[str], unasked: Unasked) -> None:
    """SLURM itself would let a job that waits for an unknown one begin at once, or never. Raises InputError."""
    for job in jobs:
        try:
            ask(["scontrol", "--oneliner", "show", "job", job], QUESTION_S)
        except (QueueError, InputError) as error:
            if UNKNOWN not in str(error):
                unasked.note(str(error), f"whether SLURM knows job {job}")
                continue
            raise InputError(
                f"--after {job}: SLURM does not know this job, or not any more ({error}); leave it out if it ended well"
            ) from error


def live_rows(paths: JobPaths, rows: Sequence[QueueRow]) -> list[QueueRow]:
    """What the queue holds of a job: by its mark, or by number where the site keeps no comments."""
    ids, real = noted(paths), os.path.realpath(paths.root)
    return [
        row for row in rows if row.live and (os.path.realpath(row.folder) == real if row.folder else row.job in ids)
    ]


def noted(paths: JobPaths) -> tuple[str, ...]:
    """SLURM's numbers in queued.json; none where it cannot be read."""
    try:
        return read_json(paths.queued, Queued).ids
    except AvsyncError:
        return ()


def _recover(paths: JobPaths, alive: Sequence[QueueRow]) -> None:
    """A submission was killed just after sbatch: what it did not write is written now."""
    ids = noted(paths)
    if lost := sorted({row.job for row in alive} - set(ids), key=int):
        sys.stderr.write(f"avsync: job {', '.join(lost)} was queued, but not noted in {paths.queued}; it is now\n")
        write_json(paths.queued, Queued(ids=(*ids, *lost)), mode=OWN)


def _owners(folder: Path) -> list[str]:
    with suppress(OSError):
        return [owner_of(folder)]
    return []


def is_done(plan: JobPlan) -> bool:
    """The same words brought its training to the end before. What else there is may be wanted again."""
    if not plan.record.run:
        return False
    try:
        outcome = read_json(plan.paths.task(None).outcome, Outcome)
        before = read_json(plan.paths.record, JobRecord)
    except AvsyncError:
        return False
    return outcome.end is End.DONE and before.words == plan.record.words


def clear(paths: JobPaths) -> None:
    """Take away what would end a new attempt at once. Raises OSError."""
    check_steps(paths.tasks)
    tasks = [paths.task(None), *map(paths.task, task_numbers(paths))]
    for file in (paths.cancelled, paths.queued, *(file for task in tasks for file in (task.outcome, task.stop))):
        remove(file)


def note_done(paths: JobPaths) -> None:
    """Of a job that did not end well, while somebody else did its work: it is done, and what waited for it may follow.

    Raises OSError.
    """
    remove(paths.cancelled)
    outcome = Outcome(end=End.DONE, reason="nothing of its work is missing any more", at=time.time())
    write_json(paths.task(None).outcome, outcome, mode=OWN)


def make_way_for_log(log: Path) -> None:
    """SLURM opens it by its name: what is no file of ours gets another one. Raises OSError."""
    try:
        os.close(open_in_place(log, os.O_WRONLY | os.O_APPEND))
    except FileNotFoundError:
        return
    except InTheWay as error:
        names = (log.with_stem(f"{log.stem}-{number}") for number in count(1))
        aside = next(name for name in names if not os.path.lexists(name))
        move(log, aside)
        sys.stderr.write(f"avsync: note: {error}; it is {aside.name} now\n")
