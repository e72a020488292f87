"""Two-alternative forced choice, which of two sounds belongs to a picture: what a network knows, wherever its zero is.

Accuracy at logit 0 loses what a bias costs that the order of two logits does not see. Pure numbers.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from avsync.honesty.predict import Choices, Predictions
from avsync.metrics import Calibration, Proportion, proportion_of
from sharding.format.dataset import Dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class Bias:
    """What the place of the threshold costs."""

    in_sync: Proportion
    """Accuracy of sounds in sync at logit 0."""
    shifted: Proportion
    """Accuracy of the others."""
    best: Proportion
    """Accuracy of all with the threshold that parts these very examples best, which nobody knows beforehand."""
    threshold: float | None = None
    """The logit that parted the validation of this checkpoint best; None: the run does not say."""
    at_threshold: Proportion | None = None
    """Accuracy of all with that."""

    @classmethod
    def of(cls, got: Predictions, group: NDArray[np.integer], threshold: float | None) -> "Bias":
        """group: source of each clip of the dataset."""
        of, sync = group[got.clip], got.in_sync
        found = Calibration.of(got.logit, sync)
        return cls(
            in_sync=proportion_of(got.hits[sync], of[sync]),
            shifted=proportion_of(got.hits[~sync], of[~sync]),
            best=proportion_of((got.logit > (found.threshold if found else 0)) == sync, of),
            threshold=threshold,
            at_threshold=None if threshold is None else proportion_of((got.logit > threshold) == sync, of),
        )


LOST = 0.02
"""So much less accuracy at logit 0 than with another threshold is said: more than two points."""


def bias_words(accuracy: Proportion, bias: Bias) -> str:
    """What accuracy at logit 0 hides, if it does; empty where the threshold costs nothing.

    Choice may be higher all the same: two logits of one clip differ by what they hear, those of two clips by more.
    """
    lost = bias.best.value - accuracy.value
    if not lost > LOST:
        return ""
    lean = "shifted" if bias.shifted.value > bias.in_sync.value else "in sync"
    return (
        f"the order is right, the threshold is off: logit 0 loses {100 * lost:.1f} points, for the network says "
        f"{lean!r} too often of these clips"
    )


NICE_S = tuple(Fraction(number, 1000) * 10**power for power in range(4) for number in (10, 20, 50))
"""Widths of bins: 10, 20, 50 ms and so on to 50 s."""
MOST_BINS, WIDE = 6, 4
"""So many bins at most of one width; where the longest shift is more than four times the shortest, they double."""


def shift_bins(distance: NDArray[np.integer], fps: Fraction) -> list[tuple[Fraction, Fraction]]:
    """Bins (from, to) in seconds, the end left out, that fit the shifts which were used, and leave none out.

    distance: frames, at least one of them, each above 0.
    """
    least, most = int(distance.min()), int(distance.max())
    if most > WIDE * least:
        edges = [Fraction(least)]
        while edges[-1] <= most:
            edges.append(2 * edges[-1])
        seconds = [edge / fps for edge in edges]
    else:
        low, high = Fraction(least) / fps, Fraction(most) / fps
        width = next((wide for wide in NICE_S if high // wide - low // wide < MOST_BINS), NICE_S[-1])
        seconds = [width * number for number in range(low // width, high // width + 2)]
    return list(pairwise(seconds))


def within(distance: NDArray[np.integer], fps: Fraction, span: tuple[Fraction, Fraction]) -> NDArray[np.bool_]:
    """Which distances, in frames, lie in a bin: exactly, on whole frames."""
    low, high = (-(-edge * fps // 1) for edge in span)
    return (distance >= int(low)) & (distance < int(high))


def span_name(span: tuple[Fraction, Fraction]) -> str:
    """`0.04 to 0.08 s`"""
    low, high = (f"{float(edge):.3f}".rstrip("0").rstrip(".") for edge in span)
    return f"{low} to {high} s"


def by_action_name(found: Choices, dataset: Dataset) -> dict[str, Proportion]:
    """Of each action that has pairs."""
    action, group = dataset.index.action[found.clip], dataset.index.group
    return {dataset.info.actions[number]: found.of(action == number, group) for number in np.unique(action)}
