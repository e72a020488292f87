"""The fast first convolution: the plain one's numbers, gradients and weights, for every network in MODELS."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from avsync.models import MODELS, build_model
from avsync.models.stem import SpaceToDepthConv3d, use_fast_stem
from avsync.spec import InputSpec
from sharding.format.clip import Clock

SIZES = [(13, 22, 23), (16, 32, 32), (9, 17, 16), (7, 11, 30), (6, 8, 8)]
STEMS = [name for name in MODELS if name != "embedding"]  # whose first convolution is of pictures, not of brightness
SETTINGS = {  # kernel, stride, padding
    "thesis": ((5, 7, 7), (2, 2, 2), (0, 0, 0)),
    "paper": ((5, 7, 7), (2, 2, 2), (2, 3, 3)),
    "small": ((3, 6, 6), (1, 4, 4), (1, 1, 1)),
    "covariance": ((5, 7, 7), (2, 2, 2), (2, 3, 3)),
    "a kernel below its stride": ((1, 2, 1), (2, 3, 2), (0, 1, 0)),
}


def spec_of(name: str) -> InputSpec:
    clock = Clock(fps=Fraction(30), sample_rate=44100)
    frames, side = (97, 186) if name == "thesis" else (16, 32)
    samples = clock.sample_at(frames)
    return InputSpec(frames=frames, height=side, width=side, samples=samples, channels=1, clock=clock)


def slopes(conv: nn.Conv3d, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The output, and gradients of a fixed sum of it: by the pictures and by every weight."""
    out = conv(pictures)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return out, list(torch.autograd.grad((out * weights).sum(), [pictures, *conv.parameters()]))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("setting", SETTINGS)
def test_it_gives_the_plain_convolutions_numbers_and_gradients(
    setting: str, bias: bool, size: tuple[int, int, int]
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv3d(3, 8, *SETTINGS[setting], bias=bias).double()
    pictures = torch.randn(2, 3, *size, dtype=torch.double, requires_grad=True)
    wanted, wanted_slopes = slopes(conv, pictures)
    got, got_slopes = slopes(SpaceToDepthConv3d.like(conv), pictures)
    torch.testing.assert_close(got, wanted)
    torch.testing.assert_close(got_slopes, wanted_slopes)


@pytest.mark.parametrize("name", STEMS)
def test_the_table_of_settings_has_every_networks_first_convolution(name: str) -> None:
    convs = [m for m in build_model(name, spec_of(name)).video.modules() if isinstance(m, nn.Conv3d)]
    first = next(conv for conv in convs if conv.in_channels == 3)
    assert (first.kernel_size, first.stride, first.padding) == SETTINGS[name]


@pytest.mark.parametrize("name", STEMS)
def test_a_network_with_it_says_the_same_and_has_the_same_weights(name: str) -> None:
    torch.manual_seed(0)
    spec = spec_of(name)
    net = build_model(name, spec).eval()
    frames = torch.rand(1, 3, spec.frames, spec.height, spec.width) * 2 - 1
    sounds = torch.rand(1, 2, spec.channels, spec.samples) - 0.5
    names = {key: id(weight) for key, weight in net.named_parameters()}
    saved = net.state_dict()
    with torch.inference_mode():
        plain = net(frames, sounds)
        assert use_fast_stem(net) == 1
        fast = net(frames, sounds)
    torch.testing.assert_close(fast, plain, rtol=1e-3, atol=1e-4)
    assert {key: id(weight) for key, weight in net.named_parameters()} == names
    assert net.state_dict().keys() == saved.keys()
    build_model(name, spec).load_state_dict(net.state_dict())
    assert use_fast_stem(net) == 0, "twice is once"


@pytest.mark.parametrize("setting", STEMS)
def test_it_keeps_the_layout_of_its_weights_and_computes_in_half_precision(setting: str) -> None:
    torch.manual_seed(0)
    conv = nn.Conv3d(3, 8, *SETTINGS[setting])
    plain = SpaceToDepthConv3d.like(conv)(pictures := torch.rand(2, 3, 8, 16, 16))
    conv.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    fast = SpaceToDepthConv3d.like(conv)
    torch.testing.assert_close(fast(pictures), plain)
    assert fast(pictures).is_contiguous(memory_format=torch.channels_last_3d)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = fast(pictures)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), plain, rtol=0.05, atol=0.05)


def test_a_network_without_such_a_convolution_is_left_as_it_is() -> None:
    assert use_fast_stem(build_model("embedding", spec_of("embedding"))) == 0
