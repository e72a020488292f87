"""Do sound and picture of a dataset belong together, and at which offset? A linear guess of the loudness from pictures.

Small grey pictures guess how loud the sound is so many frames later or earlier, by ridge regression, learnt from three
quarters of the clips and asked about the rest, in turns. What all clips share (sentences begin with silence) is taken
off first, else any two clips would fit. The offset with the best guess is the data's. How good a guess is by luck shows
where sounds are exchanged between clips. It knows nothing of networks, needs seconds, and sees only what is plain: that
it finds nothing proves little with few clips.

N clips, T frames of each, F cells of a small picture, D offsets.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch.nn import functional

from avsync.confidence.file_evidence import SILENT_DB, STILL, decibels, mean_motion
from avsync.confidence.planted import spread_clips
from avsync.data.batch import Batch
from avsync.data.order import Draw
from avsync.data.pairs import Pair, SoundWindow
from avsync.data.selection import WindowShape
from avsync.loading.feed import Feed
from avsync.loading.loader import Loader
from avsync.loading.options import LoaderOptions

CELLS = 12
"""Cells of a small picture, across and down."""
CLIPS, FEWEST_CLIPS = 160, 40
"""That are looked at; fewer prove nothing."""
LONGEST_S = 10.0
"""Of a clip that is looked at."""
FARTHEST_S = 0.8
"""Offset that is tried, either way."""
FOLDS = 4
RIDGE = 0.05
"""Penalty, in variances of a cell's brightness."""
EXCHANGES = 16
"""Times that the sounds are exchanged between the clips."""
CLEAR = 5.0
"""Standard deviations of a guess by luck that a true one stands above it."""
QUIET_DB = -60.0
"""Loudness is told down to here: what is below is silence."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ProbedClips:
    """What is kept of the clips."""

    fps: Fraction
    pictures: Floats
    """(N, T, F) grey, of 255 steps"""
    loudness: Floats
    """(N, T) dB below full scale of each frame's sound"""
    silent: NDArray[np.bool_]
    """(N,)"""
    still: NDArray[np.bool_]
    """(N,)"""

    @classmethod
    def of(cls, feed: Feed, options: LoaderOptions, advance: Callable[[], object]) -> Self:
        """Some clips of a split, from as many sources as there are. `advance` is called after each."""
        index, clock = feed.dataset.index, feed.dataset.info.clock
        frames = index.frames[feed.clips]
        length = min(int(np.quantile(frames, 0.25, method="lower")), round(LONGEST_S * float(clock.fps)))
        chosen = spread_clips(feed.clips[frames >= length], index.group, CLIPS)
        whole = Pair(0, (SoundWindow(0, 0, in_sync=True),))
        rows = [[Draw(clip, whole, 0, 0, False)] for clip in chosen]
        shape = WindowShape(window=length, every=1, samples=clock.sample_at(length), sounds=1)
        kept = list[tuple[Floats, Floats, bool, bool]]()
        with Loader(feed.dataset, feed.shelf, shape, options) as loader:
            for batch in loader.batches(rows):
                kept += _kept(batch, [clock.sample_at(frame) for frame in range(length + 1)])
                advance()
        return cls(
            fps=clock.fps,
            pictures=np.array([one[0] for one in kept], np.float32),
            loudness=np.array([one[1] for one in kept], np.float32),
            silent=np.array([one[2] for one in kept], bool),
            still=np.array([one[3] for one in kept], bool),
        )


