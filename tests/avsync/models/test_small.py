"""The small network: sees only where it points, needs both streams, learns at once, and says what it cannot take."""

from collections.abc import Callable, Iterator
from fractions import Fraction

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from avsync.models.parts import SyncNet
from avsync.models.small import build
from avsync.spec import InputSpec
from sharding.errors import InputError
from sharding.format.clip import Clock

CLOCK = Clock(fps=Fraction(15), sample_rate=16_000)


@pytest.fixture(autouse=True)
def _same_numbers_each_time() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def spec_of(frames: int = 30, side: int = 32, clock: Clock = CLOCK, channels: int = 1) -> InputSpec:
    samples = clock.sample_at(frames)
    return InputSpec(frames=frames, height=side, width=side, samples=samples, channels=channels, clock=clock)


def inputs(spec: InputSpec, clips: int = 2) -> tuple[Tensor, Tensor]:
    frames = torch.rand(clips, 3, spec.frames, spec.height, spec.width) * 2 - 1
    return frames, torch.rand(clips, 2, spec.channels, spec.samples) - 0.5


def flashes(spec: InputSpec, clips: int) -> tuple[Tensor, Tensor]:
    """The lower right quarter lights up at random moments, each with a beep; the second sound has other moments."""
    frames = torch.rand(clips, 3, spec.frames, spec.height, spec.width) * 0.2 - 0.9
    sounds = torch.randn(clips, 2, spec.channels, spec.samples) * 0.01
    beep = torch.sin(torch.arange(spec.clock.sample_at(2)) * 0.4)
    for clip in range(clips):
        for sound in range(2):
            for moment in torch.randperm(spec.frames // 3 - 1)[:4].tolist():
                start = spec.clock.sample_at(3 * moment)
                sounds[clip, sound, :, start : start + len(beep)] += beep
                if sound == 0:
                    frames[clip, :, 3 * moment : 3 * moment + 2, spec.height // 2 :, spec.width // 2 :] = 0.9
    return frames, sounds


@pytest.mark.parametrize(
    ("frames", "side", "shape"), [(30, 32, (15, 8, 8)), (45, 50, (22, 12, 12)), (8, 96, (4, 24, 24))]
)
def test_the_map_has_half_the_frames_and_a_quarter_of_the_side(
    frames: int, side: int, shape: tuple[int, int, int]
) -> None:
    spec = spec_of(frames, side)
    out = build(spec)(*inputs(spec))
    assert out.logit.shape == (2, 2)
    assert out.cam.shape == (2, 2, *shape)


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 48_000])
def test_any_usual_sample_rate_and_stereo_work(rate: int) -> None:
    spec = spec_of(clock=Clock(fps=Fraction(30000, 1001), sample_rate=rate), channels=2)
    assert build(spec)(*inputs(spec)).logit.isfinite().all()


def test_gradients_reach_every_weight() -> None:
    spec = spec_of()
    net = build(spec)
    functional.binary_cross_entropy_with_logits(net(*inputs(spec)).logit, torch.tensor([[1.0, 0.0]] * 2)).backward()
    assert not [name for name, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()]


def test_it_overfits_four_clips() -> None:
    spec = spec_of(side=24)
    frames, sounds = flashes(spec, clips=4)
    logit = trained(spec, lambda: (frames, sounds), steps=30)(frames, sounds).logit
    assert (logit[:, 0] > 1).all()
    assert (logit[:, 1] < -1).all()


def test_it_learns_that_flashes_beep_and_points_at_them() -> None:
    spec = spec_of(side=24)
    net = trained(spec, lambda: flashes(spec, clips=8), steps=120).eval()
    with torch.inference_mode():
        out = net(*flashes(spec, clips=32))
    accuracy = ((out.logit > 0) == torch.tensor([True, False])).float().mean()
    places = [divmod(int(cam.amax(dim=0).argmax()), 6) for cam in out.cam[:, 0]]
    assert accuracy > 0.8
    assert sum(row >= 2 and column >= 2 for row, column in places) >= 28


def trained(spec: InputSpec, clips: Callable[[], tuple[Tensor, Tensor]], steps: int) -> SyncNet:
    net = build(spec)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for _ in range(steps):
        logit = net(*clips()).logit
        loss = functional.binary_cross_entropy_with_logits(logit, torch.tensor([1.0, 0.0]).expand_as(logit))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


def test_what_happens_elsewhere_leaves_a_place_of_the_map_alone() -> None:
    spec = spec_of(side=64)
    net = build(spec).eval()
    frames, sounds = inputs(spec)
    changed = frames.clone()
    changed[..., 32:] = 0.0
    with torch.inference_mode():
        before, after = net(frames, sounds).cam, net(changed, sounds).cam
    torch.testing.assert_close(before[..., :6], after[..., :6])
    assert not torch.allclose(before[..., 10:], after[..., 10:])


def test_a_rate_too_low_for_its_bands_is_refused_with_the_remedy() -> None:
    with pytest.raises(InputError, match="at least 8000 Hz, this has 4000: pack with a higher --sample-rate"):
        build(spec_of(clock=Clock(fps=Fraction(15), sample_rate=4000)))
