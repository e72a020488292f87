"""A verdict in words on every action, with the number of actions taken into account. No torch.

Two questions are asked of each action: is it above chance, and is it unlike the average of all? Each is answered for
all actions together at a false discovery rate of 5 % (avsync/evaluate/actions.py); what neither answers is not known.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2
from statistics import NormalDist
from typing import Literal, Self, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from avsync.metrics import Proportion, wilson
from sharding.base.text import counted

# How often blind chance does as well: exact tails of sums, without a law of errors. No torch.
#
# An action's sample are its sources, not its examples: examples of a source are alike. A source's score is its share of
# right answers. With a handful of sources a normal law would promise too much, so the law of the sum itself is worked
# out, as a product of spectra.

CHANCE = 0.5
CELLS = 120
"""Scores are rounded to so many parts: halves, thirds, quarters, fifths, sixths, eighths, ... fall on whole ones."""


def _tail_cells(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.rint(scores * CELLS).astype(np.int64)


def above_chance(scores: NDArray[np.floating]) -> float:
    """p-value, one-sided, of "the network only guesses": every source might as well have scored 1 - score.

    scores: (S,) one of each source. The randomisation test of Fisher 1935 over the 2^S exchanges of right and wrong,
    all of them: exact whatever the law of the scores, as picture and sound swap roles with probability 1/2.
    """
    steps = _tail_cells(scores) - CELLS // 2
    reach = int(np.abs(steps).sum())
    if not reach:
        return 1.0
    size = 2 * reach + 1
    wave = 2 * np.pi * np.arange(reach + 1) / size
    spectrum = np.ones(len(wave))
    for step, count in zip(*np.unique(np.abs(steps), return_counts=True), strict=True):
        spectrum *= np.cos(wave * step) ** count
    law = np.fft.irfft(spectrum, size)  # a sum s stands at s modulo size
    return _tail_share(law[np.arange(int(steps.sum()), reach + 1) % size])


def beside_all(scores: NDArray[np.floating], pool: NDArray[np.floating]) -> float:
    """p-value, two-sided, of "this action is like all": as many sources drawn blindly from `pool` do as well or badly.

    scores: (S,) of the action's sources; pool: (N,) of the sources of all actions, the action's own among them, which
    are put back when drawn: where actions are few, this errs on the careful side.
    """
    count = len(scores)
    if count == len(pool):
        return 1.0
    law = np.bincount(_tail_cells(pool), minlength=CELLS + 1) / len(pool)
    size = count * CELLS + 1
    law_of_sum = np.fft.irfft(np.fft.rfft(law, size) ** count, size)
    place = int(_tail_cells(scores).sum())
    return min(1.0, 2 * min(_tail_share(law_of_sum[place:]), _tail_share(law_of_sum[: place + 1])))


def _tail_share(law: NDArray[np.floating]) -> float:
    """A sum of probabilities; the transform's rounding leaves some 1e-16 below 0."""
    return float(np.clip(law.sum(), 0.0, 1.0))


def discoveries(p_values: NDArray[np.floating], rate: float) -> NDArray[np.bool_]:
    """Which of many questions are answered, so that at most a share `rate` of the answers is false in the mean.

    Benjamini & Hochberg 1995. Where nothing is there to be found, anything at all is found in `rate` of the cases.
    """
    order = np.argsort(p_values, kind="stable")
    allowed = rate * np.arange(1, len(p_values) + 1) / len(p_values)
    passed = np.flatnonzero(p_values[order] <= allowed)
    found = np.zeros(len(p_values), np.bool_)
    if len(passed):
        found[order[: passed[-1] + 1]] = True
    return found


# An action's accuracy, drawn towards that of all actions as far as its few sources say little. No torch.
#
# Raw accuracies rank noise: of 700 actions the best and the worst are those with the fewest sources. Empirical Bayes
# (Efron & Morris 1975): true accuracies follow a beta law whose mean and spread are found from all actions by moments
# (Kleinman 1973), the sources being the sample. Its posterior mean is then
# (weight * mean + sources * accuracy) / (weight + sources), weight being what the law of all is worth in sources.


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
    accuracy: Proportion
    """As counted; its interval looks at this action alone, however many others there are."""
    estimate: float
    """The accuracy, drawn towards that of all actions (avsync/evaluate/actions.py)."""
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


def _share(hits: NDArray[np.bool_], sources: int, prior: Prior) -> Proportion:
    """Accuracy with its interval; how alike a source's examples are is taken from all actions, few tell too little."""
    value, count = float(hits.mean()), len(hits)
    independent = sources * min(prior.worth, count / sources)
    return Proportion(value, *wilson(value, independent), count)


def _verdict(known: bool, unlike: bool, above: bool, share: Proportion, prior: Prior) -> Verdict:
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


# Actions at the terminal: the easiest and the hardest of many, and how many cannot be told. Prints nothing itself.

T = TypeVar("T")
SHOWN = 24
"""Of more actions, so many are shown: half of them the easiest, half the hardest."""
STYLES = {"easy": "green", "learned": "green", "hard": "yellow", "chance": "red", UNKNOWN: "dim"}


def easiest_and_hardest(rows: Sequence[T], shown: int = SHOWN) -> tuple[list[T], list[T]]:
    """The first and the last rows; all in the first list where there are no more than `shown`."""
    if len(rows) <= shown:
        return list(rows), []
    return list(rows[: shown // 2]), list(rows[-(shown // 2) :])


def action_table(rows: Sequence[ActionRow]) -> Table:
    """Highest estimate first."""
    table = Table("action", title="by action")
    for name in ("accuracy", "95 % interval", "estimate", "sources"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    first, last = easiest_and_hardest(rows)
    for row in first:
        table.add_row(*_cells(row))
    if last:
        table.add_section()
        table.add_row(f"... {counted(len(rows) - len(first) - len(last), 'action')}: by_action.csv", style="dim")
        table.add_section()
    for row in last:
        table.add_row(*_cells(row))
    return table


def _cells(row: ActionRow) -> tuple[Text | str, ...]:
    share = row.accuracy
    more = f"; about {counted(row.more_sources, 'more source')} to tell" if row.more_sources else ""
    return (
        Text(row.name), f"{share.value:.1%}", f"{share.low:.1%} to {share.high:.1%}", f"{row.estimate:.1%}",
        str(row.sources), Text(row.verdict + more, STYLES[row.verdict]),
    )  # fmt: skip


def action_words(rows: Sequence[ActionRow]) -> str:
    """How many actions got each verdict, and what the verdicts mean."""
    found = counts(rows)
    told = "; ".join(f"{number} {verdict} ({MEANS[verdict]})" for verdict, number in found.items() if number)
    told = told.replace(f"{UNKNOWN} ({MEANS[UNKNOWN]})", UNKNOWN)
    return (
        f"of {counted(len(rows), 'action')}: {told}; of what is told, about {RATE:.0%} may be false. "
        "estimate: accuracy, drawn towards that of all actions as far as sources are few"
    )
