"""A run's separator: with its first weights, or trained, found in a run folder and ready to be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from avsync.config import TrainConfig
from avsync.models import build_trained
from avsync.models.separator import Separator
from avsync.run.checkpoint import check_model, load_checkpoint, restore_weights
from avsync.run.descent import take_features
from avsync.run.info import RunInfo, choose_step, read_run
from avsync.run.network import check_finite
from avsync.run.paths import RunPaths
from avsync.spec import InputSpec
from sharding.errors import UsageError
from sharding.format.index import DatasetInfo


def build_separator(info: RunInfo) -> Separator:
    """With first weights, those of the features among them."""
    torch.manual_seed(info.config.seed)
    features = build_trained(info.features.model, info.features.spec) if info.features else None
    return Separator(info.spec, info.config.separate, features)


def see_by_features(network: Separator, info: RunInfo) -> str:
    """Put what the features have learned into a network that begins; returns what was done, as a sentence.

    Raises InputError, FormatError.
    """
    if not network.features or not info.features:
        return "takes sounds apart blindly"
    along = ", which are trained along" if info.config.separate.along else ", which stay as they are"
    return take_features(network.features, info.features) + along


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LoadedSeparator:
    """In evaluation mode, with what it was trained on."""

    network: Separator
    config: TrainConfig
    spec: InputSpec
    dataset: DatasetInfo
    step: int


def load_separator(run: Path, which: Literal["best", "last"], device: torch.device) -> LoadedSeparator:
    """The best or the newest of a run. Raises InputError, FormatError; UsageError for the run of a sync network."""
    paths = RunPaths(run)
    info = read_run(paths)
    if not info.config.separates:
        raise UsageError(
            f"{run} is a sync network, {info.config.model!r}, and takes no sounds apart: train one that does, "
            f"avsync train DATASET RUN --preset separate --features {run}"
        )
    step = choose_step(paths, which)
    folder = paths.checkpoint(step)
    saved = load_checkpoint(folder)
    check_model(saved.state, info.config.model, folder)
    network = build_separator(info)
    restore_weights(network, saved.model, folder, info.config.model)
    check_finite(network, folder)
    return LoadedSeparator(
        network=network.to(device).eval(), config=info.config, spec=info.spec, dataset=info.dataset, step=step
    )
