"""Is one arm better than another? Accuracies with intervals, and differences over the same clips. Numbers only.

Sources are the sample everywhere: clips of one source are alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avsync.evaluate.actions import CHANCE, above_chance, source_scores
from avsync.finetune.config import ArmName
from avsync.finetune.out_folder import Begun
from avsync.finetune.scoring import ArmAnswers
from avsync.metrics import Z95, Proportion, proportion_of, wilson

SURE = 0.05
"""A difference is called one below this p-value."""
LEAST = 1e-6
"""Smaller p-values are not given: rounding would have a part in them."""
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
    top1: Proportion
    top5: Proportion | None
    """None where there are no more classes than that."""
    per_class: Proportion
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
        p_value = f"p = {self.p_value:.2g}" if self.p_value >= LEAST else f"p < {LEAST:g}"
        facts = f"{self.better} against {self.than}: {points}, {p_value}: "
        if self.p_value >= SURE:
            return facts + "no difference can be told"
        return facts + (f"{self.better} is better" if self.top1.value > 0 else f"{self.than} is better")


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
    majority: Proportion
    """Accuracy of always naming the class that train has most clips of."""
    arms: tuple[ArmResult, ...]
    differences: tuple[Difference, ...]


def compare(
    begun: Begun,
    device: str,
    answers: ArmAnswers,
    trained: NDArray[np.int64],
    picked: Mapping[ArmName, tuple[int, float]],
) -> Comparison:
    """trained: classes of the train split's clips; picked: of each arm the step and accuracy of its best validation."""
    names = list(answers.probabilities)
    commonest = int(np.bincount(trained).argmax())
    arms = [_result(answers, name, *picked[name]) for name in names]
    pairs: list[tuple[ArmName, ArmName]] = [("learned", "scratch"), ("frozen", "scratch"), ("learned", "frozen")]
    differences = [difference(answers, *pair) for pair in pairs if set(pair) <= set(names)]
    return Comparison(
        begun=begun,
        device=device,
        clips=len(answers.clips),
        sources=len(np.unique(answers.groups)),
        unreadable=answers.unreadable,
        chance=1 / len(begun.classes),
        majority=proportion_of(answers.labels == commonest, answers.groups),
        arms=tuple(arms),
        differences=tuple(differences),
    )


def _result(answers: ArmAnswers, name: ArmName, step: int, val_accuracy: float) -> ArmResult:
    hits, classes = answers.hits(name), answers.probabilities[name].shape[1]
    return ArmResult(
        name=name,
        picked_step=step,
        val_accuracy=val_accuracy,
        top1=proportion_of(hits, answers.groups),
        top5=proportion_of(answers.hits(name, TOP), answers.groups) if classes > TOP else None,
        per_class=mean_of_classes(hits, answers.labels, answers.groups),
    )


def mean_of_classes(hits: NDArray[np.bool_], labels: NDArray[np.integer], groups: NDArray[np.integer]) -> Proportion:
    """Mean of the classes' accuracies, with Wilson's interval for as many independent clips as its variance tells.

    Never for more than there are sources, a class's few counted the harder: where all is right, no variance is seen.
    """
    chosen = [labels == number for number in np.unique(labels)]
    accuracies = np.array([hits[own].mean() for own in chosen])
    value, classes = float(accuracies.mean()), len(chosen)
    variance = sum(_variance(hits[own].astype(float), groups[own]) for own in chosen) / classes**2
    most = classes**2 / sum(1 / len(np.unique(groups[own])) for own in chosen)
    independent = min(most, value * (1 - value) / variance) if variance else most
    return Proportion(value, *wilson(value, independent), len(hits))


def difference(answers: ArmAnswers, better: ArmName, than: ArmName) -> Difference:
    """On the same clips, so that what is hard for both does not blur it."""
    gain = answers.hits(better).astype(float) - answers.hits(than)
    scores = CHANCE + source_scores(gain, answers.groups) / 2
    p_value = min(1.0, 2 * min(above_chance(scores), above_chance(1 - scores)))
    # one more source on which they differ, so that arms that never differ are not called equal for certain; in the
    # spirit of Agresti & Min 2005
    error = Z95 * np.sqrt(_variance(gain, answers.groups) + 1 / len(scores) ** 2)
    value = float(gain.mean())
    top1 = Range(value, max(-1.0, float(value - error)), min(1.0, float(value + error)))
    return Difference(better=better, than=than, top1=top1, p_value=p_value)


def _variance(values: NDArray[np.floating], groups: NDArray[np.integer]) -> float:
    """Of the mean of `values`, with whole sources drawn (Kish 1965)."""
    number = np.unique(groups, return_inverse=True)[1]
    excess = np.bincount(number, weights=values - values.mean())
    sources = len(excess)
    return float((excess**2).sum()) / len(values) ** 2 * sources / max(1, sources - 1)
