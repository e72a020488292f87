"""One line for each job, in a table that fits the terminal: the least important columns go first."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from launch.commands.flags import typed
from launch.job.paths import JobPaths
from launch.watch import cells
from launch.watch.hints import about, command
from launch.watch.jobs import short
from launch.watch.status import LIVE, JobStatus, Standing
from sharding.base.text import LONGEST_MESSAGE, first_few, plain, shown

WIDE = 220
"""Columns where there is no terminal."""


@dataclass(frozen=True, slots=True)
class Column:
    """What it shows, and how much it matters: 0 stays in any case."""

    title: str
    cell: Callable[[JobStatus], Text | str]
    rank: int
    right: bool = False


KIND = Column("kind", lambda status: shown(status.kind), 4)
COLUMNS = (
    Column("run", lambda status: plain(short(Path(status.target))), 0),
    KIND,
    Column("job", lambda status: ",".join(status.ids[-1:]), 7, right=True),
    Column("state", lambda status: Text(cells.state(status), cells.COLOURS.get(status.standing, "")), 0),
    Column("done", lambda status: cells.moved(status), 1),
    Column("", lambda status: _bar(status), 10),
    Column("ETA", cells.eta, 2, right=True),
    Column("clips/s", cells.pace, 5, right=True),
    Column("data wait", cells.waits, 6, right=True),
    Column("GPU", cells.gpu, 6, right=True),
    Column("attempts", cells.tries, 3),
    Column("validation", lambda status: Text(cells.validated(status), cells.honesty_colour(status)), 8),
    Column("heartbeat", lambda status: _age(status), 5, right=True),
)


def show_table(console: Console, statuses: Sequence[JobStatus]) -> None:
    """Print it, and under it what the cells have no room for."""
    console.print(_fitting(console, statuses))
    for status in statuses:
        if status.standing in (Standing.FAILED, Standing.SILENT):
            console.print(
                Text(f"{_name(status)}: {status.standing}: {shown(status.why, LONGEST_MESSAGE)}", "red"), soft_wrap=True
            )
        for line in remarks(status):
            console.print(line, soft_wrap=True)


def widened(console: Console) -> Console:
    """Where there is no terminal, the table's lines stay lines: for grep."""
    if not console.is_terminal:
        console.width = WIDE
    return console


def remarks(status: JobStatus) -> list[Text]:
    """That its folder was moved, the alarm, advice on efficiency, the rank that others wait for, an old heartbeat."""
    name, found = _name(status), list[Text]()
    if status.works_in and status.standing is not Standing.DONE:
        found.append(Text(f"{name}: {plain(moved(status))}", "bold red"))
    if status.lost_tasks:
        again = typed("resubmit", short(Path(status.target)))
        which = f"task{'s' * (len(status.lost_tasks) > 1)} {first_few(status.lost_tasks)} did not end well"
        found.append(Text(f"{name}: {which}, so nothing behind it will begin; {again} when the others are done", "red"))
    if alarm := cells.alarm(status):
        found.append(Text(f"{name}: {plain(alarm)}", "bold red"))
    if cells.is_old(status):
        ends = f"; after {cells.duration(status.heartbeat_s)} it is ended and requeued" if status.heartbeat_s else ""
        found.append(Text(f"{name}: no sign of life for {cells.age(status)}{ends}", "yellow"))
    if status.progress and status.progress.advice and status.age_s is not None:
        found.append(Text(f"{name}: {shown(status.progress.advice, LONGEST_MESSAGE)}", "yellow"))
    if status.progress and status.progress.slow and status.standing is not Standing.WAITING:
        found.append(Text(f"{name}: {shown(status.progress.slow, LONGEST_MESSAGE)}", "yellow"))
    return found


def _name(status: JobStatus) -> str:
    return plain(about(JobPaths(Path(status.folder))))


def moved(status: JobStatus) -> str:
    """What it means that the job works in another folder, and what to do."""
    place = Path(status.works_in)
    if JobPaths.of(place, status.kind).record.exists():
        return f"a copy of {place}: the job works there; {typed('status', place)}"
    anew = f"submit it anew: {typed('submit', status.kind, '...')}"
    if status.standing not in LIVE:
        return f"moved or renamed; its job worked in {place}: {anew}"
    back = shlex.join(["mv", status.target, status.works_in])
    when = "before it starts" if status.standing is Standing.WAITING else "at once"
    ends = command("cancel", Path(status.folder))
    return f"moved or renamed, and its job works in {place}: move it back {when} ({back}), or {ends}, then {anew}"


def _fitting(console: Console, statuses: Sequence[JobStatus]) -> Table:
    """Columns without content are left out; then one rank after the other, until it fits."""
    cells = [(column, [column.cell(status) for status in statuses]) for column in _columns(statuses)]
    kept = [(column, texts) for column, texts in cells if column.rank == 0 or any(map(str, texts))]
    options = console.options.update(width=4000)
    while True:
        table = _table(kept)
        last = max(column.rank for column, _ in kept)
        if last == 0 or Measurement.get(console, options, table).maximum <= console.width:
            return table
        kept = [(column, texts) for column, texts in kept if column.rank < last]


def _columns(statuses: Sequence[JobStatus]) -> list[Column]:
    """The kind stays in any case where a run or dataset has jobs of several kinds: else nobody could tell the lines."""
    several = len({status.target for status in statuses}) < len(statuses)
    return [replace(column, rank=0) if several and column is KIND else column for column in COLUMNS]


def _table(kept: Sequence[tuple[Column, Sequence[Text | str]]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column, _ in kept:
        wraps = column.rank == 0
        table.add_column(column.title, justify="right" if column.right else "left", no_wrap=not wraps, overflow="fold")
    for row in zip(*(texts for _, texts in kept), strict=True):
        table.add_row(*(text if isinstance(text, Text) else Text(text) for text in row))
    return table


def _bar(status: JobStatus) -> str:
    done, total = cells.progress_of(status)
    return cells.bar(done / total, 12) if total else ""


def _age(status: JobStatus) -> Text:
    return Text(cells.age(status), "bold red" if cells.is_old(status) else "")
