"""The order of clips: what it costs to start anywhere, and how well it is shuffled, beside a full permutation by NumPy.

python benchmarks/order.py [CLIPS]

A made-up split: 32 sources a shard, 1 to 12 clips a source, batches of 16. Cost is measured in processes of their own;
memory is the most that is allocated on top of the index. Wanted for a million: < 1 s, < 100 MB.
"""

import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from avsync.data.order import Digest, Order

SOURCES_PER_SHARD, MOST_CLIPS, BATCH = 32, 12, 16
EPOCHS = 3
"""Looked at for quality."""


class Cost(msgspec.Struct):
    """Of the first step asked for."""

    seconds: float
    peak_mb: float


class Split(msgspec.Struct):
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


def start(way: str, clips: int, share: float) -> Cost:
    """The first step and what proves it, `share` of the way through epoch 1000."""
    split = made_up(clips)
    work = partial(first_step, split, share) if way == "ours" else partial(permuted, clips)
    begun = time.perf_counter()
    work()
    seconds = time.perf_counter() - begun
    tracemalloc.start()  # slows the work down
    work()
    return Cost(seconds, tracemalloc.get_traced_memory()[1] / 1e6)


def first_step(split: Split, share: float) -> None:
    """As a resumed run asks for it."""
    order = ours(split)
    step = int((1000 + share) * order.steps_per_epoch)
    order.step(step)
    Digest.resumed(order, step + 1, "00" * 16)


def permuted(clips: int) -> None:
    """An epoch at once."""
    np.random.default_rng([0, 1000]).permutation(clips)


def alone(*arguments: str) -> Cost:
    """The same program, in a process of its own."""
    run = subprocess.run([sys.executable, __file__, "start", *arguments], stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(run.stdout, type=Cost)


def epochs_of(order: Order) -> list[NDArray[np.int64]]:
    """Step by step, as training asks for it."""
    steps = order.steps_per_epoch
    return [np.concatenate([order.step(e * steps + k).clips for k in range(steps)]) for e in range(EPOCHS)]


def full(clips: int) -> list[NDArray[np.int64]]:
    """Nothing can be shuffled better."""
    return [np.random.default_rng([0, epoch]).permutation(clips)[: clips // BATCH * BATCH] for epoch in range(EPOCHS)]


def correlation(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    """Of ranks: both hold each number once."""
    return float(abs(np.corrcoef(a, b)[0, 1]))


def places(epoch: NDArray[np.int64], clips: int) -> NDArray[np.int64]:
    """Where each clip came; those left out, at the end."""
    place = np.full(clips, len(epoch))
    place[epoch] = np.arange(len(epoch))
    return place


def twice(labels: NDArray[np.int32]) -> float:
    """Share of batches that hold two clips of one source or shard."""
    ranked = np.sort(labels.reshape(-1, BATCH), axis=1)
    return float((ranked[:, 1:] == ranked[:, :-1]).any(axis=1).mean())


def quality(epochs: list[NDArray[np.int64]], split: Split) -> dict[str, float]:
    """Means over the epochs."""
    clips, found = len(split.shard), dict[str, float]()

    def mean(what: Callable[[NDArray[np.int64]], float]) -> float:
        return float(np.mean([what(epoch) for epoch in epochs]))

    at = [places(epoch, clips) for epoch in epochs]
    found["rank correlation with the index (absolute)"] = mean(lambda e: correlation(e, np.arange(len(e))))
    found["rank correlation with the next epoch (absolute)"] = float(
        np.mean([correlation(a, b) for a, b in pairwise(at)])
    )
    for name, label in (("source", split.source), ("shard", split.shard)):
        found[f"neighbours of one {name} (%)"] = 100 * mean(lambda e, of=label: (of[e][1:] == of[e][:-1]).mean())
        found[f"batches with two clips of one {name} (%)"] = 100 * mean(lambda e, of=label: twice(of[e]))
    found["shards read for 100 batches"] = mean(lambda e: len(np.unique(split.shard[e[: 100 * BATCH]])))
    return found


def compare(clips: int) -> list[Table]:
    """Cost and quality."""
    split = made_up(clips)
    shards = f"{len(np.unique(split.source)):,} sources, {len(np.unique(split.shard)):,} shards"
    cost = Table(title=f"{clips:,} clips, {shards}: to the first step of epoch 1000", title_justify="left")
    for name in ("way", "ms", "memory (MB)"):
        cost.add_column(name, justify="left" if name == "way" else "right")
    for share in (0.0, 0.3, 0.6, 0.99):
        got = alone("ours", str(clips), str(share))
        cost.add_row(f"ours, {share:.0%} through it, digest checked", f"{got.seconds * 1e3:.1f}", f"{got.peak_mb:.1f}")
    got = alone("full", str(clips), "0")
    cost.add_row("a full permutation", f"{got.seconds * 1e3:.1f}", f"{got.peak_mb:.1f}")
    begun = time.perf_counter()
    mixed = epochs_of(ours(split))
    cost.add_row("ours, each step of an epoch in turn", f"{(time.perf_counter() - begun) * 1e3 / EPOCHS:.1f}", "")
    shuffled = Table(title=f"the same clips, batches of {BATCH}, {EPOCHS} epochs", title_justify="left")
    for name in ("what", "ours", "full"):
        shuffled.add_column(name, justify="left" if name == "what" else "right")
    best = quality(full(clips), split)
    for what, value in quality(mixed, split).items():
        shuffled.add_row(what, f"{value:.4g}", f"{best[what]:.4g}")
    return [cost, shuffled]


if __name__ == "__main__":
    if sys.argv[1:2] == ["start"]:
        sys.stdout.buffer.write(msgspec.json.encode(start(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
    else:
        Console().print(*compare(int(sys.argv[1]) if sys.argv[1:] else 1_000_000), sep="\n")
