"""Are the lips of a dataset in sync with its sound, as the network that comes with avsync sees it?

What `loudness` cannot see, it can: an offset of a picture or two, of each person by itself. A camera's sound, a
broadcaster's chain, a re-encoding move whole datasets by so little that nobody hears it, and every label with them. Of
clips that show no mouths it finds no offset that fits, and says nothing.

A window's logits of all its sounds are compared with those of the same sounds in the clip's other windows: what a sound
or a person adds to all of them falls away. D offsets, n windows, m sounds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self

import numpy as np
from numpy.typing import NDArray

from avsync.confidence.curve import vertex
from avsync.confidence.planted import ClipAnswers, ClipGrid, ask_clips
from avsync.config import PairConfig, TrainConfig
from avsync.data.batch import Batch
from avsync.data.selection import Selection
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.run.info import read_run
from avsync.run.network import load_network
from avsync.run.paths import SHIPPED, RunPaths
from avsync.staging.mirror import StagedDataset
from avsync.world import World
from sharding.base.console import Bar
from sharding.errors import UsageError

NETWORK = SHIPPED / "faces"
WINDOW_S = 0.6
"""The network was trained on these; so short that a clip of a second has room for offsets."""
PAIRS, CLIPS, FEWEST = 40_000, 240, 24
"""Of a window and a sound, half a minute on two cores, and clips that are looked at at most; fewer prove nothing."""
OF_ONE = 6
"""Clips of a person, or video, from which on its own offset is told."""
REACH_S = 0.28
CLEAR = 4.0
"""Standard errors that the best offset stands above the others: of some 15 that say nothing, one does once in 2,000."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LipOffset:
    """What was found."""

    offset_s: float
    """By which the sound is late."""
    clips: int
    groups: tuple[float, ...]
    """The same of each person, or video, of which enough was looked at."""

    @property
    def words(self) -> str:
        """`56 ms late`, and of whom."""
        spread = ""
        if len(self.groups) > 1:
            low, high = (edge * 1000 for edge in (min(self.groups), max(self.groups)))
            spread = f"; {low:+.0f} to {high:+.0f} ms in {len(self.groups)} groups of {OF_ONE} clips or more"
        side = "early" if self.offset_s < 0 else "late"
        return f"{abs(self.offset_s) * 1000:.0f} ms {side} ({self.clips} clips{spread})"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Curve:
    """Evidence of each offset, over some clips."""

    offsets: NDArray[np.int64]
    mean: NDArray[np.float64]
    error: NDArray[np.float64]
    """Standard error of the mean."""

    @classmethod
    def of(cls, offsets: NDArray[np.int64], rows: Sequence[NDArray[np.float64]]) -> Self:
        table = np.stack(rows)
        return cls(offsets=offsets, mean=table.mean(axis=0), error=table.std(axis=0) / np.sqrt(len(table)))

    @property
    def clear(self) -> bool:
        best = int(self.mean.argmax())
        return bool(self.mean[best] - np.median(self.mean) > CLEAR * self.error[best])

    @property
    def best(self) -> float:
        """Pictures: the top of a parabola through the best offset and its neighbours."""
        at = int(self.mean.argmax())
        if not 0 < at < len(self.mean) - 1:
            return float(self.offsets[at])
        step = self.offsets[1] - self.offsets[0]
        return float(self.offsets[at] + vertex(*self.mean[at - 1 : at + 2]) * step)


def lip_offset(train: Feed, source: StagedDataset, config: TrainConfig, world: World) -> LipOffset | None:
    """Of the split `train`, of `source`; None where the clips are no mouths as the network knows them, too few or too
    short. A bar tells how far it is.
    """
    known, dataset = read_run(RunPaths(NETWORK)), train.dataset
    if dataset.info.clock != known.spec.clock or dataset.info.channels != known.spec.channels:
        return None
    pairs = PairConfig(window_s=WINDOW_S, min_shift_s=0.2, max_shift_s=0.2)
    try:
        feed = Feed.reading(Selection.of_dataset(dataset, pairs, known.config.view), source)
    except UsageError:  # its clips are shorter than that
        return None
    grid = ClipGrid.of(feed, feed.sampler.window)
    chosen = grid.clips(feed, min(CLIPS, PAIRS // grid.pairs)) if grid else []
    if grid is None or len(chosen) < FEWEST:
        return None
    network, options = load_network(NETWORK, "best", world.device), LoaderOptions.of(config.runtime, world, bool)
    with Bar("looking at mouths", len(chosen), unit="share", passing=True) as bar:

        def told(batches: Iterator[Batch]) -> Iterator[Batch]:
            for batch in batches:
                bar.advance()
                yield batch

        answers = ask_clips(network, feed, grid, chosen, world, options, told)
    return offset_of(grid, answers, dataset.index.group)


def offset_of(grid: ClipGrid, answers: Sequence[ClipAnswers], group: NDArray[np.integer]) -> LipOffset | None:
    """Of what was answered about some clips. group: of each clip of the dataset."""
    reach = min(round(REACH_S * float(grid.clock.fps)), grid.room) // grid.step
    offsets = np.arange(-reach, reach + 1) * grid.step
    rows = [(int(group[one.clip]), _row(grid, one.logit[0], offsets)) for one in answers]
    rows = [(number, row) for number, row in rows if np.isfinite(row).all()]
    if len(rows) < FEWEST:
        return None
    whole = _Curve.of(offsets, [row for _, row in rows])
    if not whole.clear:
        return None
    ordered = sorted(rows, key=lambda one: one[0])
    groups = [[row for _, row in some] for _, some in groupby(ordered, key=lambda one: one[0])]
    curves = [_Curve.of(offsets, some) for some in groups if len(some) >= OF_ONE]
    found = tuple(sorted(float(curve.best / grid.clock.fps) for curve in curves if curve.clear))
    middle = float(np.median(found)) if len(found) > 1 else float(whole.best / grid.clock.fps)
    return LipOffset(offset_s=middle, clips=len(rows), groups=found)


def _row(grid: ClipGrid, logit: NDArray[np.float32], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """(D,) mean evidence of a clip; nan where no window could be asked. logit: (n, m)."""
    own = logit - logit.mean(axis=0, keepdims=True)
    sums, counts = np.zeros(len(offsets)), np.zeros(len(offsets))
    for row, start in enumerate(grid.starts):
        heard = start + offsets
        there = (heard >= 0) & (heard <= grid.room)
        sums[there] += own[row, heard[there] // grid.step]
        counts[there] += 1
    return np.divide(sums, counts, out=np.full(len(offsets), np.nan), where=counts > 0)
