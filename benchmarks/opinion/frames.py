"""When the frames of one stream are seen or heard, as somebody says; and which frames of two such rows are the same.

Nanoseconds in whole numbers: a million times finer than what is looked for, and an hour of frames is a few MB.
"""

from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NS = 10**9
NO_BYTE = -1
NOTHING = -1
COLUMNS = 7
SOUND_NS = 2_000_000
Column = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Frame(NamedTuple):
    """One of sound or of pictures; times in nanoseconds."""

    when: int
    byte: int = NO_BYTE
    """Where its packet begins; NO_BYTE where nobody says."""
    length: int = 0
    """Of sound."""
    stretch: int = 0
    """Between which restarts of the clock."""
    doubted: int = 0
    """Its own time was not believed, or it has none."""
    stored: int = NOTHING
    """Its presentation time, where that is another thing than the time that was taken for best."""
    begins: int = NOTHING
    """How far in it a flash or a beep begins, see truth.py."""


@dataclass(slots=True)
class Frames:
    """Decoded frames in the order in which they come."""

    kind: str
    """video or audio"""
    _rows: "array[int]" = field(default_factory=lambda: array("q"))

    @classmethod
    def of(cls, kind: str, *columns: Column) -> "Frames":
        """From the first columns of Frame."""
        table = np.tile(np.array(Frame(0), np.int64), (len(columns[0]), 1))
        table[:, : len(columns)] = np.stack(columns, axis=1)
        return cls(kind, array("q", table.ravel().tolist()))

    def add(self, frame: Frame) -> None:
        self._rows.extend(frame)

    def __len__(self) -> int:
        return len(self._rows) // COLUMNS

    @property
    def when(self) -> Column:
        return self._column(0)

    @property
    def byte(self) -> Column:
        return self._column(1)

    @property
    def length(self) -> Column:
        return self._column(2)

    @property
    def stretch(self) -> Column:
        return self._column(3)

    @property
    def doubted(self) -> Mask:
        return self._column(4).astype(bool)

    @property
    def stored(self) -> Column:
        return self._column(5)

    @property
    def begins(self) -> Column:
        return self._column(6)

    @property
    def tolerance(self) -> int:
        """Half a picture, or 2 ms of sound; nanoseconds."""
        if self.kind == "audio":
            return SOUND_NS
        steps = np.diff(np.sort(self.when))
        return max(SOUND_NS, int(np.median(steps[steps > 0])) // 2) if (steps > 0).any() else SOUND_NS

    def at(self, when: Column) -> "Frames":
        """The same frames at other times."""
        return Frames.of(self.kind, when, self.byte, self.length)

    def _column(self, number: int) -> Column:
        return np.array(self._rows, np.int64).reshape(-1, COLUMNS)[:, number]


def aligned(ours: Frames, theirs: Frames) -> tuple[Column, Column]:
    """(M,) twice: the numbers of frames that are the same one.

    By order where there are as many of both; else by the byte at which a frame's packet begins, the n-th from there
    with the n-th, counted from the last.
    """
    if len(ours) == len(theirs):
        return np.arange(len(ours)), np.arange(len(ours))
    found = defaultdict[int, list[int]](list)
    for number, byte in enumerate(theirs.byte.tolist()):
        if byte != NO_BYTE:
            found[byte].append(number)
    pairs = list[tuple[int, int]]()
    for number, byte in reversed(list(enumerate(ours.byte.tolist()))):
        if found.get(byte):
            pairs.append((number, found[byte].pop()))
    table = np.array(pairs[::-1], np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


@dataclass(frozen=True, slots=True)
class Apart:
    """How far the frames of two rows are apart, frame by frame of the first."""

    ours: Frames
    theirs: Frames
    mine: Column
    """(M,) numbers of ours that theirs has, too."""
    other: Column
    """(M,) numbers of theirs."""
    ns: Column
    """(M,) how much later ours are."""

    @classmethod
    def of(cls, ours: Frames, theirs: Frames) -> "Apart":
        mine, other = aligned(ours, theirs)
        return cls(ours, theirs, mine, other, ours.when[mine] - theirs.when[other])

    @property
    def constants(self) -> dict[int, int]:
        """Of each stretch: the median, which is where the two rows have their time 0."""
        stretches = self.ours.stretch[self.mine]
        return {
            int(one): int(np.sort(self.ns[stretches == one])[(stretches == one).sum() // 2])
            for one in np.unique(stretches)
        }

    def residual(self) -> tuple[Mask, Column]:
        """(F,) twice: which of our frames theirs has, and how far those are apart without the constants."""
        there, apart = np.zeros(len(self.ours), bool), np.zeros(len(self.ours), np.int64)
        there[self.mine] = True
        stretches = self.ours.stretch[self.mine]
        for one, constant in self.constants.items():
            apart[self.mine[stretches == one]] = self.ns[stretches == one] - constant
        return there, apart

    @property
    def only_theirs(self) -> int:
        return len(self.theirs) - len(self.other)
