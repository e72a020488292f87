"""Sources listed in a CSV, a row each, with the columns COLUMNS; paths are relative to the CSV or `root`.

A wrong row stops the work before it starts, and the error names its line. A missing file does not: it becomes a reject.
"""

import re
from fractions import Fraction
from pathlib import Path
from posixpath import normpath

from sharding.base.csv_table import CsvTable, control_character
from sharding.base.text import exact_number, first_few, in_quotes, shown
from sharding.errors import InputError
from sharding.format.index import SPLITS
from sharding.sources.names import NameFinder
from sharding.sources.source import Source, printable, source_id

COLUMNS = ("path", "action", "start_s", "end_s", "split", "group", "boxes", "video_stream", "audio_stream")
_INDEX = re.compile(r"\d{1,6}", re.ASCII)
HEADER = f"path,action and any of {','.join(COLUMNS[2:])}"


def read_table(table: CsvTable, root: Path) -> tuple[Source, ...]:
    """The rows as sources, their paths below `root`. Raises InputError naming the line."""
    _check_header(table.path, table.header)
    sources, files, names = dict[str, Source](), dict[Path, Source](), NameFinder(root)
    for line, row in table.rows():
        source = _source(table.path, names, line, row)
        twin = sources.setdefault(source.id, source)
        if twin is not source:
            raise InputError(f"{table.path}, lines {twin.line} and {line}: both name {source.rel}; delete one of them")
        first = files.setdefault(source.path, source)
        if first.group != source.group and first.span != source.span:  # the same seconds of one file are a duplicate
            raise InputError(
                f"{table.path}, lines {first.line} and {line}: two parts of {source.rel} are in two groups, one may "
                "be trained on and one tested; give both rows one group"
            )
    if not sources:
        raise InputError(f"{table.path} has no rows; write one line for each video below the header")
    return tuple(sources.values())


def _check_header(table: Path, names: list[str]) -> None:
    if not names:
        raise InputError(f"{table} is empty; its first line must be the header {','.join(COLUMNS[:2])}")
    unknown = [name for name in names if name not in COLUMNS]
    missing = [name for name in COLUMNS[:2] if name not in names]
    if len(names) == 1 and any(sign in names[0] for sign in ";\t|"):
        raise InputError(f"{table}, line 1: {in_quotes(names[0])} is one column; the separator must be a comma")
    if "path" not in names and "action" not in names:
        raise InputError(
            f"{table}, line 1: {in_quotes(','.join(names))} is no header; the first line must be the header "
            f"{HEADER}, or that of a Kinetics list, label,youtube_id,time_start,time_end,split"
        )
    if unknown or missing or len(set(names)) != len(names):
        wrong = first_few([repr(name) for name in unknown or missing])
        fact = f"unknown [{wrong}]" if unknown else f"missing [{wrong}]" if missing else "a column twice"
        raise InputError(f"{table}, line 1: {fact}; the header is {HEADER}")


def _source(table: Path, names: NameFinder, line: int, row: dict[str, str]) -> Source:
    where = f"{table}, line {line}"
    rel, action, split = row["path"], row["action"], row.get("split") or None
    if not rel or not action:
        raise InputError(f"{where}: path and action must both be given")
    rel = normpath(rel)  # ./a.mp4 and a.mp4 are one file, and shall be one source
    check_characters(where, row)
    if split is not None and split not in SPLITS:
        raise InputError(f"{where}: split {in_quotes(split)} is not known; use {', '.join(SPLITS)} or leave it empty")
    span = read_span(where, row.get("start_s", ""), row.get("end_s", ""))
    found, boxes = names.find(rel), names.find(row["boxes"]) if row.get("boxes") else None
    if boxes is not None and boxes.trouble:
        raise InputError(f"{where}: boxes {shown(row['boxes'])}: {boxes.trouble}")
    return Source(
        id=source_id(rel, "" if span is None else f"@{span[0]}:{span[1]}"),
        path=found.path,
        rel=printable(rel),
        action=action,
        group=row.get("group") or printable(rel),
        span=span,
        split=split,
        boxes=boxes.path if boxes else None,
        line=line,
        absent=found.trouble,
        video_stream=read_stream(where, "video_stream", row),
        audio_stream=read_stream(where, "audio_stream", row),
    )


def read_stream(where: str, column: str, row: dict[str, str]) -> int | None:
    """Index of a stream; None where none is named. Raises InputError."""
    text = row.get(column, "")
    if not text:
        return None
    if not _INDEX.fullmatch(text):
        raise InputError(
            f"{where}: {column} {in_quotes(text)} is no index of a stream; write 0, 1, ... as ffprobe numbers them"
        )
    return int(text)


def check_characters(where: str, row: dict[str, str]) -> None:
    """Raises InputError when a name holds a control character; in a path only NUL is one too many."""
    if not control_character("".join(row.values())):
        return  # as a rule, in one look
    for column, text in row.items():
        bad = control_character(text)
        if bad and (column != "path" or "\0" in text):
            raise InputError(f"{where}: {column} {in_quotes(text)} holds a control character ({bad!r}); delete it")


def read_span(where: str, start_s: str, end_s: str) -> tuple[Fraction, Fraction | None] | None:
    """Seconds of a file; None: all of it. Raises InputError."""
    if not start_s and not end_s:
        return None
    try:
        start, end = exact_number(start_s or "0"), exact_number(end_s) if end_s else None
    except ValueError:
        raise InputError(
            f"{where}: start_s {in_quotes(start_s)} and end_s {in_quotes(end_s)} must be seconds, like 12.5"
        ) from None
    if start < 0 or (end is not None and end <= start):
        raise InputError(f"{where}: start_s {start_s or 0} must be at least 0 and before end_s {end_s}")
    return start, end
