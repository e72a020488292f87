"""One cell of the table of learning: a network, a pair sampler and a seed; trained, then judged on honest pairs.

A network may get other ears, to see whether they are what keeps it on the plateau near ln 2.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from torch import nn

from avsync.config import EvaluateConfig, ModelName, OptimizerName, PairConfig, PairsName, TrainConfig, ViewConfig
from avsync.evaluate.evaluate import evaluate
from avsync.metrics import wilson
from avsync.models import MODELS, paper, small
from avsync.models.parts import SyncNet
from avsync.presets import PRESETS
from avsync.run.info import read_run
from avsync.run.paths import RunPaths
from avsync.run.resume import described
from avsync.spec import InputSpec
from avsync.staging.mirror import StagedDataset
from avsync.train.trainer import train
from benchmarks.train.feed import curve
from benchmarks.train.settings import PLATEAU_BELOW
from sharding.base.files import read_json, write_json

Ears = Literal["own", "waveform", "log-mel"]
EARS: dict[Ears, tuple[Callable[[InputSpec], nn.Module], int]] = {
    "waveform": (lambda spec: paper.Audio(spec.channels), 256),
    "log-mel": (lambda spec: small.AudioPart(spec.clock.sample_rate), small.FEATURES),
}
"""How they are built, and how many features they give."""
WANTED: dict[ModelName, int] = {"paper": 256, "small": small.FEATURES, "covariance": small.FEATURES}
"""Features that the networks take in, those whose ears can be changed."""
JUDGED = PairConfig(min_shift_s=2, max_shift_s=5.9)
"""Symmetric pairs: whatever taught a network, these leak nothing to it."""
WIDE_S = 4.0
"""Seconds between windows that are far apart."""
CYCLIC = (0.5, 3.5)
"""Seconds of turning, least and most, as in the thesis; a window of 4 s cannot be turned by more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What to train."""

    network: ModelName
    law: PairsName
    seed: int
    steps: int
    batch: int
    optimizer: OptimizerName
    lr: float
    low_rate_steps: int
    wide_steps: int
    """First steps with windows at least WIDE_S apart."""
    precision: Literal["fp32", "bf16"]
    ears: Ears
    window_s: float
    size: int
    """Side of the pictures in pixels."""

    @property
    def name(self) -> str:
        """Of its folder; every setting is in it, so that other settings are other cells."""
        how = f"{self.optimizer}-{self.lr:g}" + (f"-low{self.low_rate_steps}" if self.low_rate_steps else "")
        how += f"-wide{self.wide_steps}" if self.wide_steps else ""
        how += "-bf16" if self.precision == "bf16" else ""
        what = f"{self.title.replace(' ', '-')}-{self.law}-{self.window_s:g}s-{self.size}px"
        return f"{what}-{how}-batch{self.batch}-steps{self.steps}-seed{self.seed}"

    @property
    def title(self) -> str:
        """Which network it is."""
        return self.network if self.ears == "own" else f"{self.network} with {self.ears}"

    def config(self) -> TrainConfig:
        """The preset of the small network with what this cell changes; the same for all networks, to compare them."""
        start, warmup = PRESETS["small"](), min(20, (self.wide_steps or self.steps) - 1)
        pairs = replace(JUDGED, law=self.law, window_s=self.window_s)
        if self.law == "cyclic":
            pairs = replace(pairs, min_shift_s=CYCLIC[0], max_shift_s=min(CYCLIC[1], self.window_s - CYCLIC[0]))
        # the schedule: steps to learn should not depend on how many are planned
        optim = replace(start.optim, name=self.optimizer, lr=self.lr, warmup_steps=warmup, schedule="constant")
        return replace(
            start,
            model=self.network,
            steps=self.steps,
            batch=self.batch,
            seed=self.seed,
            pairs=pairs,
            view=ViewConfig(size=self.size),
            precision=self.precision,
            channels_last=self.precision == "bf16",
            validate_every=max(1, self.steps // 4),
            optim=optim,
            low_rate=replace(start.low_rate, steps=self.low_rate_steps),
            runtime=replace(start.runtime, workers=1, log_every=min(5, self.steps), checkpoint_every=self.steps),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What came of it."""

    cell: Cell
    accuracy: float
    """On symmetric pairs of the test split, whatever sampler taught."""
    low: float
    high: float
    own_accuracy: float
    """On pairs of the sampler that taught, of the test split; what a leak gives is in here."""
    loss: float
    """Of training, mean of the last four points."""
    left_at: int | None
    """First step from which the loss of training stays below PLATEAU_BELOW; None: never."""
    above_at: int | None
    """First validation whose interval lies above one half; None: never."""
    times_chance: float | None
    """How much oftener than a blind point the hottest one lies on the source; None: no boxes are known."""
    step_s: float
    """Median seconds a step, on the machine as busy as it was."""
    curve: tuple[tuple[int, float], ...]
    """(step, loss of training)"""


