"""Windows read with the training's own loader, and what is kept of them: features, never windows, so memory is bounded.

R rows (pictures), K sounds of each; C T of a sound's map; h w pixels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from itertools import chain
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from avsync.audit.ask import Places, chosen_clips, draw_places, label_draws, place_draws
from avsync.audit.config import AuditConfig
from avsync.audit.features import every_for, rule_values, small_pictures, sound_map
from avsync.config import exact_seconds
from avsync.data.batch import Batch
from avsync.data.draw import Draw, batches_of_rank
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.run.network import pick_device

ROWS = 12
"""Rows a batch."""
Advance = Callable[[str, int, int], None]
"""Told what is done now, and how much of how much."""


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

    @classmethod
    def join(cls, parts: list["Looked"]) -> Self:
        """The parts, one after the other."""
        return cls(**{name.name: np.concatenate([getattr(one, name.name) for one in parts]) for name in fields(cls)})

    def rows(self, at: NDArray) -> "Looked":
        """Some of the rows."""
        return Looked(**{name.name: getattr(self, name.name)[at] for name in fields(self)})


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evidence:
    """All that the probes look at."""

    labels: Looked
    """Pairs by the law of training."""
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


def gather(feed: Feed, config: AuditConfig, advance: Advance) -> Evidence:
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
    return Evidence(
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
    with feed.loader(options, every_for(feed.law.window)) as loader:
        for number, batch in enumerate(loader.batches(batches)):
            parts.append(keep(batch, feed.dataset.info.clock.sample_rate, config.pairs.mute_samples))
            advance("reading windows", number + 1, len(batches))
    back = np.empty(len(draws), np.int64)
    back[order] = np.arange(len(draws))
    return Looked.join(parts).rows(back)  # padding comes last, and nobody asks for it


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
