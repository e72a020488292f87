"""Which of two sounds belongs to a picture: its own, or the same shifted by some pictures, on windows of 1.5 s.

Each window is set against its own sound and against that of every offset, to either side, of the same clip. Who scores
its own sound higher is right; a tie is half right. Neither stream alone can tell: both sounds are whole and unturned.
"""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avsync.config import PairConfig, ViewConfig
from avsync.data.order import even_batch
from avsync.data.pairs import Pair, SoundWindow, Ways
from avsync.data.transforms import NetworkInput, prepare
from avsync.evaluate.forced_choice import Choices, choices
from avsync.honesty.predict import Predictions
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
    """A pair sampler: a window anywhere in a clip, its own sound, and those that are shifted by each of `shifts`."""

    window: int
    shifts: tuple[int, ...]
    """Pictures, none 0."""

    @property
    def sounds(self) -> int:
        return 1 + len(self.shifts)

    def shortest(self) -> int:
        return self.window + self._before + self._after

    @property
    def _before(self) -> int:
        return max(0, -min(self.shifts))

    @property
    def _after(self) -> int:
        return max(0, *self.shifts)

    def __call__(self, frames: int, rng: np.random.Generator) -> Pair:
        start = int(rng.choice(self._starts(frames)))
        others = (SoundWindow(start + shift, 0, False) for shift in self.shifts)
        return Pair(start, (SoundWindow(start, 0, True), *others))

    def _starts(self, frames: int) -> NDArray[np.int64]:
        return np.arange(self._before, frames - self.window - self._after + 1)

    def ways(self, frames: int) -> Ways:
        """In sync as often as all others together."""
        starts, many = self._starts(frames), len(self.shifts)
        shifts = np.array((*(0,) * many, *self.shifts))
        picture = np.tile(starts, len(shifts))
        same = np.ones_like(picture)
        return Ways(
            picture=picture,
            sound=picture + np.repeat(shifts, len(starts)),
            roll=0 * same,
            in_sync=np.repeat(shifts == 0, len(starts)),
            ways=same,
            of=2 * many * len(starts) * same,
        )


def offsets_of(_: PairConfig, clock: Clock) -> Offsets:
    """All that are asked for, to either side. Raises nothing: the clock was looked at."""
    pictures = [round(Fraction(offset, 1000) * clock.fps) for offset in OFFSETS_MS]
    window = clock.frames_in(Fraction(WINDOW_S))
    return Offsets(window=window, shifts=(*pictures, *(-each for each in pictures)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a trained candidate can do."""

    choice: Mapping[int, float]
    """Offset in ms -> share of right choices."""
    pairs: int
    """Choices at each offset."""
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
def judge(candidate: Candidate, feed: Feed, windows: int) -> Verdict:
    """windows: of each clip, the same ones for every candidate."""
    candidate.eval()
    draws = feed.fixed_draws(feed.clips, windows)
    size = even_batch(len(draws), CLIPS)
    rows, tables, times = (
        [draws[at : at + size] for at in range(0, len(draws), size)],
        list[Predictions](),
        list[float](),
    )
    with feed.loader(LoaderOptions(workers=1)) as loader:
        for batch in loader.batches(rows):
            given = prepare(batch, feed.view)
            if not times:
                times = [_cpu_ms(candidate, given) for _ in range(1 + TIMED)][1:]  # the first one sets things up
            kept = batch.valid.numpy()
            sounds = batch.in_sync.shape[1]
            shift = np.array([[draw.pair.shift(number) for number in range(sounds)] for draw in batch.draws])
            tables.append(
                Predictions(
                    clip=np.repeat([draw.clip for draw in batch.draws], sounds).reshape(-1, sounds)[kept].ravel(),
                    shift=shift[kept].ravel(),
                    in_sync=batch.in_sync.numpy()[kept].ravel() > 0.5,
                    logit=candidate.score(*given).numpy()[kept].ravel(),
                )
            )
    return _verdict(_joined(tables), feed, statistics.median(times))


def _verdict(found: Choices, feed: Feed, forward_ms: float) -> Verdict:
    group, fps = feed.dataset.index.group, feed.dataset.info.clock.fps
    at = {ms: found.of(np.abs(found.shift) == round(Fraction(ms, 1000) * fps), group) for ms in OFFSETS_MS}
    return Verdict(
        choice={ms: share.value for ms, share in at.items()},
        pairs=min(share.count for share in at.values()),
        clips=len(np.unique(found.clip)),
        forward_ms=forward_ms,
    )


def _joined(tables: list[Predictions]) -> Choices:
    names = ("clip", "shift", "in_sync", "logit")
    whole = Predictions(**{name: np.concatenate([getattr(table, name) for table in tables]) for name in names})
    return choices(whole, 1 + 2 * len(OFFSETS_MS))


def _cpu_ms(candidate: Candidate, given: NetworkInput) -> float:
    begun = time.process_time()
    candidate.score(given.frames[:1], given.sounds[:1, :1])
    return 1e3 * (time.process_time() - begun)
