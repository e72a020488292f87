"""`avsync status`: which jobs are meant, one question to SLURM, and their statuses as table, page or JSON."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console

from launch.commands.flags import typed
from launch.watch.cells import summed
from launch.watch.jobs import distinct, jobs_below, named
from launch.watch.overview import show_table, widened
from launch.watch.page import show_page
from launch.watch.status import OVER, JobStatus, Queue, Standing, ask_queue, jobs_in, read_status
from sharding.base.console import open_console
from sharding.base.text import first_few
from sharding.errors import AvsyncError, FormatError


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """All that was asked for."""

    statuses: list[JobStatus]
    notes: list[str]
    """What could not be found out, and why."""
    one: bool
    """One job was named: all of it is wanted."""


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
        except AvsyncError as error:
            notes.append(f"{error}; only whoever submitted it can")
    statuses.sort(key=lambda status: (status.standing in OVER, -status.submitted))
    return Found(
        statuses=statuses, notes=[*notes, *_strangers(queue, statuses, names)], one=len(names) == len(jobs) == 1
    )


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
    if found.one and found.statuses:
        show_page(console, found.statuses[0])
    elif found.statuses:
        show_table(console, found.statuses)
        if len(found.statuses) > 1:
            console.print(summed(found.statuses))
    else:
        console.print(f"No jobs in the queue, and none below {Path.cwd()}. Next: {typed('submit', '--help')}")
    for note in found.notes:
        console.print(note, style="yellow", soft_wrap=True)
    silent = [status for status in found.statuses if status.standing is Standing.SILENT]
    if silent and not found.one:
        console.print(f"Next: {typed('resubmit', silent[0].target)}", soft_wrap=True)
