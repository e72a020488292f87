"""Drawn faces are found, followed through their shots, and given boxes around their mouths; nothing else is."""

from dataclasses import replace
from fractions import Fraction
from math import cos, pi, sin
from pathlib import Path

import numpy as np
import pytest

from sharding.errors import InputError
from sharding.faces import mtcnn
from sharding.faces.follow import LONGER_SIDE, QUICK, THOROUGH, small_size
from sharding.faces.mtcnn import faces_in, faces_near
from sharding.faces.steady import find_faces
from sharding.format.crop import BoxPath
from sharding.media.probe import Probe, probe
from tests.drawn_faces import Head, draw_heads, needs_detector
from tests.media import Video, write_video

WIDTH, HEIGHT = 320, 240
CUTS = (3, 5)
"""Seconds at which the shots of the talk end: two heads, none, one."""


def left(time: float) -> Head:
    """It walks, and talks."""
    return Head(70 + 12 * time, 100 + 5 * sin(2 * pi * 0.3 * time), 44, (1 - cos(2 * pi * 3.1 * time)) / 2)


def right(time: float) -> Head:
    return Head(240, 130, 60, (1 - cos(2 * pi * 2.3 * time)) / 2)


def late(time: float) -> Head:
    return Head(170 - 6 * (time - 5), 110, 70, (1 - cos(2 * pi * 2.7 * time)) / 2)


def talk(moment: Fraction) -> np.ndarray:
    time = float(moment)
    if time < CUTS[0]:
        return draw_heads(WIDTH, HEIGHT, [left(time), right(time)], (70, 90, 120))
    return draw_heads(
        WIDTH, HEIGHT, [] if time < CUTS[1] else [late(time)], (150, 160, 90) if time < 5 else (30, 40, 50)
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Probe:
    path = tmp_path_factory.mktemp("talk") / "talk.mp4"
    return probe(write_video(path, Video(seconds=Fraction(8), width=WIDTH, height=HEIGHT, events=(), drawn=talk)))


@pytest.fixture(scope="module")
def tracks(source: Probe) -> tuple[BoxPath, ...]:
    return find_faces(source, source.shown)


@needs_detector
@pytest.mark.parametrize("ahead", [1, 3])
def test_faces_are_the_same_whatever_is_done_ahead(source: Probe, tracks: tuple[BoxPath, ...], ahead: int):
    assert find_faces(source, source.shown, looks=replace(THOROUGH, ahead=ahead)) == tracks


@pytest.mark.parametrize(
    "shape", [(1920, 1080), (640, 360), (650, 650), (640, 480), (360, 640), (224, 224), (4000, 90)]
)
def test_a_picture_is_looked_at_in_its_shape_and_in_few_pixels(shape: tuple[int, int]):
    size = Fraction(shape[0]), Fraction(shape[1])
    for looks in (THOROUGH, QUICK):
        width, height = small_size(size, looks.pixels)
        assert max(width, height) <= LONGER_SIDE
        assert width * height <= looks.pixels * 1.02
        assert width <= shape[0]
        assert abs(width / height * shape[1] / shape[0] - 1) < 0.02 or height == 32
        room = min(LONGER_SIDE / max(shape), (looks.pixels / (shape[0] * shape[1])) ** 0.5, 1)
        assert width == pytest.approx(room * shape[0], abs=1)


@needs_detector
def test_each_face_of_each_shot_is_one_track(tracks: tuple[BoxPath, ...]):
    assert [(one.track, one.faces) for one in tracks] == [(1, 2), (2, 2), (3, 1)]
    for one, (start, stop) in zip(tracks, ((0, 3), (0, 3), (5, 8)), strict=True):
        assert one.stretch is not None
        assert start <= one.stretch[0] <= start + Fraction(1, 10)
        assert stop - Fraction(1, 5) <= one.stretch[1] <= stop - Fraction(1, 30)


@needs_detector
def test_the_box_goes_with_the_mouth_and_not_with_its_opening(tracks: tuple[BoxPath, ...]):
    for one, head in zip(tracks, (left, right, late), strict=True):
        assert one.stretch is not None
        times = np.linspace(float(one.stretch[0]) + 0.3, float(one.stretch[1]) - 0.3, 50)
        corner = np.array([one.corner(Fraction(time)) for time in times], np.float64)
        missed = corner + float(one.width) / 2 - [head(time).mouth for time in times]
        assert np.abs(missed).max() < 0.12 * float(one.width)
        assert np.ptp(missed, axis=0).max() < 0.04 * float(one.width)
        assert 0.75 < float(one.width) / (2.1 * 0.64 * head(0).size) < 1.25  # the drawn lips are 0.64 wide


@needs_detector
def test_a_look_at_where_a_face_was_finds_it_where_it_is():
    picture = draw_heads(WIDTH, HEIGHT, [left(1), right(1)], (70, 90, 120))
    found = faces_in(picture, 32)
    assert len(found) == 2
    moved = np.stack([face.box + 4 for face in found])
    near = sorted(faces_near(picture, moved), key=lambda face: face.box[0])
    for one, other in zip(near, sorted(found, key=lambda face: face.box[0]), strict=True):
        assert np.abs(one.points - other.points).max() < 5


@needs_detector
def test_a_face_whose_mouth_is_outside_of_the_picture_is_not_followed(tmp_path: Path):
    def cut_off(moment: Fraction) -> np.ndarray:
        return draw_heads(WIDTH, HEIGHT, [Head(100, 230, 60), Head(240, 100, 50)], (70, 90, 120))

    video = Video(seconds=Fraction(2), width=WIDTH, height=HEIGHT, drawn=cut_off)
    source = probe(write_video(tmp_path / "a.mp4", video))
    assert any(face.points[3:, 1].mean() > HEIGHT for face in faces_in(cut_off(Fraction(0)), 32))
    (only,) = find_faces(source, source.shown)
    assert only.knots[0].x > WIDTH / 2


@needs_detector
@pytest.mark.parametrize("seed", range(3))
def test_no_face_is_seen_where_none_is(seed: int):
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 255, (12, 16, 3))
    assert not [
        face for face in faces_in(np.kron(cells, np.ones((20, 20, 1))).astype(np.uint8), 32) if face.score > 0.9
    ]
    assert not faces_in(np.zeros((240, 320, 3), np.uint8), 32)


def test_without_the_extra_an_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mtcnn, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"--crop faces needs .*pip install 'avsync\[faces\]'"):
        mtcnn.check_installed("--crop faces")
