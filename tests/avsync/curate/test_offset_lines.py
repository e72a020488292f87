"""Planted evidence: what offset, drift and step it was made with is found, and nothing where there is none. Pure."""

from collections.abc import Callable

import numpy as np
import pytest

from avsync.confidence.curve import Reading
from avsync.curate.offset_lines import (
    ANYWHERE,
    MOST_DRIFT,
    OffsetEvidence,
    OffsetLine,
    find_lines,
    median_slope,
    usual,
)

STEP_S = 0.04
OFFSETS = np.linspace(-50 * STEP_S, 50 * STEP_S, 101)
SURE = 0.8
Truth = Callable[[float], float]


def planted(truth: Truth | None, seconds: float, *, seed: int = 0, tells: float = 0.6) -> OffsetEvidence:
    """A moment a second, of which `tells` know something of the offset, the others something by chance."""
    rng = np.random.default_rng(seed)
    times = np.arange(0.75, seconds, 1.0)
    nats = rng.normal(-1.0, 0.6, (len(times), len(OFFSETS)))
    found = rng.uniform(-2, 2, len(times))
    for number, time in enumerate(times):
        at = found[number]
        if truth is not None and rng.random() < tells:
            at = found[number] = truth(float(time)) + rng.normal(0, 0.015)
        near = np.exp(-0.5 * ((OFFSETS - at) / 0.06) ** 2)
        nats[number] += near * (3.0 if truth is not None else 2.0)
    return OffsetEvidence(
        times_s=times,
        offsets_s=OFFSETS,
        nats=nats.clip(-2.3, 1.9),
        peaks=np.column_stack((times, found)),
        capture_s=0.08,
        reading=Reading(trust=1.0),
    )


def lines_of(truth: Truth | None, seconds: float, **changes: float) -> tuple[OffsetLine, ...]:
    return find_lines(planted(truth, seconds, **changes), SURE)  # type: ignore[arg-type]


@pytest.mark.parametrize("offset_s", [-1.3, -0.41, 0.0, 0.07, 0.8])
@pytest.mark.parametrize("seconds", [15, 60, 400])
def test_a_constant_offset_is_one_flat_line(offset_s: float, seconds: float) -> None:
    (line,) = lines_of(lambda _: offset_s, seconds)
    assert line.sure
    assert line.drift == 0
    assert line.curve.best_s == pytest.approx(offset_s, abs=0.03)
    assert line.holds(-1e9)
    assert line.holds(1e9)


@pytest.mark.parametrize("drift", [-1e-3, 0.5e-3, 1e-3, 1.5e-3])
@pytest.mark.parametrize("seconds", [120, 600])
def test_a_drift_is_followed(drift: float, seconds: float) -> None:
    """By one tilted line, or by several that meet."""
    lines = lines_of(lambda time: 0.1 + drift * (time - seconds / 2), seconds)
    assert len(lines) <= 1 + seconds // 300
    for time in np.arange(1.0, seconds, 7):
        line = next(line for line in lines if line.holds(time))
        assert line.drift == pytest.approx(drift, abs=0.15e-3)
        assert line.offset_s(time) == pytest.approx(0.1 + drift * (time - seconds / 2), abs=0.03)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("before", "behind"), [(0.0, 0.5), (-0.6, 0.0), (0.3, -0.3), (0.1, 0.3)])
def test_a_step_ends_a_line_and_begins_another(before: float, behind: float, seed: int) -> None:
    at = 41.3
    lines = lines_of(lambda time: before if time < at else behind, 100, seed=seed)
    assert [round(line.curve.best_s, 1) for line in lines] == pytest.approx([before, behind], abs=0.06)
    left, right = lines
    assert left.end_s <= at <= right.start_s, "what is said to hold surely holds"
    assert right.start_s - left.end_s < 12


def test_two_steps_make_three_lines() -> None:
    lines = lines_of(lambda time: 0.4 if 50 <= time < 110 else -0.1, 160)
    assert [line.curve.best_s for line in lines] == pytest.approx([-0.1, 0.4, -0.1], abs=0.03)


@pytest.mark.parametrize("seed", range(8))
def test_chance_makes_no_line_that_is_believed(seed: int) -> None:
    assert not any(line.sure for line in lines_of(None, 300, seed=seed))


@pytest.mark.parametrize("seed", range(4))
def test_a_flat_line_is_not_cut_nor_tilted_by_chance(seed: int) -> None:
    lines = lines_of(lambda _: 0.2, 300, seed=seed, tells=0.5)
    assert len(lines) == 1
    assert abs(lines[0].drift) * 300 < 0.04


def test_half_an_hour_that_hardly_drifts_is_followed_to_its_end() -> None:
    lines = lines_of(lambda time: -0.5 + 2e-4 * time, 1800)
    assert len(lines) < 10
    for time in np.arange(1.0, 1800, 60):
        line = next(line for line in lines if line.holds(time))
        assert line.offset_s(time) == pytest.approx(-0.5 + 2e-4 * time, abs=0.04)


def test_without_evidence_there_are_no_lines() -> None:
    assert lines_of(None, 0.5) == ()


def test_a_slope_has_its_interval_and_survives_outliers() -> None:
    rng = np.random.default_rng(3)
    times = np.arange(60.0)
    offsets = 0.3 + 1e-3 * times + rng.normal(0, 0.01, 60)
    offsets[::6] += rng.uniform(-1, 1, 10)
    slope, low, high = median_slope(np.column_stack((times, offsets)))
    assert low < 1e-3 < high
    assert slope == pytest.approx(1e-3, abs=3e-4)
    assert high - low < MOST_DRIFT


@pytest.mark.parametrize("reach_s", [0.2, 0.85, 2.0, 5.0])
def test_small_offsets_are_likelier_beforehand_and_none_is_ruled_out(reach_s: float) -> None:
    offsets = np.linspace(-reach_s, reach_s, 2 * round(reach_s / STEP_S) + 1)
    nats = usual(offsets)
    assert np.exp(nats).mean() == pytest.approx(1)
    assert nats == pytest.approx(nats[::-1])
    assert (np.diff(nats[offsets >= 0]) < 0).all()
    assert nats.min() > np.log(ANYWHERE)


@pytest.mark.parametrize("beat_s", [-1.8, -1.0, -0.6, 0.6, 1.0, 1.8])
@pytest.mark.parametrize("offset_s", [0.0, 0.08, -0.12])
@pytest.mark.parametrize("more", [-1.0, 0.0, 2.0])
def test_what_repeats_itself_is_not_moved_by_a_whole_beat(beat_s: float, offset_s: float, more: float) -> None:
    """A beat away it fits as well, or a little better or worse: the small offset, or none that is believed."""
    evidence = planted(lambda _: offset_s, 20)
    near = np.abs(OFFSETS - offset_s) < 0.1
    there = np.roll(near, round(beat_s / STEP_S))
    evidence.nats[:, there] = evidence.nats[:, near] + more / len(evidence.nats)
    (line,) = find_lines(evidence, SURE)
    assert not line.sure or line.curve.best_s == pytest.approx(offset_s, abs=0.05)


def test_a_large_offset_is_believed_when_more_speaks_for_it() -> None:
    (line,) = find_lines(planted(lambda _: 1.7, 40), SURE)
    assert line.sure
    assert line.curve.best_s == pytest.approx(1.7, abs=0.03)
