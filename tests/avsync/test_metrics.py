"""Intervals hold what they promise, and AUC is the Mann-Whitney share."""

import numpy as np
import pytest

from avsync.metrics import Calibration, Reliability, proportion_of, roc_auc


def test_auc_counts_ordered_pairs_and_half_of_ties():
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores, positive = rng.integers(0, 6, 40).astype(float), rng.random(40) < 0.4
        if positive.all() or not positive.any():
            continue
        wins = [(p > n) + 0.5 * (p == n) for p in scores[positive] for n in scores[~positive]]
        assert roc_auc(scores, positive) == pytest.approx(np.mean(wins))
    assert np.isnan(roc_auc(np.ones(3), np.ones(3, bool)))


def test_the_interval_covers_the_truth_although_examples_of_a_source_are_alike():
    rng = np.random.default_rng(1)
    covered, naive_covered, rounds = 0, 0, 400
    for _ in range(rounds):
        quality = rng.beta(2, 1, 60)  # mean 2/3; each source has its own
        groups = np.repeat(np.arange(60), 10)
        hits = rng.random(600) < quality[groups]
        share = proportion_of(hits, groups)
        covered += share.low <= 2 / 3 <= share.high
        naive = proportion_of(hits, np.arange(600))
        naive_covered += naive.low <= 2 / 3 <= naive.high
    assert covered / rounds > 0.92
    assert naive_covered / rounds < 0.85, "the test must be able to see the difference"


def test_a_perfect_score_on_few_sources_is_not_called_certain():
    share = proportion_of(np.ones(100, bool), np.repeat(np.arange(5), 20))
    assert share.value == 1 == share.high
    assert share.low < 0.6
    assert proportion_of(np.ones(100, bool), np.arange(100)).low > 0.95


def test_one_source_or_none_gives_a_wide_interval():
    one = proportion_of(np.array([True, False] * 50), np.zeros(100, int))
    assert one.high - one.low > 0.8
    none = proportion_of(np.array([], bool), np.array([], int))
    assert (none.low, none.high, none.count) == (0, 1, 0)


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_a_probability_that_means_what_it_says_has_no_calibration_error_and_another_one_has(scale: float) -> None:
    rng = np.random.default_rng(5)
    logit = rng.normal(0, 2, 20_000)
    true = rng.random(len(logit)) < Calibration(scale, 0.0).probability(logit)
    errors = {
        read: Reliability.of(Calibration(read, 0.0).probability(logit), true, np.arange(len(logit))).error
        for read in (0.3, 1.0, 4.0)
    }
    assert errors.pop(scale) < 0.015
    assert min(errors.values()) > 0.05


def test_bins_have_equal_mass_and_every_example_is_in_one() -> None:
    rng = np.random.default_rng(6)
    sure = 1 - rng.random(1000) ** 4 / 10  # most lie near 1: bins of equal width would be empty but for the last
    found = Reliability.of(sure, rng.random(1000) < sure, np.arange(1000))
    assert [row.observed.count for row in found.bins] == [100] * 10
    edges = [edge for row in found.bins for edge in (row.low, row.high)]
    assert edges == sorted(edges)


@pytest.mark.parametrize("seed", range(3))
def test_equal_probabilities_share_a_bin_so_that_their_order_says_nothing(seed: int) -> None:
    sure, true = np.repeat([0.2, 0.7], [30, 70]), np.arange(100) % 2 == 0
    mixed = np.random.default_rng(seed).permutation(100)
    assert Reliability.of(sure[mixed], true[mixed], np.arange(100)[mixed]) == Reliability.of(sure, true, np.arange(100))
    assert Reliability.of(sure, true, np.arange(100)).error == pytest.approx(0.3 * 0.3 + 0.7 * 0.2)
    assert np.isnan(Reliability.of(np.zeros(0), np.zeros(0, bool), np.zeros(0, int)).error)
