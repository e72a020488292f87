"""Sources of a Kinetics list, `label,youtube_id,time_start,time_end,split`, and the downloaded files they mean.

The file of a row is found by its name, in whatever folders the download put it:

    ID_000012_000022.mp4    cut to the row's seconds already: all of it
    ID.mp4                  the whole video: time_start to time_end of it

Videos that have vanished are normal: their rows become sources without a file, and those become rejects.
Further columns are left alone; test lists have no labels.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from pathlib import Path

from sharding.base.csv_table import CsvTable
from sharding.base.text import counted, exact_number, in_quotes
from sharding.errors import InputError
from sharding.format.records import Reject
from sharding.sources.names import composed, folded, quoted, several, stem
from sharding.sources.source import Source, SourceList, is_video, printable, source_id, tell_unlisted, walk
from sharding.sources.table import check_characters

COLUMNS = ("youtube_id", "time_start", "time_end")
"""What tells a Kinetics list from others."""
UNLABELLED = "unlabelled"
SPLITS = {
    "": None,
    "train": "train",
    "val": "val",
    "validate": "val",
    "validation": "val",
    "test": "test",
}
"""As published -> as we call it."""


@dataclass(frozen=True, slots=True)
class _Span:
    """Seconds of a video. Few differ in a list: they are read once."""

    start: Fraction
    end: Fraction
    suffix: str
    """Of the names of files that were cut to it."""
    text: str
    """Exact."""


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    youtube_id: str
    span: _Span
    label: str
    split: str | None

    @property
    def stem(self) -> str:
        """Name of the row's file when it was cut while downloading."""
        return self.youtube_id + self.span.suffix


def is_kinetics(header: Sequence[str]) -> bool:
    """`header`: column names in lower case."""
    return set(COLUMNS) <= set(header)


def read_kinetics(table: CsvTable, root: Path) -> SourceList:
    """The rows as sources, their files sought below `root`.

    Raises InputError naming the line of a wrong row, and when no row has a file; OSError when `root` cannot be read.
    """
    if len(set(table.header)) != len(table.header):
        raise InputError(f"{table.path}, line 1: a column twice; the header is label,{','.join(COLUMNS)},split")
    rows, again = _rows(table)
    if not rows:
        raise InputError(f"{table.path} has no rows; write one line for each clip below the header")
    files = _Files(root)
    unlisted = tuple(files.unlisted)
    groups = _Groups(rows)
    sources = tuple(_source(row, files, groups) for row in rows)
    absent = sum(bool(source.absent) for source in sources)
    if absent == len(sources):
        raise InputError(
            f"{root} has no file for any of the {len(rows)} rows of {table.path}; they must be called "
            f"{rows[0].stem}.mp4 (cut) or {rows[0].youtube_id}.mp4 (whole), in any folder below; "
            f"name the right folder with --root{''.join(f'; {note}' for note in tell_unlisted(unlisted))}"
        )
    unlabelled = sum(row.label == UNLABELLED for row in rows)
    counts = (
        (again, "name a clip again: the first of each is kept"),
        (unlabelled, f"have no label: their action is {UNLABELLED!r}"),
        (groups.rows_on_two_sides, "are of videos in several splits of the list: each stays in its own"),
        (absent, f"have no file below {root}"),
    )
    notes = tuple(f"{count:,} of {len(rows) + again:,} rows {fact}" for count, fact in counts if count)
    return SourceList(sources=sources, notes=notes + tell_unlisted(unlisted), unlisted=unlisted)


def _rows(table: CsvTable) -> tuple[list[_Row], int]:
    """Rows that differ, and how many were left out because they name a clip again."""
    rows: dict[tuple[str, str, str], _Row] = {}
    count = 0
    for line, cells in table.rows():
        row = _row(f"{table.path}, line {line}", line, cells)
        rows.setdefault((row.youtube_id, row.span.text, row.label), row)
        count += 1
    return list(rows.values()), count - len(rows)


def _row(where: str, line: int, cells: dict[str, str]) -> _Row:
    check_characters(where, cells)
    youtube_id, start_s, end_s = (cells[name] for name in COLUMNS)
    if not youtube_id or "/" in youtube_id:
        raise InputError(
            f"{where}: youtube_id {in_quotes(youtube_id)} is none; it is the name of a video, without a folder"
        )
    split = cells.get("split", "").lower()
    if split not in SPLITS:
        known = ", ".join(name for name in SPLITS if name)
        raise InputError(f"{where}: split {in_quotes(split)} is not known; use {known} or leave it empty")
    try:
        span = _span(start_s, end_s)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None
    return _Row(line, youtube_id, span, cells.get("label") or UNLABELLED, SPLITS[split])


