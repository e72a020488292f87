"""A verdict on an action is no noise: simulated actions of known truth, with few sources of a few examples each."""

from collections import Counter
from io import StringIO

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from avsync.evaluate.actions import (
    SHOWN,
    ActionRow,
    Prior,
    above_chance,
    action_table,
    action_words,
    beside_all,
    discoveries,
    easiest_and_hardest,
    judge,
)

EXAMPLES = 4
"""Of a source: two pairs, both labels of each."""
ALIKE = 0.3
"""Correlation of a source's examples."""


def simulated(truth: NDArray[np.floating], sources: NDArray[np.integer], rng: np.random.Generator):
    """Rows for actions whose true accuracies are `truth`; each source is easier or harder than its action."""
    action = np.repeat(np.arange(len(truth)), sources * EXAMPLES)
    group = np.repeat(np.arange(sources.sum()), EXAMPLES)
    mean, strength = np.repeat(truth, sources), 1 / ALIKE - 1
    quality = rng.beta(mean * strength, (1 - mean) * strength)[group]
    hits = rng.random(len(group)) < quality
    return judge([f"{number:03d}" for number in range(len(truth))], action, hits, group)


def verdicts(rows: tuple[ActionRow, ...], chosen: NDArray[np.bool_]) -> Counter[str]:
    return Counter(row.verdict for row in rows if chosen[int(row.name)])


@pytest.mark.parametrize("truth", [0.5, 0.6, 0.9])
@pytest.mark.parametrize("sources", ["one to five", "twelve"])
def test_of_equal_actions_none_is_called_easy_hard_or_chance_in_95_runs_of_100(truth, sources):
    rng, runs, wrong, covered = np.random.default_rng(5), 100, 0, []
    for _ in range(runs):
        sizes = rng.integers(1, 6, 20) if sources == "one to five" else np.full(20, 12)
        rows = simulated(np.full(20, truth), sizes, rng)
        wrong += any(row.verdict in ("easy", "hard", "chance") for row in rows)
        covered += [row.accuracy.low <= truth <= row.accuracy.high for row in rows]
    assert wrong <= 5
    assert np.mean(covered) > 0.93


def test_guessing_is_never_called_learned_more_often_than_promised():
    rng = np.random.default_rng(6)
    runs = [simulated(np.full(20, 0.5), np.full(20, 12), rng) for _ in range(100)]
    assert sum(any(row.verdict == "learned" for row in rows) for rows in runs) <= 5


def test_actions_that_differ_are_found_and_few_are_put_in_the_wrong_place():
    rng, truth = np.random.default_rng(7), np.repeat([0.95, 0.75, 0.5], 20)
    rows = simulated(truth, np.full(60, 40), rng)
    easy, middle, guessed = (verdicts(rows, truth == level) for level in (0.95, 0.75, 0.5))
    assert easy["easy"] >= 19
    assert middle["learned"] >= 17
    assert guessed["chance"] >= 12
    assert guessed["easy"] + guessed["learned"] <= 1
    assert easy["hard"] + easy["chance"] + middle["chance"] == 0


def test_few_sources_are_told_to_be_few_and_with_those_that_are_asked_for_most_actions_are_told():
    rng, truth = np.random.default_rng(8), np.full(40, 0.8)
    rows = simulated(truth, np.full(40, 3), rng)
    assert {row.verdict for row in rows} == {"too few to say"}
    needed = [row.more_sources for row in rows]
    assert all(needed)
    enough = 3 + max(int(count or 0) for count in needed)
    assert enough < 60
    again = verdicts(simulated(truth, np.full(40, enough), rng), truth > 0)
    assert again["learned"] >= 30


def test_where_no_number_of_sources_would_help_none_is_named():
    rng = np.random.default_rng(9)
    for row in simulated(np.full(30, 0.5), np.full(30, 4), rng):
        assert row.more_sources is None or row.more_sources > 100


