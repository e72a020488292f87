"""`avsync status`: which jobs are meant, one question to SLURM, and their statuses as table, page or JSON."""

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec
from rich.console import Console

from launch.commands.flags import typed
from launch.job.paths import JobPaths
from launch.job.record import MOST_CHAINED
from launch.queue.squeue import owner_of
from launch.watch.cells import summed
from launch.watch.hints import about, again, next_of_folder
from launch.watch.jobs import distinct, jobs_below, named, short
from launch.watch.on_disk import is_closed
from launch.watch.overview import show_table, widened
from launch.watch.page import show_page
from launch.watch.status import OVER, JobStatus, Queue, Standing, ask_queue, jobs_in, read_status
from sharding.base.console import open_console
from sharding.base.text import LONGEST_MESSAGE, first_few, shown
from sharding.errors import AvsyncError, FormatError, InputError

BROKEN = (Standing.FAILED, Standing.SILENT)
"""Ends that nobody has asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """All that was asked for."""

    statuses: list[JobStatus]
    notes: list[str]
    """What could not be found out, and why."""
    named: bool
    """Folders were named: all of them is wanted."""


def print_status(names: Sequence[str]) -> str:
    """Raises InputError for a folder that was not submitted, AvsyncError when none that is named can be read."""
    found = look(names)
    if names and not found.statuses:
        raise AvsyncError(first_few(found.notes))
    _print(widened(open_console()), found)
    return ""


def print_json(names: Sequence[str]) -> str:
    """A list of JobStatus, as ASCII: the same in every encoding, whatever bytes a name holds. Raises InputError."""
    found = look(names)
    for note in found.notes:
        open_console(stderr=True).print(note, soft_wrap=True)
    return json.dumps(msgspec.to_builtins(found.statuses), indent=1)


def watch(names: Sequence[str], every_s: int) -> str:
    """Again and again, until Ctrl-C, or until all that was named is over. Raises InputError."""
    console = widened(open_console())
    try:
        while True:
            found = look(names)
            if console.is_terminal:
                console.clear()
            console.print(time.strftime("%H:%M:%S"), style="dim")
            _print(console, found)
            if names and all(status.standing in OVER for status in found.statuses):
                return "all of it is over"
            time.sleep(every_s)
    except KeyboardInterrupt:  # the way to end it
        return ""


def look(names: Sequence[str]) -> Found:
    """All jobs that are meant, newest first; those that still do something before the others. Raises InputError."""
    notes, jobs = list[str](), named(names)
    queue = ask_queue(jobs)
    if queue.problem:
        notes.append(f"From the folders alone: {queue.problem}")
    if not names:
        below, complete = jobs_below(Path.cwd())
        jobs = distinct([*jobs_in(queue), *below])
        if not complete:
            notes.append(
                f"{Path.cwd()} holds too many folders to search them all; {typed('status', 'RUN')} needs no search"
            )
    statuses = list[JobStatus]()
    for paths in jobs:
        try:
            statuses.append(read_status(paths, queue))
        except FormatError as error:
            notes.append(f"{error}; the same {typed('submit', paths.root.name, '...')} again writes it anew")
        except (AvsyncError, OSError) as error:
            closed = isinstance(error, InputError) and is_closed(error)
            notes.append(f"{error}; only whoever submitted it can" if closed else str(error))
    notes, statuses = [shown(note, LONGEST_MESSAGE) for note in notes], _in_order(statuses)
    besides = _besides(statuses, queue) if names else []
    notes += [*besides, *_private(statuses), *_strangers(queue, statuses, names)]
    return Found(statuses=statuses, notes=notes, named=bool(names))


def _besides(statuses: Sequence[JobStatus], queue: Queue) -> list[str]:
    """What is in the same chain as jobs that were named, in folders that were not."""
    known, lines = {os.path.realpath(status.folder) for status in statuses}, list[str]()
    chained = dict.fromkeys(one for status in statuses for one in status.chain)
    for folder in islice((one for one in chained if os.path.realpath(one) not in known), MOST_CHAINED):
        with suppress(AvsyncError, OSError):  # not there any more, or not to be read
            other = read_status(JobPaths(Path(folder)), queue)
            lines += [f"{other.kind} of {short(Path(other.target))}: {other.standing}"] if other.chain else []
    return [f"In the same chain: {first_few(lines, 8)}"] if lines else []


def _in_order(statuses: Sequence[JobStatus]) -> list[JobStatus]:
    """What still does something first, then the newest; a chain stays in its order."""
    chains = dict[object, float]()
    for status in statuses:
        submitted = chains.get(_chain(status), 0.0)
        chains[_chain(status)] = max(submitted, status.submitted)
    return sorted(
        statuses,
        key=lambda status: (status.standing in OVER, -chains[_chain(status)], _chain(status), _place(status)),
    )


def _chain(status: JobStatus) -> tuple[str, ...]:
    return status.chain or (status.folder,)


def _place(status: JobStatus) -> int:
    return status.chain.index(status.folder) if status.folder in status.chain else 0


def _private(statuses: Sequence[JobStatus]) -> list[str]:
    """One note of all that only their owner may read."""
    closed = [status for status in statuses if status.private]
    if not closed:
        return []
    owner, which = (
        owner_of(JobPaths(Path(closed[0].folder)).record),
        first_few([about(JobPaths(Path(one.folder))) for one in closed]),
    )
    return [f"Of {which} the settings are not shown: {closed[0].folder}/job.json and the script are for {owner} alone"]


def _strangers(queue: Queue, statuses: Sequence[JobStatus], names: Sequence[str]) -> list[str]:
    """Jobs of ours in the queue whose folder is gone: they will fail when they start."""
    if names:
        return []
    known = {status.folder for status in statuses}
    lost = {row.job: row.folder for row in queue.rows or () if row.live and row.folder and not row.folder.is_dir()}
    return [
        f"job {job} is in the queue, but its folder {at} is gone: scancel {job}"
        for job, at in lost.items()
        if str(at) not in known
    ]


def _print(console: Console, found: Found) -> None:
    if found.named and len(found.statuses) == 1:
        show_page(console, found.statuses[0])
    elif found.statuses:
        show_table(console, found.statuses)
        if len(found.statuses) > 1:
            console.print(summed(found.statuses))
    else:
        console.print(f"No jobs in the queue, and none below {Path.cwd()}. Next: {typed('submit', '--help')}")
    for note in found.notes:
        console.print(note, style="yellow", soft_wrap=True)
    for line in _next(found):
        console.print(f"Next: {line}", soft_wrap=True, highlight=False)


def _next(found: Found) -> list[str]:
    """Of folders that were named all that makes sense; of an overview what takes up work that nobody has ended."""
    if found.named:
        targets = dict.fromkeys(status.target for status in found.statuses)
        each = [[status for status in found.statuses if status.target == target] for target in targets]
        lines = [line for statuses in each for line in next_of_folder(statuses)] if len(found.statuses) > 1 else []
        # a chain over two folders is taken up from either of them: once is enough
        return list({line.partition("   # ")[2] or line: line for line in reversed(lines)}.values())[::-1]
    ours = [status for status in found.statuses if not status.private]
    broken = [status for status in ours if status.standing in BROKEN or _partly(status)]
    with suppress(AvsyncError):  # of a job beside it, which is damaged
        return again(broken[0].target)[:1] if broken else []
    return []


def _partly(status: JobStatus) -> bool:
    """Of an array some tasks were cancelled, and others have done their work."""
    return bool(status.standing is Standing.CANCELLED and status.tasks and status.tasks.done)
