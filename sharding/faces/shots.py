"""The shots of a video, for who looks at whole pictures: of faces each ends with its shot anyway."""

from collections.abc import Callable, Sequence
from contextlib import closing
from fractions import Fraction
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray

from sharding.containers.container import decoding
from sharding.containers.stretches import Stretch
from sharding.faces.follow import CELLS, CHANGE, ShotChanges, small_size
from sharding.media.probe import Probe
from sharding.media.video import VideoTimeline, upright_size

SLOTS_PER_S = 30
"""What `ShotChanges` was measured at."""
FLASH_SLOTS = 12
"""A change that is taken back so soon is a flash, and no new shot."""


def find_shots(source: Probe, stretch: Stretch, report: Callable[[], None] = lambda: None) -> list[Stretch]:
    """The shots of a stretch of `source`, in order; `report` is called every second of it.

    Raises RejectError, MemoryError.
    """
    first, stop = ceil(stretch[0] * SLOTS_PER_S), int(stretch[1] * SLOTS_PER_S)
    size = upright_size(source)
    if size is None or stop <= first:
        return [stretch]
    width, height = small_size(size)
    cuts = _Cuts()
    timeline = VideoTimeline(
        source, fps=Fraction(SLOTS_PER_S), width=width, height=height, fit="squash", first_slot=first
    )
    with decoding(), closing(timeline) as video:
        for start in range(first, stop, SLOTS_PER_S):
            pictures = video.read(start, min(SLOTS_PER_S, stop - start))
            if pictures.longest_still:
                for slot, yuv in enumerate(pictures.yuv, start):
                    cuts.see(slot, yuv[:height])
            report()
    return between_cuts(stretch, cuts.found[1:])  # the first picture begins a shot, too


class _Cuts:
    """Where shots begin, but for flashes: after one there is again what was before."""

    def __init__(self) -> None:
        self.found: list[int] = []
        self._changes = ShotChanges()
        self._last: NDArray[np.int16] | None = None
        self._before: NDArray[np.int16] | None = None
        """What was seen just before the last cut."""

    def see(self, slot: int, luma: NDArray[np.uint8]) -> None:
        """The picture of the next slot."""
        seen = luma[:: luma.shape[0] // CELLS, :: luma.shape[1] // CELLS].astype(np.int16)
        if self._changes.begins(luma):
            soon = len(self.found) > 1 and slot - self.found[-1] <= FLASH_SLOTS
            if soon and self._before is not None and np.abs(seen - self._before).mean() < CHANGE:
                self.found.pop()
                self._before = None
            else:
                self.found.append(slot)
                self._before = self._last
        self._last = seen


def between_cuts(stretch: Stretch, cuts: Sequence[int]) -> list[Stretch]:
    """The shots between `cuts`, slots in which a new one begins; the slots that may show some of two are left out."""
    ends = [(stretch[0], stretch[0])]
    ends += [(Fraction(cut - 1, SLOTS_PER_S), Fraction(cut + 1, SLOTS_PER_S)) for cut in cuts]
    ends.append((stretch[1], stretch[1]))
    shots = [(max(before[1], stretch[0]), min(behind[0], stretch[1])) for before, behind in pairwise(ends)]
    return [(start, end) for start, end in shots if start < end]