def test_estimates_are_nearer_to_the_truth_than_accuracies_and_order_the_rows():
    rng, better = np.random.default_rng(10), []
    for _ in range(10):
        truth = rng.beta(8, 3, 100)
        rows = simulated(truth, rng.integers(1, 8, 100), rng)
        true = np.array([truth[int(row.name)] for row in rows])
        raw, drawn = np.array([(row.accuracy.value, row.estimate) for row in rows]).T
        better.append(((drawn - true) ** 2).mean() / ((raw - true) ** 2).mean())
        assert (np.diff(drawn) <= 0).all()
    assert np.mean(better) < 0.7


def test_the_action_with_one_lucky_source_is_not_the_best():
    scores = [np.array([1.0]), *(np.full(30, level) for level in (0.6, 0.7, 0.9))]
    scores = [np.clip(part + 0.3 * np.sin(np.arange(len(part))), 0, 1) for part in scores]
    prior = Prior.of(scores)
    estimates = [prior.estimate(part) for part in scores]
    assert max(range(4), key=lambda place: scores[place].mean()) == 0
    assert max(range(4), key=lambda place: estimates[place]) == 3
    assert estimates[3] == pytest.approx(scores[3].mean(), abs=0.02), "thirty sources speak for themselves"


def test_one_action_alone_is_compared_with_chance_only():
    rows = judge(["alone"], np.zeros(80, int), np.ones(80, bool), np.repeat(np.arange(20), 4))
    assert [(row.verdict, row.estimate, row.sources) for row in rows] == [("learned", 1.0, 20)]
    assert judge(["none"], np.array([], int), np.array([], bool), np.array([], int)) == ()


def test_the_tail_above_chance_counts_every_exchange_of_right_and_wrong():
    rng = np.random.default_rng(11)
    for _ in range(20):
        scores = rng.integers(0, 5, 7) / 4
        signs = np.array(np.meshgrid(*[[-1, 1]] * 7)).reshape(7, -1)
        as_good = (signs.T @ (scores - 0.5) >= (scores - 0.5).sum() - 1e-12).mean()
        assert above_chance(scores) == pytest.approx(as_good, abs=1e-12)
    assert above_chance(np.full(4, 0.5)) == 1
    assert above_chance(np.ones(60)) == pytest.approx(0.5**60, abs=1e-14)


def test_the_tail_beside_all_is_that_of_sources_drawn_from_all():
    rng = np.random.default_rng(12)
    pool = rng.integers(0, 5, 200) / 4
    drawn = rng.choice(pool, (40_000, 6)).sum(axis=1)
    for scores in (np.ones(6), np.full(6, 0.25), pool[:6]):
        better, worse = (drawn >= scores.sum()).mean(), (drawn <= scores.sum()).mean()
        assert beside_all(scores, pool) == pytest.approx(min(1, 2 * min(better, worse)), abs=0.01)
    assert beside_all(pool, pool) == 1


def test_discoveries_follow_benjamini_and_hochberg():
    p_values = np.array([0.041, 0.001, 0.6, 0.008, 0.039])
    assert discoveries(p_values, 0.05).tolist() == [False, True, False, True, False]
    assert discoveries(p_values, 0.06).tolist() == [True, True, False, True, True]
    assert not discoveries(np.full(4, 0.2), 0.05).any()


def test_of_many_actions_the_ends_are_shown_and_the_rest_counted():
    rows = simulated(np.linspace(0.5, 0.95, 60), np.full(60, 10), np.random.default_rng(13))
    first, last = easiest_and_hardest(rows)
    assert (first[0], last[-1], len(first) + len(last)) == (rows[0], rows[-1], SHOWN)
    assert easiest_and_hardest(rows[:5]) == (list(rows[:5]), [])
    console = Console(width=140, file=StringIO())
    with console.capture() as shown:
        console.print(action_table(rows))
    assert f"... {60 - SHOWN} actions: by_action.csv" in shown.get()
    words = action_words(rows)
    assert words.startswith("of 60 actions: ")
    assert sum(int(part.split()[0]) for part in words.removeprefix("of 60 actions: ").split("; ")[:-1]) == 60
