"""How a run starts or goes on: run.json written or checked, the newest checkpoint taken up, and a receipt for it.

Whether settings, data and software would go on with the run as it was begun is asked before anything is trained: a run
that went on with other clips would look like any other run. What has changed is named in plain words.
"""

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import torch

from avsync.config import TrainConfig
from avsync.data.batch import Batch
from avsync.data.order import Digest, Order, check_batch
from avsync.data.selection import sampler_of
from avsync.loading.feed import Feed, open_validation
from avsync.run.checkpoint import Saved, check_model, load_checkpoint, note_best, tidy
from avsync.run.info import RunInfo, check_begun, check_folder_of_run, describe_run
from avsync.run.network import check_network
from avsync.run.origins import check_features, descent_of, features_of
from avsync.run.paths import RunPaths
from avsync.run.receipt import Opening, Receipt, keep_receipt
from avsync.run.state import Origin, State
from avsync.staging.mirror import StagedDataset
from avsync.world import World
from sharding.base.console import WaitNotice, open_console
from sharding.base.files import to_json, write_json
from sharding.base.guarded import check_steps
from sharding.base.locks import folder_lock
from sharding.errors import FormatError, InputError


def check_origin(state: State, origin: Origin, folder: Path) -> None:
    """Raises FormatError when a checkpoint was trained with another seed, batch or dataset than its run says."""
    before = state.origin or origin
    changed = [
        f"{name} was {getattr(before, item)}, the run's is {getattr(origin, item)}"
        for item, name in (("seed", "--seed"), ("batch", "--batch"))
        if getattr(before, item) != getattr(origin, item)
    ]
    changed += ["the dataset was another one"] * (before.data != origin.data)
    if changed:
        raise FormatError(
            f"{folder} was trained on other clips than its run trains on: {'; '.join(changed)}. It belongs to another "
            "run: put it back there, or delete it to go on from an older checkpoint"
        )


class Resumable(Protocol):
    """What can be trained on from a checkpoint: a run, or another folder that holds what a run does."""

    @property
    def paths(self) -> RunPaths: ...
    @property
    def order(self) -> Order: ...
    @property
    def steps(self) -> int:
        """Of the whole run."""
        ...

    @property
    def model(self) -> str: ...
    @property
    def origin(self) -> Origin: ...


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
    def steps(self) -> int:
        return self.config.steps

    @property
    def model(self) -> str:
        return self.config.model

    @property
    def origin(self) -> Origin:
        data = self.info.data[self.feed.dataset.split].joined()
        return Origin(seed=self.config.seed, batch=self.config.batch, data=data)


class Start(NamedTuple):
    """Where an attempt begins."""

    state: State
    digest: Digest
    opening: Opening

    def unscored(self) -> "Start":
        """The same, where the attempt has to begin with the checkpoint's validation."""
        return self._replace(state=replace(self.state, unscored=True))


def open_run(
    dataset: str | Path,
    run: Path,
    config: TrainConfig,
    world: World,
    held: ExitStack,
    origin: Path | None = None,
    features: Path | None = None,
) -> OpenRun:
    """Check every setting against the data; then rank 0 locks the folder (until `held` closes) and claims it.

    origin: a run to start from, where this one has yet to begin; features: of a run to see by, likewise.

    Raises InputError before anything is written, FormatError, BusyError.
    """
    check_batch(config.batch, world.ranks, config.runtime.accumulate, partners=config.separates)
    source = StagedDataset.open(dataset, config.runtime)
    with WaitNotice(f"reading the index of {source.location}", open_console(stderr=True, quiet=not world.is_main)):
        feed = Feed.of(source, "train", config.pairs, config.view, staged=True, sampler=sampler_of(config))
        validation = open_validation(source, config)
        order = feed.training_order(config)
        descent, known = descent_of(run, origin, config), features_of(run, features, config)
        if known:
            check_features(known, feed.spec(), config.view)
        check_network(known.model if known else config.model, config, feed)
        info = replace(describe(source, config, feed, validation, order), descent=descent, features=known)
    opened = OpenRun(paths=RunPaths(run), info=info, feed=feed, validation=validation, order=order)
    if world.is_main:  # another one would come upon what this one is writing
        check_folder_of_run(opened.paths)
        held.enter_context(folder_lock(run, "avsync train"))
        settle(opened.paths, info)
    return opened


