"""The shots of a video, for who looks at whole pictures: of faces each ends with its shot anyway."""

from collections.abc import Callable, Sequence
from contextlib import closing
from fractions import Fraction
from itertools import pairwise
from math import ceil

from sharding.containers.container import decoding
from sharding.containers.stretches import Stretch
from sharding.faces.follow import CELLS, FINE, LONGER_SIDE, ShotChanges
from sharding.media.probe import Probe
from sharding.media.video import VideoTimeline, upright_size

SLOTS_PER_S = 30
"""What `ShotChanges` was measured at."""


def find_shots(source: Probe, stretch: Stretch, report: Callable[[], None] = lambda: None) -> list[Stretch]:
    """The shots of a stretch of `source`, in order; `report` is called every second of it.

    Raises RejectError, MemoryError.
    """
    first, stop = ceil(stretch[0] * SLOTS_PER_S), int(stretch[1] * SLOTS_PER_S)
    size = upright_size(source)
    if size is None or stop <= first:
        return [stretch]
    shrink = min(Fraction(1), LONGER_SIDE / max(size))
    width, height = (max(FINE * CELLS, round(side * shrink / 2) * 2) for side in size)
    changes, begins = ShotChanges(), list[int]()
    timeline = VideoTimeline(
        source, fps=Fraction(SLOTS_PER_S), width=width, height=height, fit="squash", first_slot=first
    )
    with decoding(), closing(timeline) as video:
        for start in range(first, stop, SLOTS_PER_S):
            pictures = video.read(start, min(SLOTS_PER_S, stop - start))
            if pictures.longest_still:
                begins += (slot for slot, yuv in enumerate(pictures.yuv, start) if changes.begins(yuv[:height]))
            report()
    return between_cuts(stretch, begins[1:])  # the first picture begins a shot, too


def between_cuts(stretch: Stretch, cuts: Sequence[int]) -> list[Stretch]:
    """The shots between `cuts`, slots in which a new one begins; the slots that may show some of two are left out."""
    ends = [(stretch[0], stretch[0])]
    ends += [(Fraction(cut - 1, SLOTS_PER_S), Fraction(cut + 1, SLOTS_PER_S)) for cut in cuts]
    ends.append((stretch[1], stretch[1]))
    shots = [(max(before[1], stretch[0]), min(behind[0], stretch[1])) for before, behind in pairwise(ends)]
    return [(start, end) for start, end in shots if start < end]
