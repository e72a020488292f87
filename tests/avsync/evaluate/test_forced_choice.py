"""The choice between two sounds knows no threshold; bins fit the shifts that were used; a bias is said."""

from fractions import Fraction

import numpy as np
import pytest

from avsync.evaluate.forced_choice import Bias, bias_words, shift_bins, span_name, within
from avsync.evaluate.matching import kin
from avsync.honesty.predict import Predictions, choices
from avsync.metrics import Calibration, proportion_of


def planted(rng: np.random.Generator, people: int = 300, each: int = 4, bias: float = 0.0) -> Predictions:
    """Pairs whose order is right in 9 of 10 cases; each person adds a number of its own to all logits."""
    of = rng.normal(0, 2, people)[np.repeat(np.arange(people), each)] + bias
    right = rng.random(people * each) < 0.9
    logit = np.stack((of + np.where(right, 1, -1), of - np.where(right, 1, -1)), axis=1)
    return Predictions(
        clip=np.repeat(np.arange(people * each), 2),
        shift=np.stack((0 * of, rng.integers(1, 16, len(of)) * rng.choice((-1, 1), len(of))), 1)
        .ravel()
        .astype(np.int64),
        in_sync=np.tile((True, False), len(of)),
        logit=logit.ravel().astype(np.float32),
    )


@pytest.mark.parametrize("bias", [-5.0, 0.0, 4.0])
def test_choice_does_not_move_with_what_is_added_to_all_logits(bias: float) -> None:
    got, group = planted(np.random.default_rng(1), bias=bias), np.repeat(np.arange(300), 4)
    found = choices(got, 2)
    assert len(found.clip) == 1200
    assert found.all(group).value == choices(planted(np.random.default_rng(1)), 2).all(group).value
    assert 0.85 < found.all(group).value < 0.95
    accuracy = proportion_of(got.hits, group[got.clip])
    spoken = Bias.of(got, group, None)
    assert accuracy.value == pytest.approx((spoken.in_sync.value + spoken.shifted.value) / 2)
    words = bias_words(accuracy, spoken)
    if bias:
        assert "threshold is off" in words
        assert ("'shifted'" if bias < 0 else "'in sync'") in words
    else:
        assert words == "", "that people differ is no matter of the threshold"
    known = Bias.of(got, group, bias)
    assert known.at_threshold is not None
    assert known.at_threshold.value == pytest.approx(known.best.value, abs=0.05)
    assert known.at_threshold.value > accuracy.value or not bias


def test_no_bias_is_said_where_none_is() -> None:
    sync = np.tile((True, False), 50)
    got = Predictions(
        clip=np.repeat(np.arange(50), 2), shift=np.where(sync, 0, 9), in_sync=sync,
        logit=np.where(sync, 1, -1).astype(np.float32),
    )  # fmt: skip
    group = np.arange(50)
    assert choices(got, 2).all(group).value == 1
    assert bias_words(proportion_of(got.hits, group[got.clip]), Bias.of(got, group, None)) == ""


def test_equal_logits_are_half_a_choice_and_one_sound_is_none() -> None:
    got = Predictions(
        clip=np.array([0, 0, 1, 1]), shift=np.array([0, 3, 0, 3]), in_sync=np.array([True, False] * 2),
        logit=np.array([1, 1, 2, 1], np.float32),
    )  # fmt: skip
    assert choices(got, 2).right.tolist() == [0.5, 1.0]
    assert len(choices(got, 1).right) == 0, "two draws of one clip are no pair"
    four = Predictions(
        clip=np.array([0] * 4), shift=np.array([1, 0, 2, 3]), in_sync=np.array([False, True, False, False]),
        logit=np.array([3, 2, 1, 2], np.float32),
    )  # fmt: skip
    assert sorted(zip(choices(four, 4).shift.tolist(), choices(four, 4).right.tolist(), strict=True)) == [
        (1, 0.0), (2, 1.0), (3, 0.5),
    ]  # fmt: skip


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(10), Fraction(24000, 1001)])
@pytest.mark.parametrize(("least", "most"), [(1, 15), (10, 35), (60, 177), (1, 1), (7, 7), (3, 9), (1, 3000)])
def test_each_shift_lies_in_one_bin_and_there_are_a_few(fps: Fraction, least: int, most: int) -> None:
    distance = np.arange(least, most + 1)
    spans = shift_bins(distance, fps)
    counted = np.stack([within(distance, fps, span) for span in spans]).sum(axis=0)
    assert counted.tolist() == [1] * len(distance)
    assert len(spans) <= 13
    assert len({span_name(span) for span in spans}) == len(spans)
    if most > 2 * least:
        assert sum(within(distance, fps, span).any() for span in spans) >= 2, "one row tells nothing of how far"


def test_the_shifts_of_the_preset_are_told_by_whole_seconds() -> None:
    assert [span_name(span) for span in shift_bins(np.arange(60, 178), Fraction(30))] == [
        "2 to 3 s", "3 to 4 s", "4 to 5 s", "5 to 6 s",
    ]  # fmt: skip


@pytest.mark.parametrize(("scale", "threshold"), [(1.0, 0.0), (0.3, 4.0), (5.0, -2.0)])
def test_calibration_finds_what_the_logits_mean(scale: float, threshold: float) -> None:
    rng = np.random.default_rng(3)
    logit = rng.normal(threshold, 2 / scale, 20_000)
    positive = rng.random(len(logit)) < 1 / (1 + np.exp(-scale * (logit - threshold)))
    found = Calibration.of(logit, positive)
    assert found is not None
    assert found.scale == pytest.approx(scale, rel=0.1)
    assert found.threshold == pytest.approx(threshold, abs=0.2 / scale)


def test_calibration_ends_where_both_kinds_are_apart_and_says_nothing_where_nothing_is_known() -> None:
    apart = Calibration.of(np.array([5.0, 6, 7, 1, 2, 3]), np.array([True] * 3 + [False] * 3))
    assert apart is not None
    assert 3 < apart.threshold < 5
    assert 0 < apart.scale < 100
    assert Calibration.of(np.array([1.0, 2]), np.array([True, True])) is None
    assert Calibration.of(np.array([1.0, 1]), np.array([True, False])) is None
    assert Calibration.of(np.array([1.0, 2, 1, 2]), np.array([True, False] * 2)) is None, "the order is wrong"
    assert Calibration.of(np.array([np.nan, 2]), np.array([True, False])) is None


def test_kin_are_other_clips_of_the_same_action() -> None:
    assert kin([4, 5, 4, 9, -1, 7], [0, 0, 0, 1, -1, 1]) == [1, 2, 1, 5, -1, 3]
    assert kin([4, 4, 9], [0, 0, 1]) == [-1, -1, -1]
