"""A run that goes on from another one's checkpoint under other labels: how the thesis's network changed its ways.

A run's settings never change, so this is a new run: it gets the other's checkpoint of a step as its own.
"""

import shutil
from dataclasses import replace
from pathlib import Path

from avsync.config import TrainConfig
from avsync.loading.feed import Feed, open_validation
from avsync.run.checkpoint import STATE
from avsync.run.paths import RunPaths
from avsync.run.resume import describe
from avsync.run.state import State
from avsync.staging.mirror import StagedDataset
from sharding.base.files import publish_folder, read_json, write_json
from sharding.errors import InputError


def fork(run: Path, step: int, new: Path, dataset: Path, config: TrainConfig) -> None:
    """Make the run `new` from the checkpoint of `run` at `step`; the same `avsync train` as ever takes it from there.

    Nothing happens when it stands there. The clips of each step are those of `run`: seed, batch and data must be its.
    Raises InputError when `run` has no such checkpoint.
    """
    before, after = RunPaths(run), RunPaths(new)
    if after.info.is_file():
        return
    if step not in before.saved_steps():
        raise InputError(f"{run} has no checkpoint of step {step}; delete the folder and train it again")
    source = StagedDataset.of_folder(dataset)
    feed = Feed.of(source, "train", config.pairs, config.view)
    info = describe(source, config, feed, open_validation(source, config), feed.order(config.batch, config.seed))
    state = read_json(before.checkpoint(step) / STATE, State)
    with publish_folder(new) as part:
        inside = RunPaths(part)
        for kept in {step, state.best.step if state.best else step}:
            shutil.copytree(before.checkpoint(kept), inside.checkpoint(kept))
        shutil.copytree(before.tensorboard, inside.tensorboard)  # what was drawn after `step` is drawn anew
        write_json(inside.checkpoint(step) / STATE, replace(state, alarm=None))
        if state.best:
            write_json(inside.best, state.best)
        write_json(inside.info, info)
