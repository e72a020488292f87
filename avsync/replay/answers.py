"""What a trained network says about clips that it never saw: by its own labels, without a stream, and by honest labels.

Labels that leak make every network look good by its own labels. So each one is asked twice: about pairs as it
was trained on, and about symmetric pairs, which tell nothing but by sound and picture together.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avsync.config import PairConfig
from avsync.data.order import (
    batches_of_rank,
    mixed,
)
from avsync.evaluate.pointing import PointingResult, point
from avsync.evaluate.scorecard import localisation
from avsync.honesty.examination import Examination
from avsync.honesty.swap import Examined, examined, examined_rows
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.metrics import Proportion, proportion_of
from avsync.models.cam import hottest_of
from avsync.replay.result import Asked, Which
from avsync.run.network import LoadedNetwork, load_network

SPLIT = "test"
BATCH = 16
"""Clips at once."""
PAIRS_PER_CLIP = 2


def ask(run: Path, dataset: Path, which: Which) -> Asked:
    """Ask a run's network about the test split. Raises InputError, FormatError."""
    network = load_network(run, which, torch.device("cpu"))
    pairs = network.config.pairs.judged
    found, group = list[PointingResult](), list[int]()

    def look(got: Examined, feed: Feed) -> None:
        for where, source in _points(got, feed):
            found.append(where)
            group.append(source)

    by_honest = _examination(network, dataset, honest(pairs), look)
    own = _examination(network, dataset, pairs) if pairs != honest(pairs) else by_honest
    maps = by_honest.maps
    return Asked(
        step=network.step,
        own=_accuracy(own),
        other=own.with_another_picture(),
        muted=own.with_muted_sound(),
        audited=own.audited,
        honest=_accuracy(by_honest),
        listened=maps and float(np.nanmean(maps.listened)),
        spatial=maps and float(np.nanmean(maps.spatial)),
        localisation=localisation(found, np.array(group)),
    )


def honest(pairs: PairConfig) -> PairConfig:
    """The same windows, in pairs that leak nothing."""
    return replace(pairs, law="symmetric")


def answers_of(
    network: LoadedNetwork,
    dataset: Path,
    pairs: PairConfig,
    *,
    clips: int | None = None,
    per_clip: int = PAIRS_PER_CLIP,
) -> Iterator[tuple[Examined, Feed]]:
    """Batch by batch about the test split, or `clips` clips spread over it; always the same pairs of a sampler."""
    feed = Feed.open(dataset, SPLIT, pairs, network.config.view)
    index = feed.dataset.index
    chosen = feed.clips if clips is None else feed.fixed_clips(clips)
    draws = feed.fixed_draws(chosen, per_clip)
    with feed.loader(LoaderOptions()) as loader:
        stream = loader.batches(batches_of_rank(mixed(draws, BATCH), BATCH, 0, 1))
        for got in examined(network.model, stream, feed.view, pairs.mute_samples, index.group):
            yield got, feed


def _examination(
    network: LoadedNetwork, dataset: Path, pairs: PairConfig, look: Callable[[Examined, Feed], None] | None = None
) -> Examination:
    tables, group = list[Tensor](), np.empty(0, np.int64)
    for got, feed in answers_of(network, dataset, pairs):
        tables.append(examined_rows(got))
        group = feed.dataset.index.group
        if look:
            look(got, feed)
    return Examination.of(torch.cat(tables), group)


def _accuracy(got: Examination) -> Proportion:
    return proportion_of(got.got.hits, got.group)


def _points(got: Examined, feed: Feed) -> Iterator[tuple[PointingResult, int]]:
    """The pointing game on sounds in sync, and each clip's source; nothing where the truth is not known."""
    answer = got.answer
    frames = answer.given.frames.shape[2]
    for row, (draw, meta) in enumerate(zip(answer.batch.draws, answer.batch.metas, strict=True)):
        for number, sound in enumerate(draw.pair.sounds):
            if meta is None or not sound.in_sync:
                continue
            hottest = hottest_of(answer.output.cam[row, number], frames)
            if (outcome := point(hottest, meta, draw.pair.picture, feed.view)) is not None:
                yield outcome, int(feed.dataset.index.group[draw.clip])
