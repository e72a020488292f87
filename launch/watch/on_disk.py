"""What a job's folder tells, also to somebody it does not belong to, and whether the job still works in it."""

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from launch.job.attempts import Attempt, read_attempts
from launch.job.paths import JobPaths
from launch.job.record import MOST_TASKS, VERSION, End, JobRecord, Outcome, Queued, Resources
from launch.queue.squeue import QueueRow
from launch.site.profile import ClusterProfile
from sharding.base.files import read_json
from sharding.base.share_progress import PACK_PROGRESS, PROGRESS, WorkProgress, read_shares, read_whole, together
from sharding.base.text import counted, cut
from sharding.errors import AvsyncError, InputError

MOST_FLAGS = 1000
"""Words of a command among which the folder that it works in is looked for."""
_TASK = re.compile(r"\d{6,7}", re.ASCII)
TRAINING, SHARED = ("train", "finetune"), ("pack", "pack-merge", "curate", "curate-merge")
"""Kinds of jobs by what tells how far they are, where job.json cannot be read."""
TELLING = {"pack": PACK_PROGRESS, "pack-merge": PACK_PROGRESS, "curate": PROGRESS, "curate-merge": PROGRESS}
"""Kinds whose work tells how many sources are done, and where below what they make."""
UNKNOWN = Resources(
    partition="",
    account="",
    qos="",
    constraint="",
    exclude=(),
    nodes=0,
    tasks_per_node=0,
    gpus_per_node=0,
    cpus_per_task=0,
    memory_mb=0,
    time_s=0,
)


def read_record(paths: JobPaths) -> tuple[JobRecord, bool]:
    """job.json, and whether it may be read; where it is for its owner alone, what the rest of the folder tells.

    Raises InputError where there is none, FormatError for a damaged one.
    """
    try:
        return read_json(paths.record, JobRecord), True
    except InputError as error:
        if not is_closed(error):
            raise
    kind, target, tasks = paths.root.name, str(paths.target), task_numbers(paths)
    record = JobRecord(
        version=VERSION,
        kind=kind,
        name=f"{kind}-{paths.target.name}",
        words=(),
        argv=(),
        run=target if kind in TRAINING else "",
        dataset=target if kind in SHARED else "",
        profile=ClusterProfile(),
        resources=UNKNOWN,
        array=tasks[-1] + 1 if tasks else 0,
        commit="",
        directory="",
        submitted=modified(paths.record),
    )
    return record, False


def read_queued(paths: JobPaths) -> Queued | None:
    """None: SLURM never took the job, or its numbers are for its owner alone. Raises AvsyncError for a damaged file."""
    try:
        return read_json(paths.queued, Queued) if os.path.lexists(paths.queued) else None
    except InputError as error:
        if not is_closed(error):
            raise
    return None


def is_closed(error: InputError) -> bool:
    """A file is there, and not for this user."""
    return isinstance(error.__cause__, PermissionError)


def read_outcome(path: Path) -> Outcome | None:
    """None while it is not over, or when what is there cannot be understood."""
    try:
        return read_json(path, Outcome)
    except AvsyncError:
        return None


def read_tries(path: Path) -> tuple[Attempt, ...]:
    """Attempts, as far as they may be read."""
    with suppress(OSError):
        return tuple(read_attempts(path))
    return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Tasks:
    """Of an array: how many stand how."""

    total: int
    done: int
    running: int
    failed: int
    failing: int | None = None
    """The first that did not end well."""

    @property
    def waiting(self) -> int:
        return max(self.total - self.done - self.running - self.failed, 0)


def task_numbers(paths: JobPaths, array: int = MOST_TASKS) -> list[int]:
    """Tasks of an array that have left anything, in order: the folder is listed once, however many there may be."""
    names = list[str]()
    with suppress(OSError), os.scandir(paths.tasks) as entries:
        names += [entry.name for entry in entries if _TASK.fullmatch(entry.name)]
    return sorted(number for number in set(map(int, names)) if number < array)


