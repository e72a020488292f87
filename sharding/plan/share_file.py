"""What one share has to pack, as a file: all that is known of its sources, so that no call looks at the others again.

Such a file is data, and believed no further: its names are checked as those of a list are, and a path that it gives
leads to nothing but what VIDEOS names.
"""

import os
import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePath
from posixpath import normpath
from urllib.parse import quote_from_bytes, unquote_to_bytes

from sharding.base.csv_table import CsvTable
from sharding.errors import InputError
from sharding.format.index import SPLITS
from sharding.plan.plan import LAST_SHARD, ShardPlan
from sharding.sources.source import ID_CHARACTERS, ID_DIGITS, Source

_ID = re.compile(rf"([A-Za-z0-9_-]{{1,{ID_CHARACTERS}}}-)?[0-9a-f]{{{ID_DIGITS}}}", re.ASCII)
_PATH = re.compile(r"[!-~]+")
Named = Callable[[], Set[str]]
"""The paths that a list names, read only where they are needed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRow:
    """A Source whose paths are relative to what VIDEOS names, their bytes written as in a URL."""

    id: str
    path: str
    rel: str
    action: str
    group: str
    size: int
    span: tuple[Fraction, Fraction | None] | None = None
    split: str | None = None
    boxes: str | None = None
    line: int | None = None
    absent: str = ""

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"{self.id!r} is no id of a source")
        for path in (self.path, self.boxes):
            if path is not None and (not _PATH.fullmatch(path) or "\0" in _read_path(path)):
                raise ValueError(f"{path!r} is no path")
        if self.split is not None and self.split not in SPLITS:
            raise ValueError(f"{self.split!r} is no split")
        if self.span is not None and not 0 <= self.span[0] < (self.span[1] or self.span[0] + 1):
            raise ValueError(f"{self.id} would begin after its end")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardRow:
    """A ShardPlan."""

    split: str
    number: int
    digest: str
    sources: tuple[SourceRow, ...]

    def __post_init__(self) -> None:
        if self.split not in SPLITS or not 0 <= self.number <= LAST_SHARD:
            raise ValueError(f"{self.split}/{self.number:06d} is no shard")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShareFile:
    """A share: its shards, in order."""

    shards: tuple[ShardRow, ...]


def share_file(plans: Sequence[ShardPlan], base: Path) -> ShareFile:
    """Write down `plans`, whose sources lie below `base`, or where a list says."""
    return ShareFile(
        shards=tuple(
            ShardRow(
                split=plan.split,
                number=plan.number,
                digest=plan.digest,
                sources=tuple(_row(*pair, base) for pair in zip(plan.sources, plan.sizes, strict=True)),
            )
            for plan in plans
        )
    )


def sources_of(shard: ShardRow, base: Path, named: Named) -> tuple[Source, ...]:
    """The sources of a shard. Raises InputError when one lies outside of what VIDEOS names."""
    return tuple(
        Source(
            id=row.id,
            path=_path(row.path, base, named),
            rel=row.rel,
            action=row.action,
            group=row.group,
            span=row.span,
            split=row.split,
            boxes=_path(row.boxes, base, named) if row.boxes is not None else None,
            line=row.line,
            absent=row.absent,
        )
        for row in shard.sources
    )


def named_in(videos: Path) -> Set[str]:
    """All paths that a list names; a folder or a list of Kinetics names none, for their files lie below a folder.

    Raises InputError.
    """
    if videos.is_dir():
        return frozenset()
    try:
        rows = [row for _, row in CsvTable(videos).rows()]
    except OSError as error:
        raise InputError(f"cannot read {error.filename or videos}: {error.strerror}") from error
    paths = {normpath(row["path"]) for row in rows if row.get("path")}
    return paths | {str(PurePath(row["boxes"])) for row in rows if row.get("boxes")}


def _row(source: Source, size: int, base: Path) -> SourceRow:
    return SourceRow(
        id=source.id,
        path=_written(source.path, base),
        rel=source.rel,
        action=source.action,
        group=source.group,
        size=size,
        span=source.span,
        split=source.split,
        boxes=_written(source.boxes, base) if source.boxes is not None else None,
        line=source.line,
        absent=source.absent,
    )


def _written(path: Path, base: Path) -> str:
    if path.is_relative_to(base):
        path = path.relative_to(base)
    return quote_from_bytes(os.fsencode(path))


def _read_path(text: str) -> str:
    return os.fsdecode(unquote_to_bytes(text))


def _path(text: str, base: Path, named: Named) -> Path:
    told = PurePath(_read_path(text))
    if (told.is_absolute() or ".." in told.parts) and str(told) not in named():
        raise InputError(f"{str(told)!r} is none of your videos; divide them again: avsync pack ... --shares N")
    return base / told
