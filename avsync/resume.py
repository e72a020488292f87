"""How a run starts or goes on: run.json written or checked, the newest checkpoint taken up, and a receipt for it."""

from pathlib import Path

import torch

from avsync.checkpoint import (
    RunInfo,
    RunPaths,
    State,
    check_same_run,
    git_hash,
    load_checkpoint,
    read_run,
    restore_weights,
)
from avsync.config import TrainConfig
from avsync.feed import Feed
from avsync.models.parts import SyncNet
from avsync.order import Digest, Order
from sharding.clip import FORMAT_VERSION
from sharding.errors import FormatError
from sharding.files import write_json


def describe(dataset: Path, config: TrainConfig, feed: Feed) -> RunInfo:
    """What this run is."""
    return RunInfo(
        format_version=FORMAT_VERSION, config=config, spec=feed.spec(), dataset=feed.dataset.info,
        dataset_path=str(dataset), data_fingerprint=feed.fingerprint(), git=git_hash(), torch=str(torch.__version__),
    )  # fmt: skip


def claim(paths: RunPaths, wanted: RunInfo, may_write: bool) -> None:
    """Make the folder this run's, or check that it is. Raises InputError when another run lives there."""
    if paths.info.is_file():
        check_same_run(read_run(paths), wanted, paths.root)
    elif paths.saved_steps():
        raise FormatError(f"{paths.root} has checkpoints but no run.json: put it back, or use another run folder")
    elif may_write:
        write_json(paths.info, wanted)


def take_up(paths: RunPaths, network: SyncNet, optimizer: torch.optim.Optimizer, model: str, order: Order) -> State:
    """The newest checkpoint, put into network and optimiser; a fresh state when there is none.

    Raises FormatError when it is damaged, of another network, or was trained on other clips than `order` gives.
    """
    steps = paths.saved_steps()
    if not steps:
        return State(step=0, model=model, digest="", skipped=0)
    folder = paths.checkpoint(steps[0])
    saved = load_checkpoint(folder)
    restore_weights(network, saved.model, folder, model)
    try:
        optimizer.load_state_dict(saved.optimizer)
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{folder} holds another optimiser's state: {error}") from error
    if Digest.after(order, saved.state.step).state != saved.state.digest:
        raise FormatError(
            f"{folder} was trained on other clips than this dataset and seed give; start a new run in another folder"
        )
    return saved.state
