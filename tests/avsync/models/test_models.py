"""What holds for every network in MODELS, and that two of them are the published tables, row by row."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any, cast, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from avsync.config import ModelName
from avsync.models import MODELS, REFINE, build_model
from avsync.models.parts import SyncNet
from avsync.spec import InputSpec
from sharding.errors import InputError
from sharding.format.clip import Clock

CLOCK = Clock(fps=Fraction(30), sample_rate=44100)


def spec_of(frames: int, side: int, channels: int = 1, clock: Clock = CLOCK) -> InputSpec:
    samples = clock.sample_at(frames)
    return InputSpec(frames=frames, height=side, width=side, samples=samples, channels=channels, clock=clock)


THESIS = spec_of(120, 224)
PAPER = replace(spec_of(125, 224, channels=2, clock=Clock(fps=Fraction(30000, 1001), sample_rate=21000)), samples=88200)
SMALLEST = {"thesis": spec_of(97, 186)}  # the thesis pads nothing: its kernels need that much
FEW_CLIPS = {"thesis": 1, "paper": 2}  # the large ones learn in three steps
FEW_CELLS = {"thesis": spec_of(105, 202)}  # a map of 2 or more cells on each axis


def tiny(name: str) -> InputSpec:
    return SMALLEST.get(name, spec_of(16, 32))


def inputs(spec: InputSpec, clips: int = 1, per_clip: int = 2, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Frames (B, 3, T, H, W) and sounds (B, K, C, S), random."""
    frames = torch.rand(clips, 3, spec.frames, spec.height, spec.width, device=device) * 2 - 1
    return frames, torch.rand(clips, per_clip, spec.channels, spec.samples, device=device) * 2 - 1


def on_meta(name: str, spec: InputSpec) -> SyncNet:
    with torch.device("meta"):
        return MODELS[name](spec).eval()


@pytest.fixture(autouse=True)
def _same_numbers_each_time() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


THESIS_ROWS = {
    "audio.conv1": (64, 44084),
    "audio.pool1": (64, 11021),
    "audio.batch1": (64, 11021),
    "audio.conv2": (128, 2756),
    "audio.batch2": (128, 2756),
    "audio.conv3": (128, 686),
    "audio.conv4": (128, 689),
    "audio.batch3": (128, 689),
    "audio.conv5": (128, 172),
    "audio.pool2": (128, 28),
    "audio.conv6": (128, 24),
    "audio.batch5": (128, 24),
    "audio": (128, 24),
    "video.conv1": (64, 58, 109, 109),
    "video.pool1": (64, 58, 54, 54),
    "video.conv2": (64, 28, 26, 26),
    "video.conv3": (64, 26, 24, 24),
    "video.conv4": (64, 24, 22, 22),
    "video.conv5": (64, 24, 20, 20),
    "video": (64, 24, 20, 20),
    "fused.conv1": (128, 24, 20, 20),
    "fused.conv2": (128, 22, 18, 18),
    "fused.conv3": (128, 20, 16, 16),
    "fused.conv4": (256, 18, 14, 14),
    "fused.conv5": (512, 16, 12, 12),
    "fused.conv6": (128, 12, 10, 10),
    "fused.conv7": (256, 10, 8, 8),
    "fused.conv8": (512, 8, 6, 6),
    "fused.conv9": (128, 6, 5, 5),
}

PAPER_ROWS = {
    "audio.conv1": (64, 22050),
    "audio.pool1": (64, 5513),
    "audio.block1": (128, 1379),
    "audio.block2": (128, 345),
    "audio.block3": (256, 87),
    "video.conv1": (64, 63, 112, 112),
    "video.pool1": (64, 63, 56, 56),
    "video.block1": (64, 63, 56, 56),
    "video.block2": (64, 32, 28, 28),
    "fused.heard": (128, 32),
    "fused.merge1": (512, 32, 28, 28),
    "fused.merge2": (128, 32, 28, 28),
    "fused.block1": (128, 32, 28, 28),
    "fused.block2": (128, 32, 28, 28),
    "fused.block3": (256, 16, 14, 14),
    "fused.block4": (256, 16, 14, 14),
    "fused.block5": (512, 16, 7, 7),
    "fused.block6": (512, 16, 7, 7),
}


