"""The order of clips: what it costs to start anywhere, and how well it is shuffled, beside a full permutation by NumPy.

python -m benchmarks.order [CLIPS]

A made-up split: 32 sources a shard, 1 to 12 clips a source, batches of 16. Cost is measured in processes of their own;
memory is the most that is allocated on top of the index. Wanted for a million: < 1 s, < 100 MB.
"""

import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from avsync.data.order import Digest, Order
from benchmarks.base.runner import alone, seconds
from benchmarks.base.table import Table, command
from sharding.base.text import percent

SOURCES_PER_SHARD, MOST_CLIPS, BATCH = 32, 12, 16
EPOCHS = 3
"""Looked at for quality."""


class Start(NamedTuple):
    """Of the first step asked for."""

    seconds: float
    peak_mb: float


class Split(NamedTuple):
    """Columns of an index."""

    source: NDArray[np.int32]
    shard: NDArray[np.int32]


def made_up(clips: int) -> Split:
    """Sources in the order of their ids, as pack lays them down."""
    rng = np.random.default_rng(0)
    source = np.repeat(np.arange(clips, dtype=np.int32), rng.integers(1, MOST_CLIPS, clips, endpoint=True))[:clips]
    return Split(source, source // SOURCES_PER_SHARD)


def ours(split: Split) -> Order:
    """The product's."""
    return Order(clips=np.arange(len(split.shard)), shards=split.shard, batch=BATCH, seed=0)


def start(given: tuple[int, float | None]) -> Start:
    """Clips, and how far through epoch 1000: the first step there and what proves it; None: a full permutation."""
    clips, fraction = given
    split = made_up(clips)

    def work() -> None:
        if fraction is None:
            np.random.default_rng([0, 1000]).permutation(clips)
            return
        order = ours(split)  # as a resumed run asks for it
        step = int((1000 + fraction) * order.steps_per_epoch)
        order.step(step)
        Digest.resumed(order, step + 1, "00" * 16)

    took = seconds(work)
    tracemalloc.start()  # slows the work down
    work()
    return Start(took, tracemalloc.get_traced_memory()[1] / 1e6)


def epochs_of(order: Order) -> list[NDArray[np.int64]]:
    """Step by step, as training asks for it."""
    steps = order.steps_per_epoch
    return [np.concatenate([order.step(e * steps + k).clips for k in range(steps)]) for e in range(EPOCHS)]


def full(clips: int) -> list[NDArray[np.int64]]:
    """Nothing can be shuffled better."""
    return [np.random.default_rng([0, epoch]).permutation(clips)[: clips // BATCH * BATCH] for epoch in range(EPOCHS)]


def places(epoch: NDArray[np.int64], clips: int) -> NDArray[np.int64]:
    """Where each clip came; those left out, at the end."""
    place = np.full(clips, len(epoch))
    place[epoch] = np.arange(len(epoch))
    return place


def twice(labels: NDArray[np.int32]) -> float:
    """Fraction of batches that hold two clips of one source or shard."""
    ranked = np.sort(labels.reshape(-1, BATCH), axis=1)
    return float((ranked[:, 1:] == ranked[:, :-1]).any(axis=1).mean())


def quality(epochs: list[NDArray[np.int64]], split: Split) -> dict[str, float]:
    """Means over the epochs."""
    clips, found = len(split.shard), dict[str, float]()

    def mean(what: Callable[[NDArray[np.int64]], float]) -> float:
        return float(np.mean([what(epoch) for epoch in epochs]))

    def correlation(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:  # of ranks: both hold each number once
        return float(abs(np.corrcoef(a, b)[0, 1]))

    at = [places(epoch, clips) for epoch in epochs]
    following = [correlation(a, b) for a, b in pairwise(at)]
    found["rank correlation with the index (absolute)"] = mean(lambda e: correlation(e, np.arange(len(e))))
    found["rank correlation with the next epoch (absolute)"] = float(np.mean(following))
    for name, label in (("source", split.source), ("shard", split.shard)):
        found[f"neighbours of one {name} (%)"] = 100 * mean(lambda e, of=label: (of[e][1:] == of[e][:-1]).mean())
        found[f"batches with two clips of one {name} (%)"] = 100 * mean(lambda e, of=label: twice(of[e]))
    found["shards read for 100 batches"] = mean(lambda e: len(np.unique(split.shard[e[: 100 * BATCH]])))
    return found


def compare(clips: int) -> list[Table]:
    """Cost and quality."""
    split, mixed = made_up(clips), list[NDArray[np.int64]]()
    shards = f"{len(np.unique(split.source)):,} sources, {len(np.unique(split.shard)):,} shards"
    cost = Table(f"{clips:,} clips, {shards}: to the first step of epoch 1000", ("way", "ms", "memory (MB)"))
    for fraction in (0.0, 0.3, 0.6, 0.99, None):
        got = alone(start, (clips, fraction))
        name = "a full permutation" if fraction is None else f"ours, {percent(fraction, 0)} through it, digest checked"
        cost.add(name, f"{got.seconds * 1e3:.1f}", f"{got.peak_mb:.1f}")
    took = seconds(lambda: mixed.extend(epochs_of(ours(split))))
    cost.add("ours, each step of an epoch in turn", f"{took * 1e3 / EPOCHS:.1f}", "")
    shuffled = Table(f"the same clips, batches of {BATCH}, {EPOCHS} epochs", ("what", "ours", "full"))
    best = quality(full(clips), split)
    for what, value in quality(mixed, split).items():
        shuffled.add(what, f"{value:.4g}", f"{best[what]:.4g}")
    return [cost, shuffled]


if __name__ == "__main__":
    from benchmarks import order  # what runs in another process has its name there

    parser = command("order", __doc__)
    parser.add_argument("clips", type=int, nargs="?", default=1_000_000, metavar="CLIPS")
    for table in order.compare(parser.parse_args().clips):
        Console().print(table.rich())
