"""Which windows an audit looks at: pairs as training draws them, and two places of each clip. No torch here.

All is a function of the seed. The picture is looked at whole: a random crop of training may show any part of it.
"""

from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from avsync.draw import Draw
from avsync.feed import Feed
from avsync.order import clip_rng, shuffled
from avsync.pairs import Pair, Sound, Symmetric

CLIPS, SOURCES = 1, 2
"""What is shuffled: each its own stream of random numbers."""
PLACES = (1 << 24) - 1
"""Stream of the places, beyond any number of pairs of a clip."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Places:
    """Two places of each of N clips, not nearer than a pair's windows; first the earlier one, then the later one."""

    clip: NDArray[np.int64]
    """(N,)"""
    start: NDArray[np.int64]
    """(N, 2) first frames"""
    couple: NDArray[np.int64]
    """(N,) clips of two sources with the same number have the same two places; -1: alone"""
    pair_of_sources: NDArray[np.int64]
    """(N,) couples with the same number are made of the same two sources; -1: alone"""


def chosen_clips(feed: Feed, most: int, seed: int) -> NDArray[np.int64]:
    """At most so many of the usable clips, in ascending order: the first of every source, then the second, ..."""
    mixed = shuffled(feed.clips, seed, 0, CLIPS)
    group = feed.dataset.index.group[mixed]
    seen = dict[int, int]()
    turn = np.empty(len(mixed), np.int64)
    for at, one in enumerate(group.tolist()):
        turn[at] = seen[one] = seen.get(one, -1) + 1
    return np.sort(mixed[np.argsort(turn, kind="stable")[:most]])


def label_draws(feed: Feed, clips: NDArray[np.int64], per_clip: int, seed: int) -> list[Draw]:
    """Pairs by the law of training."""
    frames = feed.dataset.index.frames
    return [
        Draw(int(clip), feed.law(int(frames[clip]), clip_rng(seed, number, int(clip))), 0, 0, False)
        for clip in clips
        for number in range(per_clip)
    ]


def draw_places(feed: Feed, clips: NDArray[np.int64], low: int, high: int, seed: int) -> Places:
    """Two places of every clip that has room for them, as far apart as the windows of an honest pair.

    low, high: frames, as in the law.
    """
    frames, window = feed.dataset.index.frames, feed.law.window
    roomy = clips[frames[clips] > window]
    rows = list[tuple[int, int, int, int, int]]()
    for number, (couples, both) in enumerate(_couples(feed, roomy, seed)):
        for couple in couples:
            length = min(int(frames[clip]) for clip in couple)
            room = min(low, length - window)
            rng = clip_rng(seed, PLACES, couple[0])
            pair = Symmetric(window=window, low=room, high=max(room, high))(length, rng)
            early, late = sorted(sound.frame for sound in pair.sounds)
            met = len(couple) == 2 and both
            rows += [(clip, early, late, couple[0] if met else -1, number if met else -1) for clip in couple]
    table = np.array(sorted(rows), np.int64).reshape(len(rows), 5)
    return Places(clip=table[:, 0], start=table[:, 1:3], couple=table[:, 3], pair_of_sources=table[:, 4])


def _couples(feed: Feed, clips: NDArray[np.int64], seed: int) -> list[tuple[list[list[int]], bool]]:
    """Sources two by two, of similar length, and the clips of each two side by side; who has no partner is alone."""
    index = feed.dataset.index
    group = index.group[clips]
    sources = shuffled(np.unique(group).astype(np.int64), seed, 0, SOURCES).tolist()
    clips_of = {source: clips[group == source].tolist() for source in sources}
    sources.sort(key=lambda source: int(index.frames[clips_of[source][0]]))  # stable: those of one length stay mixed
    found = list[tuple[list[list[int]], bool]]()
    for one, other in zip_longest(sources[::2], sources[1::2]):
        sides = zip_longest(clips_of[one], clips_of[other] if other is not None else [])
        found.append(([[clip for clip in side if clip is not None] for side in sides], other is not None))
    return found


def place_draws(feed: Feed, places: Places) -> list[Draw]:
    """Two rows a clip, one at each place; all sounds of a row are that place's own."""
    return [
        Draw(clip, Pair(start, (Sound(start, 0, True),) * feed.law.sounds), 0, 0, False)
        for clip, starts in zip(places.clip.tolist(), places.start.tolist(), strict=True)
        for start in starts
    ]
