"""`avsync show RUN`: its attempts; with --clips, which clips it was trained on, as a table, CSV or JSON lines."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from avsync.data.order import Digest
from avsync.run.diagnosis import diagnose, recorded
from avsync.run.history import ClipRow, History, open_history
from avsync.run.info import read_run
from avsync.run.paths import RunPaths
from avsync.run.receipt import read_receipts
from sharding.base.console import open_console
from sharding.base.csv_table import csv_bytes
from sharding.base.files import publish
from sharding.base.text import counted, plain, shown
from sharding.errors import FormatError, InputError
from sharding.format.clip import Clock

LINES = 100
"""Most rows of a table at the terminal."""
MOST_STEPS = 1_000_000
"""That are listed at once, and of which the digest is worked out from the first one on: some seconds."""
SHOWN = 12
"""Digits of a digest in a table."""
NO_WINDOW = 160
"""Cells of a line in a pipe or a file."""


def _console() -> Console:
    console = open_console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = NO_WINDOW
    return console


def show_attempts(run: Path, console: Console | None = None) -> None:
    """Print how each attempt began, and why it does not learn where that shows. Raises InputError, FormatError."""
    console, paths = console or _console(), RunPaths(run)
    info, done = read_run(paths), max(paths.saved_steps(), default=0)
    console.print(Text(f"{run}: {info.config.model}, {done} of {counted(info.config.steps, 'step')} saved"))
    table = Table(box=SIMPLE_HEAD)
    for name in ("attempt", "begun (UTC)", "at step", "skipped", "repeated", "processes", "digest"):
        table.add_column(name, justify="left" if name in ("begun (UTC)", "digest") else "right", no_wrap=True)
    receipts = read_receipts(paths)
    if (earlier := len(receipts) - LINES) > 0:
        console.print(f"{counted(earlier, 'attempt')} before these:")
    for receipt in receipts[-LINES:]:
        numbers = (receipt.step, receipt.skipped, receipt.repeated, receipt.ranks)
        begun = shown(receipt.begun.partition("+")[0].replace("T", " "), SHOWN * 2)
        table.add_row(str(receipt.attempt), begun, *map(str, numbers), plain(receipt.digest[:SHOWN]))
    console.print(table)
    for finding in diagnose(recorded(paths, info.config, done)):
        console.print(Text(str(finding), "yellow"), soft_wrap=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clips:
    """Which clips to list."""

    step: str = ""
    """`A`, or `A:B` for the steps from A to before B; all that are trained by default."""
    file: Path | None = None
    """Ends in .csv or .jsonl."""
    dataset: str | Path | None = None
    """Where it lies now, if it was moved."""


def show_clips(run: Path, wanted: Clips, console: Console | None = None) -> None:
    """Print or write them. Raises InputError when run, data or range cannot be used, FormatError for damage."""
    console = console or _console()
    write = _writer(wanted.file) if wanted.file else None
    history = open_history(run, wanted.dataset)
    steps, proof = _steps(history, wanted.step), _proof(history)  # what is not proven is not shown
    if write is None or wanted.file is None:
        console.print(_table(history, steps))
        rows = len(steps) * history.order.batch
        if rows > LINES:
            console.print(f"... {rows - LINES:,} more: a shorter --step, or all in a file with --csv FILE")
    else:
        with publish(wanted.file) as file:
            for piece in write(history.rows(steps)):
                file.write(piece)
        console.print(Text(f"{wanted.file}: {counted(len(steps) * history.order.batch, 'clip')}"), soft_wrap=True)
    console.print(proof, soft_wrap=True)


def _steps(history: History, text: str) -> range:
    last, newest = history.info.config.steps, history.newest()
    if not text:
        if newest is None:
            raise InputError(f"{history.paths.root} has no checkpoint yet: say which steps with --step A or --step A:B")
        return _few_enough(range(newest.step))
    first, colon, end = text.partition(":")
    try:
        start = int(first or 0)
        steps = range(start, int(end or last) if colon else start + 1)
    except ValueError:
        steps = range(0)
    if not steps or steps[0] < 0 or steps[-1] >= last:
        raise InputError(f"--step {text} names none of the steps 0 to {last - 1}; write it like 12, or 12:15 for three")
    return _few_enough(steps)


def _few_enough(steps: range) -> range:
    """Raises InputError for more than anybody would read."""
    if len(steps) > MOST_STEPS:
        raise InputError(f"these are {len(steps):,} steps: say which {MOST_STEPS:,} at most with --step A:B")
    return steps


def _table(history: History, steps: range) -> Table:
    clock = history.feed.dataset.info.clock
    table = Table(box=SIMPLE_HEAD, caption="seconds from the clip's first frame; * in sync", caption_justify="left")
    for name in ("step", "epoch", "clip", "picture", "sounds", "flip", "crop"):
        table.add_column(name, justify="left" if name in ("clip", "sounds") else "right")
    for row in islice(history.rows(steps), LINES):
        table.add_row(
            str(row.step),
            str(row.epoch),
            Text(row.key, overflow="fold"),
            _seconds(row.picture, clock),
            "  ".join(_sound(row, number, clock) for number in range(len(row.sounds))),
            "yes" if row.flip else "no",
            f"{row.left},{row.top}",
            end_section=row.row == history.order.batch - 1,
        )
    return table


def _sound(row: ClipRow, number: int, clock: Clock) -> str:
    """`1.20*`, `3.40`, `1.20 rolled 0.50`."""
    rolled = f" rolled {_seconds(row.rolls[number], clock)}" if row.rolls[number] else ""
    return f"{_seconds(row.sounds[number], clock)}{'*' if row.in_sync[number] else ''}{rolled}"


def _seconds(frame: int, clock: Clock) -> str:
    return f"{float(frame / clock.fps):.2f}"


def _proof(history: History) -> str:
    """Holds the order against the newest checkpoint, from the run's first step on. Raises FormatError."""
    newest = history.newest()
    if newest is None:
        return "no checkpoint yet: this is what will be trained on"
    every = newest.step <= MOST_STEPS
    digest = (
        Digest.after(history.order, newest.step) if every else Digest.resumed(history.order, newest.step, newest.mark)
    )
    if digest.state != newest.digest:
        raise FormatError(
            f"the checkpoint of step {newest.step} was trained on other clips than these: its digest differs; "
            "its state.json was changed, or another version of avsync trained it"
        )
    clips = counted(newest.step * history.order.batch, "clip")
    if not every:
        return f"the digest of the last block before step {newest.step} matches the checkpoint's ({digest.state})"
    return f"the digest of all {clips} of steps 0 to {newest.step - 1} matches the checkpoint's ({digest.state})"


def _writer(path: Path) -> Callable[[Iterable[ClipRow]], Iterator[bytes]]:
    writers = {".csv": _csv, ".jsonl": _json_lines}
    if path.suffix.lower() not in writers:
        raise InputError(
            f"{path} must end in .csv, or in .jsonl for JSON lines; name it {path.with_suffix('.csv').name}"
        )
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it, or name another one")
    return writers[path.suffix.lower()]


def _csv(rows: Iterable[ClipRow]) -> Iterator[bytes]:
    """Lists within a field are separated by spaces, frames count from the clip's first, truth is 1 or 0."""
    names = tuple(ClipRow.__dataclass_fields__)
    yield csv_bytes(names, ())
    for row in rows:
        yield csv_bytes(tuple(_field(getattr(row, name)) for name in names), ())


def _field(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(_field(part) for part in value)
    return str(int(value)) if isinstance(value, bool) else str(value)


def _json_lines(rows: Iterable[ClipRow]) -> Iterator[bytes]:
    for row in rows:
        yield msgspec.json.encode(row) + b"\n"
