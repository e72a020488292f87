"""What exactly is cut out of a clip: windows, crop, flip. A pure function of (seed, epoch, clip); no torch here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from avsync.config import ViewConfig
from avsync.data.order import Order, clip_rng, share_of_rank, shuffled
from avsync.data.pairs import Pair, PairSampler, seconds
from sharding.errors import InputError
from sharding.format.clip import Clock
from sharding.format.index import Index


@dataclass(frozen=True, slots=True)
class Draw:
    """One row of a batch."""

    clip: int
    """Clip id; -1: padding, to be ignored."""
    pair: Pair
    top: int
    left: int
    flip: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """Sizes in pixels of the stored picture, of what is cut out of it, and of what the network sees."""

    height: int
    width: int
    crop_height: int
    crop_width: int
    out_height: int
    out_width: int

    @classmethod
    def build(cls, config: ViewConfig, height: int, width: int) -> "View":
        """Even crops, so that they fall on whole chroma samples."""
        crop_height, crop_width = (2 * max(1, round(side * config.crop / 2)) for side in (height, width))
        return cls(
            height=height, width=width, crop_height=crop_height, crop_width=crop_width,
            out_height=config.size or crop_height, out_width=config.size or crop_width,
        )  # fmt: skip

    def centre(self) -> tuple[int, int]:
        """Top and left of the central crop, even so that it falls on whole chroma samples."""
        return (self.height - self.crop_height) // 4 * 2, (self.width - self.crop_width) // 4 * 2

    def random(self, rng: np.random.Generator) -> tuple[int, int]:
        """Top and left of a random crop, even."""
        rows, columns = (self.height - self.crop_height) // 2, (self.width - self.crop_width) // 2
        return 2 * int(rng.integers(rows + 1)), 2 * int(rng.integers(columns + 1))


def usable_clips(index: Index, law: PairSampler, clock: Clock) -> NDArray[np.int64]:
    """Ids of the clips long enough for the law. Raises InputError when there is none, saying how long they are."""
    usable = np.flatnonzero(index.frames >= law.shortest())
    if not len(usable):
        raise InputError(
            f"no clip is long enough: a window and its shift need {seconds(law.shortest(), clock):.2f} s "
            f"(--pairs.window-s, --pairs.min-shift-s), the longest clip has "
            f"{seconds(int(index.frames.max()), clock):.2f} s: lower them, or pack longer clips (--clip-s)"
        )
    return usable


def training_draws(
    order: Order, law: PairSampler, index: Index, view: View, flip: bool, rank: int, ranks: int, accumulate: int
) -> Callable[[int], list[list[Draw]]]:
    """A function: step -> this rank's rows, one list per accumulation pass."""

    def draw(clip: int, epoch: int) -> Draw:
        rng = clip_rng(order.seed, epoch, clip)
        pair = law(int(index.frames[clip]), rng)
        top, left = view.random(rng)
        return Draw(clip, pair, top, left, flip and bool(rng.random() < 0.5))

    def step(number: int) -> list[list[Draw]]:
        wanted = order.step(number)
        return [
            [draw(int(c), wanted.epoch) for c in part] for part in share_of_rank(wanted.clips, rank, ranks, accumulate)
        ]

    return step


Row = TypeVar("Row")
FIXED_SEED = 20180410  # arXiv 1804.03641's month; only has to stay the same for ever


def fixed_draws(index: Index, clips: NDArray[np.int64], law: PairSampler, view: View, per_clip: int = 1) -> list[Draw]:
    """The same pairs each time, for validation and evaluation: central crop, no flip, `per_clip` pairs of each clip."""
    top, left = view.centre()
    return [
        Draw(int(clip), law(int(index.frames[clip]), clip_rng(FIXED_SEED, number, int(clip))), top, left, False)
        for clip in clips
        for number in range(per_clip)
    ]


def fixed_choice(clips: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` of the clips, always the same ones, spread over the whole split."""
    return np.sort(shuffled(clips, FIXED_SEED, 0, 0)[:count])


def even_batch(count: int, most: int) -> int:
    """The size of batches, at most `most`, that share `count` rows alike: none is left with a row or two."""
    return -(-count // max(1, -(-count // most)))


def mixed(draws: Sequence[Row], batch: int) -> list[Row]:
    """The same draws so ordered that a batch takes them from everywhere: neighbours are mostly of one source."""
    rounds = -(-len(draws) // batch)
    return [draw for first in range(rounds) for draw in draws[first::rounds]]


def batches_of_rank(draws: list[Draw], batch: int, rank: int, ranks: int) -> list[list[Draw]]:
    """This rank's share in batches of one size, padded with ignored rows so that all ranks have as many batches."""
    padding = Draw(-1, draws[0].pair, 0, 0, False)
    per_round = batch * ranks
    rounds = -(-len(draws) // per_round)
    padded = draws + [padding] * (rounds * per_round - len(draws))
    return [padded[(number * ranks + rank) * batch :][:batch] for number in range(rounds)]
