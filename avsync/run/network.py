"""A run's network: with its first weights, or trained, found in a run folder and ready to be asked."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from avsync.config import ModelName, TrainConfig
from avsync.data.selection import Selection
from avsync.loading.feed import Feed
from avsync.metrics import Calibration
from avsync.models import MODELS, build_model, build_trained
from avsync.models.parts import SyncNet, SyncOutput, Uncompiled
from avsync.models.sizes import check_size
from avsync.run.checkpoint import check_model, load_checkpoint, restore_weights
from avsync.run.info import RunInfo, choose_step, read_run
from avsync.run.paths import RunPaths
from avsync.run.state import State
from avsync.spec import InputSpec
from avsync.world import use_cores
from sharding.base.console import open_console
from sharding.base.files import from_json
from sharding.base.text import first_few
from sharding.errors import FormatError, UsageError
from sharding.format.index import DatasetInfo


def build_network(config: TrainConfig, feed: Feed) -> SyncNet:
    """The network with its first weights. Raises InputError when it cannot work with the feed's windows."""
    torch.manual_seed(config.seed)
    network = build_model(config.model, feed.spec())
    if config.channels_last:
        network.to(memory_format=torch.channels_last_3d)  # pyright: ignore[reportCallIssue]
    return network


def compile_network(network: SyncNet, backend: str | Callable[..., Any] = "inductor") -> Callable[..., SyncOutput]:
    """The network through torch.compile, but for the parts that it cannot take. Weights and their names stay.

    Every shape of the inputs is compiled for itself: a low-rate stage and the full rate cost two compilations.
    """
    for module in network.modules():
        if isinstance(module, Uncompiled):
            module.forward = torch.compiler.disable(module.forward)
    return torch.compile(network, dynamic=False, backend=backend)


def check_network(model: str, config: TrainConfig, feed: Selection) -> None:
    """Raises UsageError when network `model` cannot work with the feed's windows, at every frame rate it will see."""
    if model not in MODELS:
        return  # who takes sounds apart blindly works with windows of any length
    for every in {1, config.low_rate.every if config.low_rate.steps else 1}:
        check_size(model, MODELS[model], feed.spec(every))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LoadedNetwork:
    """A network in evaluation mode, with what it was trained on."""

    model: SyncNet
    config: TrainConfig
    spec: InputSpec
    dataset: DatasetInfo
    step: int
    threshold: float | None = None
    """The logit that parted the validation of this checkpoint best; None: the run does not say."""
    calibration: Calibration | None = None
    """What its logits meant there; None: the run does not say."""


def load_network(run: Path, which: Literal["best", "last"], device: torch.device) -> LoadedNetwork:
    """The best or the newest network of a run; the newest, and a word about it, when the best is gone.

    Best is the one with the highest audited accuracy. There is a word about a network that cheats, too.

    Raises InputError, FormatError.
    """
    paths = RunPaths(run)
    info: RunInfo = read_run(paths)
    step = choose_step(paths, which)
    loaded, state = load_step(paths, info, step, device)
    if state.alarm:
        warning = f"{paths.checkpoint(step)}: {state.alarm.warning}"
        open_console(stderr=True).print(warning, style="bold red", soft_wrap=True)
    return loaded


def load_step(paths: RunPaths, info: RunInfo, step: int, device: torch.device) -> tuple[LoadedNetwork, State]:
    """The network of one checkpoint, and its state. Raises FormatError."""
    folder = paths.checkpoint(step)
    saved = load_checkpoint(folder)
    check_model(saved.state, info.config.model, folder)
    if info.config.separates:
        raise UsageError(
            f"{paths.root} takes sounds apart and says nothing of sync: ask avsync separate or evaluate, or name the "
            "run of a sync network"
        )
    model = build_trained(info.config.model, info.spec)
    restore_weights(model, saved.model, folder, info.config.model)
    check_finite(model, folder)
    best = saved.state.best if saved.state.best and saved.state.best.step == step else None
    loaded = LoadedNetwork(
        model=model.to(device).eval(),
        config=info.config,
        spec=info.spec,
        dataset=info.dataset,
        step=step,
        threshold=best and best.threshold,
        calibration=best and best.calibration,
    )
    return loaded, saved.state


def check_finite(model: nn.Module, folder: Path) -> None:
    """Raises FormatError for weights that are nan or infinite: their answers would look like "can't tell"."""
    strange = [name for name, values in model.state_dict().items() if not values.isfinite().all()]
    if strange:
        raise FormatError(
            f"{folder} holds weights that are no numbers ({first_few(strange)}): the training went astray. Choose "
            "another checkpoint with --checkpoint best or last, or train anew with a lower --optim.lr"
        )


def pick_device(wanted: Literal["auto", "cpu"]) -> torch.device:
    """The GPU when there is one and it is wanted."""
    device = torch.device("cuda" if wanted == "auto" and torch.cuda.is_available() else "cpu")
    use_cores(device)
    return device


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkQuestion:
    """Can a network work with such windows?"""

    model: ModelName
    spec: InputSpec

    def answer(self) -> str:
        """Why it cannot; empty where it can."""
        try:
            check_size(self.model, MODELS[self.model], self.spec)
        except UsageError as error:
            return str(error)
        return ""


def main() -> None:
    """`python -m avsync.run.network`: JSON with questions in, a line of JSON with an answer to each out. For a program
    that queues jobs and does not load torch itself.
    """
    asked = from_json(sys.stdin.buffer.read(), list[NetworkQuestion], "the question")
    sys.stdout.write(json.dumps([one.answer() for one in asked]) + "\n")


if __name__ == "__main__":
    main()
