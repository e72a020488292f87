"""What a shard's side file says: of each clip where it lies, of each source what became of it; and rejects.csv.

Anyone may import this. Knows no tar and no array.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Self

from msgspec import UNSET, UnsetType

from sharding.base.csv_table import write_records
from sharding.base.files import LARGEST_SIDE_FILE
from sharding.base.text import counted, first_few
from sharding.errors import FormatError, RejectReason
from sharding.format.clip import MovedSound, Repairs
from sharding.format.crop import BoxPath

REJECTS = "rejects.csv"
HEADER = ["path", "reason", "detail"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipRecord:
    """One clip in its shard. Offsets in bytes from the tar's start; members are the tar's payloads."""

    key: str
    action: str
    group: str
    frames: int
    offset: int
    """First payload byte of the json member; one read of `size` bytes from here holds all three payloads."""
    size: int
    crc32: int
    """Of those `size` bytes, tar headers between the members included."""
    video: tuple[int, int]
    """Payload's start relative to `offset`, and length."""
    audio: tuple[int, int]
    json_bytes: int


class Certainty(StrEnum):
    """How sure a source's clock is; the worst first."""

    DOUBTFUL = "doubtful"
    """Some of its times could not be believed."""
    MENDED = "mended"
    """It was put together from stretches by what the file itself says."""
    SURE = "sure"
    """Its times are used as they stand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceClock:
    """What was mended of a source's own clock, and which of its streams were used."""

    restarts: int = 0
    """Times it starts again; each stretch is a timeline of its own."""
    edits: int = 0
    """Further edits of its edit lists, beyond one a stream."""
    changes: int = 0
    """Times the rate or layout of its sound changes in mid file."""
    strays: int = 0
    """Pictures, and frames of sound, whose own time could not be believed."""
    streams: str = ""
    """Which were chosen among which; empty when there was no choice."""

    @property
    def certainty(self) -> Certainty:
        if self.strays:
            return Certainty.DOUBTFUL
        return Certainty.MENDED if self.restarts or self.edits or self.changes else Certainty.SURE

    def __str__(self) -> str:
        """`its clock starts again 2 times, 1 stray time`; empty when nothing was mended."""
        words = (
            (self.restarts, "restart of its clock", "restarts of its clock"),
            (self.edits, "further edit", "further edits"),
            (self.changes, "change of its sound's rate or layout", "changes of its sound's rate or layout"),
            (self.strays, "stray time", "stray times"),
        )
        return ", ".join(f"{count} {one if count == 1 else more}" for count, one, more in words if count)

    def joined(self, other: "SourceClock") -> "SourceClock":
        """Of two parts of one source."""
        return SourceClock(
            restarts=max(self.restarts, other.restarts),
            edits=max(self.edits, other.edits),
            changes=self.changes + other.changes,
            strays=self.strays + other.strays,
            streams=self.streams or other.streams,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockSums:
    """Of many sources: how many have a clock that is not sure, and what was mended of them."""

    mended: int = 0
    """Sources; the doubtful ones, too."""
    doubtful: int = 0
    restarts: int = 0
    edits: int = 0
    changes: int = 0
    strays: int = 0

    @classmethod
    def of(cls, clocks: Iterable[SourceClock]) -> Self:
        """Of some sources."""
        there = [clock for clock in clocks if clock.certainty is not Certainty.SURE]
        return cls(
            mended=len(there),
            doubtful=sum(clock.certainty is Certainty.DOUBTFUL for clock in there),
            restarts=sum(clock.restarts for clock in there),
            edits=sum(clock.edits for clock in there),
            changes=sum(clock.changes for clock in there),
            strays=sum(clock.strays for clock in there),
        )

    def __add__(self, other: "ClockSums") -> "ClockSums":
        both = {field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)}
        return ClockSums(**both)

    @property
    def how(self) -> str:
        """`2 restarts, 1 further edit, 4 stray times`; empty when nothing was mended."""
        counts = (
            (self.restarts, "restart"),
            (self.edits, "further edit"),
            (self.changes, "change of rate or layout"),
            (self.strays, "stray time"),
        )
        many = {"change of rate or layout": "changes of rate or layout"}
        words = (
            f"{count:,} {many[noun]}" if count > 1 and noun in many else counted(count, noun)
            for count, noun in counts
            if count
        )
        return ", ".join(words)

    def __str__(self) -> str:
        """`3 sources had their clock mended (2 restarts, 4 stray times; doubtful: 1)`."""
        doubtful = f"; doubtful: {self.doubtful:,}" if self.doubtful else ""
        whose = "its" if self.mended == 1 else "their"
        return f"{counted(self.mended, 'source')} had {whose} clock mended ({self.how}{doubtful})"


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRecord:
    """What became of a source in one shard: for reports (avsync show), so that nobody must open a tar for them."""

    source: str
    """Path as given, relative to the input folder."""
    action: str
    clips: int
    frames: int
    """In its clips together."""
    lost_clips: int
    """Clips that should be here and are not, because the source is damaged there."""
    damage: str
    """What was found at the first lost clip; empty when none is lost."""
    stream_offset_s: float
    """First sound heard minus first picture seen, seconds."""
    repairs: Repairs
    """Of its clips together; `longest_still` is the longest of any."""
    clock: SourceClock = field(default_factory=SourceClock)
    tracks: tuple[BoxPath, ...] | UnsetType = UNSET
    """The boxes that its clips were cut by; not there when they show all of the picture."""
    moved_sound: MovedSound | UnsetType = UNSET
    """By how much the sound of its clips was moved; not there where it was not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardRecord:
    """A shard's side file."""

    LARGEST_FILE: ClassVar[int] = LARGEST_SIDE_FILE

    format_version: int
    plan: str
    """Digest of everything that decides this shard's bytes; a shard with another plan is packed again."""
    tar_bytes: int
    sha256: str
    clips: tuple[ClipRecord, ...]
    ids: tuple[str, ...] = ()
    """Of all its sources, in the order of the plan; those that were rejected, too."""
    sources: tuple[SourceRecord, ...] = ()
    """Those that gave a clip, in the order of the tar."""
    rejects: tuple[tuple[str, str, str], ...] = ()
    """(source, reason, detail)"""

    @property
    def packed(self) -> tuple[str, ...]:
        """Ids of the sources that gave a clip, in the order of the tar."""
        return tuple(dict.fromkeys(clip.key.rpartition("/")[0] for clip in self.clips))

    @property
    def names(self) -> dict[str, str]:
        """Id -> path as given, of all sources."""
        packed = dict(zip(self.packed, (source.source for source in self.sources), strict=False))
        rest = (id for id in self.ids if id not in packed)
        return packed | dict(zip(rest, (name for name, _, _ in self.rejects), strict=False))


