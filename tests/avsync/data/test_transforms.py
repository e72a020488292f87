"""What the network sees is what was stored: colours, crops, flips, levels."""

from dataclasses import replace

import av
import numpy as np
import pytest
import torch
from torch.nn import functional

from avsync.config import ViewConfig
from avsync.data.batch import Batch
from avsync.data.order import Draw, View
from avsync.data.pairs import Pair, SoundWindow
from avsync.data.transforms import LUMA, MATRICES, YUV_TO_RGB, planes_of, prepare, to_rgb

PAIR = Pair(0, (SoundWindow(0, 0, True), SoundWindow(3, 0, False)))


SILENCE = np.zeros((1, 2, 50, 1), np.int16)


def batch_of(yuv: np.ndarray, matrix=0, flip=False, corner=(0, 0), sound: np.ndarray = SILENCE) -> Batch:
    return Batch(
        keys=("k",),
        jsons=(None,), draws=(Draw(0, PAIR, corner[0], corner[1], flip),), yuv=torch.from_numpy(yuv)[None],
        audio=torch.from_numpy(sound), in_sync=torch.tensor([[1.0, 0.0]]),
        matrix=torch.tensor([matrix]), valid=torch.tensor([True]),
    )  # fmt: skip


def whole(height: int, width: int) -> View:
    return View.build(ViewConfig(crop=1), height, width)


@pytest.mark.parametrize("matrix", range(len(MATRICES)))
@pytest.mark.parametrize("rgb", [(255, 255, 255), (0, 0, 0), (200, 30, 60), (10, 180, 90), (40, 60, 220)])
def test_colours_survive_the_way_through_yuv(matrix, rgb):
    """A flat colour converted by the standard's forward formula comes back within rounding."""
    kr, kb = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}[MATRICES[matrix]]
    red, green, blue = (value / 255 for value in rgb)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    stored = [16 + 219 * luma, 128 + 224 * (blue - luma) / (2 * (1 - kb)), 128 + 224 * (red - luma) / (2 * (1 - kr))]
    yuv = np.empty((2, 12, 8), np.uint8)
    yuv[:, :8], yuv[:, 8:10], yuv[:, 10:] = (round(value) for value in stored)
    seen = prepare(batch_of(yuv, matrix), whole(8, 8)).frames
    assert seen.shape == (1, 3, 2, 8, 8)
    got = (seen[0, :, 0, 4, 4].numpy() + 1) * 127.5
    assert np.abs(got - rgb).max() < 2.5


def test_the_picture_agrees_with_ffmpegs_own_conversion():
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(60, 190, (3, 6, 6)), np.ones((1, 8, 8)))
    rgb = np.ascontiguousarray(smooth.transpose(1, 2, 0)).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p", dst_colorspace="ITU601")
    seen = prepare(batch_of(frame.to_ndarray()[None]), whole(48, 48)).frames
    got = ((seen[0, :, 0].permute(1, 2, 0).numpy() + 1) * 127.5)[4::8, 4::8]
    assert np.abs(got - rgb[4::8, 4::8]).max() < 12  # centres of flat tiles; chroma of neighbours bleeds a little


