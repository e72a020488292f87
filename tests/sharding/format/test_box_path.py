"""A box on its path, and what a clip's json says of what was taken: exact, inside the picture, and invertible."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharding.format.crop import BoxPath, ClipCrop, Knot, Taken, at_once

PICTURE = (Fraction(640), Fraction(360))


def path_of(*knots: tuple[int, int, int], side: int = 100) -> BoxPath:
    """Knots of time, x, y."""
    made = tuple(Knot(*map(Fraction, knot)) for knot in knots)
    return BoxPath(track=1, faces=1, width=Fraction(side), height=Fraction(side), knots=made)


def test_a_box_goes_straight_from_knot_to_knot_and_stands_before_and_after():
    path = path_of((2, 0, 100), (4, 60, 40))
    wanted = {0: (0, 100), 2: (0, 100), 3: (30, 70), 4: (60, 40), 9: (60, 40)}
    assert {time: path.corner(Fraction(time)) for time in wanted} == wanted
    assert path.corner(Fraction(7, 3)) == (10, 90)  # exactly


@given(x=st.integers(-500, 900), y=st.integers(-500, 900), side=st.integers(1, 360))
def test_what_is_taken_lies_inside_the_picture_and_keeps_its_size(x: int, y: int, side: int):
    left, top, width, height = path_of((0, x, y), side=side).region(Fraction(1), PICTURE)
    assert (width * 640, height * 360) == (side, side)
    assert 0 <= left <= left + width <= 1
    assert 0 <= top <= top + height <= 1
    if 0 <= x <= 640 - side and 0 <= y <= 360 - side:
        assert (left * 640, top * 360) == (x, y)


def test_a_path_without_order_or_size_is_none():
    with pytest.raises(ValueError, match="order of their times"):
        path_of((2, 0, 0), (2, 1, 1))
    with pytest.raises(ValueError, match="order of their times"):
        path_of()
    with pytest.raises(ValueError, match="0 wide"):
        path_of((0, 0, 0), side=0)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9)), min_size=1, max_size=6))
def test_how_many_are_there_at_once_is_what_counting_each_moment_finds(starts: list[tuple[int, int]]):
    spans = [(Fraction(start), Fraction(start + length)) for start, length in starts]
    for start, end in spans:
        moments = [Fraction(half, 2) for half in range(2 * int(start), 2 * int(end))]
        most = max(sum(one[0] <= moment < one[1] for one in spans) for moment in moments)
        assert at_once((start, end), spans) == most
        assert at_once((start, end), [*spans, None]) == most + 1


def crop_of(*taken: Taken) -> ClipCrop:
    return ClipCrop.of(path_of((0, 0, 0)), taken)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 540), st.integers(0, 260))
def test_a_point_goes_to_the_whole_picture_and_back(x: float, y: float, left: int, top: int):
    crop = crop_of(Taken(0, 0, 100, 100, (640, 360)), Taken(left, top, 100, 100, (640, 360)))
    there = crop.on_picture(1, x, y)
    assert (there[0] * 640, there[1] * 360) == pytest.approx((left + 100 * x, top + 100 * y))
    assert crop.in_clip(1, *there) == pytest.approx((x, y), abs=1e-9)


def test_pictures_of_another_size_are_told_in_that_of_the_first():
    crop = crop_of(Taken(10, 20, 100, 100, (640, 360)), Taken(20, 40, 200, 200, (1280, 720)))
    assert (crop.picture, crop.size, crop.corners) == ((640, 360), (100, 100), ((10, 20), (10, 20)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"corners": ((541, 0),)}, "beyond the edges"),
        ({"corners": ((0, -1),)}, "beyond the edges"),
        ({"size": (700, 100)}, "700x100 of 640x360"),
        ({"size": (0, 100)}, "0x100"),
        ({"track": 0}, "track 0"),
    ],
)
def test_a_crop_that_no_picture_has_is_noticed(change: dict[str, object], why: str):
    fine = {"track": 1, "faces": 1, "picture": (640, 360), "size": (100, 100), "corners": ((540, 260),)}
    assert not ClipCrop(**fine).problem  # pyright: ignore[reportArgumentType]
    assert why in ClipCrop(**fine | change).problem  # pyright: ignore[reportArgumentType]
