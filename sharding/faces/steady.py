"""A followed face becomes a box around its mouth that holds still: of one size, on a path that speech does not move.

The box is that of the mouth crops which networks here are tried on: its side is 2.1 widths of the mouth, its centre the
mouth's. Both are measured on the corners of the mouth; FACTOR makes up for corners lying inside of the lips' outline.

The path is low-passed far below the rate of syllables (2 to 8 Hz): a box that went with the lips would say what they
do. What quickly moves is taken from all five points as of one stiff face, in which an opening mouth counts little;
what is left of the mouth's own place, as while the head turns, follows slowly.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from sharding.containers.stretches import Stretch
from sharding.faces.follow import THOROUGH, FaceLooks, Following, follow
from sharding.format.crop import BoxPath, Knot, Size, at_once
from sharding.media.probe import Probe
from sharding.media.video import upright_size

Points = NDArray[np.float64]
# K looks at a face, 5 points: eyes, nose, corners of the mouth

FACTOR = 2.03
"""Side of the box in distances of the mouth's corners: median of 36 videos of six GRID speakers, whose crops were made
by the lips' outline; 1.97 to 2.09 for eight of ten."""
QUICK_S, SLOW_S = 0.35, 1.0
"""Standard deviations of the two Gaussians, in seconds. The first leaves 9 % of a nod of 1 Hz and nothing from 2 Hz on;
in 31 videos of talks the mouth is within an eighth of the box's side of its centre in 19 of 20 moments."""
LEAST_S = Fraction(1)
"""A face that is seen for less is not followed: most of these are none."""
LEAST_SEEN = 0.6
"""Share of the looks in which it must be found, for the same reason."""
BEND = 1 / 400
"""Of the side: a path may be drawn so much straighter than it is; a quarter of a pixel of 96."""
PLACES = 100
"""Positions are whole hundredths of a pixel."""


def find_faces(
    source: Probe,
    stretches: Sequence[Stretch],
    report: Callable[[], None] = lambda: None,
    looks: FaceLooks = THOROUGH,
) -> tuple[BoxPath, ...]:
    """A steady box for each face in these stretches of a source, in the order they come, those of a moment from left.

    `report` is called every second of picture. Raises RejectError, MemoryError; InputError: there is no detector.
    """
    size = upright_size(source)
    if size is None:
        return ()
    followed = [one for stretch in stretches for one in follow(source, stretch, report, looks)]
    paths = [path for one in followed if (path := steady(one, size, looks)) is not None]
    return numbered(paths)


def numbered(paths: Sequence[BoxPath]) -> tuple[BoxPath, ...]:
    """In their order, each with its number and how many are there at once."""
    ordered = sorted(paths, key=lambda path: (path.knots[0].time, path.knots[0].x))
    spans = [path.stretch for path in ordered]
    return tuple(
        replace(path, track=number, faces=at_once(path.stretch, spans)) for number, path in enumerate(ordered, 1)
    )


def steady(one: Following, size: Size, looks: FaceLooks = THOROUGH) -> BoxPath | None:
    """The path of one face; None when there is too little of it to believe in it."""
    first, last = one.sightings[0].slot, one.last.slot
    looked = (last - first) // looks.every + 1
    # a slot stands for what is shown around its moment: at both ends, one of the next shot's may be among that
    start, stop = first + 1, one.until - 2
    if (stop - start) / looks.fps < LEAST_S or len(one.sightings) < LEAST_SEEN * looked:
        return None
    slots = np.arange(first, last + 1, looks.every)
    points = _points(one, slots, size)
    mouth = points[:, 3:].mean(axis=1)
    stiff = stiff_mouth(points)
    per_s = float(looks.fps) / looks.every
    smooth = low_passed(stiff, QUICK_S * per_s) + low_passed(mouth - stiff, SLOW_S * per_s)
    middle = np.clip(smooth, 0, np.array(size, np.float64))
    side = _rounded(min(FACTOR * float(np.median(np.hypot(*(points[:, 4] - points[:, 3]).T))), *map(float, size)))
    moments = np.unique(np.clip((start, *slots.tolist(), stop), start, stop))
    corner = np.stack([np.interp(moments, slots, middle[:, axis]) for axis in (0, 1)], axis=1) - float(side) / 2
    kept = bends(np.column_stack((moments, corner)), BEND * float(side))
    knots = tuple(Knot(int(moments[at]) / looks.fps, *map(_rounded, corner[at].tolist())) for at in kept)
    return BoxPath(track=1, faces=1, width=side, height=side, knots=knots)


def _points(one: Following, slots: NDArray[np.int64], size: Size) -> Points:
    """(K, 5, 2) in pixels of the upright picture, in between where a look did not find it."""
    seen = np.array([sighting.slot for sighting in one.sightings])
    there = np.stack([sighting.points for sighting in one.sightings]).reshape(len(seen), -1)
    filled = np.stack([np.interp(slots, seen, column) for column in there.T], axis=1)
    return filled.reshape(len(slots), 5, 2) * np.array(size, np.float64)


def stiff_mouth(points: Points) -> NDArray[np.float64]:
    """(K, 2) where the mouth would be if the face were stiff: turned, scaled and moved as all five points together."""
    at = points[..., 0] + 1j * points[..., 1]
    centre = at.mean(axis=1)
    shape = np.median(points, axis=0)
    stiff = shape[:, 0] + 1j * shape[:, 1]
    stiff = stiff - stiff.mean()
    turn = (at - centre[:, None]) @ stiff.conj() / (np.abs(stiff) ** 2).sum()
    mouth = centre + turn * stiff[3:].mean()
    return np.stack((mouth.real, mouth.imag), axis=1)


def low_passed(path: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """(K, 2) smoothed by a Gaussian of `sigma` looks: at each look the straight line that fits best to what is near.

    Where it ends there is something near on one side only, and a mean would lag behind a head that goes.
    """
    reach = min(int(3 * sigma), len(path) - 1)
    offsets = np.arange(-reach, reach + 1, dtype=np.float64)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)

    def moment(values: NDArray[np.float64], power: int) -> NDArray[np.float64]:
        return np.convolve(values, (weights * offsets**power)[::-1], "full")[reach : reach + len(path)]

    there = [moment(np.ones(len(path)), power) for power in range(3)]
    spread = there[0] * there[2] - there[1] ** 2
    return np.stack([(there[2] * moment(x, 0) - there[1] * moment(x, 1)) / spread for x in path.T], axis=1)


def bends(path: NDArray[np.float64], most: float) -> list[int]:
    """Which rows (time, x, y) to keep so that straight lines between them miss no other by more than `most`."""
    kept, waiting = {0, len(path) - 1}, [(0, len(path) - 1)]
    while waiting:
        first, last = waiting.pop()
        if last - first < 2:
            continue
        share = (path[first:last, :1] - path[first, 0]) / (path[last, 0] - path[first, 0])
        missed = np.abs(path[first:last, 1:] - path[first, 1:] - share * (path[last, 1:] - path[first, 1:])).max(axis=1)
        worst = int(missed.argmax())
        if missed[worst] > most:
            kept.add(first + worst)
            waiting += [(first, first + worst), (first + worst, last)]
    return sorted(kept)


def _rounded(pixels: float) -> Fraction:
    return Fraction(round(pixels * PLACES), PLACES)