@pytest.mark.parametrize("height", [8, 10, 12, 14])
def test_planes_are_cut_where_i420_has_them_for_any_even_size(height):
    width = 6
    yuv = np.zeros((1, height * 3 // 2, width), np.uint8)
    flat = yuv.reshape(-1)
    y, c = height * width, height * width // 4
    flat[:y], flat[y : y + c], flat[y + c :] = 1, 2, 3
    planes = planes_of(torch.from_numpy(yuv)[None])
    assert [int(p.unique()) for p in planes] == [1, 2, 3]
    assert planes.u.shape == (1, 1, height // 2, width // 2)


def test_crop_takes_the_asked_corner_and_flip_mirrors_it():
    yuv = np.full((1, 24, 16), 128, np.uint8)
    yuv[0, 4, 6] = 235  # one bright pixel at row 4, column 6
    view = View.build(ViewConfig(crop=0.5), 16, 16)
    plain = prepare(batch_of(yuv, corner=(2, 4)), view).frames[0].mean(0)[0]
    assert divmod(int(plain.argmax()), 8) == (2, 2)
    mirrored = prepare(batch_of(yuv, corner=(2, 4), flip=True), view).frames[0].mean(0)[0]
    assert divmod(int(mirrored.argmax()), 8) == (2, 5)


def test_sound_is_scaled_to_one_and_muted_where_asked():
    audio = np.full((1, 2, 50, 2), -32768, np.int16)
    yuv = np.full((1, 12, 8), 128, np.uint8)
    sounds = prepare(batch_of(yuv, sound=audio), whole(8, 8), mute_samples=10).sounds
    assert sounds.shape == (1, 2, 2, 50)
    assert (sounds[..., :10] == 0).all()
    assert (sounds[..., 10:] == -1).all()


def test_each_clip_of_a_batch_has_its_own_matrix():
    planes = planes_of(torch.full((2, 1, 12, 8), 90, dtype=torch.uint8))
    mixed = to_rgb(planes, YUV_TO_RGB[:2], (8, 8))
    assert torch.equal(mixed[:1], to_rgb(type(planes)(*(p[:1] for p in planes)), YUV_TO_RGB[:1], (8, 8)))
    assert not torch.equal(mixed[0], mixed[1])


def noise_batch(clips: int, side: int = 24) -> Batch:
    """Random bytes; every second clip is mirrored, each is cut elsewhere and has another matrix."""
    rng = torch.Generator().manual_seed(0)
    return Batch(
        keys=("k",) * clips, jsons=(None,) * clips,
        draws=tuple(Draw(0, PAIR, 2 * (row % 4), 2 * (row % 3), bool(row % 2)) for row in range(clips)),
        yuv=torch.randint(0, 256, (clips, 3, side * 3 // 2, side), dtype=torch.uint8, generator=rng),
        audio=torch.zeros((clips, 2, 50, 1), dtype=torch.int16), in_sync=torch.zeros(clips, 2),
        matrix=torch.arange(clips) % 3, valid=torch.ones(clips, dtype=torch.bool),
    )  # fmt: skip


def by_the_formula(batch: Batch, view: View) -> torch.Tensor:
    """The same in float64, in the plainest way: whole picture first, then the matrix, the mirror last."""
    pictures = []
    for yuv, draw, matrix in zip(batch.yuv, batch.draws, batch.matrix, strict=True):
        planes = planes_of(yuv[None])
        top, left, height, width = draw.top, draw.left, view.crop_height, view.crop_width
        cut = [planes.y[0, :, top : top + height, left : left + width]]
        for plane in planes[1:]:
            cut.append(plane[0, :, top // 2 : (top + height) // 2, left // 2 : (left + width) // 2])
        full = [resized(plane.double(), (view.out_height, view.out_width)) for plane in cut]
        stacked = torch.stack([*full, torch.ones_like(full[0])], dim=-1)  # (T, h, w, 4)
        rgb = (stacked @ YUV_TO_RGB[matrix].double().T).clamp(-1, 1).permute(3, 0, 1, 2)
        pictures.append(rgb.flip(-1) if draw.flip else rgb)
    return torch.stack(pictures)


def resized(plane: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if plane.shape[1] > size[0]:
        return functional.interpolate(plane[None], size, mode="area")[0]
    return functional.interpolate(plane[None], size, mode="bilinear", align_corners=False)[0]


@pytest.mark.parametrize("size", [0, 8, 16, 40])
@pytest.mark.parametrize("crop", [0.67, 1])
def test_a_picture_is_the_formulas_to_a_thousandth_of_a_stored_step(size, crop):
    batch, view = noise_batch(5), View.build(ViewConfig(crop=crop, size=size), 24, 24)
    if crop == 1:
        batch = replace(batch, draws=tuple(replace(draw, top=0, left=0) for draw in batch.draws))
    got = prepare(batch, view).frames
    assert got.dtype == torch.float32
    assert got.shape == (5, 3, 3, view.out_height, view.out_width)
    torch.testing.assert_close(got.double(), by_the_formula(batch, view), rtol=0, atol=LUMA / 1000)


def test_a_mirrored_clip_is_the_mirror_image_but_for_rounding():
    batch, view = noise_batch(4), View.build(ViewConfig(crop=0.67), 24, 24)
    plain = prepare(replace(batch, draws=tuple(replace(draw, flip=False) for draw in batch.draws)), view).frames
    seen = prepare(batch, view).frames
    assert torch.equal(seen[::2], plain[::2])
    torch.testing.assert_close(seen[1::2], plain[1::2].flip(-1), rtol=0, atol=1e-6)


def test_the_stored_bytes_are_left_as_they_were():
    batch = noise_batch(2)
    before = batch.yuv.clone()
    prepare(batch, View.build(ViewConfig(crop=0.67), 24, 24), mute_samples=10)
    assert torch.equal(batch.yuv, before)


@pytest.mark.gpu
def test_the_host_never_waits_for_the_gpu():
    """It would ask for a step's kernels late."""
    batch, view = noise_batch(4).to(torch.device("cuda")), View.build(ViewConfig(crop=0.67), 24, 24)
    prepare(batch, view, mute_samples=10)
    torch.cuda.set_sync_debug_mode("error")
    try:
        seen = prepare(batch, view, mute_samples=10)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(seen.frames.cpu(), prepare(noise_batch(4), view).frames, rtol=0, atol=LUMA / 1000)


@pytest.mark.parametrize(("size", "tolerance"), [(6, 0.01), (12, 0.01), (24, 0.01), (48, 0.4)])
def test_resizing_keeps_things_in_their_place_and_their_brightness(size, tolerance):
    """A bright disc keeps its middle and its share of the light, however the picture is resized."""
    rows, columns = np.mgrid[:24, :24]
    disc = np.where((rows - 7.5) ** 2 + (columns - 13.5) ** 2 < 16, 235, 16)
    yuv = np.full((1, 36, 24), 128, np.uint8)
    yuv[0, :24] = disc
    seen = (prepare(batch_of(yuv), View.build(ViewConfig(crop=1, size=size), 24, 24)).frames[0].mean(0)[0] + 1) / 2
    assert seen.shape == (size, size)
    light = seen.numpy() - seen.min().item()
    centres = (np.arange(size) + 0.5) * 24 / size
    assert (light.sum(1) @ centres) / light.sum() == pytest.approx(8.0, abs=max(tolerance, 12 / size / 4))
    assert (light.sum(0) @ centres) / light.sum() == pytest.approx(14.0, abs=max(tolerance, 12 / size / 4))
    assert light.mean() == pytest.approx((disc > 100).mean(), rel=0.05)


@pytest.mark.parametrize(("side", "crop", "want"), [(256, 0.875, 224), (56, 0.875, 48), (48, 0.84, 40), (10, 1, 10)])
def test_a_crop_is_an_even_share_of_the_stored_side(side, crop, want):
    view = View.build(ViewConfig(crop=crop), side, side)
    assert (view.crop_height, view.crop_width, view.out_height) == (want, want, want)
    top, left = view.centre()
    assert top % 2 == left % 2 == 0
    assert 0 <= top <= side - want
