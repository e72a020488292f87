"""A part of the picture that moves with what it shows: as a path over a source, and as what a clip was cut from.

Anyone may import this. Positions are pixels of the upright picture as it is shown (turned, square pixels), from its top
left corner; times are exact seconds of the source's timeline. Faces and tables of boxes both become paths.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 as fractions of the picture's width and height, 0 to 1, origin top left."""
Polygon = tuple[float, ...]
"""x0, y0, x1, y1, ... of its corners, in the same fractions: the outline of an object, as COCO writes it."""
LONGEST_CASE = 40
"""Letters of the name of a kind of truth."""
Region = tuple[Fraction, Fraction, Fraction, Fraction]
"""Left edge, upper edge, width and height as fractions of the upright picture's, exactly: all frames have one size."""
Size = tuple[Fraction, Fraction]
"""Width and height."""
Where = Callable[[Fraction], Region]
"""Which part of the picture is wanted at a moment of the source's timeline."""


def has_corners(polygon: Sequence[float]) -> bool:
    """Whether so many numbers are x and y of three corners or more."""
    return len(polygon) >= 6 and not len(polygon) % 2


@dataclass(frozen=True, slots=True)
class Knot:
    """Where a box is at one moment: its left and upper edge."""

    time: Fraction
    x: Fraction
    y: Fraction


@dataclass(frozen=True, kw_only=True, slots=True)
class BoxPath:
    """A box of one size, in a straight line from knot to knot. One knot alone: it stands still, all the time."""

    track: int
    """Number in its source, from 1 on."""
    faces: int
    """Most tracks of the source that are there at one moment of this one: 2 where two people talk to each other."""
    width: Fraction
    height: Fraction
    knots: tuple[Knot, ...]
    """Ascending in time."""

    def __post_init__(self) -> None:
        if not self.knots or any(one.time >= other.time for one, other in pairwise(self.knots)):
            raise ValueError(f"track {self.track} needs knots in the order of their times")
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"track {self.track} is {self.width} wide and {self.height} high")

    @property
    def stretch(self) -> tuple[Fraction, Fraction] | None:
        """When it is there; None: always."""
        return (self.knots[0].time, self.knots[-1].time) if len(self.knots) > 1 else None

    def corner(self, time: Fraction) -> tuple[Fraction, Fraction]:
        """Left and upper edge at `time`; before the first knot and after the last it stands."""
        after = bisect_right(self.knots, time, key=lambda knot: knot.time)
        if after in (0, len(self.knots)):
            knot = self.knots[max(0, after - 1)]
            return knot.x, knot.y
        one, other = self.knots[after - 1], self.knots[after]
        share = (time - one.time) / (other.time - one.time)
        return one.x + share * (other.x - one.x), one.y + share * (other.y - one.y)

    def region(self, time: Fraction, picture: Size) -> Region:
        """The part of a `picture` of that size at `time`: moved inside where it sticks out."""
        (x, y), (width, height) = self.corner(time), picture
        x, y = max(Fraction(0), min(x, width - self.width)), max(Fraction(0), min(y, height - self.height))
        return x / width, y / height, min(self.width / width, Fraction(1)), min(self.height / height, Fraction(1))


def at_once(span: tuple[Fraction, Fraction] | None, spans: Sequence[tuple[Fraction, Fraction] | None]) -> int:
    """How many of `spans` are there together at some moment of `span`, at most; None: one that is always there."""
    always, timed = spans.count(None), [one for one in spans if one is not None]
    inside = [one for one in timed if span is None or (one[0] < span[1] and span[0] < one[1])]
    # most are there when one of them begins, or when `span` does
    starts = {max(one[0], span[0]) if span else one[0] for one in inside}
    return max(1, always + max((sum(one[0] <= start < one[1] for one in inside) for start in starts), default=0))


class Taken(NamedTuple):
    """What was taken of a picture: whole pixels as they are stored, turned upright."""

    x: int
    y: int
    width: int
    height: int
    picture: tuple[int, int]
    """Width and height of all of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipCrop:
    """In a clip's json: what part of the whole picture it shows. Whoever draws on that picture goes back by it.

    In pixels as the source stores them, turned upright; as fractions they hold for any form of the picture.
    """

    track: int
    """As of BoxPath."""
    faces: int
    picture: tuple[int, int]
    """Width and height of the whole picture."""
    size: tuple[int, int]
    """Width and height of the part."""
    corners: tuple[tuple[int, int], ...]
    """Left and upper edge of it in each frame."""

    @classmethod
    def of(cls, path: BoxPath, taken: Sequence[Taken]) -> "ClipCrop":
        """What was taken of one picture after the other; where these change their size, all as of the first."""
        width, height = taken[0].picture
        return cls(
            track=path.track,
            faces=path.faces,
            picture=taken[0].picture,
            size=(taken[0].width, taken[0].height),
            corners=tuple(
                (round(one.x * width / one.picture[0]), round(one.y * height / one.picture[1])) for one in taken
            ),
        )

    @property
    def problem(self) -> str:
        """What no part of a picture has; empty when nothing is."""
        (width, height), (wide, high) = self.picture, self.size
        if not (0 < wide <= width and 0 < high <= height and self.track > 0 and self.faces > 0):
            return f"{wide}x{high} of {width}x{height}, track {self.track} of {self.faces}"
        if not all(0 <= x <= width - wide and 0 <= y <= height - high for x, y in self.corners):
            return f"{wide}x{high} beyond the edges of {width}x{height}"
        return ""

    def box(self, frame: int) -> Box:
        """The part that a frame shows, in fractions of the whole picture."""
        (x, y), (width, height) = self.corners[frame], self.picture
        return x / width, y / height, (x + self.size[0]) / width, (y + self.size[1]) / height

    def on_picture(self, frame: int, x: float, y: float) -> tuple[float, float]:
        """Where on the whole picture a point of the clip's own picture lies, both in fractions."""
        x0, y0, x1, y1 = self.box(frame)
        return x0 + x * (x1 - x0), y0 + y * (y1 - y0)

    def in_clip(self, frame: int, x: float, y: float) -> tuple[float, float]:
        """The other way; what is not between 0 and 1 is not seen in the clip."""
        x0, y0, x1, y1 = self.box(frame)
        return (x - x0) / (x1 - x0), (y - y0) / (y1 - y0)

    def boxes_in_clip(self, boxes: Sequence[Sequence[Box]]) -> tuple[tuple[Box, ...], ...]:
        """Boxes on the whole picture, a list for each frame, as the clip shows them, if it shows any of them."""
        return tuple(tuple(self._visible(number, frame)) for number, frame in enumerate(boxes))

    def _visible(self, frame: int, boxes: Sequence[Box]) -> Iterator[Box]:
        for x0, y0, x1, y1 in boxes:
            corners = (*self.in_clip(frame, x0, y0), *self.in_clip(frame, x1, y1))
            left, upper, right, lower = (min(1.0, max(0.0, side)) for side in corners)
            if left < right and upper < lower:
                yield left, upper, right, lower
