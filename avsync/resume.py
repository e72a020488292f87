"""How a run starts or goes on: run.json written or checked, the newest checkpoint taken up, and a receipt for it."""

import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from avsync.checkpoint import (
    RunInfo,
    RunPaths,
    State,
    check_model,
    check_same_run,
    load_checkpoint,
    read_run,
    restore_weights,
)
from avsync.config import TrainConfig
from avsync.feed import Feed
from avsync.models.parts import SyncNet
from avsync.network import check_network
from avsync.order import Digest, Order, check_batch
from avsync.validation import open_validation
from avsync.world import World
from sharding.clip import FORMAT_VERSION
from sharding.errors import FormatError, InputError
from sharding.files import LOCK_NAME, folder_lock, write_json
from sharding.index import INFO
from sharding.words import first_few


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OpenRun:
    """A run, checked and claimed: everything but the network."""

    paths: RunPaths
    info: RunInfo
    feed: Feed
    validation: Feed | None
    order: Order

    @property
    def config(self) -> TrainConfig:
        return self.info.config


def open_run(dataset: Path, run: Path, config: TrainConfig, world: World, held: ExitStack) -> OpenRun:
    """Check every setting against the data; then rank 0 locks the folder (until `held` closes) and claims it.

    Raises InputError before anything is written, FormatError, BusyError.
    """
    check_batch(config.batch, world.ranks, config.accumulate)
    feed = Feed.open(dataset, "train", config.pairs, config.view)
    validation = open_validation(dataset, config)
    shards = feed.dataset.index.shard[feed.clips]
    order = Order(clips=feed.clips, shards=shards, batch=config.batch, seed=config.seed)
    check_network(config, feed)
    fingerprints = [part.fingerprint() for part in (feed, validation) if part]
    info = RunInfo(
        format_version=FORMAT_VERSION, config=config, spec=feed.spec(), dataset=feed.dataset.info,
        dataset_path=str(dataset), data_fingerprint="-".join(fingerprints), git=git_hash(),
        torch=str(torch.__version__),
    )  # fmt: skip
    opened = OpenRun(paths=RunPaths(run), info=info, feed=feed, validation=validation, order=order)
    _check_folder(opened.paths)
    if world.is_main:
        held.enter_context(folder_lock(run, "avsync train"))
        claim(opened.paths, info)
    return opened


def _check_folder(paths: RunPaths) -> None:
    """A run goes into a new or empty folder, or goes on in its own. Raises InputError."""
    if (paths.root / INFO).exists():
        raise InputError(f"{paths.root} is a dataset; give the run another folder")
    if paths.info.exists() or paths.saved_steps() or not paths.root.is_dir():
        return
    foreign = sorted(path.name for path in paths.root.iterdir() if path.name not in (LOCK_NAME, "tensorboard"))
    if foreign:
        raise InputError(
            f"{paths.root} holds other files ({first_few(foreign)}) and is no run; give the run a new folder"
        )


def claim(paths: RunPaths, wanted: RunInfo) -> None:
    """Make the folder this run's, or check that it is. Raises InputError when another run lives there."""
    if paths.info.is_file():
        check_same_run(read_run(paths), wanted, paths.root)
    elif paths.saved_steps():
        raise FormatError(f"{paths.root} has checkpoints but no run.json: put it back, or use another run folder")
    else:
        write_json(paths.info, wanted)


def take_up(opened: OpenRun, step: int, digest: Digest, network: SyncNet, optimizer: torch.optim.Optimizer) -> State:
    """The checkpoint of `step`, put into network and optimiser; a fresh state when it is 0.

    Raises FormatError when it is damaged, of another network, or was trained on other clips than those of `digest`,
    which the run's order gives.
    """
    paths, model = opened.paths, opened.config.model
    if not step:
        return State(step=0, model=model, digest="", skipped=0)
    folder = paths.checkpoint(step)
    saved = load_checkpoint(folder)
    check_model(saved.state, model, folder)
    restore_weights(network, saved.model, folder, model)
    try:
        optimizer.load_state_dict(saved.optimizer)
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{folder} holds another optimiser's state: {error}") from error
    if (step, digest.state) != (saved.state.step, saved.state.digest):
        raise FormatError(
            f"{folder} was trained on other clips than this dataset and seed give; start a new run in another folder"
        )
    best = saved.state.best
    if best and not paths.checkpoint(best.step).exists():
        return replace(saved.state, best=None)  # its folder was deleted: the next validation starts afresh
    return saved.state


def git_hash() -> str:
    """The checkout's commit, with + when it has uncommitted changes; empty when this is no checkout."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--abbrev=12"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit.stdout.strip()
