"""Why is the loss flat, why does validation not follow? From what a run recorded: validations.jsonl, progress.json.

What was not recorded is not guessed: of a run of an earlier version, its last validation in progress.json is all there
is. No torch: `avsync show RUN` answers at once. To add a cause: a rule, a line in RULES; docs/troubleshooting.md lists
them with those that avsync/check finds before a training.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from avsync.config import TrainConfig
from avsync.metrics import Proportion
from avsync.run.paths import RunPaths
from avsync.run.progress import read_progress
from sharding.base.files import Count, Measured, add_line, from_json, read_file
from sharding.base.housekeeping import housekeeping
from sharding.base.text import percent
from sharding.errors import FormatError

MOST_BYTES = 2**24
"""Of validations.jsonl that are read."""
PLATEAU = math.log(2)
"""The loss of who knows nothing."""
FLAT, GROWN = 0.97 * PLATEAU, 1.5 * PLATEAU
"""A loss above the first has not moved, one above the second has grown."""
LEARNED, CHANCE = 0.75, 0.55
"""Accuracy from which on pairs of training are known; up to which a validation is at chance."""
LOST = 0.05
"""So much accuracy a threshold off its place costs before it is said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationPoint:
    """A line of validations.jsonl: what a validation measured, and how training stood."""

    step: Count
    train_loss: Measured | None
    """Mean since the last validation; None: not a finite number, or not known."""
    train_accuracy: Measured | None
    loss: Measured | None
    accuracy: Proportion
    """At logit 0."""
    choice: Proportion | None = None
    """Which of two sounds belongs to a picture: knows no threshold; None: a picture has one sound only."""
    parted: Measured | None = None
    """Accuracy with the threshold that parts these examples best; None: not known."""
    threshold: Measured | None = None
    """That threshold."""

    @property
    def knows(self) -> Proportion:
        """What the network knows of sources it was not trained on, wherever its threshold lies."""
        return self.choice or self.accuracy


@dataclass(frozen=True, slots=True)
class LearningCause:
    """One cause, found."""

    cause: str
    """A word or two, as docs/troubleshooting.md lists it."""
    line: str
    """What was seen, and what to do."""

    def __str__(self) -> str:
        return f"{self.cause}: {self.line}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """All that a run recorded of its learning."""

    config: TrainConfig
    step: int
    """Steps done."""
    diverged: bool
    """The loss is no number any more."""
    points: tuple[ValidationPoint, ...]
    """In order; none: it was never validated."""


def diagnose(found: Recorded) -> list[LearningCause]:
    """What keeps it from learning, the first cause first; of a healthy run nothing."""
    named = ((cause, rule(found)) for cause, rule in RULES.items())
    return [LearningCause(cause, line) for cause, line in named if line][:1]


def _rate(found: Recorded) -> str:
    """A loss that went astray."""
    rate = f"lower --optim.lr (it was {found.config.optim.lr:g}), or --optim.clip-norm"
    if found.diverged:
        return f"the loss is no number any more: train anew in another folder, {rate}"
    last = found.points[-1].train_loss if found.points else None
    if last is not None and last > GROWN:
        return f"the loss grew to {last:.2f}, who knows nothing has {PLATEAU:.2f}: train anew, {rate}"
    return ""


def _flat(found: Recorded) -> str:
    """A loss that did not move, of a training that is over: before, a plateau is nothing unusual."""
    losses = [point.train_loss for point in found.points if point.train_loss is not None]
    if found.step < found.config.steps or not losses or min(losses) < FLAT or _best(found.points) > CHANCE:
        return ""
    return (
        f"after {found.step:,} steps the loss is {losses[-1]:.3f}, who knows nothing has {PLATEAU:.3f}: let avsync "
        "train --check say whether it can learn 8 clips by heart and whether sound and picture belong together; then "
        f"another --optim.lr (it was {found.config.optim.lr:g}), or more --steps"
    )


def _people(found: Recorded) -> str:
    """Training knows its pairs, validation of other sources is at chance, at every point so far."""
    if not found.points:
        return ""
    last = found.points[-1]
    trained = last.train_accuracy
    if trained is None or trained < LEARNED or _best(found.points) > CHANCE or last.knows.high >= trained:
        return ""
    return (
        f"{percent(trained)} right on pairs of training, {percent(last.knows.value)} on other sources: it learns its "
        "people, places or clips by heart. More sources for train first; else a smaller network, a smaller --view.crop "
        f"(it was {found.config.view.crop:g}), a higher --optim.weight-decay, a lower --optim.lr"
    )


def _threshold(found: Recorded) -> str:
    """The order is right, logit 0 is not where both kinds part."""
    if not found.points:
        return ""
    last = found.points[-1]
    if last.parted is None or last.threshold is None or last.choice is None or last.choice.low <= CHANCE:
        return ""
    lost = last.parted - last.accuracy.value
    if lost < LOST or last.parted <= last.accuracy.high:  # within what chance does to so few examples
        return ""
    return (
        f"the order is right ({percent(last.choice.value)} of choices), logit 0 loses {100 * lost:.0f} points: read "
        f"logits above {last.threshold:.2f} as in sync ({percent(last.parted)} instead of "
        f"{percent(last.accuracy.value)}); avsync evaluate and score know it from the run"
    )


def _best(points: Sequence[ValidationPoint]) -> float:
    """The most that any validation knew; a tie for chance where there was none."""
    return max((point.knows.value for point in points), default=0.5)


RULES: dict[str, Callable[[Recorded], str]] = {
    "learning rate": _rate,
    "nothing learned": _flat,
    "people, not sync": _people,
    "threshold": _threshold,
}
"""What of a run's record points to a cause: the line about it, empty where it does not."""


def keep_point(paths: RunPaths, point: ValidationPoint) -> None:
    """Add a line to validations.jsonl: a record, without which the run goes on, too."""
    with housekeeping("write", paths.validations):
        add_line(paths.validations, msgspec.json.encode(point))


def recorded(paths: RunPaths, config: TrainConfig, step: int) -> Recorded:
    """What is recorded up to `step`. Raises FormatError for damage."""
    progress = read_progress(paths.root)
    points = [point for point in _read_points(paths) if point.step <= step]
    if not points and progress and (last := progress.validation):
        value = Proportion(last.accuracy, last.accuracy, last.accuracy, 0)
        points = [
            ValidationPoint(
                step=last.step,
                train_loss=progress.loss,
                train_accuracy=progress.accuracy,
                loss=last.loss,
                accuracy=value,
            )
        ]
    diverged = progress is not None and progress.accuracy is not None and progress.loss is None
    return Recorded(config=config, step=step, diverged=diverged, points=tuple(points))


def _read_points(paths: RunPaths) -> list[ValidationPoint]:
    """In order; where a run went on from an older checkpoint, what came after that one is forgotten."""
    if not os.path.lexists(paths.validations):
        return []
    found = list[ValidationPoint]()
    try:
        for line in read_file(paths.validations, MOST_BYTES).splitlines():
            point = from_json(line, ValidationPoint, str(paths.validations))
            found = [before for before in found if before.step < point.step]
            found.append(point)
    except FormatError as error:
        raise FormatError(f"{error}; it is only a record: delete it") from error
    except OSError as error:
        raise FormatError(f"cannot read {paths.validations}: {error.strerror or error}; it is only a record") from error
    return found
