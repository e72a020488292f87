"""A shard checked while its bytes pass: the checksum of each clip's record, as the index has it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from isal.isal_zlib import crc32

from sharding.format.index import Index

TAIL = 1024
"""A tar ends with two blocks of zeros, after the padding of its last member."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipRanges:
    """Where the clips of one shard lie in it, ascending; all in bytes."""

    clips: Sequence[int]
    """Their ids."""
    starts: Sequence[int]
    ends: Sequence[int]
    crcs: Sequence[int]

    @classmethod
    def of(cls, index: Index, shard: int) -> "ClipRanges":
        clips = index.clips_of(shard)
        rows = [index.at(clip) for clip in clips]
        starts = [int(page.offset[row]) for page, row in rows]
        ends = [start + page.layout(row).size for start, (page, row) in zip(starts, rows, strict=True)]
        return cls(clips=clips, starts=starts, ends=ends, crcs=[int(page.crc32[row]) for page, row in rows])

    @property
    def size(self) -> int:
        """Bytes of the whole tar, padding and end included."""
        return _tar_size(self.ends[-1]) if self.ends else TAIL


def shard_size(index: Index, shard: int) -> int:
    """Bytes of a tar that holds clips; quick, for its last clip tells."""
    page, row = index.at(index.clips_of(shard)[-1])
    return _tar_size(int(page.offset[row]) + page.layout(row).size)


def _tar_size(end: int) -> int:
    return -(-end // 512) * 512 + TAIL


@dataclass(slots=True)
class ClipCheck:
    """Takes a shard's bytes in order, in pieces of any size; tells which clips are not as packed."""

    ranges: ClipRanges
    at: int = 0
    """Bytes taken so far."""
    wrong: list[int] = field(default_factory=list)
    _next: int = 0
    _crc: int = 0

    def take(self, piece: memoryview) -> None:
        """The next bytes."""
        ranges, begin, end = self.ranges, self.at, self.at + len(piece)
        while self._next < len(ranges.starts) and ranges.starts[self._next] < end:
            start, stop = ranges.starts[self._next], ranges.ends[self._next]
            self._crc = crc32(piece[max(start - begin, 0) : stop - begin], self._crc)
            if stop > end:
                break
            self._judge()
        self.at = end

    def _judge(self) -> None:
        if self._crc != self.ranges.crcs[self._next]:
            self.wrong.append(self.ranges.clips[self._next])
        self._next, self._crc = self._next + 1, 0

    def finish(self) -> tuple[int, ...]:
        """Ids of the clips that are not those that were packed; what never came is among them."""
        return (*self.wrong, *self.ranges.clips[self._next :])
