"""How an object moves, and what of it can be heard: impacts, and the effort and height that a tone follows.

Every motion is a chain of independent moves that began long before the first picture, so that the law of a scene is the
same at every instant: nothing in one stream alone says where in the scene it was cut. Moves have random lengths: a
periodic motion would look in sync again one period later.

N points of a fine time grid.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]

GRID_HZ = 1000
"""Motions are known at this rate; pictures and sound read them at their own."""
LEAD_S = 4.0
"""How long a motion has been going on at time 0: longer than any single move or ringing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectTrack:
    """The room one object has, in fractions of the picture."""

    x: float
    """Centre."""
    reach: float
    """How far the object's centre may go to either side."""
    top: float
    """Highest place of the object's centre."""
    floor: float
    """Lowest place of the object's centre."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Motion:
    """One object's path and its audible side. Times in seconds; positions are fractions of the picture."""

    time: Curve
    """(N,) the grid, from -LEAD_S on."""
    x: Curve
    """(N,) of the object's centre."""
    y: Curve
    """(N,)"""
    squash: Curve
    """(N,) 0 = round; an impact flattens the object for a moment."""
    impacts: Curve
    """(M, 2) time and strength (0 to 1) of each impact."""
    effort: Curve
    """(N,) speed, 0 to 1: the loudness of a tone."""
    height: Curve
    """(N,) 0 at the floor, 1 at the top: the pitch of a tone."""
    pivot: tuple[float, float] | None = None
    """Where the rod hangs, for objects on a rod."""
    ground: ObjectTrack | None = None
    """Whose floor has a ledge to land on, for objects that fall."""


def times(seconds: float) -> Curve:
    """The grid of a scene."""
    return np.arange(-LEAD_S, seconds + 0.5, 1 / GRID_HZ)


def bounce(rng: np.random.Generator, track: ObjectTrack, time: Curve) -> Motion:
    """A ball under gravity, kicked anew at each impact."""
    longest = 1.2
    starts, move, gone = _moves(rng, time, (0.4, longest))
    flight = np.diff(starts, append=starts[-1] + longest)
    arc = (flight[move] / longest) ** 2 * 4 * gone * (1 - gone)
    impacts = np.column_stack([starts[1:], 0.6 + 0.4 * flight[:-1] / longest])
    y = track.floor - (track.floor - track.top) * arc
    return _motion(track, time, track.x + track.reach * _wander(rng, time, 1.2), y, impacts=impacts)


def hop(rng: np.random.Generator, track: ObjectTrack, time: Curve) -> Motion:
    """It sits, jumps to another place at a random moment, and lands with a knock."""
    starts, move, gone = _moves(rng, time, (0.6, 1.3))
    length = np.diff(starts, append=starts[-1] + 1)[move]
    air = 0.45  # seconds of flight; the rest of a move is sitting
    flight = np.clip(1 - (1 - gone) * length / air, 0, 1)
    landings = track.x + track.reach * _far_apart(rng, len(starts) + 1)
    x = landings[move] + (landings[move + 1] - landings[move]) * flight
    y = track.floor - (track.floor - track.top) * rng.uniform(0.5, 0.9) * 4 * flight * (1 - flight)
    impacts = np.column_stack([starts[1:], rng.uniform(0.7, 1.0, len(starts) - 1)])
    return _motion(track, time, x, y, impacts=impacts)


def glide(rng: np.random.Generator, track: ObjectTrack, time: Curve) -> Motion:
    """It slides up and down its column by fits and starts."""
    starts, move, gone = _moves(rng, time, (0.7, 1.4))
    length = np.diff(starts, append=starts[-1] + 1)[move]
    travel = 0.6  # seconds on the way; the rest of a move is rest
    way = np.clip(1 - (1 - gone) * length / travel, 0, 1)
    heights = (1 + _far_apart(rng, len(starts) + 1)) / 2
    height = heights[move] + (heights[move + 1] - heights[move]) * way**3 * (10 - 15 * way + 6 * way**2)
    x = track.x + track.reach * _wander(rng, time, 2.0)
    return _motion(track, time, x, track.floor - (track.floor - track.top) * height, effort=_speed(height))


