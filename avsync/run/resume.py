"""How a run starts or goes on: run.json written or checked, the newest checkpoint taken up, and a receipt for it."""

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from avsync.config import TrainConfig
from avsync.data.batch import Batch
from avsync.data.draw import training_draws
from avsync.data.order import Digest, Order, check_batch
from avsync.loading.feed import Feed
from avsync.models.parts import SyncNet
from avsync.run.checkpoint import (
    RunInfo,
    RunPaths,
    check_model,
    load_checkpoint,
    read_run,
    restore_weights,
    tidy,
)
from avsync.run.network import check_network
from avsync.run.progress import PROGRESS
from avsync.run.receipt import Opening, Receipt, keep_receipt
from avsync.run.same_run import check_origin, check_same_run
from avsync.run.state import Origin, State
from avsync.staging.mirror import Source
from avsync.train.validation import open_validation
from avsync.world import World
from sharding.base.environment import commit_of
from sharding.base.files import (
    LOCK_NAME,
    PART,
    folder_lock,
    foreign,
    to_json,
    write_json,
)
from sharding.base.jobs import JOBS
from sharding.base.text import first_few
from sharding.errors import FormatError, InputError
from sharding.format.clip import FORMAT_VERSION
from sharding.format.index import INFO


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

    @property
    def origin(self) -> Origin:
        data = self.info.data[self.feed.dataset.split].joined()
        return Origin(seed=self.config.seed, batch=self.config.batch, data=data)


class Start(NamedTuple):
    """Where an attempt begins."""

    state: State
    digest: Digest
    opening: Opening


def open_run(dataset: str | Path, run: Path, config: TrainConfig, world: World, held: ExitStack) -> OpenRun:
    """Check every setting against the data; then rank 0 locks the folder (until `held` closes) and claims it.

    Raises InputError before anything is written, FormatError, BusyError.
    """
    check_batch(config.batch, world.ranks, config.runtime.accumulate)
    source = Source.open(dataset, config.runtime)
    feed = Feed.of(source, "train", config.pairs, config.view, staged=True)
    validation = open_validation(source, config)
    order = order_of(feed, config)
    check_network(config, feed)
    info = describe(source, config, feed, validation, order)
    opened = OpenRun(paths=RunPaths(run), info=info, feed=feed, validation=validation, order=order)
    if world.is_main:  # another one would come upon what this one is writing
        _check_folder(opened.paths)
        held.enter_context(folder_lock(run, "avsync train"))
        claim(opened.paths, info)
    return opened


def order_of(feed: Feed, config: TrainConfig) -> Order:
    """Of a run with these settings. Raises InputError when the clips do not fill one batch."""
    shards = feed.dataset.index.shard[feed.clips]
    return Order(clips=feed.clips, shards=shards, batch=config.batch, seed=config.seed)


def describe(source: Source, config: TrainConfig, feed: Feed, validation: Feed | None, order: Order) -> RunInfo:
    """run.json for these settings and this data."""
    draws = training_draws(order, feed.law, feed.dataset.index, feed.view, config.view.flip, 0, 1, 1)
    return RunInfo(
        format_version=FORMAT_VERSION, config=config, spec=feed.spec(), dataset=feed.dataset.info,
        dataset_path=str(source.location),
        data={part.dataset.split: part.fingerprint() for part in (feed, validation) if part},
        draws=hashlib.blake2b(to_json(draws(0)), digest_size=8).hexdigest(),
        git=commit_of(), torch=str(torch.__version__), numpy=np.__version__,
    )  # fmt: skip


def _check_folder(paths: RunPaths) -> None:
    """A run goes into a new or empty folder, or goes on in its own. Raises InputError."""
    if (paths.root / INFO).exists():
        raise InputError(f"{paths.root} is a dataset; give the run another folder")
    if paths.info.exists() or paths.saved_steps() or not paths.root.is_dir():
        return
    known = (LOCK_NAME, paths.tensorboard.name, PROGRESS, PROGRESS + PART, JOBS)
    if others := foreign(paths.root, known):
        raise InputError(
            f"{paths.root} holds other files ({first_few(others)}) and is no run; give the run a new folder"
        )


