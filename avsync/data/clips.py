"""Which clips of a split may be used: those long enough for a pair. No torch.

A list of ids takes 8 bytes a clip in every process: of a split that is mapped (sharding/format/mapped.py) they are
worked out when they are asked for, from lengths of clips and a number for each shard.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from sharding.format.index import Index
from sharding.format.walk import ShardRuns, chunks, shard_runs


class UsableClips(Protocol):
    """Ids, ascending. An array is such, of which a slice costs nothing."""

    def __len__(self) -> int: ...
    def __getitem__(self, places: slice | NDArray[np.int64], /) -> NDArray[np.int64]: ...


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LongClips:
    """Clips of at least `shortest` frames."""

    index: Index
    shortest: int
    all: bool
    """No clip is shorter."""
    runs: ShardRuns
    """Of these clips alone: shards without any are not there."""
    first: NDArray[np.int64]
    """The first clip, long enough or not, of each of these shards."""

    @classmethod
    def of(cls, index: Index, shortest: int) -> Self:
        shards, least = index.runs, index.lengths[0]
        before = shards.first if least >= shortest else _longer_before(index, shortest)
        total = len(index) if least >= shortest else int(before[-1])
        before = before[: len(shards.first)]
        some = np.diff(before, append=total) > 0
        runs = ShardRuns(number=shards.number[some], first=before[some], rows=total)
        return cls(index=index, shortest=shortest, all=least >= shortest, runs=runs, first=shards.first[some])

    def __len__(self) -> int:
        return self.runs.rows

    def __getitem__(self, places: slice | NDArray[np.int64], /) -> NDArray[np.int64]:
        if not isinstance(places, slice):
            found = [self._between(place, place + 1) for place in places.tolist()]
            return np.concatenate([np.zeros(0, np.int64), *found])
        start, stop, _ = places.indices(len(self))
        return self._between(start, stop)

    def _between(self, start: int, stop: int) -> NDArray[np.int64]:
        if self.all or start >= stop:
            return np.arange(start, stop)
        shard = int(np.searchsorted(self.runs.first, start, side="right")) - 1
        after = int(np.searchsorted(self.runs.first, stop))
        first = int(self.first[shard])
        last = int(self.first[after]) if after < len(self.first) else len(self.index)
        longer = np.flatnonzero(self.index.frames[first:last] >= self.shortest) + first
        skipped = start - int(self.runs.first[shard])
        return longer[skipped : skipped + stop - start]


def _longer_before(index: Index, shortest: int) -> NDArray[np.int64]:
    """How many clips before each shard are long enough; last, how many there are at all."""
    marks, done, row = index.runs.first, 0, 0
    found = list[NDArray[np.int64]]()
    for frames in chunks(index.frames):
        counted = np.cumsum(frames >= shortest, dtype=np.int64)
        here = marks[slice(*np.searchsorted(marks, (row, row + len(frames))))] - row
        found.append(done + np.where(here > 0, counted[here - 1], 0))
        done, row = done + int(counted[-1]), row + len(frames)
    return np.concatenate([*found, np.array([done])])


def runs_of(clips: UsableClips, index: Index) -> ShardRuns:
    """Which of these clips each shard has."""
    if isinstance(clips, LongClips):
        return clips.runs
    return shard_runs(index.shard[clips[:]])