def read_ends(paths: JobPaths, array: int) -> dict[int, Outcome]:
    """How tasks of an array ended, as far as they did; without their logs, which are many."""
    found = ((number, read_outcome(paths.task(number).outcome)) for number in task_numbers(paths, array))
    return {number: replace(one, reason=cut(one.reason), log_tail="") for number, one in found if one}


def read_tasks(array: int, ends: Mapping[int, Outcome], rows: Sequence[QueueRow] | None) -> Tasks:
    """How the tasks of an array stand, by what each has left and by the queue."""
    done = sum(1 for outcome in ends.values() if outcome.end is End.DONE)
    bad = [number for number, outcome in ends.items() if outcome.end is not End.DONE]
    running = sum(row.count for row in rows or () if row.live and not row.waiting)
    return Tasks(
        total=array,
        done=done,
        failed=len(bad),
        running=min(running, array - done - len(bad)),
        failing=bad[0] if bad else None,
    )


def read_work(record: JobRecord, tasks: Tasks | None) -> WorkProgress | None:
    """How many sources an array, or the job behind it, has done; None where its kind, or nobody, tells.

    What was told before it was submitted is of an earlier call: of the same shares it counts, of all of them not.
    """
    if record.kind not in TELLING or not record.dataset:
        return None
    folder = Path(record.dataset) / TELLING[record.kind]
    if tasks:
        return together(list(read_shares(folder, tasks.total).values()), tasks.running)
    whole = read_whole(folder)
    return together([whole], 1) if whole and whole.updated > record.submitted else None


def whole_outcome(paths: JobPaths, tasks: Tasks | None, ends: Mapping[int, Outcome]) -> Outcome | None:
    """Of the whole job; of an array that of its tasks together, once all have one."""
    found = read_outcome(paths.task(None).outcome)
    if found or tasks is None or tasks.done + tasks.failed < tasks.total:
        return found
    if not tasks.failed:
        return Outcome(end=End.DONE, reason="all " * (tasks.total > 1) + counted(tasks.total, "task"), at=0)
    worst = [(number, one) for number, one in ends.items() if one.end is not End.DONE]
    end = End.FAILED if any(one.end is End.FAILED for _, one in worst) else End.CANCELLED
    number, first = next((number, one) for number, one in worst if one.end is end)
    reason = f"{tasks.failed} of {counted(tasks.total, 'task')}; the first: {first.reason} (task {number})"
    whole = read_outcome(paths.task(number).outcome)
    log_tail = whole.log_tail if whole else ""
    return Outcome(end=end, reason=reason, at=max(one.at for _, one in worst), log_tail=log_tail)


def last_began(paths: JobPaths, tasks: Tasks | None) -> float:
    """UNIX seconds of its last attempt's begin; 0: it never ran. Where no attempt was noted, its log tells."""
    numbers = task_numbers(paths, tasks.total) if tasks else (None,)
    noted = [paths.task(number).attempts for number in numbers]
    tries = read_tries(max(noted, key=modified)) if noted else ()
    began = tries[-1].began.at if tries else 0.0
    return began or max(map(modified, (paths.log, *paths.logs.glob("*.txt"))), default=0.0)


def has_log(paths: JobPaths) -> bool:
    """It has printed, or begun to."""
    return bool(modified(paths.log)) or any(paths.logs.glob("*.txt"))


def works_in(paths: JobPaths, record: JobRecord, rows: Sequence[QueueRow]) -> Path | None:
    """The run or dataset that the job works in when it is another folder than this one: it was moved, or is a copy."""
    told = [row.folder.parent.parent for row in rows if row.live and row.folder]
    words = (record.run, record.dataset, *record.words[1:MOST_FLAGS])
    typed = [Path(word) for word in words if word.startswith("/")]
    places = told[:1] or typed
    if not places or paths.target in places or any(_same(place, paths.target) for place in places):
        return None
    return places[0]


def _same(one: Path, other: Path) -> bool:
    """Through links, and however the disk is mounted."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def modified(path: Path) -> float:
    """UNIX seconds; 0 where there is nothing to see."""
    try:
        return os.stat(path).st_mtime
    except (OSError, ValueError):
        return 0.0