def claim(paths: RunPaths, wanted: RunInfo) -> None:
    """Make the folder this run's, or check that it is, and put away what a crash left.

    Raises InputError when another run lives there.
    """
    if paths.info.is_file():
        check_same_run(read_run(paths), wanted, paths.root)
        tidy(paths)
    elif paths.saved_steps():
        raise FormatError(f"{paths.root} has checkpoints but no run.json: put it back, or use another run folder")
    else:
        write_json(paths.info, wanted)


def begin(opened: OpenRun, world: World, network: SyncNet, optimizer: torch.optim.Optimizer) -> Start:
    """Take up the newest checkpoint, as rank 0 sees it, on every rank. Raises InputError, FormatError.

    Its receipt is made when the first clips have come: see `introduce`.
    """
    seen = hashlib.blake2b(to_json((opened.info.data, opened.info.draws)), digest_size=7).digest()
    same = world.agree(int.from_bytes(seen)) == int.from_bytes(seen)
    step = world.agree(max(opened.paths.saved_steps(), default=0))

    def start() -> Start:
        if not same:
            raise InputError(
                f"process {world.rank} sees other data at {opened.info.dataset_path} than process 0, or has other "
                "software: give all of them the same"
            )
        started = take_up(opened, step, world.ranks, network, optimizer)
        if world.is_main and started.state.best:  # a crash may have come between a checkpoint and this
            write_json(opened.paths.best, started.state.best)
        return started

    return world.together(start)


def introduce(opening: Opening, world: World, first: Batch) -> Receipt:
    """What the first batch of each rank shows, kept by rank 0. Every rank must call it.

    Raises RuntimeError when other clips came than those that follow the checkpoint's.
    """
    mine = torch.tensor([draw.clip for draw in first.draws], device=world.device)
    came = world.gather(mine).cpu().numpy()

    def keep() -> Receipt:
        receipt = opening.receipt(came)
        if world.is_main:
            keep_receipt(opening.paths, receipt)
        return receipt

    return world.together(keep)


def take_up(opened: OpenRun, step: int, ranks: int, network: SyncNet, optimizer: torch.optim.Optimizer) -> Start:
    """The checkpoint of `step`, put into network and optimiser; a fresh start when it is 0. For `ranks` processes.

    Raises FormatError when it is damaged, of another network, or was trained on other clips than the run's order gives.
    """
    paths, model = opened.paths, opened.config.model
    state, digest = State(step=0, model=model, digest="", skipped=0), Digest()
    if step:
        folder = paths.checkpoint(step)
        saved = load_checkpoint(folder)
        check_model(saved.state, model, folder)
        restore_weights(network, saved.model, folder, model)
        try:
            optimizer.load_state_dict(saved.optimizer)
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(f"{folder} holds another optimiser's state: {error}") from error
        state, digest = saved.state, check_order(opened, saved.state, step)
    opening = Opening(
        paths=paths, order=opened.order, steps=opened.config.steps, before=state, done=digest.steps, ranks=ranks
    )
    if state.best and not paths.checkpoint(state.best.step).exists():
        state = replace(state, best=None)  # its folder was deleted: the next validation starts afresh
    return Start(replace(state, origin=opened.origin, ranks=ranks), digest, opening)


def check_order(opened: OpenRun, state: State, step: int) -> Digest:
    """The digest after `step` steps of the run's order. Raises FormatError when it is not the checkpoint's."""
    folder = opened.paths.checkpoint(step)
    check_origin(state, opened.origin, folder)
    digest = Digest.resumed(opened.order, step, state.mark)
    if (step, digest.state) != (state.step, state.digest):
        raise FormatError(
            f"{folder} was trained on other clips than this dataset and seed give, though run.json names the same: "
            "its state.json was changed, or another version of avsync trained it; "
            "use that one, or start a new run in another folder"
        )
    return digest
