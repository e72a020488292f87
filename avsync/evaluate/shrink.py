"""An action's accuracy, drawn towards that of all actions as far as its few sources say little. No torch.

Raw accuracies rank noise: of 700 actions the best and the worst are those with the fewest sources. Empirical Bayes
(Efron & Morris 1975): true accuracies follow a beta law whose mean and spread are found from all actions by moments
(Kleinman 1973), the sources being the sample. Its posterior mean is then
(weight * mean + sources * accuracy) / (weight + sources), weight being what the law of all is worth in sources.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Prior:
    """What all actions say about one."""

    mean: float
    """Of the actions' accuracies."""
    spread: float
    """Standard deviation of the actions' true accuracies; 0: no difference between actions is seen."""
    noise: float
    """Standard deviation of a source's score about its action's accuracy."""

    @classmethod
    def of(cls, actions: Sequence[NDArray[np.floating]]) -> Self:
        """actions: of each the scores of its sources, at least one."""
        sizes = np.array([len(scores) for scores in actions], float)
        means = np.array([scores.mean() for scores in actions])
        total, number = sizes.sum(), len(actions)
        grand = float((sizes * means).sum() / total)
        inside = sum(float(((scores - mean) ** 2).sum()) for scores, mean in zip(actions, means, strict=True))
        # one source of each action: nothing tells noise from spread, so all is taken for noise
        noise = inside / (total - number) if total > number else grand * (1 - grand)
        between = float((sizes * (means - grand) ** 2).sum()) - (number - 1) * noise
        scale = total - float((sizes**2).sum()) / total
        spread = max(0.0, between / scale) if scale > 0 else 0.0
        weights = 1 / (spread + noise / sizes) if spread + noise > 0 else sizes
        mean = float((weights * means).sum() / weights.sum())
        return cls(mean=mean, spread=float(np.sqrt(spread)), noise=float(np.sqrt(noise)))

    @property
    def worth(self) -> float:
        """Independent examples that one source is worth; 1, the least, where sources never differ: nothing is seen."""
        if not self.noise:
            return 1.0
        return max(1.0, (self.mean * (1 - self.mean) - self.spread**2) / self.noise**2)

    def estimate(self, scores: NDArray[np.floating]) -> float:
        """The shrunken accuracy of an action with these sources."""
        if not self.spread:
            return self.mean
        weight = (self.noise / self.spread) ** 2
        return float((weight * self.mean + scores.sum()) / (weight + len(scores)))
