"""One candidate, trained for some CPU time and then judged. CPU time is that of this process, on one thread: how busy
the machine is changes it little. What the loader's worker reads and decodes is the same for all and not counted.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from avsync.config import TrainConfig
from avsync.data.batch import Batch
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.train.step import build_optimizer, learning_rate
from benchmarks.faces import ours, stablesync, syncnet
from benchmarks.faces.candidate import Candidate, Recipe, check_clock
from benchmarks.faces.judge import Verdict, judge, open_unseen
from benchmarks.train.feed import rows_of

RECIPES: dict[str, Recipe] = {
    "ours": ours.RECIPE,
    "syncnet": syncnet.RECIPE,
    "stablesync": stablesync.RECIPE,
}
LOOK, BELOW = 20, 0.95
"""The loss has left its level where its mean over 20 steps stays below 95 % of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What one process is asked to do."""

    name: str
    """Of RECIPES."""
    dataset: Path
    seed: int
    cpu_s: float
    split: str
    windows: int
    """Judged of each clip."""
    rate: float = 0
    """Learning rate; 0: the recipe's."""


class Point(NamedTuple):
    """A step of training."""

    cpu_s: float
    """At its end, since the beginning."""
    loss: float
    """The one that is watched."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of it."""

    verdict: Verdict
    curve: tuple[Point, ...]
    left_s: float | None
    """CPU seconds until the loss left the level of who knows nothing; None: it did not."""
    level: float
    parameters: int

    @property
    def steps(self) -> int:
        return len(self.curve)

    @property
    def loss(self) -> float:
        """Of its level, at the end."""
        return float(np.mean([point.loss for point in self.curve[-LOOK:]])) / self.level


def run(entry: Entry) -> Outcome:
    """Train and judge. Raises InputError, FormatError."""
    torch.set_num_threads(1)
    recipe = RECIPES[entry.name]
    config = replace(recipe.config, seed=entry.seed)
    if entry.rate:
        config = replace(config, optim=replace(config.optim, lr=entry.rate))
    feed = Feed.open(entry.dataset, "train", config.pairs, config.view)
    check_clock(feed.dataset.info.clock, str(entry.dataset))
    judged = open_unseen(entry.dataset, entry.split, config.view)
    torch.manual_seed(config.seed)
    candidate = recipe.build(config, feed)
    curve = train(candidate, feed, config, entry.cpu_s)
    return Outcome(
        verdict=judge(candidate, judged, entry.windows),
        curve=tuple(curve),
        left_s=left_at(curve, candidate.level),
        level=candidate.level,
        parameters=sum(weights.numel() for weights in candidate.parameters()),
    )


def train(candidate: Candidate, feed: Feed, config: TrainConfig, cpu_s: float) -> list[Point]:
    """Steps until the time is spent; the rate falls as it would if their number had been known."""
    optimizer, curve = build_optimizer(candidate.parameters(), config.optim), list[Point]()
    candidate.train()
    with feed.loader(LoaderOptions(workers=1)) as loader:
        begun = time.process_time()
        for step, batch in enumerate(loader.batches(rows_of(feed, config.batch, config.seed))):
            spent = time.process_time() - begun
            if spent >= cpu_s:
                break
            if not batch.valid.any():
                continue
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, planned(step, spent / cpu_s, config), config.optim)
            loss = one_step(candidate, optimizer, batch, step, config.optim.clip_norm)
            curve.append(Point(time.process_time() - begun, loss))
    return curve


def planned(step: int, share: float, config: TrainConfig) -> int:
    """How many steps there will be, when `step` of them took this share of the time."""
    return max(step, config.optim.warmup_steps, round(step / share) if share else 0) + 1


def one_step(candidate: Candidate, optimizer: torch.optim.Optimizer, batch: Batch, step: int, most: float) -> float:
    """Forward, backward, update. Returns the loss that is watched. most: what gradients are scaled down to."""
    losses = candidate.losses(batch, step)
    optimizer.zero_grad()
    losses.trained.backward()
    torch.nn.utils.clip_grad_norm_(candidate.parameters(), most)
    optimizer.step()
    return float(losses.watched)


def left_at(curve: Sequence[Point], level: float) -> float | None:
    """CPU seconds at the end of the first LOOK steps from which on the mean over as many stays below BELOW x level."""
    if len(curve) < LOOK:
        return None
    means = np.convolve([point.loss for point in curve], np.ones(LOOK) / LOOK, mode="valid")
    above = np.flatnonzero(~(means < BELOW * level))  # nan is no success
    first = int(above[-1]) + 1 if len(above) else 0
    return curve[first + LOOK - 1].cpu_s if first < len(means) else None
