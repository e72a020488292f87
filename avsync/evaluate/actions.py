"""A verdict in words on every action, with the number of actions taken into account. No torch.

Two questions are asked of each action: is it above chance, and is it unlike the average of all? Each is answered for
all actions together at a false discovery rate of 5 % (avsync/evaluate/tails.py); what neither answers is not known.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2
from statistics import NormalDist
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from avsync.evaluate.shrink import Prior
from avsync.evaluate.tails import (
    CHANCE,
    above_chance,
    beside_all,
    discoveries,
)
from avsync.metrics import Share, wilson

Verdict = Literal["easy", "learned", "hard", "chance", "too few to say"]
UNKNOWN: Verdict = "too few to say"
RATE = 0.05
"""False discoveries among the answers to one question."""
POWER = 0.8
"""With so many sources as are said to be needed, the answer comes with this probability."""
MOST_SOURCES = 10_000
"""A need beyond it is called none: no dataset of this kind has so many."""
MEANS: Mapping[Verdict, str] = {
    "easy": "above the average",
    "learned": "above chance, like the average",
    "hard": "below the average",
    "chance": "less than half of what the average gains over chance",
    UNKNOWN: "too few sources to say",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionRow:
    """What is known about one action."""

    name: str
    accuracy: Share
    """As counted; its interval looks at this action alone, however many others there are."""
    estimate: float
    """The accuracy, drawn towards that of all actions (avsync/evaluate/shrink.py)."""
    sources: int
    """Sources that it was tried on: the true sample."""
    verdict: Verdict
    more_sources: int | None
    """About how many more would give another verdict than "too few to say"; None: it has one, or none would help."""


def judge(
    names: Sequence[str], action: NDArray[np.integer], hits: NDArray[np.bool_], groups: NDArray[np.integer]
) -> tuple[ActionRow, ...]:
    """A row for each action that was tried, highest estimate first.

    action, hits, groups: (N,) of each example its action (a position in names), whether it was answered right, and
    which source it is of.
    """
    numbers: list[int] = np.unique(action).tolist()
    if not numbers:
        return ()
    scores = [source_scores(hits[action == number], groups[action == number]) for number in numbers]
    prior, pool = Prior.of(scores), np.concatenate(scores)
    shares = [_share(hits[action == number], len(those), prior) for number, those in zip(numbers, scores, strict=True)]
    known = discoveries(np.array([above_chance(those) for those in scores]), RATE)
    unlike = discoveries(np.array([beside_all(those, pool) for those in scores]), RATE)
    looks = [RATE * max(1, int(found.sum())) / len(numbers) for found in (known, unlike)]
    rows = list[ActionRow]()
    for place, number in enumerate(numbers):
        estimate = prior.estimate(scores[place])
        above = float(scores[place].mean()) > float(pool.mean())
        verdict = _verdict(bool(known[place]), bool(unlike[place]), above, shares[place], prior)
        count = len(scores[place])
        need = _sources_needed(estimate, prior, looks[0], looks[1]) if verdict == UNKNOWN else None
        more = max(1, need - count) if need else None
        rows.append(
            ActionRow(
                name=names[number], accuracy=shares[place], estimate=estimate, sources=count, verdict=verdict,
                more_sources=more,
            )
        )  # fmt: skip
    return tuple(sorted(rows, key=lambda row: (-row.estimate, -row.accuracy.value, row.name)))


def source_scores(hits: NDArray[np.bool_] | NDArray[np.floating], groups: NDArray[np.integer]) -> NDArray[np.float64]:
    """Share of right answers of each source."""
    number = np.unique(groups, return_inverse=True)[1]
    return np.bincount(number, weights=hits) / np.bincount(number)


def _share(hits: NDArray[np.bool_], sources: int, prior: Prior) -> Share:
    """Accuracy with its interval; how alike a source's examples are is taken from all actions, few tell too little."""
    value, count = float(hits.mean()), len(hits)
    independent = sources * min(prior.worth, count / sources)
    return Share(value, *wilson(value, independent), count)


def _verdict(known: bool, unlike: bool, above: bool, share: Share, prior: Prior) -> Verdict:
    """known: above chance; unlike, above: unlike the average, and above it."""
    if unlike and above:
        return "easy" if known else UNKNOWN  # better than a network that is wrong on the whole: says nothing
    if unlike and not known and share.high < (CHANCE + prior.mean) / 2:
        return "chance"
    if unlike:
        return "hard"
    return "learned" if known else UNKNOWN


def _sources_needed(estimate: float, prior: Prior, chance_rate: float, average_rate: float) -> int | None:
    """Sources with which an action as good as `estimate` would be told from chance, or from the average.

    The sum for a mean whose spread is not known (Guenther 1981), at the rates that the number of actions leaves.
    """
    normal = NormalDist()

    def needed(distance: float, rate: float) -> float:
        point = normal.inv_cdf(1 - rate)
        reach = point + normal.inv_cdf(POWER)
        return (reach * prior.noise / distance) ** 2 + point**2 / 2 if distance > 0 else np.inf

    fewest = log2(1 / chance_rate)  # with fewer, blind guessing gets everything right too often
    from_chance = max(fewest, needed(estimate - CHANCE, chance_rate))
    least = min(from_chance, needed(abs(estimate - prior.mean), average_rate / 2))
    return ceil(least) if least <= MOST_SOURCES else None


def counts(rows: Sequence[ActionRow]) -> dict[Verdict, int]:
    """How many actions got each verdict."""
    found = Counter(row.verdict for row in rows)
    return {verdict: found[verdict] for verdict in get_args(Verdict)}
