"""A picture is shown upright, fitted as asked, in limited range, whatever form it came in."""

import gc
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from sharding.config import Fit
from sharding.format.clip import Clock
from sharding.media.decode import OutputSpec, decode_span
from sharding.media.picture import TURNS, PictureFitter
from sharding.media.probe import probe
from sharding.sources.boxes import BoxTrack
from tests.media import Video, write_video

CORNERS = np.array([[40, 90], [140, 200]], np.uint8)


def gray(luma: np.ndarray, color_range: int = 1) -> av.VideoFrame:
    chroma = np.full((luma.shape[0] // 2, luma.shape[1]), 128, np.uint8)
    frame = av.VideoFrame.from_ndarray(np.concatenate([luma, chroma]), format="yuv420p")
    frame.color_range = color_range
    return frame


def fitted(frame: av.VideoFrame, width: int, height: int, fit: Fit = "squash", shape=Fraction(1)) -> np.ndarray:
    fitter = PictureFitter(width=width, height=height, fit=fit, pixel_shape=shape, matrix="bt601")
    out = np.zeros((height * 3 // 2, width), np.uint8)
    fitter.write(frame, out)
    return out[:height]


def test_pictures_that_were_read_wait_for_no_collector(tmp_path: Path):
    """It comes after hundreds of frames: of a film in 4K they would fill the memory."""
    found = probe(write_video(tmp_path / "a.mp4", Video(seconds=Fraction(2))))
    spec = OutputSpec(clock=Clock(fps=Fraction(30), sample_rate=8000), width=32, height=32, channels=1)
    decode_span(found, first_frame=0, frames=50, spec=spec)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        decode_span(found, first_frame=0, frames=50, spec=spec)
        gc.collect()
        held = [one for one in gc.garbage if isinstance(one, av.VideoFrame | av.AudioFrame)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not held


@pytest.mark.parametrize("signs", TURNS)
def test_every_turn_of_a_display_matrix_moves_the_corners_where_it_says(signs, monkeypatch):
    a, b, c, d = signs
    monkeypatch.setattr("sharding.media.picture.turn_of", lambda _: TURNS[signs])
    got = fitted(gray(np.kron(CORNERS, np.ones((16, 16), np.uint8))), 32, 32)[8::16, 8::16]
    want = np.zeros_like(CORNERS)
    for y, x in np.ndindex(2, 2):
        u, v = 2 * x - 1, 2 * y - 1  # x' = a x + c y, y' = b x + d y, about the middle
        want[(b * u + d * v + 1) // 2, (a * u + c * v + 1) // 2] = CORNERS[y, x]
    assert np.abs(got.astype(int) - want).max() <= 2


def test_full_range_becomes_limited_and_limited_stays():
    luma = np.full((32, 32), 255, np.uint8)
    assert abs(int(fitted(gray(luma, 2), 16, 16)[8, 8]) - 235) <= 1
    assert abs(int(fitted(gray(luma // 255 * 200, 1), 16, 16)[8, 8]) - 200) <= 1


@pytest.mark.parametrize("format", ["yuv444p", "yuv422p", "yuv420p10le", "nv12", "rgb24", "gray"])
def test_other_pixel_formats_come_out_as_the_same_gray(format: str):
    frame = gray(np.full((32, 32), 126, np.uint8)).reformat(format=format)
    assert abs(int(fitted(frame, 16, 16)[8, 8]) - 126) <= 2


def test_crop_keeps_the_middle_and_pad_keeps_all():
    luma = np.repeat(np.array([40, 200, 40], np.uint8), [32, 64, 32])[None].repeat(64, 0)
    assert fitted(gray(luma), 32, 32, "crop")[:, 2:-2].min() > 190
    padded = fitted(gray(luma), 32, 32, "pad")
    assert padded[:7].max() == padded[-7:].max() == 16
    assert padded[16, 16] > 190
    assert padded[16, 2] < 50


def test_pad_minds_pixels_that_are_not_square():
    padded = fitted(gray(np.full((64, 32), 200, np.uint8)), 32, 32, "pad", shape=Fraction(2))
    assert padded.min() > 190


def test_a_format_that_changes_midway_is_followed():
    fitter = PictureFitter(width=16, height=16, fit="squash", pixel_shape=Fraction(1), matrix="bt601")
    out = np.zeros((24, 16), np.uint8)
    for side in (32, 48, 16, 32):
        fitter.write(gray(np.full((side, side), 100 + side, np.uint8)), out)
        assert abs(int(out[8, 8]) - 100 - side) <= 1


def test_odd_sizes_and_10_bit_sources_decode(tmp_path: Path):
    form = OutputSpec(clock=Clock(fps=Fraction(30), sample_rate=44_100), width=32, height=48, channels=2)
    video = Video(pixel_format="yuv444p", width=98, height=62)
    span = decode_span(probe(write_video(tmp_path / "a.mkv", video)), first_frame=8, frames=30, spec=form)
    assert span.yuv.shape == (30, 72, 32)
    assert span.audio.shape == (44_100, 2)


def pictures_of(path: Path, video: Video, fit: Fit = "squash") -> np.ndarray:
    """Ten pictures of a file, (10, 48, 32)."""
    form = OutputSpec(clock=Clock(fps=Fraction(30), sample_rate=44_100), width=32, height=32, channels=1, fit=fit)
    return decode_span(probe(write_video(path, video)), first_frame=8, frames=10, spec=form).yuv.astype(int)


PLAIN = Video(width=64, height=64, seconds=Fraction(1), events=())


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_file_that_says_it_is_turned_is_shown_upright(turn: int, suffix: str, tmp_path: Path):
    plain = pictures_of(tmp_path / f"a.{suffix}", PLAIN)[:, :32]
    turned = pictures_of(tmp_path / f"b.{suffix}", replace(PLAIN, turn=turn))[:, :32]
    assert np.abs(turned - np.rot90(plain, turn // 90, axes=(1, 2))).max() <= 2
    assert np.abs(turned - plain).max() > 20


@pytest.mark.parametrize("format", ["yuvj420p", "yuv444p", "yuv422p", "yuv420p10le", "yuv444p10le"])
def test_every_pixel_format_of_a_file_gives_the_same_luma_and_gray(format: str, tmp_path: Path):
    plain = pictures_of(tmp_path / "a.mp4", PLAIN)
    other = pictures_of(tmp_path / "b.mp4", replace(PLAIN, pixel_format=format))
    assert np.abs(other[:, :32] - plain[:, :32]).mean() < 1.5  # coded apart
    assert abs(other[:, :32].mean() - plain[:, :32].mean()) < 0.5
    assert np.abs(other[:, 32:] - 128).max() <= 1


def test_a_file_with_wide_pixels_is_shown_wide(tmp_path: Path):
    wide = replace(PLAIN, width=32, pixel_shape=Fraction(2))
    assert pictures_of(tmp_path / "a.mp4", wide, "pad")[:, :32].min() > 17  # a square after all: no bars
    thin = pictures_of(tmp_path / "b.mp4", replace(wide, pixel_shape=Fraction(1)), "pad")
    assert thin[:, :32, :8].max() == 16


@pytest.mark.parametrize(("fps", "want"), [(30, [0, 1, 2, 3]), (15, [0, 2, 4, 6]), (60, [0, 0, 1, 1])])
def test_boxes_follow_the_picture_that_is_shown(fps: int, want: list[int]):
    track = BoxTrack(Fraction(30), tuple(((0.0, 0.0, 1.0, number / 10),) for number in range(10)))
    got = [round(boxes[0][3] * 10) for boxes in track.at(range(4), Fraction(fps))]
    assert got == want
