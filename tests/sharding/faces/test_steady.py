"""The box around a mouth holds still while it speaks, and goes with the head; no more knots draw it than it needs."""

from fractions import Fraction

import numpy as np
import pytest

from sharding.faces.follow import THOROUGH, Following, Sighting
from sharding.faces.steady import BEND, FACTOR, bends, low_passed, steady, stiff_mouth

SIZE = (Fraction(640), Fraction(480))
FACE = np.array([(-20, -30), (20, -30), (0, 0), (-16, 26), (16, 26)], np.float64)
"""Eyes, nose, corners of the mouth, in pixels from the nose."""
MIDDLE = np.array((300, 200))
LOOKS = 100
SLOTS = THOROUGH.every * np.arange(LOOKS)
TIMES = SLOTS / float(THOROUGH.fps)
MOUTH = float(FACE[:, 1].max())


def followed(points: np.ndarray, slots: np.ndarray = SLOTS) -> Following:
    """(K, 5, 2) pixels -> a face through its shot."""
    shares = (points / np.array(SIZE, np.float64)).astype(np.float32)
    seen = [
        Sighting(int(slot), np.concatenate((one.min(0), one.max(0))), one)
        for slot, one in zip(slots, shares, strict=True)
    ]
    return Following(seen, int(slots[-1]) + 1)


def centres(following: Following) -> np.ndarray:
    """(K, 2) the middle of the box at each look."""
    path = steady(following, SIZE)
    assert path is not None
    corners = [path.corner(Fraction(int(slot)) / THOROUGH.fps) for slot in SLOTS]
    return np.array(corners, np.float64) + float(path.width) / 2


def speaking(hertz: float, much: float = 6.0) -> np.ndarray:
    """(K, 5, 2) a still face whose mouth's corners go down and inwards as it opens, so many pixels."""
    opening = much * (1 - np.cos(2 * np.pi * hertz * TIMES)) / 2
    points = np.tile(FACE + MIDDLE, (LOOKS, 1, 1))
    points[:, 3:, 1] += opening[:, None]
    points[:, 3, 0] += opening / 2
    points[:, 4, 0] -= opening / 2
    return points


@pytest.mark.parametrize("hertz", [2, 3, 4.2])
def test_a_mouth_that_opens_and_shuts_does_not_move_its_box(hertz: float):
    moved = np.ptp(centres(followed(speaking(hertz)))[10:-10], axis=0)
    assert moved.max() < 0.02 * 6  # of what the mouth does


def test_a_head_that_slowly_goes_is_followed_to_a_pixel():
    way = np.stack((60 * np.sin(2 * np.pi * 0.1 * TIMES), 20 * np.cos(2 * np.pi * 0.1 * TIMES)), axis=1)
    points = FACE + MIDDLE + way[:, None]
    missed = centres(followed(points)) - way - MIDDLE - np.array((0, MOUTH))
    assert np.abs(missed[5:-5]).max() < 2


def test_the_box_has_one_size_by_the_middle_width_of_the_mouth():
    points = speaking(3)
    path = steady(followed(points), SIZE)
    assert path is not None
    wide = np.median(points[:, 4, 0] - points[:, 3, 0])
    assert path.width == path.height
    assert float(path.width) == pytest.approx(FACTOR * wide, abs=0.05)


def test_a_box_is_never_larger_than_the_picture():
    path = steady(followed(np.tile(8 * FACE + (320, 240), (LOOKS, 1, 1))), SIZE)
    assert path is not None
    assert path.width == path.height <= min(SIZE)


def test_a_face_seen_for_a_moment_or_now_and_then_is_none():
    points = np.tile(FACE + MIDDLE, (LOOKS, 1, 1))
    assert steady(followed(points[:9], SLOTS[:9]), SIZE) is None
    assert steady(followed(points[::2], SLOTS[::2]), SIZE) is None
    assert steady(followed(points[::5].repeat(4, 0)[:80], np.sort(SLOTS[:80])), SIZE) is not None


def test_both_ends_keep_away_from_the_pictures_of_other_shots():
    """A slot stands for half of one before and after its moment; a rate below it must not reach over."""
    path = steady(followed(speaking(3)), SIZE)
    assert path is not None
    assert path.stretch == (Fraction(1, 30), Fraction(int(SLOTS[-1]) - 1, 30))


def test_a_gap_is_crossed_in_a_straight_line():
    way = np.stack((np.linspace(0, 50, LOOKS), np.zeros(LOOKS)), axis=1)
    points = FACE + MIDDLE + way[:, None]
    kept = [at for at in range(LOOKS) if not 40 < at < 44]
    whole, gapped = centres(followed(points)), centres(followed(points[kept], SLOTS[kept]))
    assert np.abs(whole - gapped).max() < 0.2


@pytest.mark.parametrize("angle", [0, 0.5, -1])
def test_a_stiff_face_has_its_mouth_where_it_is_however_it_turns(angle: float):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.stack([1.3 * FACE @ turn.T + (100 + step, 50) for step in range(20)])
    assert np.abs(stiff_mouth(points) - points[:, 3:].mean(axis=1)).max() < 1e-6


@pytest.mark.parametrize("seconds", [0.1, 0.35, 1.0])
def test_what_goes_straight_is_left_as_it_is(seconds: float):
    path = np.stack((3 * np.arange(40.0), 7 - np.arange(40.0)), axis=1)
    assert np.abs(low_passed(path, seconds * float(THOROUGH.fps / THOROUGH.every)) - path).max() < 1e-6


@pytest.mark.parametrize("most", [0.1, 1, 10])
def test_a_drawn_path_misses_none_of_its_points_by_more_than_it_may(most: float):
    rng = np.random.default_rng(3)
    times = np.arange(200.0)
    path = np.column_stack((times, np.cumsum(rng.normal(size=(200, 2)), axis=0)))
    kept = bends(path, most)
    for axis in (1, 2):
        drawn = np.interp(times, path[kept, 0], path[kept, axis])
        assert np.abs(drawn - path[:, axis]).max() <= most + 1e-9
    assert len(kept) < 200 or most < 1
    assert len(bends(path[:, [0, 0, 0]], most)) == 2
    assert BEND * 96 < 0.5
