"""From cells to heat: interpolation, the hottest point, stitching of windows, and colours that do not lie."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from avsync_settings import quick_config
from hypothesis import given
from hypothesis import strategies as st

from avsync.config import PairsName, ViewConfig
from avsync.data.transforms import prepare
from avsync.figures import HeatScale, Painter
from avsync.honesty.predict import BatchAnswer
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.localize.stitch import Stitcher, window_starts
from avsync.models.cam import LATEST_S, MapReading, blurred, evidence, heat_in_time, heat_of, hottest_of, readings
from avsync.models.parts import SyncOutput
from avsync.train import pictures


def impulse(cells: tuple[int, int, int], at: tuple[int, int, int], height: float = -1.0) -> torch.Tensor:
    cam = torch.zeros(cells)
    cam[at] = height
    return cam


@pytest.mark.parametrize("at", [(0, 0, 0), (1, 2, 4), (3, 4, 5), (2, 0, 3)])
def test_heat_peaks_over_the_middle_of_the_hot_cell_whatever_its_sign(at: tuple[int, int, int]) -> None:
    cells, size = (4, 5, 6), (36, 35, 54)
    heat = heat_of(impulse(cells, at), size)
    assert heat.shape == size
    assert heat.min() >= 0
    peak = np.unravel_index(int(heat.argmax()), size)
    for place, cell, many, few in zip(peak, at, size, cells, strict=True):
        inside = (cell + 0.5) * many / few
        if 0 < cell < few - 1:
            assert abs(place + 0.5 - inside) <= 1
        else:  # beyond the outermost centres the value stays
            assert cell * many / few <= place + 0.5 <= (cell + 1) * many / few


def test_time_first_then_space_is_the_same_heat() -> None:
    cam = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    both = heat_of(torch.from_numpy(heat_in_time(cam, 12)), (12, 32, 40))
    np.testing.assert_allclose(both, heat_of(cam, (12, 32, 40)), atol=1e-5)


def steady(at: tuple[int, int], height: float) -> torch.Tensor:
    """One map of 20 steps, 12 x 12 cells, hot at a place from first to last."""
    cam = torch.zeros(1, 20, 12, 12)
    cam[0, :, at[0], at[1]] = height
    return cam


SURE = torch.full((1,), 20.0)


def test_evidence_is_what_speaks_for_a_place_all_the_time() -> None:
    assert not evidence(-steady((3, 4), 5.0), SURE, 20).any(), "against it there is no heat"
    assert not evidence(torch.zeros(2, 5, 7, 7), SURE.expand(2), 5).any()
    flash = torch.zeros(1, 20, 12, 12)
    flash[0, 7, 9, 9] = 40.0
    found = hottest_of(evidence(steady((3, 4), 5.0) + flash, SURE, 20)[0], 20)
    assert (round(found.y * 12 - 0.5), round(found.x * 12 - 0.5)) == (3, 4), "a flash is less than what lasts"


def test_evidence_is_as_hot_as_the_network_is_sure_and_grows_with_the_map() -> None:
    heat = {
        logit: float(evidence(steady((3, 4), 5.0), torch.tensor([logit]), 20).max()) for logit in (-20.0, 0.0, 20.0)
    }
    assert heat[-20.0] == pytest.approx(0, abs=1e-6)
    assert heat[0.0] == pytest.approx(heat[20.0] / 2, rel=1e-4)
    assert float(evidence(steady((3, 4), 10.0), SURE, 20).max()) == pytest.approx(2 * heat[20.0], rel=1e-4)


def test_the_moment_of_evidence_is_that_in_which_the_place_speaks() -> None:
    cam = steady((3, 4), 5.0)
    cam[0, 12:15] *= 3
    assert hottest_of(evidence(cam, SURE, 20)[0], 20).frame in (12, 13, 14)


@pytest.mark.parametrize("reading", readings(Fraction(15)), ids=str)
def test_every_reading_finds_the_place_and_the_moment_that_it_is_told_of(reading: MapReading) -> None:
    cam = steady((3, 4), 5.0)
    cam[0, 12] *= 3
    found = hottest_of(evidence(cam, SURE, 40, reading)[0], 40)
    assert (round(found.y * 12 - 0.5), round(found.x * 12 - 0.5)) == (3, 4)
    assert found.frame + reading.later in (24, 25), "cell 12 of 20 stands for frames 24 and 25 of 40"


def test_readings_reach_back_as_long_at_any_rate() -> None:
    for fps in (Fraction(15), Fraction(25), Fraction(30_000, 1001)):
        back = [one.later for one in readings(fps)]
        assert max(back) / fps == pytest.approx(float(LATEST_S), abs=0.5 / fps)
        assert readings(fps)[0] == MapReading()


@pytest.mark.parametrize("sigma", [0.0, 0.4, 2.0, 9.0])
def test_blurring_keeps_what_is_even(sigma: float) -> None:
    for axis in (1, 2, 3):
        assert torch.allclose(blurred(torch.full((2, 5, 4, 3), 7.0), axis, sigma), torch.full((2, 5, 4, 3), 7.0))
        cells = torch.rand(2, 5, 4, 3, generator=torch.Generator().manual_seed(1))
        assert blurred(cells, axis, sigma).std(dim=axis).mean() <= cells.std(dim=axis).mean() + 1e-6


@given(st.data())
def test_the_hottest_point_is_the_middle_of_the_hottest_cell(data: st.DataObject) -> None:
    t, h, w = (data.draw(st.integers(1, 9)) for _ in range(3))
    frames = data.draw(st.integers(t, 200))
    at = tuple(data.draw(st.integers(0, size - 1)) for size in (t, h, w))
    found = hottest_of(impulse((t, h, w), (at[0], at[1], at[2])), frames)
    assert 0 <= found.frame < frames
    assert int(found.frame * t / frames) in (at[0], at[0] - 1)  # whole frames: the middle may round down
    assert found.x * w == pytest.approx(at[2] + 0.5)
    assert found.y * h == pytest.approx(at[1] + 0.5)


@given(st.integers(1, 2000), st.integers(1, 300), st.floats(0, 0.99))
def test_windows_cover_every_frame_and_end_with_the_video(frames: int, window: int, overlap: float) -> None:
    starts = window_starts(frames, window, overlap)
    assert starts[0] == 0
    assert starts[-1] == max(0, frames - window)
    steps = np.diff(starts)
    assert (steps > 0).all()
    assert (steps <= window).all()


def test_what_all_windows_agree_on_is_what_the_video_says() -> None:
    stitcher = Stitcher(50, 20)
    for start in window_starts(50, 20, 0.5):
        stitcher.add(start, 2.0, torch.full((5, 3, 4), -0.7))
    track = stitcher.track()
    assert track.heat.shape == (50, 3, 4)
    np.testing.assert_allclose(track.heat, 0.7, rtol=1e-5)
    np.testing.assert_allclose(track.in_sync, 1 / (1 + np.exp(-2)), rtol=1e-5)


def test_disagreeing_windows_blend_without_a_jump() -> None:
    stitcher = Stitcher(300, 100)
    for number, start in enumerate(window_starts(300, 100, 0.5)):
        stitcher.add(start, float(number % 2), torch.full((4, 1, 1), float(number % 2)))
    track = stitcher.track()
    assert np.abs(np.diff(track.heat[:, 0, 0])).max() < 0.03
    assert np.abs(np.diff(track.logit)).max() < 0.03


def test_of_a_network_that_points_a_window_without_its_sound_stays_dark() -> None:
    """Of any other, |w . f| is as hot against a sound as for it."""
    cam = torch.zeros(10, 4, 4)
    cam[:, 1, 2] = 5.0
    for points in (True, False):
        stitcher = Stitcher(40, 20, points=points)
        stitcher.add(0, 4.0, cam)
        stitcher.add(20, -4.0, cam)
        lit, dark = np.split(stitcher.track().heat, 2)
        hottest = np.unravel_index(int(lit.mean(axis=0).argmax()), (4, 4))
        assert hottest == (1, 2)
        assert (dark.max() < 0.05 * lit.max()) == points


def test_a_video_shorter_than_a_window_keeps_only_its_own_frames() -> None:
    stitcher = Stitcher(7, 20)
    stitcher.add(0, 1.0, torch.ones(5, 2, 2))
    assert stitcher.track().heat.shape == (7, 2, 2)


def painter(heat: np.ndarray, seen: tuple[float, float, float, float] = (0, 0, 1, 1)) -> Painter:
    return Painter(height=60, width=80, seen=seen, strength=0.6, scale=HeatScale.of(heat))


PICTURE = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)


def test_empty_and_flat_maps_leave_the_picture_alone() -> None:
    for level in (0.0, 3.0):
        heat = np.full((9, 6, 8), level, np.float32)
        np.testing.assert_array_equal(painter(heat).paint(PICTURE, heat[0]), PICTURE)


def test_noise_on_a_flat_map_stays_pale() -> None:
    heat = (1 + 0.02 * np.random.default_rng(1).standard_normal((50, 6, 8))).astype(np.float32)
    assert HeatScale.of(heat).level(heat).max() < 0.3


def test_one_scale_serves_the_whole_video() -> None:
    heat = np.zeros((100, 6, 8), np.float32)
    heat[:90, 2, 2] = 1
    heat[90:, 2, 2] = 0.1
    level = HeatScale.of(heat).level(heat)
    assert level[0].max() == pytest.approx(1)
    assert level[95].max() == pytest.approx(0.1, abs=0.01)


def test_the_paint_lies_where_the_hot_cell_lies_in_the_part_that_is_seen() -> None:
    heat = np.zeros((1, 6, 8), np.float32)
    heat[0, 1, 5] = 1
    gray = np.full((60, 80, 3), 128, np.uint8)
    tool = Painter(height=60, width=80, seen=(0.25, 0.5, 0.75, 1), strength=0.6, scale=HeatScale(0, 1))
    change = np.abs(tool.paint(gray, heat[0]).astype(int) - 128).sum(axis=2)
    y, x = (change * np.indices(change.shape)).sum(axis=(1, 2)) / change.sum() + 0.5
    assert x == pytest.approx(80 * (0.25 + 0.5 * 5.5 / 8), abs=1)
    assert y == pytest.approx(60 * (0.5 + 0.5 * 1.5 / 6), abs=1)


def test_heat_fades_out_beyond_what_the_network_sees() -> None:
    heat = np.ones((6, 8), np.float32)
    tool = Painter(height=60, width=80, seen=(0.25, 0.25, 0.75, 0.75), strength=0.6, scale=HeatScale(0, 1))
    changed = (tool.paint(PICTURE, heat) != PICTURE).any(axis=2)
    assert changed[15:45, 20:60].mean() > 0.95
    assert not changed[:8].any()
    assert not changed[:, :10].any()


@pytest.mark.parametrize("points", [False, True])
@pytest.mark.parametrize("law", get_args(PairsName))
def test_a_heat_map_says_whether_its_pair_is_in_sync(law: PairsName, points: bool, dataset: Path, monkeypatch) -> None:
    feed = Feed.open(dataset, "val", replace(quick_config().pairs, law=law), ViewConfig())
    draws = feed.fixed_draws(feed.clips)[:4]
    with feed.loader(LoaderOptions(workers=1)) as loader:
        batch = next(loader.batches([draws]))
    cam = torch.ones(*batch.in_sync.shape, 2, 3, 3)
    titles: list[str] = []
    monkeypatch.setattr(
        pictures, "figure_pixels", lambda figure: titles.extend(a.get_title("left") for a in figure.axes)
    )
    answer = BatchAnswer(batch, prepare(batch, feed.view), SyncOutput(batch.in_sync.float(), cam))
    pictures.cam_sheet(answer, len(draws), points=points)
    first = [title for title in titles if "logit" in title]
    for row, title in enumerate(first):
        assert batch.keys[row] in title
        assert ("in sync, +0 frames" in title) == bool(batch.in_sync[row, 0])
        assert ("shifted" in title) != bool(batch.in_sync[row, 0])
    assert len(first) == len(draws)
