"""A verdict on every action, with the number of actions taken into account; as rows of numbers, and at the terminal.

Two questions are asked of each action: is it above chance, and is it unlike the average of all? How often blind chance
does as well is worked out for each (`above_chance`, `beside_all`), and each question is answered for all actions
together at a false discovery rate of 5 % (`discoveries`); what neither answers is not known.

An action's sample are its sources, not its examples: examples of a source are alike. A source's score is its fraction
of right answers. With a handful of sources a normal law would promise too much, so the distribution of the sum itself
is worked out, as a product of spectra.
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
from sharding.base.text import counted, interval, percent

CHANCE = 0.5
CELLS = 120
"""Scores are rounded to so many parts: halves, thirds, quarters, fifths, sixths, eighths, ... fall on whole ones."""
RATE = 0.05
"""False discoveries among the answers to one question."""


def source_scores(hits: NDArray[np.bool_] | NDArray[np.floating], groups: NDArray[np.integer]) -> NDArray[np.float64]:
    """Fraction of right answers of each source."""
    number = np.unique(groups, return_inverse=True)[1]
    return np.bincount(number, weights=hits) / np.bincount(number)


def above_chance(scores: NDArray[np.floating]) -> float:
    """p-value, one-sided, of "the network only guesses": every source might as well have scored 1 - score.

    scores: (S,) one of each source. The randomisation test of Fisher 1935 over the 2^S exchanges of right and wrong,
    all of them: exact whatever the law of the scores, as picture and sound swap roles with probability 1/2.
    """
    steps = _in_cells(scores) - CELLS // 2
    reach = int(np.abs(steps).sum())
    if not reach:
        return 1.0
    size = 2 * reach + 1
    wave = 2 * np.pi * np.arange(reach + 1) / size
    spectrum = np.ones(len(wave))
    for step, count in zip(*np.unique(np.abs(steps), return_counts=True), strict=True):
        spectrum *= np.cos(wave * step) ** count
    of_sums = np.fft.irfft(spectrum, size)  # a sum s stands at s modulo size
    return _probability(of_sums[np.arange(int(steps.sum()), reach + 1) % size])


def beside_all(scores: NDArray[np.floating], pool: NDArray[np.floating]) -> float:
    """p-value, two-sided, of "this action is like all": as many sources drawn blindly from `pool` do as well or badly.

    scores: (S,) of the action's sources; pool: (N,) of the sources of all actions, the action's own among them, which
    are put back when drawn: where actions are few, this errs on the careful side.
    """
    count = len(scores)
    if count == len(pool):
        return 1.0
    of_scores = np.bincount(_in_cells(pool), minlength=CELLS + 1) / len(pool)
    size = count * CELLS + 1
    of_sums = np.fft.irfft(np.fft.rfft(of_scores, size) ** count, size)
    own = int(_in_cells(scores).sum())
    return min(1.0, 2 * min(_probability(of_sums[own:]), _probability(of_sums[: own + 1])))


def _in_cells(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.rint(scores * CELLS).astype(np.int64)


def _probability(cases: NDArray[np.floating]) -> float:
    """Of any of the cases; the transform's rounding leaves some 1e-16 below 0."""
    return float(np.clip(cases.sum(), 0.0, 1.0))


