"""Which windows an audit looks at, and what is kept of them: features, never windows, so memory is bounded.

Pairs as training draws them, and two places of each clip, read with the training's own loader; all is a function of the
seed. The picture is looked at whole: a random crop of training may show any part of it.

R rows (pictures), K sounds of each; C T of a sound's map; h w pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from avsync.audit.config import AuditConfig
from avsync.audit.features import every_for, rule_values, small_pictures, sound_map
from avsync.config import exact_seconds
from avsync.data.batch import Batch
from avsync.data.order import Draw, batches_of_rank, clip_rng, shuffled
from avsync.data.pairs import Pair, SoundWindow, Symmetric
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.run.network import pick_device

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Arrays = TypeVar("Arrays", bound="DataclassInstance")
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
    latest = dict[int, int]()
    turn = np.empty(len(mixed), np.int64)
    for at, one in enumerate(group.tolist()):
        turn[at] = latest[one] = latest.get(one, -1) + 1
    return np.sort(mixed[np.argsort(turn, kind="stable")[:most]])


def label_draws(feed: Feed, clips: NDArray[np.int64], per_clip: int, seed: int) -> list[Draw]:
    """Pairs as the sampler of training draws them."""
    frames = feed.dataset.index.frames
    return [
        Draw(int(clip), feed.sampler(int(frames[clip]), clip_rng(seed, number, int(clip))), 0, 0, False)
        for clip in clips
        for number in range(per_clip)
    ]


def draw_places(feed: Feed, clips: NDArray[np.int64], per_clip: int, low: int, high: int, seed: int) -> Places:
    """So many times two places of every clip that has room for them, as far apart as the windows of an honest pair.

    low, high: frames, as in the pair sampler.
    """
    frames, window = feed.dataset.index.frames, feed.sampler.window
    roomy = clips[frames[clips] > window]
    rows = list[tuple[int, int, int, int, int, int]]()
    for number, (both, met) in enumerate(couples(feed, roomy, seed)):
        for couple in both:
            length = min(int(frames[clip]) for clip in couple)
            room = min(low, length - window)
            sampler = Symmetric(window=window, low=room, high=max(room, high))
            names = (couple[0] * per_clip, number) if met and len(couple) == 2 else (-1, -1)
            for time in range(per_clip):
                pair = sampler(length, clip_rng(seed, PLACES - time, couple[0]))
                early, late = sorted(sound.frame for sound in pair.sounds)
                rows += [(clip, time, early, late, names[0] + time * (names[0] >= 0), names[1]) for clip in couple]
    table = np.array(sorted(rows), np.int64).reshape(len(rows), 6)
    return Places(clip=table[:, 0], start=table[:, 2:4], couple=table[:, 4], pair_of_sources=table[:, 5])


def couples(feed: Feed, clips: NDArray[np.int64], seed: int) -> list[tuple[list[list[int]], bool]]:
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
        Draw(clip, Pair(start, (SoundWindow(start, 0, True),) * feed.sampler.sounds), 0, 0, False)
        for clip, starts in zip(places.clip.tolist(), places.start.tolist(), strict=True)
        for start in starts
    ]


ROWS = 12
"""Rows a batch."""
Advance = Callable[[str, int, int], None]
"""Gets what is done now, and how much of how much."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Looked:
    """What is kept of some rows, in the order of their draws."""

    clip: NDArray[np.int64]
    """(R,) -1: could not be read"""
    in_sync: NDArray[np.bool_]
    """(R, K)"""
    maps: NDArray[np.float16]
    """(R, K, C, T)"""
    rules: NDArray[np.float32]
    """(R, K, rules)"""
    pictures: NDArray[np.uint8]
    """(R, PICTURES, h, w)"""

    def rows(self, at: NDArray) -> "Looked":
        """Some of the rows."""
        return Looked(**{name.name: getattr(self, name.name)[at] for name in fields(self)})


