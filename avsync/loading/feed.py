"""A split of a dataset, set up for given pairs and view: the one way training, validation and evaluation get data."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from avsync.config import PairConfig, TrainConfig, ViewConfig
from avsync.data.fingerprint import SplitPrint
from avsync.data.order import (
    Draw,
    Order,
    View,
    draws_of_step,
    fixed_choice,
    fixed_draws,
    usable_clips,
)
from avsync.data.pairs import PairSampler, build_sampler
from avsync.loading.loader import Loader
from avsync.loading.options import LoaderOptions
from avsync.loading.shape import WindowShape
from avsync.models.parts import InputSpec
from avsync.staging.mirror import StagedDataset
from avsync.staging.shelf import Shelf
from avsync.staging.stager import Coming
from avsync.world import World
from sharding.base.text import first_few
from sharding.errors import InputError
from sharding.format.clip import Clock
from sharding.format.dataset import Dataset, open_dataset


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Feed:
    """One split, ready to be drawn from."""

    dataset: Dataset
    sampler: PairSampler
    view: View
    clips: NDArray[np.int64]
    """Ids of the clips that are long enough."""
    shelf: Shelf
    """Where the shards are found."""

    @classmethod
    def open(cls, folder: Path, split: str, pairs: PairConfig, view: ViewConfig) -> Self:
        """A split of a dataset's folder. Raises InputError, FormatError: no such split, no clip long enough, ..."""
        return cls.of(StagedDataset.of_folder(folder), split, pairs, view)

    @classmethod
    def of(
        cls,
        source: StagedDataset,
        split: str,
        pairs: PairConfig,
        view: ViewConfig,
        *,
        staged: bool = False,
        sampler: Callable[[PairConfig, Clock], PairSampler] = build_sampler,
    ) -> Self:
        """A split of a dataset anywhere. `staged`: its coming shards will be copied ahead (Stager)."""
        dataset = open_dataset(source.folder, split)
        if source.has_all_shards:
            _check_shards(dataset)
        drawn = sampler(pairs, dataset.info.clock)
        return cls(
            dataset=dataset,
            shelf=source.shelf(dataset, staged=staged),
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

    def loader(self, options: LoaderOptions, every: int = 1) -> Loader:
        return Loader(self.dataset, self.shelf, self.shape(every), options)

    def order(self, batch: int, seed: int) -> Order:
        """Which clips each step trains on. Raises InputError when there are too few for one batch."""
        return Order(clips=self.clips, shards=self.dataset.index.shard[self.clips], batch=batch, seed=seed)

    def draws(self, order: Order, step: int, rank: int = 0, ranks: int = 1, passes: int = 1) -> list[list[Draw]]:
        """What one process is given in a step of `order`: its rows, one list for each accumulation pass."""
        return draws_of_step(order, step, self.sampler, self.dataset.index, self.view, rank, ranks, passes)

    def training_rows(
        self, order: Order, steps: range, world: World, passes: int = 1, coming: Coming = lambda _: None
    ) -> Iterator[list[Draw]]:
        """This rank's rows of each pass of these steps; `coming` hears of their shards."""
        for step in steps:
            rows = self.draws(order, step, world.rank, world.ranks, passes)
            coming(self.dataset.index.shard[[draw.clip for draws in rows for draw in draws]].tolist())
            yield from rows

    def fixed_clips(self, most: int) -> NDArray[np.int64]:
        """At most so many of the clips, always the same ones, spread over the split."""
        return fixed_choice(self.clips, most)

    def fixed_draws(self, clips: NDArray[np.int64], per_clip: int = 1) -> list[Draw]:
        """Of each clip the same pairs each time, for validation and evaluation: central crop, no flip."""
        return fixed_draws(self.dataset.index, clips, self.sampler, self.view, per_clip)

    def fingerprint(self) -> SplitPrint:
        """Changes when the split's clips change, so that a run never resumes on other data."""
        return SplitPrint.of(self.dataset.index)


def _check_shards(dataset: Dataset) -> None:
    """Every shard must be there before hours are spent. Raises InputError naming those that are not."""
    if missing := dataset.missing_shards():
        names = first_few([str(path) for path in missing])
        raise InputError(
            f"{len(missing)} of {len(dataset.shards())} shards are missing: {names}; run the same avsync pack again"
        )


def open_validation(source: StagedDataset, config: TrainConfig) -> Feed | None:
    """The val split, unless validation is off. Raises InputError when it is wanted and there is none."""
    if not config.validate_every:
        return None
    try:
        return Feed.of(source, "val", config.pairs, config.view)
    except InputError as error:
        raise InputError(
            f"validation cannot work: {error}. Pack with a larger --val-percent, name the split in the CSV, "
            "or give --validate-every 0 to train without it"
        ) from error
