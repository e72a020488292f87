"""Scores the fixed pairs of the val split during training: always the same pairs, so that points can be compared."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from avsync.config import TrainConfig
from avsync.data.batch import Batch
from avsync.data.order import (
    batches_of_rank,
    even_batch,
    mixed,
)
from avsync.honesty.examination import Examination
from avsync.honesty.predict import BatchAnswer
from avsync.honesty.swap import examined, examined_rows
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.models.parts import SyncNet
from avsync.staging.stager import Kept
from avsync.world import World

FEWEST = 4
"""Clips in a batch, else the swap test finds no other picture in it. Without gradients they find room."""


class Validation:
    """The val split's fixed pairs, dealt to the ranks."""

    def __init__(self, feed: Feed, config: TrainConfig, world: World) -> None:
        self._feed, self._world, self._mute = feed, world, config.pairs.mute_samples
        draws = feed.fixed_draws(feed.fixed_clips(config.validate_clips))
        most = max(FEWEST, config.batch // world.ranks // config.runtime.accumulate)
        of_rank = -(-len(draws) // world.ranks)
        rows_at_once = max(FEWEST, even_batch(of_rank, most))
        self._rows = batches_of_rank(mixed(draws, rows_at_once * world.ranks), rows_at_once, world.rank, world.ranks)

    @property
    def kept(self) -> Kept:
        """Where this rank finds its shards, and which."""
        return self._feed.kept(self._rows)

    def score(
        self,
        network: SyncNet,
        lay_out: Callable[[Tensor], Tensor],
        options: LoaderOptions,
        every: int,
        look: Callable[[BatchAnswer], None],
        guarded: Callable[[Iterator[Batch]], Iterator[Batch]],
    ) -> Examination:
        """All ranks' answers, the same on every rank. `lay_out`: see honesty.swap.examined.

        `look` is shown the first batch; batches pass through `guarded`, which may end it all; `every` n-th picture is
        used, see LowRateConfig.
        """
        world, tables, group = self._world, list[Tensor](), self._feed.dataset.index.group
        with self._feed.loader(options, every) as loader, world.autocast():
            stream = guarded(loader.batches(self._rows))
            for got in examined(network, stream, self._feed.view, self._mute, group, lay_out):
                if not tables:
                    look(got.answer)
                tables.append(examined_rows(got))
        return Examination.of(world.gather(torch.cat(tables)), group)
