"""A curated table: what somebody, or `avsync curate`, has judged of the sound of videos, a row for each piece of one.

    path                    as in VIDEOS, relative to the folder or CSV that was judged
    start_s,end_s           exact seconds of the file's own timeline; no end: to its end
    track                   of the boxes table beside it (x.csv: x.boxes.csv); empty: all of the picture
    offset_ms               how late the sound is (above 0: late); empty where it can't be told
    low_ms,high_ms          interval of it
    confidence              probability that the piece is in sync once its sound is moved by offset_ms
    drift_ms_min            what is left of drift within the piece, ms a minute
    verdict,reason          keep | keep shifted | drop | can't tell, and why in plain words
    action,split,group,video_stream,audio_stream    optional, as in a CSV of videos

`avsync pack` takes what is to be kept and is sure enough. A wrong row stops the work before it starts, and the error
names its line. A missing file does not: it becomes a reject.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from pathlib import Path, PurePath
from posixpath import normpath

from sharding.base.csv_table import CsvTable, write_csv
from sharding.base.text import as_written, exact_number, first_few, in_quotes
from sharding.errors import InputError
from sharding.format.crop import BoxPath
from sharding.format.index import SPLITS
from sharding.sources.crops import Tracks, read_tracks
from sharding.sources.names import NameFinder, composed
from sharding.sources.source import LeftOut, Source, SourceList, printable, source_id
from sharding.sources.table import check_characters, read_span, read_stream

NEEDED = ("path", "start_s", "end_s", "offset_ms", "confidence", "verdict")
COLUMNS = (
    "path", "start_s", "end_s", "track", "offset_ms", "low_ms", "high_ms", "confidence", "drift_ms_min", "verdict",
    "reason",
)  # fmt: skip
OPTIONAL = ("action", "split", "group", "video_stream", "audio_stream")
"""Columns that are written only where a row has something in them."""


class Verdict(StrEnum):
    """What is to become of a piece."""

    KEEP = "keep"
    KEEP_SHIFTED = "keep shifted"
    DROP = "drop"
    CANT_TELL = "can't tell"

    @property
    def keeps(self) -> bool:
        return self in (Verdict.KEEP, Verdict.KEEP_SHIFTED)


@dataclass(frozen=True, kw_only=True, slots=True)
class CuratedRow:
    """One piece of a source: its sound has one constant offset."""

    path: str
    """As in VIDEOS."""
    verdict: Verdict
    reason: str = ""
    start_s: Fraction = Fraction(0)
    end_s: Fraction | None = None
    """None: to the end of the file."""
    track: int | None = None
    """None: all of the picture."""
    offset_ms: Fraction | None = None
    """How late the sound is; None: nobody knows."""
    low_ms: Fraction | None = None
    high_ms: Fraction | None = None
    confidence: float | None = None
    """Probability that the piece is in sync once its sound is moved; None: nobody knows."""
    drift_ms_min: Fraction | None = None
    action: str = ""
    """Empty: the file's folder."""
    split: str = ""
    group: str = ""
    """Empty: the file itself."""
    video_stream: int | None = None
    audio_stream: int | None = None
    """That was judged, where it was named: the offset is of this one."""
    line: int | None = field(default=None, compare=False)
    """Of the table it was read from."""

    def __post_init__(self) -> None:
        if self.start_s < 0 or (self.end_s is not None and self.end_s <= self.start_s):
            raise ValueError(f"start_s {self.start_s} must be at least 0 and before end_s {self.end_s}")
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ValueError(f"confidence {self.confidence} must lie between 0 and 1")
        if self.verdict.keeps and (self.offset_ms is None or self.confidence is None):
            raise ValueError(f"what is to be kept ({self.verdict}) needs offset_ms and confidence")

    @property
    def span(self) -> tuple[Fraction, Fraction | None] | None:
        """As of Source."""
        return (self.start_s, self.end_s) if self.start_s or self.end_s is not None else None


