"""Can this network, with these settings, learn 8 clips by heart? A network that cannot do that learns nothing else.

The clips' fixed pairs are trained on again and again, at the peak of the learning rate. Where it does not succeed, a
network of the same kind tries with an optimiser that rarely fails: so the settings are told from the network. Nothing
of it is kept, and no step of a run is like it.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Literal

import numpy as np
import torch

from avsync.confidence.planted import spread_clips
from avsync.config import OptimConfig, TrainConfig
from avsync.data.batch import Batch
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.run.diagnosis import LearningCause
from avsync.run.network import build_network
from avsync.train.preflight import Alone
from avsync.train.step import Stepper
from avsync.world import World
from sharding.base.text import counted, percent

CLIPS = 8
STEPS, FEWEST_STEPS = 300, 60
"""Most that are tried; with fewer in the time there is, nothing can be said."""
LATELY = 5
"""Steps over which it must have known them."""
KNOWN = 0.95
"""Accuracy that is by heart."""
STEADY = OptimConfig(name="adamw", lr=1e-3, weight_decay=0.0, warmup_steps=0, schedule="constant", clip_norm=5.0)
"""An optimiser that rarely fails."""

Outcome = Literal["known", "astray", "not known", "too slow"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ByHeart:
    """What came of it."""

    finding: LearningCause | None
    note: str
    """One line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeartAttempt:
    """How one went."""

    outcome: Outcome
    steps: int
    accuracy: float
    """Over the last steps."""


def learn_by_heart(
    feed: Feed, config: TrainConfig, world: World, seconds: float, advance: Callable[[], object]
) -> ByHeart:
    """What keeps it from learning 8 clips, if that can be told in the time. `advance` is called after each step."""
    clips = np.array(spread_clips(feed.clips, feed.dataset.index.group, CLIPS))
    plain = replace(config, compile=False, batch=len(clips), runtime=replace(config.runtime, accumulate=1))
    steady = replace(plain, optim=STEADY)
    until = time.monotonic() + seconds
    with feed.loader(LoaderOptions.of(config.runtime, world, bool)) as loader:
        batch = next(loader.batches([feed.fixed_draws(clips)]))
        own = attempt(feed, plain, world, batch, until - seconds / 2, advance)
        other = attempt(feed, steady, world, batch, until, advance) if own.outcome in ("astray", "not known") else None
    if own.outcome == "known":
        note = f"{counted(len(clips), 'clip')} are known by heart after {own.steps} steps"
    elif "too slow" in (own.outcome, other and other.outcome):
        note = f"too slow here to learn {counted(len(clips), 'clip')} by heart: {own.steps} steps in the time there is"
    else:
        note = f"{counted(len(clips), 'clip')} are not known by heart after {own.steps} steps"
    return ByHeart(finding=judge(own, other, config), note=note)


def attempt(
    feed: Feed, config: TrainConfig, world: World, batch: Batch, until: float, advance: Callable[[], object]
) -> HeartAttempt:
    """A network with its first weights, and this one batch."""
    right = list[float]()
    with torch.random.fork_rng([world.device] if world.device.type == "cuda" else []):
        network = build_network(config, feed).to(world.device)
        rate = feed.dataset.info.clock.sample_rate
        stepper = Stepper(Alone(world), network, config, feed.view, rate)
        stepper.ready()
        while len(right) < STEPS and time.monotonic() < until:
            loss, correct, examples, _ = stepper.step(config.optim.warmup_steps, repeat(batch), lambda _: None).tolist()
            right.append(correct / max(1.0, examples))
            advance()
            lately = float(np.mean(right[-LATELY:]))
            if not math.isfinite(loss):
                return HeartAttempt(outcome="astray", steps=len(right), accuracy=lately)
            if len(right) >= LATELY and lately >= KNOWN:
                return HeartAttempt(outcome="known", steps=len(right), accuracy=lately)
    lately = float(np.mean(right[-LATELY:])) if right else math.nan
    return HeartAttempt(
        outcome="not known" if len(right) >= FEWEST_STEPS else "too slow", steps=len(right), accuracy=lately
    )


def judge(own: HeartAttempt, steady: HeartAttempt | None, config: TrainConfig) -> LearningCause | None:
    """own: with the run's settings; steady: with the optimiser that rarely fails, where that was needed."""
    if own.outcome in ("known", "too slow") or steady is None or steady.outcome == "too slow":
        return None
    optim = config.optim
    if own.outcome == "astray":
        seen = f"the loss is no number any more after {own.steps} steps on {CLIPS} clips"
    else:
        seen = f"after {own.steps} steps on the same {CLIPS} clips {percent(own.accuracy)} of them are known"
    if steady.outcome == "known":
        return LearningCause(
            "learning rate",
            f"{seen} with --optim.name {optim.name} --optim.lr {optim.lr:g} --optim.weight-decay "
            f"{optim.weight_decay:g}; with {STEADY.name}, {STEADY.lr:g} and {STEADY.weight_decay:g} all of them are "
            f"after {steady.steps}: start from those",
        )
    return LearningCause(
        "cannot learn 8 clips",
        f"{seen}, nor with another optimiser: pictures too small (--view.size), windows too short or too long "
        f"(--pairs.window-s), or a network that cannot (--model {config.model}); and see what else is said here",
    )
