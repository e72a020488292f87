"""Is one arm better than another? Accuracies with intervals, and differences over the same clips. Numbers only.

Sources are the sample everywhere: clips of one source are alike.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avsync.actions.tails import CHANCE, above_chance
from avsync.actions.verdict import source_scores
from avsync.finetune.config import ArmName
from avsync.finetune.judge import Answers
from avsync.finetune.place import Begun
from avsync.metrics import Share, share_of

RESAMPLED = 1000
"""Draws of the bootstrap."""
SURE = 0.05
"""A difference is called one below this p-value."""
TOP = 5


@dataclass(frozen=True, slots=True)
class Range:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmResult:
    """One arm on the test split."""

    name: ArmName
    picked_step: int
    """Steps done when its validation was best."""
    val_accuracy: float
    top1: Share
    top5: Share | None
    """None where there are no more classes than that."""
    per_class: Range
    """Mean of the classes' accuracies: rare ones count as much as common ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Two arms on the same clips."""

    better: ArmName
    """The one that is hoped to be."""
    than: ArmName
    top1: Range
    """Accuracy of the first less that of the second."""
    p_value: float
    """Two-sided: the arms' answers about a source might as well have been exchanged (McNemar's test, exact, of sources;
    Fisher 1935)."""

    @property
    def verdict(self) -> str:
        """In words."""
        points = f"{100 * self.top1.value:+.1f} points ({100 * self.top1.low:+.1f} to {100 * self.top1.high:+.1f})"
        told = f"{self.better} against {self.than}: {points}, p = {self.p_value:.2g}: "
        if self.p_value >= SURE:
            return told + "no difference can be told"
        return told + (f"{self.better} is better" if self.top1.value > 0 else f"{self.than} is better")


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """result.json."""

    begun: Begun
    device: str
    clips: int
    """Of the test split, that could be read."""
    sources: int
    unreadable: int
    chance: float
    """Accuracy of guessing blindly."""
    majority: Share
    """Accuracy of always naming the class that train has most clips of."""
    arms: tuple[ArmResult, ...]
    differences: tuple[Difference, ...]


def compare(
    begun: Begun, device: str, answers: Answers, trained: NDArray[np.int64], picked: Mapping[ArmName, tuple[int, float]]
) -> Comparison:
    """trained: classes of the train split's clips; picked: of each arm the step and accuracy of its best validation."""
    names = list(answers.said)
    commonest = int(np.bincount(trained).argmax())
    arms = [_result(answers, name, *picked[name]) for name in names]
    pairs: list[tuple[ArmName, ArmName]] = [("learned", "scratch"), ("frozen", "scratch"), ("learned", "frozen")]
    differences = [difference(answers, *pair) for pair in pairs if set(pair) <= set(names)]
    return Comparison(
        begun=begun, device=device, clips=len(answers.clips), sources=len(np.unique(answers.groups)),
        unreadable=answers.unreadable, chance=1 / len(begun.classes),
        majority=share_of(answers.labels == commonest, answers.groups), arms=tuple(arms),
        differences=tuple(differences),
    )  # fmt: skip


def _result(answers: Answers, name: ArmName, step: int, val_accuracy: float) -> ArmResult:
    hits, classes = answers.hits(name), answers.said[name].shape[1]

    def mean_of_classes(weight: NDArray[np.floating]) -> float:
        total = np.bincount(answers.labels, weight)
        right = np.bincount(answers.labels, weight * hits)
        return float((right[total > 0] / total[total > 0]).mean())

    return ArmResult(
        name=name, picked_step=step, val_accuracy=val_accuracy, top1=share_of(hits, answers.groups),
        top5=share_of(answers.hits(name, TOP), answers.groups) if classes > TOP else None,
        per_class=bootstrap(mean_of_classes, answers.groups),
    )  # fmt: skip


def difference(answers: Answers, better: ArmName, than: ArmName) -> Difference:
    """On the same clips, so that what is hard for both does not blur it."""
    gain = answers.hits(better).astype(float) - answers.hits(than)
    scores = CHANCE + source_scores(gain, answers.groups) / 2
    p_value = min(1.0, 2 * min(above_chance(scores), above_chance(1 - scores)))
    top1 = bootstrap(lambda weight: float((weight * gain).sum() / weight.sum()), answers.groups)
    return Difference(better=better, than=than, top1=top1, p_value=p_value)


def bootstrap(measure: Callable[[NDArray[np.floating]], float], groups: NDArray[np.integer]) -> Range:
    """A measure of weighted clips with its interval: whole sources are drawn anew (Efron 1979), the same each time.

    With a handful of sources it is too narrow, as any bootstrap.
    """
    number = np.unique(groups, return_inverse=True)[1]
    sources, rng = int(number.max()) + 1, np.random.default_rng(0)
    drawn = (np.bincount(rng.integers(sources, size=sources), minlength=sources) for _ in range(RESAMPLED))
    low, high = np.quantile([measure(weights[number].astype(float)) for weights in drawn], (0.025, 0.975))
    return Range(measure(np.ones(len(number))), float(low), float(high))
