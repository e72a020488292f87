"""Where the clips of a training measurement come from, and what is watched while they flow."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from avsync.config import PairConfig, ViewConfig
from avsync.data.batch import Batch
from avsync.data.order import Draw
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.train.gpu import GpuMeter
from benchmarks.train_step import settle
from sharding.config import PackConfig
from sharding.errors import InputError
from sharding.format.dataset import open_dataset
from sharding.pack.pack import pack
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import generate

SCENE_S = 8
"""Long enough for a window of 4 s and a shift."""
BUSY_EVERY_S = 0.2


def make_dataset(folder: Path, form: str, scenes: int, side: int) -> Path:
    """Generated scenes, packed; easier to decode than footage. What is there already is kept."""
    settings = SceneConfig(
        count=scenes, seconds=SCENE_S, size=side, fps=30, sample_rate=44_100, val_share=0, test_share=0
    )
    table = generate(folder / "scenes", settings).table
    pack(table, folder / form, PackConfig(size=side, codec=form, sources_per_shard=8))
    return folder / form


def pairs_of(sounds: int, window_s: float) -> PairConfig:
    """Two sounds: both labels of a clip. One: cyclic pairs, for clips no longer than a window."""
    if sounds == 2:
        return PairConfig(window_s=window_s, min_shift_s=window_s / 2, max_shift_s=1.5 * window_s)
    return PairConfig(law="cyclic", window_s=window_s, min_shift_s=window_s / 8, max_shift_s=window_s * 7 / 8)


def view_of(stored: int, side: int) -> ViewConfig:
    """A cut of `side` pixels where the stored picture has as many, else all of it, resized."""
    if side > stored:
        return ViewConfig(crop=1, size=side)
    return ViewConfig(crop=side / stored)


def open_feed(folder: Path, side: int, window_s: float) -> Feed:
    """Both labels of a clip where clips are long enough, else one."""
    stored = open_dataset(folder, "train").info.height
    try:
        return Feed.open(folder, "train", pairs_of(2, window_s), view_of(stored, side))
    except InputError:
        return Feed.open(folder, "train", pairs_of(1, window_s), view_of(stored, side))


def rows_of(feed: Feed, batch: int) -> Iterator[list[Draw]]:
    """What training would ask for, for ever."""
    order = feed.order(batch, seed=0)
    return (rows for step in count() for rows in feed.draws(order, step))


def kept(batch: Batch) -> Batch:
    """A copy that stays valid."""
    tensors = {name: getattr(batch, name).clone() for name in ("yuv", "audio", "in_sync", "matrix", "valid")}
    return replace(batch, **tensors)


class BusyWatch:
    """Asks the GPU's meter again and again, beside the work."""

    def __init__(self, device: torch.device) -> None:
        self._meter, self._done = GpuMeter(device), threading.Event()
        self.seen: list[float] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        if self._meter.read():
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def mean(self) -> float | None:
        return statistics.mean(self.seen) if self.seen else None

    def _watch(self) -> None:
        while not self._done.wait(BUSY_EVERY_S):
            if use := self._meter.read():
                self.seen.append(use.busy)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How fast batches went by."""

    batch_s: float
    wait_share: float
    transfer_s: float
    busy: float | None


def pace(feed: Feed, batch: int, options: LoaderOptions, use: Callable[[Batch], Any], seconds: float) -> Pace:
    """Batches for `seconds`, each given to `use`; the first ones, which were loaded ahead, are left out."""
    device, first = options.device, 2 * options.prefetch
    with feed.loader(options) as loader, BusyWatch(device) as watch:
        start, batches = time.perf_counter(), 0
        for number, given in enumerate(loader.batches(rows_of(feed, batch)), start=1):
            use(given)
            if number == first:
                settle(device)
                loader.meter.take(1)
                watch.seen.clear()
                start = time.perf_counter()
            batches = number - first
            if batches > 0 and time.perf_counter() - start > seconds:
                break
        settle(device)
        elapsed = time.perf_counter() - start
        figures = loader.meter.take(elapsed)
    return Pace(
        batch_s=elapsed / batches, wait_share=figures.wait_share, transfer_s=figures.transfer_ms / 1e3, busy=watch.mean
    )


def read_curves(folder: Path, names: list[str]) -> list[float | None]:
    """Median of each curve after its first two points, which hold the start; None where there is no such curve."""
    events = EventAccumulator(str(folder))
    events.Reload()
    there = set(events.Tags()["scalars"])
    return [
        statistics.median([point.value for point in events.Scalars(name)][2:]) if name in there else None
        for name in names
    ]