def describe(source: StagedDataset, config: TrainConfig, feed: Feed, validation: Feed | None, order: Order) -> RunInfo:
    """run.json for these settings and this data."""
    return describe_run(str(source.location), config, feed, validation, order, torch=str(torch.__version__))


def described(source: StagedDataset, config: TrainConfig) -> RunInfo:
    """The same, as a training would begin with them."""
    feed = Feed.of(source, "train", config.pairs, config.view, sampler=sampler_of(config))
    return describe(source, config, feed, open_validation(source, config), feed.training_order(config))


def settle(paths: RunPaths, wanted: RunInfo) -> None:
    """Make the folder this run's, or check that it is, and put away what a crash left.

    Raises InputError when another run lives there, OSError where checkpoints would go through a link.
    """
    check_steps(paths.checkpoints)  # before anything is trained
    saved = check_begun(paths, wanted)
    if saved is None:
        write_json(paths.info, wanted)
        return
    tidy(paths)
    if saved.config.steps != wanted.config.steps:  # it is made longer; all else stays as it was written
        write_json(paths.info, replace(saved, config=replace(saved.config, steps=wanted.config.steps)))


Restore = Callable[[Saved, Path], None]
"""Puts a checkpoint, from that folder, into networks and optimisers. Raises FormatError when it belongs to others."""


def begin(opened: OpenRun, world: World, restore: Restore) -> Start:
    """Take up the newest checkpoint, as rank 0 sees it, on every rank. Raises InputError, FormatError.

    Its receipt is made when the first clips have come: see `introduce`.
    """
    print_here = hashlib.blake2b(to_json((opened.info.data, opened.info.draws)), digest_size=7).digest()
    same = world.agree(int.from_bytes(print_here)) == int.from_bytes(print_here)
    step = world.agree(max(opened.paths.saved_steps(), default=0))

    def start() -> Start:
        if not same:
            raise InputError(
                f"process {world.rank} sees other data at {opened.info.dataset_path} than process 0, or has other "
                "software: give all of them the same"
            )
        started = take_up(opened, step, world.ranks, restore)
        if world.is_main:  # a crash may have come between a checkpoint and this
            note_best(opened.paths, started.state)
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


def take_up(opened: Resumable, step: int, ranks: int, restore: Restore) -> Start:
    """The checkpoint of `step`, put where it belongs; a fresh start when it is 0. For `ranks` processes.

    Raises FormatError when it is damaged, of another network, or was trained on other clips than the run's order gives.
    """
    paths = opened.paths
    state, digest = State(step=0, model=opened.model, digest="", skipped=0), Digest()
    if step:
        folder = paths.checkpoint(step)
        saved = load_checkpoint(folder)
        check_model(saved.state, opened.model, folder)
        restore(saved, folder)
        state, digest = saved.state, check_order(opened, saved.state, step)
    opening = Opening(paths=paths, order=opened.order, steps=opened.steps, before=state, done=digest.steps, ranks=ranks)
    if state.best and not paths.checkpoint(state.best.step).exists():
        state = replace(state, best=None)  # its folder was deleted: the next validation starts afresh
    return Start(replace(state, origin=opened.origin, ranks=ranks), digest, opening)


def check_order(opened: Resumable, state: State, step: int) -> Digest:
    """The digest after `step` steps of the run's order. Raises FormatError when it is not the checkpoint's."""
    folder = opened.paths.checkpoint(step)
    check_origin(state, opened.origin, folder)
    digest = Digest.resumed(opened.order, step, state.mark)
    if (step, digest.state) != (state.step, state.digest):
        raise FormatError(
            f"{folder} was trained on other clips than this dataset and seed give, though its folder names the same: "
            "its state.json was changed, or another version of avsync trained it; "
            "use that one, or start a new run in another folder"
        )
    return digest
