"""Feeds, rows and batches for tests of the loader."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import torch

from avsync.config import PairConfig, PairsName, ViewConfig
from avsync.data.order import Draw, batches_of_rank
from avsync.loading import spawner
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.staging.shelf import DatasetFolder


def open_feed(dataset: Path, law: PairsName = "symmetric") -> Feed:
    pairs = PairConfig(law=law, window_s=2, min_shift_s=1, max_shift_s=1.9)
    return Feed.open(dataset, "train", pairs, ViewConfig())


def rows_of(feed: Feed, batch: int = 4) -> list[list[Draw]]:
    draws = feed.fixed_draws(feed.clips, per_clip=2)
    return batches_of_rank(draws, batch, 0, 1)


def copies(feed: Feed, rows: list[list[Draw]], every: int = 1, **options) -> list[tuple[torch.Tensor, torch.Tensor]]:
    with feed.loader(LoaderOptions(**options), every) as loader:
        return [(batch.yuv.clone(), batch.audio.clone()) for batch in loader.batches(rows)]


def damaged(feed: Feed, folder: Path, clips: list[int]) -> Feed:
    """The feed over a copy of its dataset in `folder`, with one byte flipped in each of the clips."""
    shutil.copytree(feed.dataset.folder, folder)
    copy = replace(feed.dataset, folder=folder)
    for clip in clips:
        with copy.shard_path(clip).open("r+b") as shard:
            shard.seek(int(copy.index.offset[clip]) + copy.index.layout(clip).size // 2)
            byte = shard.read(1)
            shard.seek(-1, 1)
            shard.write(bytes([byte[0] ^ 255]))
    return replace(feed, dataset=copy, shelf=DatasetFolder(folder, copy.split))


def spawner_process() -> psutil.Process:
    """The process that this one's workers are forked from."""
    return psutil.Process(spawner.spawner_of(os.getpid())._process.pid)


def running(parent: psutil.Process) -> list[psutil.Process]:
    """Its children, but for those that have ended."""
    return [child for child in parent.children() if child.status() != psutil.STATUS_ZOMBIE]


def workers_of(parent: psutil.Process, count: int) -> list[psutil.Process]:
    """The workers that a spawner has forked, when there are `count`: earlier ones may be leaving, new ones coming."""
    until = time.monotonic() + 30  # a spawner imports before it forks, on a busy machine for long
    while len(workers := running(parent)) != count:
        assert time.monotonic() < until, workers
        time.sleep(0.01)
    return workers


@contextmanager
def workers_that(change: str) -> Iterator[None]:
    """Workers that run `change`, a program, before they begin: it stands for what a machine or a library may do."""
    before, others = spawner.PROGRAM, spawner._spawners.pop(os.getpid(), None)
    spawner.PROGRAM = f"{change}\n{before}"
    try:
        yield
    finally:
        spawner.PROGRAM = before
        spawner._spawners.pop(os.getpid(), None)
        if others:
            spawner._spawners[os.getpid()] = others
