"""Runs of a replay: one that goes on from another one's checkpoint, and curves read back from TensorBoard files."""

import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from avsync.config import TrainConfig
from avsync.run.alarm import Alarm
from avsync.run.checkpoint import STATE
from avsync.run.paths import RunPaths
from avsync.run.resume import described
from avsync.run.state import Best, State
from avsync.staging.mirror import StagedDataset
from sharding.base.files import publish_folder, read_json, write_json
from sharding.errors import InputError


def fork(run: Path, step: int, new: Path, dataset: Path, config: TrainConfig) -> None:
    """Make the run `new` from the checkpoint of `run` at `step`; the same `avsync train` as ever takes it from there.

    That is how the thesis's network changed its ways: other labels, and a run's settings never change.

    Nothing happens when it stands there. The clips of each step are those of `run`: seed, batch and data must be its.
    Raises InputError when `run` has no such checkpoint.
    """
    before, after = RunPaths(run), RunPaths(new)
    if after.info.is_file():
        return
    if step not in before.saved_steps():
        raise InputError(f"{run} has no checkpoint of step {step}; delete the folder and train it again")
    info = described(StagedDataset.of_folder(dataset), config)
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


@dataclass(frozen=True, slots=True)
class RunCurve:
    """Points in the order of steps."""

    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Curves:
    """What a training looked like from outside, and from inside."""

    train_loss: RunCurve
    loss: RunCurve
    """Of validation, as all that follow."""
    train_accuracy: RunCurve
    accuracy: RunCurve
    audited: RunCurve
    other: RunCurve
    """Accuracy with another clip's picture."""
    best: Best | None
    alarm: Alarm | None
    """That stands at the end."""


def read_curves(run: Path) -> Curves:
    """Of a run that has trained. Raises FormatError for a damaged checkpoint."""
    paths = RunPaths(run)
    train, validation = (_events(paths.tensorboard / name) for name in ("train", "validation"))
    state = read_json(paths.checkpoint(paths.saved_steps()[0]) / STATE, State)
    return Curves(
        train_loss=_curve(train, "loss"),
        loss=_curve(validation, "loss"),
        train_accuracy=_curve(train, "accuracy"),
        accuracy=_curve(validation, "accuracy"),
        audited=_curve(validation, "honesty/audited_accuracy"),
        other=_curve(validation, "honesty/accuracy_with_another_picture"),
        best=state.best,
        alarm=state.alarm,
    )


def _events(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    logger = logging.getLogger("tensorboard")
    level = logger.level
    logger.setLevel(logging.ERROR)  # that a resumed run's curve has one point for each step is no warning
    events.Reload()
    logger.setLevel(level)
    return events


def _curve(events: EventAccumulator, tag: str) -> RunCurve:
    """Empty where nothing was drawn."""
    if tag not in events.Tags()["scalars"]:
        return RunCurve((), ())
    points = {event.step: event.value for event in events.Scalars(tag)}  # of one drawn twice, the later
    steps = tuple(sorted(points))
    return RunCurve(steps, tuple(points[step] for step in steps))