def discoveries(p_values: NDArray[np.floating], rate: float) -> NDArray[np.bool_]:
    """Which of many questions are answered, so that in the mean at most `rate` of the answers is false.

    Benjamini & Hochberg 1995. Where nothing is there to be found, anything at all is found in `rate` of the cases.
    """
    ranked = np.sort(p_values)
    passed = ranked[ranked <= rate * np.arange(1, len(ranked) + 1) / len(ranked)]
    return p_values <= passed.max(initial=-1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prior:
    """What all actions say about one: its accuracy, drawn towards theirs as far as its few sources say little.

    Raw accuracies rank noise: of 700 actions the best and the worst are those with the fewest sources. Empirical Bayes
    (Efron & Morris 1975): true accuracies follow a beta law whose mean and spread are found from all actions by moments
    (Kleinman 1973), the sources being the sample. Its posterior mean is then
    (weight * mean + sources * accuracy) / (weight + sources), weight being what the law of all is worth in sources.
    """

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
POWER = 0.8
"""With so many sources as are said to be needed, the answer comes with this probability."""
MOST_SOURCES = 10_000
"""A need beyond it is called none: no dataset of this kind has so many."""
MEANS: Mapping[Verdict, str] = {
    "easy": "above the average",
    "learned": "above chance, like the average",
    "hard": "below the average",
    "chance": "less than half of what the average gains over chance",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionRow:
    """What is known about one action."""

    name: str
    accuracy: Proportion
    """As counted; its interval looks at this action alone, however many others there are."""
    estimate: float
    """The accuracy, drawn towards that of all actions (Prior)."""
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
    chosen = [action == number for number in numbers]
    scores = [source_scores(hits[own], groups[own]) for own in chosen]
    prior, pool = Prior.of(scores), np.concatenate(scores)
    known = discoveries(np.array([above_chance(its) for its in scores]), RATE)
    unlike = discoveries(np.array([beside_all(its, pool) for its in scores]), RATE)
    rates = [RATE * max(1, int(found.sum())) / len(numbers) for found in (known, unlike)]
    rows = list[ActionRow]()
    answers = zip(numbers, chosen, scores, known.tolist(), unlike.tolist(), strict=True)
    for number, own, its, is_known, is_unlike in answers:
        estimate, accuracy = prior.estimate(its), _accuracy(hits[own], len(its), prior)
        above = float(its.mean()) > float(pool.mean())
        verdict = _verdict(is_known, is_unlike, above, accuracy, prior)
        need = _sources_needed(estimate, prior, *rates) if verdict == UNKNOWN else None
        row = ActionRow(
            name=names[number],
            accuracy=accuracy,
            estimate=estimate,
            sources=len(its),
            verdict=verdict,
            more_sources=max(1, need - len(its)) if need else None,
        )
        rows.append(row)
    return tuple(sorted(rows, key=lambda row: (-row.estimate, -row.accuracy.value, row.name)))


def _accuracy(hits: NDArray[np.bool_], sources: int, prior: Prior) -> Proportion:
    """With its interval; how alike a source's examples are is taken from all actions, few tell too little."""
    value, count = float(hits.mean()), len(hits)
    independent = sources * min(prior.worth, count / sources)
    return Proportion(value, *wilson(value, independent), count)


def _verdict(known: bool, unlike: bool, above: bool, accuracy: Proportion, prior: Prior) -> Verdict:
    """known: above chance; unlike, above: unlike the average, and above it."""
    if unlike and above:
        return "easy" if known else UNKNOWN  # better than a network that is wrong on the whole: says nothing
    if unlike and not known and accuracy.high < (CHANCE + prior.mean) / 2:
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
        table.add_row(*_table_row(row))
    if last:
        table.add_section()
        table.add_row(f"... {counted(len(rows) - len(first) - len(last), 'action')}: by_action.csv", style="dim")
        table.add_section()
    for row in last:
        table.add_row(*_table_row(row))
    return table


def _table_row(row: ActionRow) -> tuple[Text | str, ...]:
    accuracy = row.accuracy
    more = f"; about {counted(row.more_sources, 'more source')} to tell" if row.more_sources else ""
    numbers = (percent(accuracy.value), interval(accuracy.low, accuracy.high), percent(row.estimate), str(row.sources))
    return (Text(row.name), *numbers, Text(row.verdict + more, STYLES[row.verdict]))


def action_words(rows: Sequence[ActionRow]) -> str:
    """How many actions got each verdict, and what the verdicts mean."""
    found = Counter(row.verdict for row in rows)
    verdicts = [
        f"{found[verdict]} {verdict}" + (f" ({MEANS[verdict]})" if verdict in MEANS else "")
        for verdict in get_args(Verdict)
        if found[verdict]
    ]
    return (
        f"of {counted(len(rows), 'action')}: {'; '.join(verdicts)}; about {percent(RATE, digits=0)} of them may be "
        "false. estimate: accuracy, drawn towards that of all actions as far as sources are few"
    )
