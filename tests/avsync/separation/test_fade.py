"""Windows that overlap give one sound without seams, and a mask means the same at every sample rate."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avsync.localize.stitch import window_starts
from avsync.models.spectrum import Spectrum
from avsync.separation.fade import CrossFade, mask_at


@given(st.integers(1, 300), st.integers(4, 60), st.floats(0.05, 0.9), st.integers(1, 2))
def test_windows_of_one_sound_give_that_sound_whatever_its_length(
    samples: int, window: int, overlap: float, channels: int
) -> None:
    sound = np.random.default_rng(samples).normal(size=(max(samples, window), channels)).astype(np.float32)
    fade, got = CrossFade(channels), list[np.ndarray]()
    for start in window_starts(len(sound), window, overlap):
        got.append(fade.add(start, sound[start : start + window]))
    assert np.allclose(np.concatenate([*got, fade.rest()]), sound, atol=1e-5)


def test_a_window_that_disagrees_comes_in_without_a_jump() -> None:
    fade = CrossFade(1)
    fade.add(0, np.zeros((100, 1), np.float32))
    got = np.concatenate([fade.add(50, np.ones((100, 1), np.float32)), fade.rest()])
    assert not got[:50].any()
    assert np.abs(np.diff(got[:, 0])).max() <= 1 / 50 + 1e-6


@given(st.sampled_from([8000, 11_025, 22_050, 44_100, 48_000]), st.integers(1, 40))
def test_a_mask_that_is_the_same_everywhere_stays_so_at_every_rate(rate: int, tenths: int) -> None:
    drawn, wanted = Spectrum.of(16_000), Spectrum.of(rate)
    samples = tenths * rate // 10
    mask = torch.full((drawn.frequencies, drawn.moments(tenths * 1600)), 0.25 - 0.5j)
    got = mask_at(mask, drawn, 16_000, wanted, rate, wanted.moments(samples))
    assert got.shape == (wanted.frequencies, wanted.moments(samples))
    assert torch.allclose(got, torch.full_like(got, 0.25 - 0.5j))


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000])
def test_what_a_mask_takes_is_taken_at_every_rate(rate: int) -> None:
    """500 Hz is taken in the first half, 3 kHz never."""
    drawn, wanted = Spectrum.of(16_000), Spectrum.of(rate)
    mask = torch.zeros(drawn.frequencies, drawn.moments(16_000), dtype=torch.complex64)
    mask[: drawn.frequencies // 5, : mask.shape[1] // 2] = 1
    time = torch.arange(rate) / rate
    low, high = torch.sin(2 * torch.pi * 500 * time), torch.sin(2 * torch.pi * 3000 * time)
    found = wanted.of_sound((low + high).view(1, 1, -1))
    taken = wanted.to_sound(found * mask_at(mask, drawn, 16_000, wanted, rate, found.shape[-1]), rate)[0, 0]
    tenth = rate // 10
    assert torch.allclose(taken[tenth : 4 * tenth], low[tenth : 4 * tenth], atol=0.02)
    assert float(taken[6 * tenth :].abs().max()) < 0.02
