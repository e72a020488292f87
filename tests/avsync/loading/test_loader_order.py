"""Whoever loads, with however many processes, ranks and passes: a step has the same clips, cut in the same way."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from avsync_settings import quick_config
from hypothesis import given, settings
from hypothesis import strategies as st

from avsync.loading.feed import Feed
from avsync.loading.options import CPU, LoaderOptions
from avsync.run.receipt import in_order
from avsync.world import World

CONFIG = replace(quick_config(), batch=12)
Row = tuple[str, object, torch.Tensor, torch.Tensor]


@pytest.fixture(scope="module")
def feed(dataset: Path) -> Feed:
    return Feed.open(dataset, "train", CONFIG.pairs, CONFIG.view)


def given_to(feed: Feed, rank: int, ranks: int, passes: int, steps: range, options: LoaderOptions) -> list[list[Row]]:
    """Each batch of one rank, as its loader brings it."""
    world = World(
        rank=rank, ranks=ranks, device=CPU, gather=lambda table: table, broadcast=lambda _: None, autocast=nullcontext
    )
    rows = feed.training_rows(feed.order(CONFIG.batch, CONFIG.seed), steps, world, passes)
    with feed.loader(options) as loader:
        return [
            [
                (meta.key if meta else "", draw, batch.yuv[row].clone(), batch.audio[row].clone())
                for row, (meta, draw) in enumerate(zip(batch.metas, batch.draws, strict=True))
            ]
            for batch in in_order(loader.batches, rows)
        ]


@settings(deadline=None, max_examples=15)
@given(
    workers=st.integers(1, 4), prefetch=st.integers(1, 4), ranks=st.sampled_from((1, 2, 3)),
    passes=st.sampled_from((1, 2)), first=st.integers(0, 999),
)  # fmt: skip
def test_workers_prefetch_ranks_and_passes_change_nothing_of_what_a_step_is_given(
    feed, workers, prefetch, ranks, passes, first
):
    steps = range(first, first + 2)
    alone = given_to(feed, 0, 1, 1, steps, LoaderOptions(workers=1, prefetch=1))
    options = LoaderOptions(workers=workers, prefetch=prefetch)
    shares = [given_to(feed, rank, ranks, passes, steps, options) for rank in range(ranks)]
    for number, whole in enumerate(alone):
        parts = [share[number * passes + part] for part in range(passes) for share in shares]
        assert [len(part) for part in parts] == [12 // ranks // passes] * (ranks * passes)
        for got, wanted in zip([row for part in parts for row in part], whole, strict=True):
            assert got[:2] == wanted[:2]
            assert torch.equal(got[2], wanted[2])
            assert torch.equal(got[3], wanted[3])