def boxes_beside(table: Path) -> Path:
    """Where the boxes of the tracks of a curated table lie."""
    return table.with_suffix(".boxes.csv")


def write_curated(path: Path, rows: Iterable[CuratedRow]) -> None:
    """Rows as a table that `read_curated` reads again: times exactly, confidence to four digits. Raises OSError."""
    rows = tuple(rows)
    columns = (*COLUMNS, *(name for name in OPTIONAL if any(getattr(row, name) not in (None, "") for row in rows)))
    write_csv(path, columns, ([_cell(getattr(row, name)) for name in columns] for row in rows))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Fraction):
        return as_written(value)
    return as_written(Fraction(round(value * 10_000), 10_000)) if isinstance(value, float) else str(value)


def is_curated(header: Sequence[str]) -> bool:
    """`header`: column names in lower case."""
    return {"verdict", "offset_ms"} <= set(header)


def read_curated(table: CsvTable) -> tuple[CuratedRow, ...]:
    """All rows, in their order. Raises InputError naming the line of a wrong one."""
    missing = [name for name in NEEDED if name not in table.header]
    unknown = [name for name in table.header if name not in (*COLUMNS, *OPTIONAL)]
    if missing or unknown or len(set(table.header)) < len(table.header):
        fact = f"missing [{first_few(missing)}]" if missing else f"unknown or twice [{first_few(unknown)}]"
        raise InputError(
            f"{table.path}, line 1: {fact}; the header of a curated table is {','.join(COLUMNS)} and may have "
            f"{','.join(OPTIONAL)}"
        )
    rows = tuple(_row(f"{table.path}, line {line}", line, cells) for line, cells in table.rows())
    if not rows:
        raise InputError(f"{table.path} has no rows; write one for each piece of a video below the header")
    return rows


def _row(where: str, line: int, cells: dict[str, str]) -> CuratedRow:
    check_characters(where, cells)
    if not cells["path"]:
        raise InputError(f"{where}: there is no path; name the video as VIDEOS does")
    verdict = cells["verdict"].lower().replace("’", "'")  # as spreadsheets write it
    if verdict not in tuple(Verdict):
        raise InputError(f"{where}: verdict {in_quotes(cells['verdict'])} is none of {', '.join(Verdict)}")
    if (split := cells.get("split", "")) and split not in SPLITS:
        raise InputError(f"{where}: split {in_quotes(split)} is not known; use {', '.join(SPLITS)} or leave it empty")
    start, end = read_span(where, cells["start_s"], cells["end_s"]) or (Fraction(0), None)
    confidence = _number(where, cells, "confidence")
    try:
        return CuratedRow(
            path=normpath(cells["path"]),
            verdict=Verdict(verdict),
            reason=cells.get("reason", ""),
            start_s=start,
            end_s=end,
            track=_track(where, cells),
            offset_ms=_number(where, cells, "offset_ms"),
            low_ms=_number(where, cells, "low_ms"),
            high_ms=_number(where, cells, "high_ms"),
            confidence=None if confidence is None else float(confidence),
            drift_ms_min=_number(where, cells, "drift_ms_min"),
            action=cells.get("action", ""),
            split=split,
            group=cells.get("group", ""),
            video_stream=read_stream(where, "video_stream", cells),
            audio_stream=read_stream(where, "audio_stream", cells),
            line=line,
        )
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None


def _number(where: str, cells: dict[str, str], column: str) -> Fraction | None:
    if not (text := cells.get(column, "")):
        return None
    try:
        return exact_number(text)
    except ValueError:
        raise InputError(f"{where}: {column} {in_quotes(text)} is no number; write it like 12.5") from None


def _track(where: str, cells: dict[str, str]) -> int | None:
    number = _number(where, cells, "track")
    if number is not None and (number.denominator != 1 or number < 1):
        raise InputError(f"{where}: track {in_quotes(cells['track'])} must be a whole number from 1 on")
    return None if number is None else int(number)


