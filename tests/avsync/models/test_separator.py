"""Spectrograms come back exactly, whatever the length; a separator sees by every sync network, and leaves it alone."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avsync.config import SeparateConfig
from avsync.models import MODELS, build_model
from avsync.models.separator import Separator
from avsync.models.spectrum import Spectrum
from avsync.spec import InputSpec
from sharding.format.clip import Clock


@given(st.integers(1, 3000), st.sampled_from([8000, 11_025, 44_100]), st.integers(1, 2))
def test_sound_comes_back_exactly_whatever_its_length_and_rate(samples: int, rate: int, channels: int) -> None:
    spectrum = Spectrum.of(rate)
    sound = torch.rand(2, channels, samples) * 2 - 1
    found = spectrum.of_sound(sound)
    assert found.shape == (2, channels, spectrum.frequencies, spectrum.moments(samples))
    assert torch.allclose(spectrum.to_sound(found, samples), sound, atol=1e-5)


def spec_of(name: str) -> InputSpec:
    """The smallest windows that the network takes; the thesis pads nothing."""
    side, frames = (186, 97) if name == "thesis" else (32, 16)
    return InputSpec(
        frames=frames,
        height=side,
        width=side,
        samples=frames * 800,
        channels=1,
        clock=Clock(fps=Fraction(10), sample_rate=8000),
    )


@pytest.mark.parametrize("name", [name for name in MODELS if name != "thesis"])  # which takes ten times as long
@pytest.mark.parametrize("along", [False, True])
def test_masks_are_as_the_spectrogram_and_only_what_is_trained_gets_a_gradient(name: str, along: bool) -> None:
    torch.manual_seed(0)
    spec = spec_of(name)
    net = Separator(spec, SeparateConfig(along=along), build_model(name, spec)).train()
    assert net.features
    assert net.meet
    assert net.eyes
    assert net.features.training == along
    before = {key: value.clone() for key, value in net.features.state_dict().items()}
    torch.nn.init.normal_(net.mask.weight, std=0.1)  # at first it gives every mask the same, whatever is seen
    frames, sounds = (
        torch.rand(4, 3, spec.frames, spec.height, spec.width) * 2 - 1,
        torch.rand(2, 1, spec.samples) - 0.5,
    )
    masks = net(frames, sounds)
    spectrum = Spectrum.of(8000)
    assert masks.shape == (4, spectrum.frequencies, spectrum.moments(spec.samples))
    assert not torch.allclose(masks[0], masks[1]), "one mixture, two pictures"
    masks.abs().square().mean().backward()
    assert all(
        weights.grad is not None for part in (net.down, net.up, net.meet, net.eyes) for weights in part.parameters()
    )
    learns = any(weights.grad is not None for weights in net.features.parameters())
    assert learns == along
    same = all(torch.equal(before[key], value) for key, value in net.features.state_dict().items())
    assert same or along


@pytest.mark.parametrize("mask", ["ratio", "complex"])
def test_blind_masks_need_no_picture_and_begin_by_dividing_in_half(mask: str) -> None:
    spec = spec_of("small")
    net = Separator(spec, SeparateConfig(task="blind", mask=mask), None).eval()  # type: ignore[arg-type]
    masks = net(torch.empty(0, 3, 1, 1, 1), torch.rand(3, 1, spec.samples))
    assert len(masks) == 3
    assert torch.allclose(masks, torch.full_like(masks, 0.5))


@pytest.mark.parametrize("gain", [1e-3, 1.0, 1e3])
def test_a_mixture_is_heard_the_same_however_loud_it_was_recorded(gain: float) -> None:
    sound = Spectrum.of(8000).of_sound(torch.rand(1, 1, 8000) - 0.5)
    plain, other = Separator.loudness(sound), Separator.loudness(sound * gain)
    assert float((plain - other).abs().mean()) < 0.25
    silent = Separator.loudness(sound * 0)
    assert not silent.any()