def joined(parts: Sequence[Arrays]) -> Arrays:
    """Parts whose fields are arrays, one after the other."""
    kind = type(parts[0])
    return kind(**{name.name: np.concatenate([getattr(one, name.name) for one in parts]) for name in fields(kind)})


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AuditEvidence:
    """All that the probes look at."""

    labels: Looked
    """Pairs as the sampler of training draws them."""
    label_group: NDArray[np.int64]
    """(R,) source of each row"""
    early: Looked
    """The earlier one of each two places; only those both of which could be read."""
    late: Looked
    """The later places."""
    places: Places
    place_group: NDArray[np.int64]
    """(N,) source of each two places"""
    seed: int


def gather(feed: Feed, config: AuditConfig, advance: Advance) -> AuditEvidence:
    """Read, and keep what is needed. Raises AvsyncError when too many clips in a row cannot be read."""
    clips = chosen_clips(feed, config.clips, config.seed)
    pairs, fps = config.pairs, feed.dataset.info.clock.fps
    low, high = (max(1, round(exact_seconds(s) * fps)) for s in (pairs.min_shift_s, pairs.max_shift_s))
    places = draw_places(feed, clips, config.pairs_per_clip, low, high, config.seed)
    labels = label_draws(feed, clips, config.pairs_per_clip, config.seed)
    there = place_draws(feed, places)
    read = look(feed, labels + there, config, advance)
    ours, theirs = read.rows(np.arange(len(labels))), read.rows(np.arange(len(labels), len(labels) + len(there)))
    ours = ours.rows(ours.clip >= 0)
    kept = (theirs.clip[::2] >= 0) & (theirs.clip[1::2] >= 0)
    group = feed.dataset.index.group.astype(np.int64)
    held = Places(**{name.name: getattr(places, name.name)[kept] for name in fields(places)})
    return AuditEvidence(
        labels=ours,
        label_group=group[ours.clip],
        early=theirs.rows(np.flatnonzero(kept) * 2),
        late=theirs.rows(np.flatnonzero(kept) * 2 + 1),
        places=held,
        place_group=group[held.clip],
        seed=config.seed,
    )


def look(feed: Feed, draws: list[Draw], config: AuditConfig, advance: Advance) -> Looked:
    """Of each draw, in their order. They are read clip by clip, which are shard by shard."""
    order = np.argsort([draw.clip for draw in draws], kind="stable")
    batches = batches_of_rank([draws[at] for at in order], ROWS, 0, 1)
    options = LoaderOptions(device=pick_device(config.device))
    parts = list[Looked]()
    with feed.loader(options, every_for(feed.sampler.window)) as loader:
        for number, batch in enumerate(loader.batches(batches)):
            parts.append(keep(batch, feed.dataset.info.clock.sample_rate, config.pairs.mute_samples))
            advance("reading windows", number + 1, len(batches))
    back = np.empty(len(draws), np.int64)
    back[order] = np.arange(len(draws))
    return joined(parts).rows(back)  # padding comes last, and nobody asks for it


@torch.no_grad()
def keep(batch: Batch, rate: int, mute_samples: int) -> Looked:
    """Features of a batch; mute_samples: as in training, so many samples are zero before anything is heard."""
    rows, sounds = batch.in_sync.shape
    sound = batch.audio.float().mean(3).flatten(0, 1) / 32768
    sound[:, :mute_samples] = 0
    one_by_one = [(sound_map(one, rate).half(), rule_values(one, rate)) for one in sound.split(4)]
    maps, rules = (torch.cat(parts).unflatten(0, (rows, sounds)) for parts in zip(*one_by_one, strict=True))
    valid = batch.valid.cpu().numpy()
    return Looked(
        clip=np.where(valid, [draw.clip for draw in batch.draws], -1),
        in_sync=batch.in_sync.cpu().numpy() > 0.5,
        maps=maps.cpu().numpy(),
        rules=rules.cpu().numpy(),
        pictures=small_pictures(batch.yuv).cpu().numpy(),
    )


def folds(group: NDArray[np.int64], seed: int) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Twice (what to learn from, what to be asked about): half of the sources each time, every source asked once."""
    sources = np.unique(group)
    half = np.random.Generator(np.random.Philox(seed)).permutation(sources)[: len(sources) // 2]
    first = np.isin(group, half)
    return chain([(first, ~first), (~first, first)])