def curated_sources(table: CsvTable, root: Path, min_confidence: float = 0.0) -> SourceList:
    """What the table keeps as sources, their paths below `root`; and what it leaves out, counted.

    Raises InputError naming the line of a wrong row, and when nothing is kept.
    """
    rows = read_curated(table)
    kept = [row for row in rows if row.verdict.keeps and (row.confidence or 0) >= min_confidence]
    below = Counter((str(row.verdict), row.reason) for row in rows if not row.verdict.keeps)
    unsure = Counter(str(row.verdict) for row in rows if row.verdict.keeps)
    unsure.subtract(str(row.verdict) for row in kept)
    below.update({(verdict, f"confidence below {min_confidence:g}"): count for verdict, count in unsure.items()})
    left_out = tuple(LeftOut(*key, count) for key, count in below.most_common() if count)
    if not kept:
        counts = first_few([str(one) for one in left_out])
        raise InputError(f"{table.path} keeps none of its {len(rows)} rows ({counts}); lower --min-confidence, if set")
    tracks = _tracks(table.path, kept)
    sources, names, first = dict[str, Source](), NameFinder(root), dict[Path, Source]()
    for row in kept:
        source = _source(row, names, tracks, table.path)
        twin = sources.setdefault(source.id, source)
        if twin is not source:
            raise InputError(
                f"{table.path}, lines {twin.line} and {row.line}: both name the same piece of {source.rel}; "
                "delete one of them"
            )
        other = first.setdefault(source.path, source)
        if other.group != source.group:
            raise InputError(
                f"{table.path}, lines {other.line} and {row.line}: two pieces of {source.rel} are in two groups, one "
                "may be trained on and one tested; give both rows one group"
            )
    return SourceList(sources=tuple(sources.values()), left_out=left_out)


def _tracks(table: Path, kept: Sequence[CuratedRow]) -> dict[str, Tracks]:
    """Path of a video, composed -> its boxes, where a row names any. Raises InputError."""
    row = next((row for row in kept if row.track is not None), None)
    if row is None:
        return {}
    if not (boxes := boxes_beside(table)).is_file():
        raise InputError(
            f"{table}, line {row.line}: {boxes}, which has its track {row.track}, does not exist; put it beside the "
            "table, or leave track empty"
        )
    return read_tracks(boxes, str(boxes))


def _source(row: CuratedRow, names: NameFinder, tracks: dict[str, Tracks], table: Path) -> Source:
    rel, found = printable(row.path), names.find(row.path)
    span, part = row.span, ""
    if span is not None:
        part = f"@{span[0]}:{span[1]}"
    crops, fault = _crops(row, tracks, table)
    return Source(
        id=source_id(row.path, part if row.track is None else f"{part}#{row.track}"),
        path=found.path,
        rel=rel,
        action=row.action or _folder(found.path, row.path),
        group=row.group or rel,
        span=span,
        split=row.split or None,
        line=row.line,
        absent=found.trouble,
        video_stream=row.video_stream,
        audio_stream=row.audio_stream,
        crops=crops,
        crop_fault=fault,
        sound_late_ms=row.offset_ms,
    )


def _folder(path: Path, rel: str) -> str:
    """The action of a file without one, as in a folder of videos."""
    name = PurePath(rel).parent.name
    return printable(name if name not in ("", "..") else path.parent.resolve().name)


def _crops(row: CuratedRow, tracks: dict[str, Tracks], table: Path) -> tuple[tuple[BoxPath, ...] | None, str]:
    """The track of a row as its only crop, and why there is none. Raises InputError."""
    if row.track is None:
        return None, ""
    paths, fault = tracks.get(composed(printable(row.path)), ((), ""))
    mine = tuple(path for path in paths if path.track == row.track)
    if not mine and not fault:
        raise InputError(
            f"{table}, line {row.line}: {boxes_beside(table)} has no track {row.track} of {printable(row.path)}; take "
            "both tables from one call of avsync curate"
        )
    return mine, fault
