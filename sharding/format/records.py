"""What a shard's side file says: of each clip where it lies, of each source what became of it; and rejects.csv.

Anyone may import this. Knows no tar and no array.
"""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sharding.base.csv_table import write_records
from sharding.errors import FormatError
from sharding.format.clip import Repairs

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


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardRecord:
    """A shard's side file."""

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
    return ", ".join(f"{count} {reason}" for reason, count in counts)
