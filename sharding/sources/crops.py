"""A table of moving boxes, a row for each moment of a track: which part of each video is packed instead of all of it.

Columns: path as in VIDEOS; track, a number; time_s, exact seconds of the video's own timeline (1.25 or 119/15); x, y,
width, height in pixels of the upright picture as a player shows it. A box goes in a straight line from row to row, and
its track lasts from its first row to its last; one row alone, its time left empty or not, is a box that stands still
for all of the video. `faces`, how many tracks there are at once, may be left out. What is wrong in a row costs its
video alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from posixpath import normpath
from typing import NamedTuple

from sharding.base.csv_table import CsvTable, write_csv
from sharding.base.text import as_written, counted, exact_number, first_few, in_quotes
from sharding.errors import InputError
from sharding.format.crop import BoxPath, Knot, at_once
from sharding.sources.names import composed
from sharding.sources.source import Source, SourceList, printable

NUMBERS = ("x", "y", "width", "height")
COLUMNS = ("path", "track", "time_s", *NUMBERS)
OPTIONAL = ("faces",)
MOST_PIXELS = 10**6
"""No picture is as wide."""
MOST_TRACKS = 10**6


@dataclass(slots=True)
class _Track:
    """Rows of one track, in their order."""

    knots: list[Knot] = field(default_factory=list)
    size: tuple[Fraction, Fraction] = (Fraction(0), Fraction(0))
    faces: int | None = None


@dataclass(slots=True)
class _Boxes:
    """What a table says of one video."""

    tracks: dict[int, _Track] = field(default_factory=dict)
    fault: str = ""
    """What is wrong with it, by the first wrong row."""


class Tracks(NamedTuple):
    """What a table has for one video."""

    paths: tuple[BoxPath, ...]
    fault: str = ""
    """Why they are of no use; then there are none."""


def with_boxes(found: SourceList, path: Path) -> SourceList:
    """The same sources, each with the boxes of the table at `path`; a source without any is packed into a reject.

    Raises InputError as read_tracks.
    """
    boxes = read_tracks(path, f"--crop {path}")
    sources = tuple(_with(source, boxes.get(composed(source.rel)), path) for source in found.sources)
    strange = sorted(set(boxes) - {composed(source.rel) for source in sources})
    if len(strange) == len(boxes):
        raise InputError(
            f"--crop {path}: its paths ({first_few(strange)}) are none of your videos' "
            f"({first_few([source.rel for source in sources])}); write them as in VIDEOS, relative to the same folder"
        )
    note = f"--crop {path} names {counted(len(strange), 'path')} that your videos do not have: {first_few(strange)}"
    return replace(found, sources=sources, notes=(*found.notes, *[note] * bool(strange)))


def _with(source: Source, boxes: Tracks | None, table: Path) -> Source:
    paths, fault = boxes or ((), f"--crop {table} has no row for it")
    return replace(source, crops=paths, crop_fault=fault)


def _paths(tracks: dict[int, _Track]) -> Iterator[BoxPath]:
    ordered = sorted(tracks.items())
    spans = [(one.knots[0].time, one.knots[-1].time) if len(one.knots) > 1 else None for _, one in ordered]
    for at, (number, track) in enumerate(ordered):
        yield BoxPath(
            track=number,
            faces=track.faces or at_once(spans[at], spans),
            width=track.size[0],
            height=track.size[1],
            knots=tuple(track.knots),
        )


def read_tracks(path: Path, named: str) -> dict[str, Tracks]:
    """Path of a video, composed -> its boxes. named: what a message about the table begins with.

    Raises InputError: there is no such table, or it has other columns.
    """
    try:
        table = CsvTable(path)
    except OSError as error:
        raise InputError(f"{named} cannot be read: {error.strerror}; name a .csv of boxes, or faces") from error
    missing = [name for name in COLUMNS if name not in table.header]
    unknown = [name for name in table.header if name not in (*COLUMNS, *OPTIONAL)]
    if missing or unknown or len(set(table.header)) < len(table.header):
        fact = f"missing [{first_few(missing)}]" if missing else f"unknown or twice [{first_few(unknown)}]"
        raise InputError(f"{named}, line 1: {fact}; the header is {','.join(COLUMNS)} and may have faces")
    boxes = dict[str, _Boxes]()
    for line, row in table.rows():
        if not row["path"]:
            raise InputError(f"{named}, line {line}: there is no path; name the video as VIDEOS does")
        one = boxes.setdefault(composed(printable(normpath(row["path"]))), _Boxes())
        if not one.fault:
            one.fault = _add(one.tracks, line, row)
    if not boxes:
        raise InputError(f"{named} has no rows; write one for each moment of a box, below the header")
    return {
        rel: Tracks((), f"{named}, {one.fault}") if one.fault else Tracks(tuple(_paths(one.tracks)))
        for rel, one in boxes.items()
    }


def _add(tracks: dict[int, _Track], line: int, row: dict[str, str]) -> str:
    """Take a row in; returns what is wrong with it, empty when nothing is."""
    try:
        number = _count(row, "track")
        x, y, width, height = (_pixels(row, name) for name in NUMBERS)
        time = _number(row, "time_s") if row["time_s"] else Fraction(0)
        faces = _count(row, "faces") if row.get("faces") else None
    except ValueError as error:
        return f"line {line}: {error}"
    if width <= 0 or height <= 0:
        return f"line {line}: width {row['width']} and height {row['height']} must both be above 0"
    track = tracks.setdefault(number, _Track(size=(width, height), faces=faces))
    if track.size != (width, height):
        was = " x ".join(map(as_written, track.size))
        return f"line {line}: track {number} is {row['width']} x {row['height']} here and {was} before; keep one size"
    if track.knots and (not row["time_s"] or time <= track.knots[-1].time):
        return (
            f"line {line}: time_s {in_quotes(row['time_s'])} of track {number} must come after "
            f"{as_written(track.knots[-1].time)}; sort its rows by time"
        )
    track.knots.append(Knot(time, x, y))
    return ""


def _number(row: dict[str, str], name: str) -> Fraction:
    try:
        return exact_number(row[name])
    except ValueError:
        raise ValueError(f"{name} {in_quotes(row[name])} is no number; write it like 12.5 or 119/15") from None


def _pixels(row: dict[str, str], name: str) -> Fraction:
    value = _number(row, name)
    if abs(value) > MOST_PIXELS:
        raise ValueError(f"{name} {in_quotes(row[name])} is more than {MOST_PIXELS:,} pixels")
    return value


def _count(row: dict[str, str], name: str) -> int:
    value = _number(row, name)
    if value.denominator != 1 or not 1 <= value <= MOST_TRACKS:
        raise ValueError(f"{name} {in_quotes(row[name])} must be a whole number from 1 on")
    return int(value)


def write_boxes(path: Path, tracks: Iterable[tuple[str, Sequence[BoxPath]]]) -> None:
    """Paths of videos and their boxes as a table that `with_boxes` reads again. Raises OSError."""
    write_csv(path, (*COLUMNS, *OPTIONAL), (row for rel, paths in tracks for one in paths for row in _rows(rel, one)))


def _rows(rel: str, path: BoxPath) -> Iterator[tuple[str, ...]]:
    size = as_written(path.width), as_written(path.height)
    for knot in path.knots:
        time = as_written(knot.time) if path.stretch else ""
        yield (rel, str(path.track), time, as_written(knot.x), as_written(knot.y), *size, str(path.faces))
