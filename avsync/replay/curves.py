"""A run's curves, read back from its TensorBoard files: what a figure is drawn from."""

import logging
from dataclasses import dataclass
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from avsync.run.alarm import Alarm
from avsync.run.checkpoint import STATE
from avsync.run.paths import RunPaths
from avsync.run.state import Best, State
from sharding.base.files import read_json


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
        train_loss=_curve(train, "loss"), loss=_curve(validation, "loss"),
        train_accuracy=_curve(train, "accuracy"), accuracy=_curve(validation, "accuracy"),
        audited=_curve(validation, "honesty/audited_accuracy"),
        other=_curve(validation, "honesty/accuracy_with_another_picture"), best=state.best, alarm=state.alarm,
    )  # fmt: skip


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
