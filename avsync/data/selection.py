"""One split of a dataset as pairs and view select from it: its clips, their order and draws, what a network is shown.

All that settings and an index decide, before a byte of a clip is read. No torch: whoever queues a job asks it, too.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from avsync.config import PairConfig, TrainConfig, ViewConfig
from avsync.data.fingerprint import SplitPrint
from avsync.data.order import Draw, Order, View, balanced, draws_of_step, fixed_choice, fixed_draws, usable_clips
from avsync.data.pairs import PairSampler, build_sampler, in_sync_sampler
from avsync.spec import InputSpec
from sharding.base.text import first_few
from sharding.errors import InputError
from sharding.format.clip import Clock
from sharding.format.dataset import Dataset, open_dataset

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowShape:
    """Sizes of one row of a batch as it leaves the loader."""

    window: int
    """Frames of the clip that a window spans."""
    every: int
    """Of those, every n-th is decoded (1: all); the paper's low-rate stage takes every 4th."""
    samples: int
    sounds: int

    @classmethod
    def of(cls, dataset: Dataset, sampler: PairSampler, every: int = 1) -> "WindowShape":
        samples = dataset.info.clock.sample_at(sampler.window)
        return cls(window=sampler.window, every=every, samples=samples, sounds=sampler.sounds)

    @property
    def frames(self) -> int:
        """T, pictures the network sees."""
        return len(range(0, self.window, self.every))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Selection:
    """One split, and what is drawn from it."""

    dataset: Dataset
    sampler: PairSampler
    view: View
    clips: NDArray[np.int64]
    """Ids of the clips that are long enough."""

    @classmethod
    def of_folder(
        cls,
        folder: Path,
        split: str,
        pairs: PairConfig,
        view: ViewConfig,
        *,
        whole: bool = True,
        sampler: Callable[[PairConfig, Clock], PairSampler] = build_sampler,
    ) -> "Selection":
        """Of a dataset's folder. `whole`: it must hold every shard.

        Raises InputError, FormatError: no such split, no clip long enough, ...
        """
        dataset = open_dataset(folder, split)
        if whole:
            _check_shards(dataset)
        return Selection.of_dataset(dataset, pairs, view, sampler)

    @classmethod
    def of_dataset(
        cls,
        dataset: Dataset,
        pairs: PairConfig,
        view: ViewConfig,
        sampler: Callable[[PairConfig, Clock], PairSampler] = build_sampler,
    ) -> "Selection":
        """Raises UsageError: no clip is long enough, ..."""
        drawn = sampler(pairs, dataset.info.clock)
        return Selection(
            dataset=dataset,
            sampler=drawn,
            view=View.build(view, dataset.info.height, dataset.info.width),
            clips=usable_clips(dataset.index, drawn, dataset.info.clock),
        )

    def sources(self, most: int) -> int:
        """Videos that the fixed choice of at most so many usable clips is of."""
        return len(np.unique(self.dataset.index.group[self.fixed_clips(most)]))

    def shape(self, every: int = 1) -> WindowShape:
        """Row sizes; `every` is the low-rate stage's factor."""
        return WindowShape.of(self.dataset, self.sampler, every)

    def spec(self, every: int = 1) -> InputSpec:
        """What the network is shown."""
        clock, shape = self.dataset.info.clock, self.shape(every)
        return InputSpec(
            frames=shape.frames,
            height=self.view.out_height,
            width=self.view.out_width,
            samples=shape.samples,
            channels=self.dataset.info.channels,
            clock=replace(clock, fps=clock.fps / every),
        )

    def order(self, batch: int, seed: int, balance: float = 0, *, partners: bool = False) -> Order:
        """Which clips each step trains on. `balance`: as TrainConfig has it; `partners`: each two are of other groups.

        Raises UsageError when there are too few for one batch.
        """
        index = self.dataset.index
        clips = balanced(self.clips, index.group[self.clips], balance) if balance else self.clips
        return Order(
            clips=clips,
            shards=index.shard[clips],
            batch=batch,
            seed=seed,
            repeats=balance > 0,
            partners=index.group if partners else None,
        )

    def training_order(self, config: TrainConfig) -> Order:
        """The same, as a training with these settings has it."""
        return self.order(config.batch, config.seed, config.balance, partners=config.separates)

    def draws(self, order: Order, step: int, rank: int = 0, ranks: int = 1, passes: int = 1) -> list[list[Draw]]:
        """What one process is given in a step of `order`: its rows, one list for each accumulation pass."""
        return draws_of_step(order, step, self.sampler, self.dataset.index, self.view, rank, ranks, passes)

    def fixed_clips(self, most: int) -> NDArray[np.int64]:
        """At most so many of the clips, always the same ones, spread over the split."""
        return fixed_choice(self.clips, most)

    def fixed_draws(self, clips: NDArray[np.int64], per_clip: int = 1) -> list[Draw]:
        """Of each clip the same pairs each time, for validation and evaluation: central crop, no flip."""
        return fixed_draws(self.dataset.index, clips, self.sampler, self.view, per_clip)

    def fingerprint(self) -> SplitPrint:
        """Changes when the split's clips change, so that a run never resumes on other data."""
        return SplitPrint.of(self.dataset.index)

    def with_clips(self, clips: NDArray[np.int64]) -> Self:
        """The same, of these clips only."""
        return replace(self, clips=clips)


def sampler_of(config: TrainConfig) -> Callable[[PairConfig, Clock], PairSampler]:
    """What of a clip a training is given: pairs to tell apart, or, to take sounds apart, a picture and its sound."""
    return in_sync_sampler if config.separates else build_sampler


def _check_shards(dataset: Dataset) -> None:
    """Every shard must be there before hours are spent. Raises InputError naming those that are not."""
    if missing := dataset.missing_shards():
        names = first_few([str(path) for path in missing])
        raise InputError(
            f"{len(missing)} of {len(dataset.shards())} shards are missing: {names}; run the same avsync pack again"
        )


def validation_of(config: TrainConfig, choose: Callable[[], T]) -> T | None:
    """The val split, as `choose` opens it, unless validation is off. Raises InputError when it is wanted and none."""
    if not config.validate_every:
        return None
    try:
        return choose()
    except InputError as error:
        raise type(error)(
            f"validation cannot work: {error}. Pack with a larger --val-percent, name the split in the CSV, "
            "or give --validate-every 0 to train without it"
        ) from error
