"""Sources listed in a CSV: `path,action[,start_s,end_s][,split][,group][,boxes]`, paths relative to the CSV.

A wrong row stops the work before it starts, and the error names its line. A missing file does not: it becomes a reject.
"""

import csv
import unicodedata
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from sharding.errors import InputError
from sharding.sources import Source, printable, source_id

COLUMNS = ("path", "action", "start_s", "end_s", "split", "group", "boxes")
HEADER = f"path,action and any of {','.join(COLUMNS[2:])}"
SPLITS = ("train", "val", "test")


def read_table(table: Path) -> list[Source]:
    """The rows of a CSV as sources. Raises InputError naming the line."""
    try:
        text = table.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{table} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    sources: dict[str, Source] = {}
    for line, row in _rows(table, text):
        source = _source(table, line, row)
        twin = sources.setdefault(source.id, source)
        if twin is not source:
            raise InputError(f"{table}, lines {twin.line} and {line}: both name {source.rel}; delete one of them")
    if not sources:
        raise InputError(f"{table} has no rows; write one line for each video below the header")
    return list(sources.values())


def _rows(table: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if header is None:
                header = _checked_header(table, [cell.lower() for cell in cells])
            elif len(cells) != len(header):
                raise InputError(
                    f"{table}, line {reader.line_num}: {len(cells)} columns, the header has {len(header)}; "
                    'put a text that holds commas in "quotes"'
                )
            else:
                yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise InputError(f"{table}, line {reader.line_num}: {error}") from error
    if header is None:
        raise InputError(f"{table} is empty; its first line must be the header {','.join(COLUMNS[:2])}")


def _checked_header(table: Path, names: list[str]) -> list[str]:
    unknown = [name for name in names if name not in COLUMNS]
    missing = [name for name in COLUMNS[:2] if name not in names]
    if len(names) == 1 and any(sign in names[0] for sign in ";\t|"):
        raise InputError(f"{table}, line 1: {names[0]!r} is one column; the separator must be a comma")
    if "path" not in names and "action" not in names:
        raise InputError(
            f"{table}, line 1: {','.join(names)!r} is no header; the first line must be the header {HEADER}"
        )
    if unknown or missing or len(set(names)) != len(names):
        fact = f"unknown {unknown}" if unknown else f"missing {missing}" if missing else "a column twice"
        raise InputError(f"{table}, line 1: {fact}; the header is {HEADER}")
    return names


def _source(table: Path, line: int, row: dict[str, str]) -> Source:
    where = f"{table}, line {line}"
    rel, action, split = row["path"], row["action"], row.get("split") or None
    if not rel or not action:
        raise InputError(f"{where}: path and action must both be given")
    _check_characters(where, row)
    if split is not None and split not in SPLITS:
        raise InputError(f"{where}: split {split!r} is not known; use {', '.join(SPLITS)} or leave it empty")
    span = _span(where, row.get("start_s", ""), row.get("end_s", ""))
    boxes = row.get("boxes", "")
    return Source(
        id=source_id(rel, "" if span is None else f"@{span[0]}:{span[1]}"),
        path=table.parent / rel,
        rel=printable(rel),
        action=action,
        group=row.get("group") or printable(rel),
        span=span,
        split=split,
        boxes=table.parent / boxes if boxes else None,
        line=line,
    )


def _check_characters(where: str, row: dict[str, str]) -> None:
    """Names of actions and groups are shown in tables and plots; a NUL ends every path."""
    for column, text in row.items():
        bad = [sign for sign in text if unicodedata.category(sign) == "Cc"]
        if bad and (column != "path" or "\0" in bad):
            raise InputError(f"{where}: {column} {text!r} holds a control character ({bad[0]!r}); delete it")


def _span(where: str, start_s: str, end_s: str) -> tuple[Fraction, Fraction | None] | None:
    if not start_s and not end_s:
        return None
    try:
        start, end = Fraction(start_s or 0), Fraction(end_s) if end_s else None
    except (ValueError, ZeroDivisionError):
        raise InputError(f"{where}: start_s {start_s!r} and end_s {end_s!r} must be seconds, like 12.5") from None
    if start < 0 or (end is not None and end <= start):
        raise InputError(f"{where}: start_s {start_s or 0} must be at least 0 and before end_s {end_s}")
    return start, end
