"""A part of the picture: what is taken is what the whole picture shows there, however it is stored and turned."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from sharding.format.clip import Clock, Fit
from sharding.format.crop import BoxPath, Knot, Region, Taken
from sharding.media.decode import OutputSpec, read_spans
from sharding.media.picture import TURNS, PictureFitter, upright_shape
from sharding.media.probe import probe
from sharding.media.video import upright_size
from tests.media import Video, write_video

WIDTH, HEIGHT = 96, 64
FORMATS = ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "nv12", "p010le", "uyvy422", "gray", "rgb24")


def textured(format: str = "yuv420p") -> av.VideoFrame:
    """Another gray in each cell of 4 x 4, so that no part looks like another."""
    cells = np.random.default_rng(1).integers(30, 220, (HEIGHT // 4, WIDTH // 4), np.uint8)
    luma = np.kron(cells, np.ones((4, 4), np.uint8))
    planes = np.concatenate([luma, np.full((HEIGHT // 2, WIDTH), 128, np.uint8)])
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    frame.color_range = 1
    return frame if format == "yuv420p" else frame.reformat(format=format)


def taken(
    frame: av.VideoFrame, width: int, height: int, region: Region | None = None, fit: Fit = "squash"
) -> tuple[np.ndarray, Taken]:
    fitter = PictureFitter(width=width, height=height, fit=fit, pixel_shape=Fraction(1), matrix="bt601")
    out = np.zeros((height * 3 // 2, width), np.uint8)
    where = fitter.write(frame, out, region)
    return out[:height].astype(int), where


def regions(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, width and height in pixels; the corners, and some inside, on odd pixels too."""
    rng = np.random.default_rng(2)
    yield from ((0, 0, 16, 16), (width - 20, height - 16, 20, 16), (0, 0, width, height))
    for _ in range(6):
        wide, high = 2 * rng.integers(8, 16, 2)
        yield int(rng.integers(0, width - wide)), int(rng.integers(0, height - high)), int(wide), int(high)


def share(pixels: tuple[int, int, int, int], width: int, height: int) -> Region:
    x, y, wide, high = pixels
    return Fraction(x, width), Fraction(y, height), Fraction(wide, width), Fraction(high, height)


@pytest.mark.parametrize("signs", TURNS)
def test_a_part_of_a_turned_picture_is_what_the_upright_picture_shows_there(signs, monkeypatch):
    monkeypatch.setattr("sharding.media.picture.turn_of", lambda _: TURNS[signs])
    frame = textured()
    width, height = map(int, upright_shape(frame, Fraction(1)))
    whole, all_of_it = taken(frame, width, height)
    assert all_of_it == Taken(0, 0, width, height, (width, height))
    for x, y, wide, high in regions(width, height):
        got, where = taken(frame, wide, high, share((x, y, wide, high), width, height))
        assert where == Taken(x, y, wide, high, (width, height))
        assert np.abs(got - whole[y : y + high, x : x + wide]).max() <= 2


@pytest.mark.parametrize("format", FORMATS)
def test_a_part_is_taken_of_every_pixel_format_where_it_says(format: str):
    frame = textured(format)
    whole, _ = taken(frame, WIDTH, HEIGHT)
    for pixels in regions(WIDTH, HEIGHT):
        got, (x, y, wide, high, _) = taken(frame, pixels[2], pixels[3], share(pixels, WIDTH, HEIGHT))
        assert (wide, high) == pixels[2:]
        assert 0 <= pixels[0] - x < 4  # what FFmpeg can cut packed pixels at
        assert y == pixels[1]
        assert np.abs(got - whole[y : y + high, x : x + wide]).max() <= 3


def test_the_size_of_what_is_taken_does_not_change_while_it_moves():
    fitter = PictureFitter(width=32, height=32, fit="squash", pixel_shape=Fraction(1), matrix="bt601")
    out, sizes, lefts = np.zeros((48, 32), np.uint8), set[tuple[int, int]](), list[int]()
    for step in range(200):
        region = (Fraction(step, 700), Fraction(step, 900), Fraction(305, 960), Fraction(205, 640))
        where = fitter.write(textured(), out, region)
        sizes.add((where.width, where.height))
        lefts.append(where.x)
    assert len(sizes) == 1
    assert all(0 <= after - before <= 1 for before, after in pairwise(lefts))
    assert abs(lefts[-1] - lefts[0] - 199 * 96 / 700) <= 1


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_a_part_is_fitted_as_a_whole_picture_of_that_shape_would_be(fit: Fit):
    frame = textured()
    x, y, wide, high = 16, 8, 48, 24
    planes = np.full((high * 3 // 2, wide), 128, np.uint8)
    planes[:high] = frame.to_ndarray()[y : y + high, x : x + wide]
    alone = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    alone.color_range = 1
    got, _ = taken(frame, 32, 32, share((x, y, wide, high), WIDTH, HEIGHT), fit)
    assert np.abs(got - taken(alone, 32, 32, fit=fit)[0]).max() <= 2


@pytest.mark.parametrize("shape", [Fraction(1), Fraction(2), Fraction(12, 11)])
@pytest.mark.parametrize("turn", [0, 90])
def test_positions_are_pixels_of_the_picture_as_it_is_shown(turn: int, shape: Fraction, tmp_path: Path):
    """A bright square, drawn so that it is one on the screen, is taken whole by the box that a person would draw."""
    box, stored = 32, (round(32 / shape / 2) * 2, 32)

    def drawn(_: Fraction) -> np.ndarray:
        picture = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
        picture[16 : 16 + stored[1], 20 : 20 + stored[0]] = 220
        return picture

    video = Video(seconds=Fraction(1), width=WIDTH, height=HEIGHT, turn=turn, pixel_shape=shape, drawn=drawn)
    source = probe(write_video(tmp_path / "a.mp4", video))
    picture = upright_size(source)
    wide = WIDTH * shape
    assert picture is not None
    assert picture == ((HEIGHT, wide) if turn else (wide, HEIGHT))
    # a quarter turn against the clock: what was right is up
    x, y = (Fraction(16), wide - (20 + stored[0]) * shape) if turn else (20 * shape, Fraction(16))
    size = (Fraction(stored[1]), stored[0] * shape)[:: 1 if turn else -1]
    assert abs(size[0] - box) < 2
    path = BoxPath(track=1, faces=1, width=size[0], height=size[1], knots=(Knot(Fraction(0), x, y),))
    spec = OutputSpec(clock=Clock(fps=Fraction(30), sample_rate=8000), width=32, height=32, channels=1)
    (span,) = read_spans(source, [range(2, 20)], spec, [partial(path.region, picture=picture)])
    inside = span.yuv[:, 3:29, 3:29]
    assert inside.min() > 180
    moved = replace(path, knots=(Knot(Fraction(0), x + 10, y),))
    (span,) = read_spans(source, [range(2, 20)], spec, [partial(moved.region, picture=picture)])
    assert span.yuv[:, 8:24, :20].min() > 180 > 80 > span.yuv[:, 8:24, 26:].max()