def _kept(batch: Batch, edges: list[int]) -> Iterator[tuple[Floats, Floats, bool, bool]]:
    """Small pictures, loudness, silent, still; nothing of a clip that could not be read."""
    if bool(batch.valid[0]):
        yuv, sound = batch.yuv[0].cpu(), batch.audio[0, 0].cpu().numpy()
        grey = yuv[:, : yuv.shape[1] * 2 // 3].float()
        small = functional.adaptive_avg_pool2d(grey.unsqueeze(0), CELLS)[0].flatten(1).numpy()
        level = np.array([decibels(sound[first:stop]) for first, stop in pairwise(edges)], np.float32)
        yield small, level.clip(QUIET_DB), decibels(sound) < SILENT_DB, mean_motion(yuv.numpy()) < STILL


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FitCurve:
    """How well the sound is guessed at each offset."""

    fps: Fraction
    offsets: NDArray[np.int64]
    """(D,) frames by which the sound is late"""
    fit: NDArray[np.float64]
    """(D,) correlation of guess and truth"""
    luck: float
    """Standard deviation of it where there is nothing to guess."""
    clips: int

    @property
    def clear(self) -> bool:
        """Something was found."""
        return float(self.fit.max()) > CLEAR * self.luck

    @property
    def offset_s(self) -> float:
        """The sound is so late, where something was found."""
        return float(int(self.offsets[self.fit.argmax()]) / self.fps)

    @property
    def width_s(self) -> float:
        """Of the peak, at half of its height above what is usual."""
        top, usual = int(self.fit.argmax()), float(np.median(self.fit))
        high = self.fit > (self.fit[top] + max(usual, 0.0)) / 2
        low = stop = top
        while low > 0 and high[low - 1]:
            low -= 1
        while stop < len(high) - 1 and high[stop + 1]:
            stop += 1
        return float((stop - low + 1) / self.fps)


def fit_curve(clips: ProbedClips) -> FitCurve | None:
    """Of the clips that are neither silent nor still; None where they are too few or too short to tell."""
    useful = ~(clips.silent | clips.still)
    far = round(FARTHEST_S * float(clips.fps))
    count, frames = int(useful.sum()), clips.loudness.shape[-1]
    far = min(far, frames // 4)
    if count < FEWEST_CLIPS or far < 2:
        return None
    rng = np.random.Generator(np.random.Philox(0))
    fold = rng.permutation(count) % FOLDS
    pictures, loudness = _own_course(clips.pictures[useful]), _own_course(clips.loudness[useful])
    pictures /= pictures.std(axis=(0, 1)) + 1e-3
    fit = _fit(pictures, loudness, fold, far)
    lucky = [_fit(pictures, loudness[_exchange(rng, count)], fold, far) for _ in range(EXCHANGES)]
    return FitCurve(fps=clips.fps, offsets=np.arange(-far, far + 1), fit=fit, luck=float(np.std(lucky)), clips=count)


def _exchange(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """An order in which no clip has its own sound."""
    order = rng.permutation(count)
    exchanged = np.empty(count, np.int64)
    exchanged[order] = np.roll(order, 1)
    return exchanged


def _own_course(values: Floats) -> Floats:
    """Without what all clips share at a moment, and without each clip's own mean. (N, T, ...)"""
    values = values - values.mean(axis=0, keepdims=True)
    return values - values.mean(axis=1, keepdims=True)


def _fit(pictures: Floats, loudness: Floats, fold: NDArray[np.int64], far: int) -> NDArray[np.float64]:
    """(D,) correlation, over the clips of all folds, each guessed by the others."""
    _, frames, cells = pictures.shape
    seen = pictures[:, far : frames - far]
    heard = np.stack([loudness[:, far + at : frames - far + at] for at in range(-far, far + 1)], axis=-1)
    heard = heard - heard.mean(axis=1, keepdims=True)
    guess = np.empty_like(heard)
    for number in range(FOLDS):
        asked = fold == number
        given, wanted = seen[~asked].reshape(-1, cells), heard[~asked].reshape(-1, heard.shape[-1])
        ridge = RIDGE * len(given) * np.eye(cells, dtype=np.float32)
        weights = np.linalg.solve(given.T @ given + ridge, given.T @ wanted)
        guess[asked] = (seen[asked].reshape(-1, cells) @ weights).reshape(int(asked.sum()), -1, heard.shape[-1])
    guess -= guess.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.square(guess).sum(axis=(0, 1)) * np.square(heard).sum(axis=(0, 1)))
    return ((guess * heard).sum(axis=(0, 1)) / np.maximum(spread, 1e-9)).astype(np.float64)
