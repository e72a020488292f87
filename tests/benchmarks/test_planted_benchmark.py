"""Planted sound is the recording's, moved: no note is lost, and none is where it should not be."""

import numpy as np
import pytest

from benchmarks.curate.planted import RATE, TAPS, heard_at


@pytest.mark.parametrize("late", [0.0, 0.25, 0.5, 1 / 3, 17.9])
@pytest.mark.parametrize("hertz", [50, 1000, 5000, 7000])
def test_a_tone_is_moved_by_any_part_of_a_sample(late: float, hertz: int) -> None:
    times = np.arange(RATE // 4)
    wave = (8000 * np.sin(2 * np.pi * hertz * times / RATE)).round().astype(np.int16)
    wanted = 8000 * np.sin(2 * np.pi * hertz * (times - late) / RATE)
    inside = slice(TAPS + 20, -TAPS)
    assert np.abs(heard_at(wave, times - late) - wanted)[inside].max() < 0.02 * 8000


def test_whole_samples_are_the_recording_and_beyond_its_ends_is_silence() -> None:
    wave = np.random.default_rng(0).integers(-9000, 9000, 400).astype(np.int16)
    assert np.array_equal(heard_at(wave, np.arange(400.0)), wave)
    moved = heard_at(wave, np.arange(400.0) + 100)
    assert np.array_equal(moved[:300], wave[100:])
    assert not moved[300 + TAPS :].any()