def find(cell: Cell, folder: Path, dataset: Path) -> Found:
    """Train and judge, or take up what was done before. Raises what training and evaluation raise."""
    here, config = folder / cell.name, cell.config()
    run, result = here / "run", here / "result.json"
    if result.is_file():
        return read_json(result, Found)
    with other_ears(cell.network, cell.ears):
        if cell.wide_steps:
            _train_wide(dataset, run, config, cell.wide_steps)
        train(dataset, run, config)
        judged = own = evaluate(run, dataset, EvaluateConfig(checkpoint="last")).card
        if cell.law != "symmetric":
            judged = evaluate(_as_symmetric(run, here / "judged"), dataset, EvaluateConfig(checkpoint="last")).card
    losses, speeds = curve(run, "train", "loss"), curve(run, "train", "speed/clips_per_s")
    clips = msgspec.json.decode((dataset / "dataset.json").read_bytes())["clips"].get("val", 0)
    found = Found(
        cell=cell,
        accuracy=judged.accuracy.value,
        low=judged.accuracy.low,
        high=judged.accuracy.high,
        own_accuracy=own.accuracy.value,
        loss=float(np.mean([loss for _, loss in losses[-4:]])),
        left_at=left_plateau(losses),
        above_at=above_chance(curve(run, "validation", "accuracy"), clips),
        times_chance=judged.localisation.times_chance if judged.localisation else None,
        step_s=float(np.median([cell.batch / speed for _, speed in speeds])),
        curve=tuple(losses),
    )
    write_json(result, found)
    return found


@contextmanager
def other_ears(network: ModelName, ears: Ears) -> Iterator[None]:
    """While this lasts, networks of this name are built with these ears."""
    own = MODELS[network]
    if ears != "own":
        MODELS[network] = lambda spec: _fitted(own(spec), spec, ears, WANTED[network])
    try:
        yield
    finally:
        MODELS[network] = own


def _fitted(net: SyncNet, spec: InputSpec, ears: Ears, wanted: int) -> SyncNet:
    build, features = EARS[ears]
    fit = (nn.Conv1d(features, wanted, 1, bias=False), nn.BatchNorm1d(wanted), nn.ReLU())
    net.audio = nn.Sequential(build(spec), *fit)
    return net


def _train_wide(dataset: Path, run: Path, config: TrainConfig, steps: int) -> None:
    """The first steps, on windows far apart; then the run's settings are made `config`, which goes on from there."""
    paths, wide = RunPaths(run), replace(config.pairs, min_shift_s=WIDE_S)
    if paths.info.is_file() and read_run(paths).config.pairs == config.pairs:
        return
    train(dataset, run, replace(config, steps=steps, pairs=wide))
    write_json(paths.info, described(StagedDataset.open(dataset, config.runtime), config))


def left_plateau(losses: list[tuple[int, float]]) -> int | None:
    """First step from which all points are below PLATEAU_BELOW; at least two of them, one may be luck."""
    above = [number for number, (_, loss) in enumerate(losses) if loss >= PLATEAU_BELOW]
    first = above[-1] + 1 if above else 0
    return losses[first][0] if len(losses) - first >= 2 else None


def above_chance(accuracies: list[tuple[int, float]], clips: int) -> int | None:
    """First step at which Wilson's 95 % interval lies above one half; the answers of a clip count as one."""
    return next((step for step, value in accuracies if wilson(value, clips)[0] > 0.5), None)


def _as_symmetric(run: Path, copy: Path) -> Path:
    """The same checkpoints under settings that draw symmetric pairs: evaluation asks the run which sampler to use."""
    paths, there = RunPaths(run), RunPaths(copy)
    info = read_run(paths)
    pairs = replace(JUDGED, window_s=info.config.pairs.window_s)
    copy.mkdir(exist_ok=True)
    write_json(there.info, replace(info, config=replace(info.config, pairs=pairs)))
    if not there.checkpoints.exists():
        there.checkpoints.symlink_to(os.path.relpath(paths.checkpoints, copy))
    return copy
