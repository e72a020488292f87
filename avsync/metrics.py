"""Accuracy with an honest interval, ROC AUC, and what a probability is worth. Arrays in, numbers out; no torch.

Examples of one source are alike, so an interval that counts them as independent is too narrow: the design effect of
the sources (Kish 1965) shrinks the sample size before Wilson's interval (Wilson 1927) is taken.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sharding.base.text import interval, percent

Z95 = 1.959964  # two-sided 95 % point of the normal distribution


@dataclass(frozen=True, slots=True)
class Proportion:
    """A fraction of successes, with its interval: 95 %, unless said otherwise."""

    value: float
    low: float
    high: float
    count: int
    """Examples, not corrected for dependence."""

    def __str__(self) -> str:
        """`51.7 % (47.9 to 55.5 %)`"""
        return f"{percent(self.value)} ({interval(self.low, self.high)})"


def proportion_of(
    hits: NDArray[np.bool_] | NDArray[np.floating], groups: NDArray[np.integer], z: float = Z95
) -> Proportion:
    """How much of `hits` is true; `groups` says which source each example comes from. Half a hit is a tie.

    z: how many standard deviations the interval reaches; 1.96 for 95 %, more where many proportions are looked at.
    """
    count = len(hits)
    if not count:
        return Proportion(float("nan"), 0.0, 1.0, 0)
    value = float(hits.mean())
    return Proportion(value, *wilson(value, count / _design_effect(hits, groups), z), count)


def wilson(value: float, independent: float, z: float = Z95) -> tuple[float, float]:
    """Wilson's interval of a proportion found in so many independent examples, which need not be a whole number."""
    centre = (value + z**2 / (2 * independent)) / (1 + z**2 / independent)
    half = z / (1 + z**2 / independent) * np.sqrt(value * (1 - value) / independent + z**2 / (4 * independent**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _design_effect(hits: NDArray[np.bool_] | NDArray[np.floating], groups: NDArray[np.integer]) -> float:
    """Variance of the mean with whole sources drawn, over that with single examples drawn; at least 1."""
    value, count = hits.mean(), len(hits)
    if value in (0.0, 1.0):  # no variance to look at: take the sources themselves as the sample
        return count / len(np.unique(groups))
    number = np.unique(groups, return_inverse=True)[1]
    sources = number.max() + 1
    if sources == 1:
        return float(count)
    excess = np.bincount(number, weights=hits - value)
    clustered = (excess**2).sum() * sources / (sources - 1) / count**2
    return float(max(1.0, clustered / (value * (1 - value) / count)))


@dataclass(frozen=True, slots=True)
class Mean:
    """Of a measure, with its 95 % interval."""

    value: float
    low: float
    high: float
    count: int
    """Examples, not corrected for dependence."""


def mean_of(values: NDArray[np.floating], *groupings: NDArray[np.integer]) -> Mean:
    """groupings: ways in which examples hang together (sources, mixtures); the one that tells least decides."""
    count = len(values)
    if not count:
        return Mean(float("nan"), float("nan"), float("nan"), 0)
    value, wide = float(values.mean()), 0.0
    for groups in groupings:
        number = np.unique(groups, return_inverse=True)[1]
        sources = int(number.max()) + 1
        if sources == 1:
            return Mean(value, float("-inf"), float("inf"), count)
        excess = np.bincount(number, weights=values - value)
        wide = max(wide, float((excess**2).sum()) * sources / (sources - 1) / count**2)
    half = Z95 * float(np.sqrt(wide))
    return Mean(value, value - half, value + half, count)


def roc_auc(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Chance that a positive example scores above a negative one, ties counted half (Mann & Whitney 1947)."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    _, rank_of, ties = np.unique(scores, return_inverse=True, return_counts=True)
    middle_rank = ties.cumsum() - (ties - 1) / 2
    ranks = middle_rank[rank_of][positive].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a network's logits mean: sigmoid(scale * (logit - threshold)) is the probability of a positive example."""

    scale: float
    threshold: float

    @classmethod
    def of(
        cls, logit: NDArray[np.floating], positive: NDArray[np.bool_], weight: NDArray[np.floating] | None = None
    ) -> "Calibration | None":
        """Platt 1999, with his targets, which stay short of 0 and 1, so that it ends where both kinds are apart.

        weight: of each example, 1 on average; None: all count the same.

        By Newton's method on at least one example of each kind; None without, and where the order says nothing.
        """
        positives, negatives = int(positive.sum()), int((~positive).sum())
        values = logit.astype(np.float64)
        spread = float(values.std()) if len(values) else 0.0
        if not positives or not negatives or not 0 < spread < np.inf:
            return None
        target = np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
        rows = np.stack(((values - values.mean()) / spread, np.ones_like(values)))
        counts = np.ones_like(values) if weight is None else weight
        weights = np.zeros(2)
        for _ in range(NEWTON_STEPS):
            chance = 1 / (1 + np.exp(-np.clip(weights @ rows, -30, 30)))
            slope = (rows * (counts * chance * (1 - chance))) @ rows.T + 1e-9 * np.eye(2)
            change = np.linalg.solve(slope, rows @ (counts * (target - chance)))
            weights = weights + change / max(1.0, float(np.abs(change).max()))  # far off, a whole step may overshoot
            if float(np.abs(change).max()) < 1e-9:
                break
        scale, offset = float(weights[0]) / spread, float(weights[1])
        if scale <= 0:
            return None
        return cls(scale, float(values.mean()) - offset / scale)

    def log_odds(self, logit: float) -> float:
        """Of a positive example."""
        return self.scale * (logit - self.threshold)

    def probability(self, logit: NDArray[np.floating]) -> NDArray[np.float64]:
        """Of a positive example."""
        return 1 / (1 + np.exp(-np.clip(self.scale * (logit.astype(np.float64) - self.threshold), -500, 500)))


NEWTON_STEPS = 100
AS_IT_IS = Calibration(1.0, 0.0)
"""The logit read as the network means it."""


RELIABILITY_BINS = 10


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Examples of about one predicted probability."""

    low: float
    """Lowest and ..."""
    high: float
    """... highest predicted probability."""
    predicted: float
    """Mean."""
    observed: Proportion
    """How many came true."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Does a probability mean what it says?"""

    bins: tuple[ReliabilityBin, ...]
    error: float
    """Expected calibration error (Guo et al. 2017), over bins of equal mass instead of equal width: what a network is
    mostly sure of, or mostly unsure, fills all of them. NaN without examples."""

    @classmethod
    def of(
        cls,
        probability: NDArray[np.floating],
        true: NDArray[np.bool_],
        groups: NDArray[np.integer],
        bins: int = RELIABILITY_BINS,
    ) -> "Reliability":
        """groups: the source of each example. Equal probabilities share a bin, in whatever order they come."""
        if not len(probability):
            return cls((), float("nan"))
        _, number, counts = np.unique(probability, return_inverse=True, return_counts=True)
        middle = counts.cumsum() - counts / 2
        bin_of = np.minimum(middle * bins / len(probability), bins - 1).astype(int)[number]
        found = list[ReliabilityBin]()
        for one in np.unique(bin_of):
            mine = bin_of == one
            low, high, mean = (float(f(probability[mine])) for f in (np.min, np.max, np.mean))
            found.append(ReliabilityBin(low, high, mean, proportion_of(true[mine], groups[mine])))
        gaps = [row.observed.count * abs(row.observed.value - row.predicted) for row in found]
        return cls(tuple(found), sum(gaps) / len(probability))