@dataclass(frozen=True, order=True, slots=True)
class Reject:
    """A source that is not in the dataset."""

    path: str
    """As given."""
    reason: str
    """A RejectReason."""
    detail: str
    """A sentence."""


def write_rejects(dataset: Path, rejects: Sequence[Reject]) -> None:
    """rejects.csv: path, reason, detail."""
    write_records(dataset / REJECTS, Reject, rejects)


def parse_rejects(data: bytes) -> tuple[Reject, ...]:
    """What `write_rejects` wrote. Raises FormatError for anything else."""
    try:
        head, *rows = csv.reader(io.StringIO(data.decode(), newline=""))
    except (ValueError, csv.Error) as error:
        raise FormatError(f"{REJECTS} is no CSV in UTF-8 with a header: {error}") from error
    if head != HEADER or any(len(row) != len(HEADER) for row in rows):
        raise FormatError(f"{REJECTS} does not have the columns {','.join(HEADER)}")
    return tuple(Reject(*row) for row in rows)


def reasons(rejects: Sequence[Reject]) -> str:
    """`3 no_audio, 1 corrupt`, the most frequent first."""
    counts = Counter(reject.reason for reject in rejects).most_common()
    return first_few([f"{count} {reason}" for reason, count in counts], len(RejectReason))
