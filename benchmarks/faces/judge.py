"""Which of two sounds belongs to a picture: its own, or the same shifted by some pictures, on windows of 1.5 s.

A window lies anywhere in a clip, each place as likely, and is set against its own sound and that of every offset to
either side that fits. So of two sounds either is as often the right one, whatever they sound like: a law that leaves
room on both sides of each window puts the right sound in the middle, where a sentence is loud, and always taking the
louder one is right in 62 % of GRID's choices at 400 ms. Who scores its own sound higher is right; a tie is half right.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avsync.config import PairConfig, ViewConfig
from avsync.data.batch import Batch
from avsync.data.order import View, even_batch
from avsync.data.pairs import Pair, SoundWindow, Ways
from avsync.data.transforms import NetworkInput, prepare
from avsync.honesty.predict import Choices, preferred
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.staging.mirror import StagedDataset
from benchmarks.faces.candidate import Candidate
from sharding.format.clip import Clock
from sharding.format.dataset import open_dataset

WINDOW_S = 1.5
OFFSETS_MS = (40, 80, 120, 200, 400)
CLIPS = 4
"""At once."""
TIMED = 5
"""Windows whose time is taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Offsets:
    """A pair sampler: a window anywhere in a clip, its own sound, and those shifted by each of `shifts`. In place of
    one that lies beyond the clip its own stands again, as what it is: in sync.
    """

    window: int
    shifts: tuple[int, ...]
    """Pictures, none 0; each to either side."""

    @property
    def sounds(self) -> int:
        return 1 + len(self.shifts)

    def shortest(self) -> int:
        """Every shift fits somewhere."""
        return self.window + max(self.shifts)

    def __call__(self, frames: int, rng: np.random.Generator) -> Pair:
        last = frames - self.window
        start = int(rng.integers(last + 1))
        shifts = (shift if 0 <= start + shift <= last else 0 for shift in self.shifts)
        others = (SoundWindow(start + shift, 0, not shift) for shift in shifts)
        return Pair(start, (SoundWindow(start, 0, True), *others))

    def ways(self, frames: int) -> Ways:
        """In sync as often as all others together."""
        last = frames - self.window
        starts = np.arange(last + 1)
        picture, shift = (axis.ravel() for axis in np.meshgrid(starts, self.shifts, indexing="ij"))
        fits = (picture + shift >= 0) & (picture + shift <= last)
        picture, shift = picture[fits], shift[fits]
        size = (len(starts), len(picture))
        return Ways(
            picture=np.concatenate((starts, picture)),
            sound=np.concatenate((starts, picture + shift)),
            roll=np.zeros(sum(size), np.int64),
            in_sync=np.repeat((True, False), size),
            ways=np.ones(sum(size), np.int64),
            of=np.repeat([2 * each for each in size], size),
        )


def offsets_of(_: PairConfig, clock: Clock) -> Offsets:
    """All that are asked for, to either side. Raises nothing: the clock was looked at."""
    pictures = [round(Fraction(offset, 1000) * clock.fps) for offset in OFFSETS_MS]
    window = clock.frames_in(Fraction(WINDOW_S))
    return Offsets(window=window, shifts=(*pictures, *(-each for each in pictures)))


def named(offset_ms: int) -> str:
    """For heads and files."""
    return f"{offset_ms} ms"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a trained candidate can do."""

    choice: Mapping[str, float]
    """Offset, as `named` says it -> share of right choices."""
    pairs: int
    """Choices at each offset, at least."""
    clips: int
    forward_ms: float
    """CPU time of a window with one sound."""


def open_unseen(folder: Path, split: str, view: ViewConfig) -> Feed:
    """The clips of a split whose speaker (action) is not in train; all, where every one is. Raises InputError."""
    feed = Feed.of(StagedDataset.of_folder(folder), split, PairConfig(), view, sampler=offsets_of)
    known = np.unique(open_dataset(folder, "train").index.action)
    return feed.with_clips(unseen(feed.clips, feed.dataset.index.action[feed.clips], known))


def unseen(clips: NDArray[np.int64], action: NDArray[np.integer], known: NDArray[np.integer]) -> NDArray[np.int64]:
    """Those of `clips` whose action, one each, is not known; all, where each is."""
    new = clips[~np.isin(action, known)]
    return new if len(new) else clips


@torch.no_grad()
def judge(
    candidate: Candidate, feed: Feed, windows: int, shown: Callable[[Batch, View], NetworkInput] = prepare
) -> Verdict:
    """windows: of each clip, the same ones for every candidate; shown: what is made of them."""
    candidate.eval()
    draws = feed.fixed_draws(feed.clips, windows)
    size = even_batch(len(draws), CLIPS)
    rows, tables, times = (
        [draws[at : at + size] for at in range(0, len(draws), size)],
        list[Choices](),
        list[float](),
    )
    with feed.loader(LoaderOptions(workers=1)) as loader:
        for batch in loader.batches(rows):
            given = shown(batch, feed.view)
            if not times:
                times = [_cpu_ms(candidate, given) for _ in range(1 + TIMED)][1:]  # the first one sets things up
            tables.append(_choices(batch, candidate.score(*given).numpy()))
    found = Choices(*map(np.concatenate, zip(*tables, strict=True)))
    return _verdict(found, feed, statistics.median(times))


def _verdict(found: Choices, feed: Feed, forward_ms: float) -> Verdict:
    group, fps = feed.dataset.index.group, feed.dataset.info.clock.fps
    at = {named(ms): found.of(np.abs(found.shift) == round(Fraction(ms, 1000) * fps), group) for ms in OFFSETS_MS}
    return Verdict(
        choice={name: share.value for name, share in at.items()},
        pairs=min(share.count for share in at.values()),
        clips=len(np.unique(found.clip)),
        forward_ms=forward_ms,
    )


def _choices(batch: Batch, score: NDArray[np.float32]) -> Choices:
    """score: (B, K), the first sound of each row its own."""
    shift = np.array([[draw.pair.shift(number) for number in range(score.shape[1])] for draw in batch.draws])
    clip = np.repeat([[draw.clip] for draw in batch.draws], score.shape[1], axis=1)
    own = np.repeat(score[:, :1], score.shape[1], axis=1)
    asked = (batch.in_sync.numpy() < 0.5) & batch.valid.numpy()[:, None]
    return Choices(clip[asked], shift[asked], preferred(own[asked], score[asked]))


def _cpu_ms(candidate: Candidate, given: NetworkInput) -> float:
    begun = time.process_time()
    candidate.score(given.frames[:1], given.sounds[:1, :1])
    return 1e3 * (time.process_time() - begun)
