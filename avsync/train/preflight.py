"""Before the first step of an attempt: how fast the loader is alone, how fast the network is alone, so what to expect.

On the machine that was given, with the run's own data and settings. The network is another one, with an optimiser of
its own, and random numbers are put back: the run is bit by bit what it would have been.
"""

import gc
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from avsync.config import TrainConfig
from avsync.data.batch import Batch
from avsync.data.order import Order
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions, StoppedWaiting
from avsync.run.network import build_network
from avsync.train.efficiency import remedy
from avsync.train.step import Stepper
from avsync.world import World
from sharding.base.text import percent

LOADER_S, NETWORK_S = 8.0, 8.0
"""How long each is measured."""
FIRST_BATCH_S = 25.0
"""Most that is waited for a first batch: then there is nothing to measure yet."""
WHOLE_S = 50.0
"""After so long no other step is begun."""
WARM_UP = 2
"""Steps that are not counted, when there is time for more: they choose kernels and take memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What was measured, of all ranks: the slowest, times their number. NaN: it could not be."""

    loader: float
    """Clips per second."""
    network: float
    """The same."""
    on_gpu: bool
    compiled: bool
    """The run's network will be, this one was not."""

    @property
    def wait(self) -> float:
        """Share of time that a step will wait for data, 0 to 1; NaN when that is not known."""
        return max(1 - self.loader / self.network, 0.0)  # in this order: NaN stays NaN

    def __str__(self) -> str:
        who = "the GPU" if self.on_gpu else "the network"
        rates = f"loader {_rate(self.loader)}, network {_rate(self.network)}{' uncompiled' * self.compiled}: "
        if math.isnan(self.wait):
            return rates + "too little for a forecast"
        if self.wait < 0.01:
            return rates + f"{who} will wait 0 % for data" + "; but here both share the cores" * (not self.on_gpu)
        return rates + f"{who} will wait for data about {percent(self.wait, digits=0)} of the time. {remedy(self.wait)}"


def _rate(clips_per_s: float) -> str:
    return "unknown" if math.isnan(clips_per_s) else f"{clips_per_s:.3g} clips/s"


def preflight(
    feed: Feed, order: Order, config: TrainConfig, world: World, options: LoaderOptions, start: int
) -> Forecast:
    """Measured on every rank, which must all call it. `start`: the step that comes next; options.stopping ends it.

    Raises what the loader raises when the data is no good.
    """
    until = time.monotonic() + WHOLE_S

    def measure() -> tuple[float, float]:
        loader, batch = _loader(feed, order, config, world, options, start)
        return loader, math.nan if batch is None else _network(feed, config, world, options.stopping, batch, until)

    mine = world.together(measure)
    gc.collect()
    torch.cuda.empty_cache()  # the network that was thrown away had what the run's now takes
    slowest = world.gather(torch.tensor([mine], device=world.device, dtype=torch.float64)).amin(0)  # NaN stays NaN
    loader, network = (slowest * world.ranks).tolist()
    return Forecast(loader=loader, network=network, on_gpu=world.device.type == "cuda", compiled=config.compile)


def _loader(
    feed: Feed, order: Order, config: TrainConfig, world: World, options: LoaderOptions, start: int
) -> tuple[float, Batch | None]:
    """Clips per second of this rank, once what was begun ahead is used up; and a batch."""
    begun, came = time.monotonic(), list[tuple[float, int]]()
    limited = replace(
        options, stopping=lambda: options.stopping() or (not came and time.monotonic() > begun + FIRST_BATCH_S)
    )
    every = config.low_rate.every if start < config.low_rate.steps else 1
    rows = feed.training_rows(order, range(start, config.steps), world, config.runtime.accumulate)
    batch = None
    with feed.loader(limited, every) as loader:
        try:
            for batch in loader.batches(rows):
                came.append((time.monotonic(), len(batch.draws)))
                if came[-1][0] > came[0][0] + LOADER_S or options.stopping():
                    break
        except StoppedWaiting:
            pass
    return _pace(begun, came, skipped=options.prefetch), batch


def _pace(begun: float, came: list[tuple[float, int]], skipped: int) -> float:
    """Clips per second of `came`, (moment, clips) in order; without the first `skipped` ones when there are more."""
    if not came:
        return math.nan
    first = min(skipped, len(came) // 2)
    since = came[first - 1][0] if first else begun
    return sum(clips for _, clips in came[first:]) / max(came[-1][0] - since, 1e-9)


def _network(
    feed: Feed, config: TrainConfig, world: World, stopping: Callable[[], bool], batch: Batch, until: float
) -> float:
    """Clips per second of this rank, with one batch again and again."""
    devices = [world.device] if world.device.type == "cuda" else []
    came, passes = list[tuple[float, int]](), config.runtime.accumulate
    with torch.random.fork_rng(devices):
        plain = replace(config, compile=False)
        rate = feed.dataset.info.clock.sample_rate
        stepper = Stepper(Alone(world), build_network(plain, feed).to(world.device), plain, feed.view, rate)
        stepper.ready()
        begun = time.monotonic()
        try:
            while not stopping() and time.monotonic() < min(until, begun + NETWORK_S):
                float(stepper.step(0, repeat(batch), lambda _: None).sum())  # waits for the GPU
                came.append((time.monotonic(), passes * len(batch.draws)))
        except torch.OutOfMemoryError:  # beside the run's own network; the run itself may have enough
            return math.nan
    return _pace(begun, came, skipped=WARM_UP)


class Alone:
    """What a step needs of accelerate, for one process: gradients are averaged over no others."""

    def __init__(self, world: World) -> None:
        self._world = world

    def prepare(self, *args: Any) -> Any:
        network, optimizer = args
        forward = network.forward

        def with_precision(*inputs: Tensor) -> Any:
            with self._world.autocast():
                return forward(*inputs)

        network.forward = with_precision
        return network, optimizer

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def no_sync(self, model: Any) -> AbstractContextManager[Any]:
        return nullcontext()

    def clip_grad_norm_(self, parameters: Any, max_norm: float) -> Any:
        return torch.nn.utils.clip_grad_norm_(parameters, max_norm)
