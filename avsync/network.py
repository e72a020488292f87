"""A run's network: with its first weights, or trained, found in a run folder and ready to be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from avsync.checkpoint import Best, RunInfo, RunPaths, load_checkpoint, read_run, restore_weights
from avsync.config import TrainConfig
from avsync.feed import Feed
from avsync.models import build_model
from avsync.models.parts import InputSpec, SyncNet
from avsync.world import use_cores
from sharding.errors import InputError
from sharding.files import read_json
from sharding.index import DatasetInfo


def build_network(config: TrainConfig, feed: Feed) -> SyncNet:
    """The network with its first weights. Raises InputError when it cannot work with the feed's windows."""
    torch.manual_seed(config.seed)
    if config.low_rate.steps:
        build_model(config.model, feed.spec(config.low_rate.every))
    network = build_model(config.model, feed.spec())
    if config.channels_last:
        network.to(memory_format=torch.channels_last_3d)  # pyright: ignore[reportCallIssue]
    return network


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LoadedNetwork:
    """A network in evaluation mode, with what it was trained on."""

    model: SyncNet
    config: TrainConfig
    spec: InputSpec
    dataset: DatasetInfo
    step: int


def load_network(run: Path, which: Literal["best", "last"], device: torch.device) -> LoadedNetwork:
    """The best or the newest network of a run. Raises InputError, FormatError."""
    paths = RunPaths(run)
    info: RunInfo = read_run(paths)
    steps = paths.saved_steps()
    if not steps:
        raise InputError(f"{run} has no checkpoint yet: let avsync train reach its first one")
    step = steps[0]
    if which == "best" and paths.best.is_file():
        step = read_json(paths.best, Best).step
    folder = paths.checkpoint(step)
    model = build_model(info.config.model, info.spec)
    restore_weights(model, load_checkpoint(folder).model, folder, info.config.model)
    return LoadedNetwork(
        model=model.to(device).eval(), config=info.config, spec=info.spec, dataset=info.dataset, step=step
    )


def pick_device(wanted: Literal["auto", "cpu"]) -> torch.device:
    """The GPU when there is one and it is wanted."""
    device = torch.device("cuda" if wanted == "auto" and torch.cuda.is_available() else "cpu")
    use_cores(device)
    return device