def swing(rng: np.random.Generator, track: ObjectTrack, time: Curve) -> Motion:
    """A weight on a rod, each swing of another width and length, with rests at the turns."""
    starts, move, gone = _moves(rng, time, (0.7, 1.3))
    length = np.diff(starts, append=starts[-1] + 1)[move]
    way = np.clip(1 - (1 - gone) * length / 0.6, 0, 1)
    side = np.where(np.arange(len(starts) + 1) % 2, 1, -1) * rng.choice((-1, 1))
    turns = side * rng.uniform(0.5, 1.0, len(starts) + 1)
    angle = turns[move] + (turns[move + 1] - turns[move]) * (1 - np.cos(np.pi * way)) / 2
    rod = (track.floor - track.top) * rng.uniform(0.7, 1.0)
    widest = np.arcsin(min(1.0, track.reach * 1.6 / rod))
    x, y = track.x + rod * np.sin(widest * angle), track.top + rod * np.cos(widest * angle)
    motion = _motion(track, time, x, y, effort=_speed(angle / 2))
    return replace(motion, pivot=(track.x, track.top), height=(1 + angle) / 2)


MOTIONS: dict[str, Callable[[np.random.Generator, ObjectTrack, Curve], Motion]] = {
    "bounce": bounce,
    "hop": hop,
    "glide": glide,
    "swing": swing,
}
"""Action -> how its objects move."""


def _motion(
    track: ObjectTrack, time: Curve, x: Curve, y: Curve, *, impacts: Curve | None = None, effort: Curve | None = None
) -> Motion:
    squash = np.zeros_like(time)
    hits = np.empty((0, 2)) if impacts is None else impacts[(impacts[:, 0] < time[-1])]
    for at, strength in hits:
        squash = np.maximum(squash, strength * np.exp(-np.abs(time - at) / 0.04))
    return Motion(
        time=time,
        ground=None if impacts is None else track,
        x=x,
        y=y,
        squash=squash,
        impacts=hits,
        effort=np.zeros_like(time) if effort is None else effort,
        height=(track.floor - y) / (track.floor - track.top),
    )


def _moves(
    rng: np.random.Generator, time: Curve, lengths: tuple[float, float]
) -> tuple[Curve, NDArray[np.intp], Curve]:
    """Cut time into moves of random length: their starts, and each grid point's move and the fraction of it gone by."""
    enough = int((time[-1] - time[0]) / lengths[0]) + 4
    starts = time[0] - lengths[1] + np.cumsum(rng.uniform(*lengths, enough)) - lengths[0]
    move = np.searchsorted(starts, time, side="right") - 1
    move = np.maximum(move, 0)
    gone = (time - starts[move]) / (starts[move + 1] - starts[move])
    return starts, move, np.clip(gone, 0, 1)


def _far_apart(rng: np.random.Generator, count: int) -> Curve:
    """(count,) places in [-1, 1], neighbours at least 0.8 apart."""
    places = [rng.uniform(-1, 1)]
    while len(places) < count:
        place = rng.uniform(-1, 1)
        if abs(place - places[-1]) >= 0.8:
            places.append(place)
    return np.array(places)


def _wander(rng: np.random.Generator, time: Curve, period: float) -> Curve:
    """(N,) a slow walk within [-1, 1] that passes a new random place every `period` seconds."""
    knots = np.arange(time[0] - rng.uniform(0, period), time[-1] + period, period)
    places = rng.uniform(-1, 1, len(knots))
    at = np.interp(time, knots, np.arange(len(knots)))
    step, rest = np.floor(at).astype(int), at % 1
    ahead = np.minimum(step + 1, len(knots) - 1)
    return places[step] + (places[ahead] - places[step]) * (1 - np.cos(np.pi * rest)) / 2


def _speed(path: Curve) -> Curve:
    """(N,) of a path, scaled so that the fastest usual move is 1."""
    speed = np.abs(np.gradient(path) * GRID_HZ)
    return np.clip(speed / 3.5, 0, 1)