@pytest.mark.parametrize(
    ("name", "spec", "rows", "cam"),
    [("thesis", THESIS, THESIS_ROWS, (6, 5, 5)), ("paper", PAPER, PAPER_ROWS, (16, 7, 7))],
)
def test_every_row_of_the_table_has_its_shape(
    name: str, spec: InputSpec, rows: dict[str, tuple[int, ...]], cam: tuple[int, ...]
) -> None:
    net = on_meta(name, spec)
    found: dict[str, tuple[int, ...]] = {}

    def remember(row: str) -> Any:
        def hook(_module: nn.Module, _args: Any, out: Tensor) -> None:
            found[row] = tuple(out.shape[1:])

        return hook

    for row in rows:
        net.get_submodule(row).register_forward_hook(remember(row))
    out = net(*inputs(spec, device="meta"))
    assert found == rows
    assert out.cam.shape == (1, 2, *cam)


@pytest.mark.parametrize(
    ("layer", "kernel", "stride", "padding"),
    [
        ("audio.conv1", (65,), (4,), (0,)),
        ("audio.conv2", (1,), (4,), (0,)),
        ("audio.conv3", (15,), (4,), (0,)),
        ("audio.conv4", (16,), (1,), (9,)),
        ("audio.conv5", (15,), (4,), (6,)),
        ("audio.conv6", (5,), (1,), (0,)),
        ("video.conv1", (5, 7, 7), (2, 2, 2), (0, 0, 0)),
        ("video.conv2", (3, 3, 3), (2, 2, 2), (0, 0, 0)),
        ("video.conv5", (1, 3, 3), (1, 1, 1), (0, 0, 0)),
        ("fused.conv6", (5, 3, 3), (1, 1, 1), (0, 0, 0)),
        ("fused.conv9", (3, 2, 2), (1, 1, 1), (0, 0, 0)),
    ],
)
def test_thesis_kernels_are_the_tables(
    layer: str, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]
) -> None:
    module: Any = on_meta("thesis", THESIS).get_submodule(layer)
    assert (module.kernel_size, module.stride, module.padding) == (kernel, stride, padding)


def test_the_thesis_costs_what_its_table_says() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    net = on_meta("thesis", THESIS)
    with FlopCounterMode(display=False) as counter:
        net(*inputs(THESIS, per_clip=1, device="meta"))
    assert counter.get_total_flops() / 2e9 == pytest.approx(60, rel=0.02)


def test_the_settings_offer_exactly_the_networks_there_are() -> None:
    assert set(MODELS) == set(get_args(ModelName))
    assert set(REFINE) <= set(MODELS)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [16000, 21000, 48000])
@pytest.mark.parametrize(("frames", "side"), [(100, 224), (125, 256), (180, 192)])
def test_other_sizes_and_rates_work(name: str, channels: int, rate: int, frames: int, side: int) -> None:
    spec = spec_of(frames, side, channels, Clock(fps=Fraction(30000, 1001), sample_rate=rate))
    out = on_meta(name, spec)(*inputs(spec, clips=2, per_clip=3, device="meta"))
    assert out.logit.shape == (2, 3)
    assert out.cam.shape[:2] == (2, 3)
    assert 0 not in out.cam.shape


@pytest.mark.parametrize("name", MODELS)
def test_the_map_averages_to_the_logit_and_starts_undecided(name: str) -> None:
    spec = tiny(name)
    net = build_model(name, spec).eval()
    with torch.inference_mode():
        out = net(*inputs(spec))
    bias = out.logit - out.cam.mean(dim=(2, 3, 4))
    torch.testing.assert_close(bias, bias[0, 0].expand_as(bias))
    assert out.logit.abs().max() < 3


