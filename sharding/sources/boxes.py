"""True sound positions of a source, resampled to the frames of a clip: the box of the picture that is shown.

File: `{"fps": "30", "boxes": [[[x0, y0, x1, y1], ...], ...]}`, one list per frame, frame 0 at presentation time 0. With
`"masks": [[[x0, y0, x1, y1, x2, y2, ...], ...], ...]` outlines are known, too, and boxes may be `[]`; `"case"` names a
kind of truth.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Annotated, ClassVar, TypeVar

from msgspec import UNSET, Meta, UnsetType

from sharding.base.files import LARGEST_SIDE_FILE, read_json
from sharding.errors import AvsyncError, InputError
from sharding.format.crop import LONGEST_CASE, Box, Polygon, has_corners

T = TypeVar("T")
CaseName = Annotated[str, Meta(min_length=1, max_length=LONGEST_CASE)]


@dataclass(frozen=True, slots=True)
class BoxTrack:
    """Boxes of a whole source."""

    LARGEST_FILE: ClassVar[int] = LARGEST_SIDE_FILE

    fps: Fraction
    boxes: tuple[tuple[Box, ...], ...]
    """Empty beside masks: the boxes around these."""
    masks: tuple[tuple[Polygon, ...], ...] | UnsetType = UNSET
    case: CaseName | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.fps <= 0:
            raise ValueError(f"fps must be above 0, got {self.fps}")
        if self.case and not self.case.isprintable():
            raise ValueError(f"case {self.case!r} has letters that cannot be printed")
        for number, frame in enumerate(self.boxes):
            for x0, y0, x1, y1 in frame:
                if not (0 <= x0 <= x1 <= 1 and 0 <= y0 <= y1 <= 1):
                    raise ValueError(f"frame {number}: {(x0, y0, x1, y1)} is no box between 0 and 1")
        if not self.masks:
            return
        for number, polygons in enumerate(self.masks):
            for one in polygons:
                if not has_corners(one) or not all(0 <= corner <= 1 for corner in one):
                    raise ValueError(f"frame {number}: {one} is no mask: x, y of 3 corners or more, between 0 and 1")
        if not self.boxes:
            around = tuple(tuple(_around(one) for one in polygons) for polygons in self.masks)
            object.__setattr__(self, "boxes", around)
        if len(self.boxes) != len(self.masks):
            raise ValueError(f"boxes of {len(self.boxes)} frames and masks of {len(self.masks)}: give as many")

    def at(self, piece: range, fps: Fraction) -> tuple[tuple[Box, ...], ...]:
        """Boxes of the frames `piece` at another rate: of the newest source frame in each slot, as for pictures."""
        return self._shown(self.boxes, piece, fps)

    def masks_at(self, piece: range, fps: Fraction) -> tuple[tuple[Polygon, ...], ...] | UnsetType:
        """The same of the masks."""
        return self._shown(self.masks, piece, fps) if self.masks else UNSET

    def _shown(self, shapes: tuple[tuple[T, ...], ...], piece: range, fps: Fraction) -> tuple[tuple[T, ...], ...]:
        if not shapes:  # nobody knows
            return ()
        ratio = fps / self.fps
        newest = (ceil((slot + Fraction(1, 2)) / ratio) - 1 for slot in piece)
        return tuple(shapes[min(max(0, number), len(shapes) - 1)] for number in newest)


def _around(polygon: Polygon) -> Box:
    across, down = polygon[::2], polygon[1::2]
    return min(across), min(down), max(across), max(down)


def read_boxes(path: Path) -> BoxTrack:
    """Read a box file. Raises InputError naming it: a wrong truth must not pass for a video's fault."""
    try:
        return read_json(path, BoxTrack)
    except AvsyncError as error:
        raise InputError(f"boxes file {path}: {error}") from error
