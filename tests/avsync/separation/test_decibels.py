"""Decibels are those of the definitions, and the tricks of a judgement are what they say."""

import math
from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avsync.config import SeparateConfig
from avsync.data.mixtures import Mixtures
from avsync.models.spectrum import Spectrum
from avsync.separation.decibels import LEAST, errors_of, fixed_mixtures, ideal_mask, sdr, si_sdr, wanted_error

SPECTRUM = Spectrum.of(8000)


def sines(*cycles: int) -> list[torch.Tensor]:
    """Orthogonal, of equal power."""
    time = torch.arange(4000, dtype=torch.float64) / 4000
    return [torch.sin(2 * math.pi * count * time) for count in cycles]


@given(st.floats(-20, 30), st.floats(0.01, 100))
def test_si_sdr_is_the_ratio_of_what_is_wanted_to_what_is_not_whatever_the_gain(decibels: float, gain: float) -> None:
    wanted, wrong = sines(100, 300)
    estimate = wanted + wrong * 10 ** (-decibels / 20)
    assert float(si_sdr(gain * estimate, wanted)) == pytest.approx(decibels, abs=0.01)
    assert float(sdr(estimate, wanted)) == pytest.approx(decibels, abs=0.01)


def test_sdr_counts_a_wrong_gain_and_si_sdr_does_not() -> None:
    (wanted,) = sines(100)
    assert float(sdr(0.5 * wanted, wanted)) == pytest.approx(20 * math.log10(2), abs=0.01)
    assert float(si_sdr(0.5 * wanted, wanted)) > 80


@pytest.mark.parametrize(("clips", "per_source"), [(240, 1), (241, 1), (240, 3)])
def test_what_is_mixed_to_judge_by_is_random_however_a_dataset_is_sorted(clips: int, per_source: int) -> None:
    """As in training: of four actions, each meets each, itself among them, and never the same source."""
    group, asked = np.arange(clips) // per_source, np.arange(clips)
    feed: Any = SimpleNamespace(
        dataset=SimpleNamespace(index=SimpleNamespace(group=group)),
        fixed_draws=lambda those, per_clip: [clip for clip in those.tolist() for _ in range(per_clip)],
    )
    drawn = fixed_mixtures(feed, asked, 2)
    assert drawn == fixed_mixtures(feed, asked, 2)
    half = clips // 2 * 2
    assert len(set(drawn[:half])) == half
    assert drawn[half:] == drawn[:half]
    pairs = np.array(drawn[:half]).reshape(-1, 2)
    assert (group[pairs[:, 0]] != group[pairs[:, 1]]).all()
    action = pairs * 4 // clips
    met = Counter(tuple(sorted(pair)) for pair in action.tolist())
    assert len(met) == 10
    assert min(met.values()) >= half / 2 / 16 / 4, "far from chance is far from training"


def two_sounds() -> Mixtures:
    low, high = (sine.float().view(1, 1, -1) for sine in sines(200, 900))
    return Mixtures(parts=torch.cat((low, high)), counts=torch.ones(2, dtype=torch.bool))


def test_errors_are_of_the_mixture_and_tell_the_own_part_from_the_other() -> None:
    mixtures = two_sounds()
    whole = SPECTRUM.of_sound(mixtures.sounds).repeat_interleave(2, dim=0)
    half = torch.full_like(whole[:, 0], 0.5)
    nothing_done = errors_of(half, mixtures, SPECTRUM)
    assert torch.allclose(nothing_done.own, torch.full((2,), -6.0), atol=0.1)
    best = ideal_mask(SPECTRUM.of_sound(mixtures.parts), whole, "complex")
    right, wrong = errors_of(best, mixtures, SPECTRUM), errors_of(best.flip(0), mixtures, SPECTRUM)
    assert bool((right.own < -20).all())
    assert bool((right.own < right.other).all())
    assert torch.allclose(wrong.own, right.other, atol=0.1)
    assert bool((right.own >= 10 * math.log10(LEAST)).all())
    blind = SeparateConfig(task="blind")
    assert torch.allclose(wanted_error(wrong, blind), wanted_error(right, blind), atol=0.1), "either order is right"
    assert not torch.allclose(wanted_error(wrong, SeparateConfig()), wanted_error(right, SeparateConfig()), atol=3)


@pytest.mark.parametrize("kind", ["ratio", "complex"])
def test_the_ideal_mask_is_within_what_a_network_can_draw_and_better_than_nothing(kind: str) -> None:
    mixtures = two_sounds()
    noisy = Mixtures(parts=mixtures.parts + 0.3 * torch.randn(2, 1, 4000), counts=mixtures.counts)
    whole = SPECTRUM.of_sound(noisy.sounds).repeat_interleave(2, dim=0)
    mask = ideal_mask(SPECTRUM.of_sound(noisy.parts), whole, kind)
    low, high, turned = (0.0, 1.0, 0.0) if kind == "ratio" else (-0.5, 1.5, 1.0)
    assert float(mask.real.min()) >= low
    assert float(mask.real.max()) <= high
    assert float(mask.imag.abs().max()) <= turned
    taken = SPECTRUM.to_sound(mask.unsqueeze(1) * whole, 4000)
    gain = si_sdr(taken[:, 0], noisy.parts[:, 0]) - si_sdr(noisy.sounds[0, 0], noisy.parts[:, 0])
    assert float(gain.min()) > 5