@pytest.mark.parametrize("name", MODELS)
def test_sharing_the_pictures_changes_nothing(name: str) -> None:
    spec = tiny(name)
    net = build_model(name, spec).eval()
    frames, sounds = inputs(spec)
    with torch.inference_mode():
        shared = net(frames, sounds)
        alone = [net(frames, sounds[:, [number]]) for number in range(2)]
    torch.testing.assert_close(shared.logit, torch.cat([out.logit for out in alone], 1), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(shared.cam, torch.cat([out.cam for out in alone], 1), rtol=1e-3, atol=1e-4)


SPEECH = Clock(fps=Fraction(25), sample_rate=16000)
"""A frame is four steps of the embedding's spectrogram, to the sample."""
ASKED = [name for name in MODELS if name != "thesis"]
"""The thesis's smallest window takes seconds, and it is asked as the paper's network is."""


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("clock", [SPEECH, Clock(fps=Fraction(30000, 1001), sample_rate=16000)])
@pytest.mark.parametrize("extra", [0, 21])
def test_windows_of_one_sound_are_heard_as_each_alone(name: str, clock: Clock, extra: int) -> None:
    spec = replace(tiny(name), clock=clock, samples=clock.sample_at(tiny(name).frames + extra))
    network = unlike_at_first(name, spec)
    frames = (3, 4, 9, 30)  # the sound before the first is nobody's
    starts = [clock.sample_at(frame) for frame in frames]
    sound = torch.rand(spec.channels, starts[-1] + spec.samples + 50) * 2 - 1
    with torch.inference_mode():
        heard = network.hear(sound, starts, spec.samples)
        each = network.audio(torch.stack([sound[:, start : start + spec.samples] for start in starts]))
    torch.testing.assert_close(heard, each, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ASKED)
def test_a_sound_is_heard_piece_by_piece_as_at_once(name: str) -> None:
    spec = replace(tiny(name), clock=SPEECH, samples=SPEECH.sample_at(tiny(name).frames + 21))
    network = unlike_at_first(name, spec)
    frames = range(0, 3 * spec.frames, 2)
    starts, kept = [SPEECH.sample_at(frame) for frame in frames], dict[int, torch.Tensor]()
    sound = torch.rand(spec.channels, starts[-1] + spec.samples) * 2 - 1
    with torch.inference_mode():
        at_once = network.hear(sound, starts, spec.samples)
        pieces = list[torch.Tensor]()
        for some in (starts[: len(starts) // 2], starts[len(starts) // 2 :]):
            begin = some[0] - some[0] // 2  # with sound before the first that is nobody's
            pieces.append(network.hear(sound[:, begin:], [start - begin for start in some], spec.samples, kept, begin))
            kept = {at: one for at, one in kept.items() if at >= some[-1]}
    torch.testing.assert_close(torch.cat(pieces), at_once, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ASKED)
def test_answers_without_a_map_are_those_with_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avsync.models.parts.PAIRS", 2)
    monkeypatch.setattr("avsync.models.small.AT_ONCE", 2)
    spec = tiny(name)
    network = unlike_at_first(name, spec)
    frames, sounds = inputs(spec, per_clip=3)
    with torch.inference_mode():
        seen, heard = network.video(frames), network.audio(sounds[0])
        wanted = network.fuse(seen, heard).logit[0]
        assert wanted.std() > 0
        torch.testing.assert_close(network.logits(seen, heard), wanted, atol=1e-4, rtol=1e-4)


def unlike_at_first(name: str, spec: InputSpec) -> SyncNet:
    """A network whose every number counts: at first some are 0 or 1."""
    network = build_model(cast(Any, name), spec).eval()
    with torch.no_grad():
        for value in (*network.parameters(), *(one for key, one in network.named_buffers() if "running_" in key)):
            value.add_((0.1 if value.dim() < 2 else 0.01) * torch.rand_like(value))
    return network


@pytest.mark.parametrize("name", MODELS)
def test_a_few_steps_on_random_clips_lower_the_loss_and_move_every_weight(name: str) -> None:
    spec = tiny(name)
    net = build_model(name, spec).train()
    frames, sounds = inputs(spec, clips=FEW_CLIPS.get(name, 4))
    target = torch.tensor([[1.0, 0.0]]).expand(len(frames), 2)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    losses = []
    for step in range(3 if name in FEW_CLIPS else 8):
        loss = functional.binary_cross_entropy_with_logits(net(frames, sounds).logit, target)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            still = [key for key, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()]
            assert not still
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", MODELS)
def test_networks_run_in_bf16_and_channels_last(name: str) -> None:
    spec = tiny(name)
    net = build_model(name, spec).eval().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    frames, sounds = inputs(spec, per_clip=1)
    with torch.inference_mode():
        plain = net(frames, sounds).logit
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = net(frames.to(memory_format=torch.channels_last_3d), sounds).logit
    torch.testing.assert_close(mixed.float(), plain, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", MODELS)
def test_the_cells_of_the_map_lie_evenly_and_in_order_over_the_picture(name: str) -> None:
    """The centre of what a cell reacts to: mirrored for mirrored cells (to half a cell), and growing with the cell."""
    spec = FEW_CELLS.get(name, spec_of(32, 64))
    net = build_model(name, spec).eval()
    frames, sounds = inputs(spec, per_clip=1)
    cam = net(frames.requires_grad_(), sounds).cam[0, 0]
    sizes = (spec.frames, spec.height, spec.width)
    ends = [_centres(cam[cell], frames) for cell in ((0, 0, 0), (-1, -1, -1))]
    for first, last, size, cells in zip(*ends, sizes, cam.shape, strict=True):
        assert cells > 1
        assert first < last
        assert abs(first + last - size) / 2 < 0.5 * size / cells


def _centres(cell: Tensor, frames: Tensor) -> list[float]:
    """Along T, H, W: the mean place of |d cell / d frames|."""
    (slope,) = torch.autograd.grad(cell, frames, retain_graph=True)
    power = slope.abs().sum(dim=(0, 1))
    places = []
    for axis in range(3):
        along = power.sum(dim=[other for other in range(3) if other != axis])
        places.append(float(along @ (torch.arange(len(along)) + 0.5) / along.sum()))
    return places


@pytest.mark.parametrize("side", [64, 96])
def test_a_refined_map_keeps_every_trained_cell_and_adds_one_between(side: int) -> None:
    spec = spec_of(16, side)
    net = build_model("paper", spec).eval()
    pair = inputs(spec, per_clip=1)
    with torch.inference_mode():
        trained = net(*pair).cam
        REFINE["paper"](net)
        fine = net(*pair).cam
    assert fine.shape[-2:] == (2 * trained.shape[-2], 2 * trained.shape[-1])
    torch.testing.assert_close(fine[..., ::2, ::2], trained, rtol=1e-3, atol=1e-4)


def test_too_small_names_each_side_its_least_and_the_flag() -> None:
    spec = replace(spec_of(30, 64), samples=5000, width=224)
    with pytest.raises(InputError) as caught:
        build_model("thesis", spec)
    message = str(caught.value)
    assert "'thesis' needs windows of at least 97 frames, these have 30 (30 a second)" in message
    assert "--pairs.window-s to 3.24 or more" in message
    assert "at least 185 pixels in height, these have 64" in message
    assert "--view.size 185" in message
    assert "samples of sound, these have 5000" in message
    assert "pixels in width" not in message


def test_the_smallest_size_an_error_names_really_works() -> None:
    net = build_model("thesis", replace(spec_of(97, 185), samples=30413))
    assert isinstance(net, SyncNet)


def test_an_unknown_network_is_named_with_the_choices() -> None:
    with pytest.raises(InputError, match="--model nothing is not known; choose one of thesis, paper"):
        build_model("nothing", THESIS)
