"""Which windows an audit looks at: pairs as training draws them, and two places of each clip. No torch here.

All is a function of the seed. The picture is looked at whole: a random crop of training may show any part of it.
"""

from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from avsync.data.draw import Draw
from avsync.data.order import clip_rng, shuffled
from avsync.data.pairs import Pair, Sound, Symmetric
from avsync.loading.feed import Feed

CLIPS, SOURCES = 1, 2
"""What is shuffled: each its own stream of random numbers."""
PLACES = (1 << 24) - 1
"""Streams of the places, from here downwards: those of a clip's pairs count upwards from 0."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Places:
    """N times two places of a clip, not nearer than a pair's windows; first the earlier one, then the later one."""

    clip: NDArray[np.int64]
    """(N,)"""
    start: NDArray[np.int64]
    """(N, 2) first frames"""
    couple: NDArray[np.int64]
    """(N,) two with the same number are of clips of two sources, and are the same two places; -1: alone"""
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


def draw_places(feed: Feed, clips: NDArray[np.int64], per_clip: int, low: int, high: int, seed: int) -> Places:
    """So many times two places of every clip that has room for them, as far apart as the windows of an honest pair.

    low, high: frames, as in the law.
    """
    frames, window = feed.dataset.index.frames, feed.law.window
    roomy = clips[frames[clips] > window]
    rows = list[tuple[int, int, int, int, int, int]]()
    for number, (couples, met) in enumerate(_couples(feed, roomy, seed)):
        for couple in couples:
            length = min(int(frames[clip]) for clip in couple)
            room = min(low, length - window)
            law = Symmetric(window=window, low=room, high=max(room, high))
            names = (couple[0] * per_clip, number) if met and len(couple) == 2 else (-1, -1)
            for time in range(per_clip):
                pair = law(length, clip_rng(seed, PLACES - time, couple[0]))
                early, late = sorted(sound.frame for sound in pair.sounds)
                rows += [(clip, time, early, late, names[0] + time * (names[0] >= 0), names[1]) for clip in couple]
    table = np.array(sorted(rows), np.int64).reshape(len(rows), 6)
    return Places(clip=table[:, 0], start=table[:, 2:4], couple=table[:, 4], pair_of_sources=table[:, 5])


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
    """Two rows each, one at each place; all sounds of a row are that place's own."""
    return [
        Draw(clip, Pair(start, (Sound(start, 0, True),) * feed.law.sounds), 0, 0, False)
        for clip, starts in zip(places.clip.tolist(), places.start.tolist(), strict=True)
        for start in starts
    ]