@lru_cache(4096)
def _span(start_s: str, end_s: str) -> _Span:
    """Raises ValueError saying what is wrong."""
    try:
        start, end = exact_number(start_s), exact_number(end_s)
    except ValueError:
        raise ValueError(f"time_start {start_s!r} and time_end {end_s!r} must be seconds, like 12") from None
    if not 0 <= start < end:
        raise ValueError(f"time_start {start_s} must be at least 0 and before time_end {end_s}")
    return _Span(start, end, f"_{int(start):06d}_{int(end):06d}", f"@{start}:{end}")


class _Groups:
    """What must not be split: the clips of one video. Where the list itself splits them, the clips of each side."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        first: dict[str, str] = {}
        for row in rows:
            if row.split is not None:
                first.setdefault(row.youtube_id, row.split)
        self._on_two_sides = {row.youtube_id for row in rows if row.split not in (None, first.get(row.youtube_id))}
        self._first = {youtube_id: first[youtube_id] for youtube_id in self._on_two_sides}
        self.rows_on_two_sides = sum(row.youtube_id in self._on_two_sides for row in rows)

    def of(self, row: _Row) -> str:
        if row.youtube_id not in self._on_two_sides:
            return row.youtube_id
        return f"{row.youtube_id} {row.split or self._first[row.youtube_id]}"


class _Files:
    """The videos below a folder, by their names without suffix."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.unlisted = list[Reject]()
        self._paths: dict[str, list[str]] = {}
        """Composed name without suffix -> relative paths."""
        for folder in walk(root):
            if folder.trouble:
                self.unlisted.append(folder.reject)
            for name in filter(is_video, folder.names):
                path = f"{folder.below}/{name}" if folder.below else name
                self._paths.setdefault(composed(stem(name)), []).append(path)

    def find(self, name: str, row: _Row) -> str | None:
        """The relative path of a file called `name`; of several the one whose folders name label and split best.

        None also where several look like it, each in another Unicode form, and none has it.
        """
        paths = self._paths.get(composed(name), [])
        if len(paths) > 1:
            paths = [path for path in paths if _stem(path) == name] or paths
            if any(_stem(path) != _stem(paths[0]) for path in paths):
                return None
        return max(paths, key=lambda path: _fit(path, row), default=None)  # the first of equals: walk has an order

    def why_none(self, row: _Row) -> str:
        """What to say of a row without a file."""
        fact = f"no file of {row.youtube_id} under {self.root}"
        for name in (row.stem, row.youtube_id):
            if paths := self._paths.get(composed(name)):
                return f"{fact}, {several(paths)}"
        near = self._folded.get(folded(row.stem)) or self._folded.get(folded(row.youtube_id))
        hint = f"; there is {quoted(near)}" if near else ""
        count = counted(len(self.unlisted), "folder")
        return fact + hint + (f"; {count} there cannot be listed" if self.unlisted else "")

    @cached_property
    def _folded(self) -> dict[str, str]:
        return {folded(name): paths[0] for name, paths in self._paths.items()}


def _stem(path: str) -> str:
    return stem(path.rpartition("/")[2])


def _fit(path: str, row: _Row) -> tuple[bool, bool]:
    folders = [_plain(part) for part in path.split("/")[:-1]]
    split = row.split is not None and any(SPLITS.get(folder) == row.split for folder in folders)
    return _plain(row.label) in folders, split


@lru_cache(4096)
def _plain(name: str) -> str:
    """Letters and digits alone: downloaders write labels with spaces, underscores or neither."""
    return re.sub(r"[\W_]+", "", composed(name)).lower()


def _source(row: _Row, files: _Files, groups: _Groups) -> Source:
    cut = files.find(row.stem, row)
    whole = files.find(row.youtube_id, row) if cut is None else None
    rel = cut or whole
    return Source(
        # of what the list says, so that a clip keeps its name wherever its file is moved
        id=source_id(f"{row.label}/{row.stem}", row.span.text),
        path=files.root / (rel or row.stem),
        rel=printable(rel or row.stem),
        action=row.label,
        group=groups.of(row),
        span=(row.span.start, row.span.end) if whole else None,
        split=row.split,
        line=row.line,
        absent="" if rel else files.why_none(row),
    )
