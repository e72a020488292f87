"""Where the clips of a training measurement come from, how fast they flow, and the curves that a run has drawn."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from avsync.config import PairConfig, ViewConfig
from avsync.data.batch import Batch
from avsync.data.order import Draw
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.train.gpu import GpuMeter
from benchmarks.train.step import settle
from sharding.config import PackConfig
from sharding.errors import InputError
from sharding.format.dataset import open_dataset
from sharding.pack.pack import pack
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import generate

SCENE_S = 8
"""Long enough for a window of 4 s and a shift."""


def make_dataset(folder: Path, form: str, scenes: int, side: int) -> Path:
    """Generated scenes, packed; easier to decode than footage. What is there already is kept."""
    look = SceneConfig(count=scenes, seconds=SCENE_S, size=side, fps=30, sample_rate=44_100)
    table = generate(folder / "scenes", replace(look, val_share=0, test_share=0)).table
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


def rows_of(feed: Feed, batch: int, seed: int = 0) -> Iterator[list[Draw]]:
    """What training would ask for, for ever."""
    order = feed.order(batch, seed)
    return (rows for step in count() for rows in feed.draws(order, step))


def kept(batch: Batch) -> Batch:
    """A copy that stays valid."""
    tensors = {name: getattr(batch, name).clone() for name in ("yuv", "audio", "in_sync", "matrix", "valid")}
    return replace(batch, **tensors)


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
    with feed.loader(options) as loader, GpuMeter(device) as gpu:
        start, batches = time.perf_counter(), 0
        for number, given in enumerate(loader.batches(rows_of(feed, batch)), start=1):
            use(given)
            if number == first:
                settle(device)
                loader.meter.take(1)
                gpu.read()
                start = time.perf_counter()
            batches = number - first
            if batches > 0 and time.perf_counter() - start > seconds:
                break
        settle(device)
        elapsed = time.perf_counter() - start
        figures, use_of_gpu = loader.meter.take(elapsed), gpu.read()
    return Pace(
        batch_s=elapsed / batches,
        wait_share=figures.wait_share,
        transfer_s=figures.transfer_ms / 1e3,
        busy=use_of_gpu.busy if use_of_gpu else None,
    )


def curve(run: Path, name: str, tag: str) -> list[tuple[int, float]]:
    """(step, value) of a curve in a run's TensorBoard files; empty where there is no such curve."""
    # late: a machine that is only measured need not have it
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard" / name), size_guidance={"scalars": 0})
    events.Reload()
    there = events.Scalars(tag) if tag in events.Tags()["scalars"] else []
    return [(event.step, event.value) for event in there]
