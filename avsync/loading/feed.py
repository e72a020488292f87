"""A split of a dataset, set up for given pairs and view: the one way training, validation and evaluation get data."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from avsync.config import PairConfig, TrainConfig, ViewConfig
from avsync.data.order import Draw, Order
from avsync.data.pairs import PairSampler, build_sampler
from avsync.data.selection import Selection, sampler_of, validation_of
from avsync.loading.loader import Loader
from avsync.loading.options import LoaderOptions
from avsync.staging.mirror import StagedDataset
from avsync.staging.shelf import Shelf
from avsync.staging.stager import Coming
from avsync.world import World
from sharding.format.clip import Clock


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Feed(Selection):
    """One split, ready to be read."""

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
        whole = source.has_all_shards
        chosen = Selection.of_folder(source.folder, split, pairs, view, whole=whole, sampler=sampler)
        return cls.reading(chosen, source, staged=staged)

    @classmethod
    def reading(cls, chosen: Selection, source: StagedDataset, *, staged: bool = False) -> Self:
        """What was selected of a split, to be read from `source`."""
        return cls(
            dataset=chosen.dataset,
            sampler=chosen.sampler,
            view=chosen.view,
            clips=chosen.clips,
            shelf=source.shelf(chosen.dataset, staged=staged),
        )

    def loader(self, options: LoaderOptions, every: int = 1) -> Loader:
        return Loader(self.dataset, self.shelf, self.shape(every), options)

    def training_rows(
        self, order: Order, steps: range, world: World, passes: int = 1, coming: Coming = lambda _: None
    ) -> Iterator[list[Draw]]:
        """This rank's rows of each pass of these steps; `coming` hears of their shards."""
        for step in steps:
            rows = self.draws(order, step, world.rank, world.ranks, passes)
            coming(self.dataset.index.shard[[draw.clip for draws in rows for draw in draws]].tolist())
            yield from rows


def open_validation(source: StagedDataset, config: TrainConfig) -> Feed | None:
    """The val split, unless validation is off. Raises InputError when it is wanted and there is none."""
    sampler = sampler_of(config)
    return validation_of(config, lambda: Feed.of(source, "val", config.pairs.judged, config.view, sampler=sampler))
