"""True sound positions of a source, resampled to the frames of a clip: the box of the picture that is shown.

File: `{"fps": "30", "boxes": [[[x0, y0, x1, y1], ...], ...]}`, one list per frame, frame 0 at presentation time 0.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import ClassVar

from sharding.base.files import LARGEST_SIDE_FILE, read_json
from sharding.errors import AvsyncError, InputError
from sharding.format.clip import Box


@dataclass(frozen=True, slots=True)
class BoxTrack:
    """Boxes of a whole source."""

    LARGEST_FILE: ClassVar[int] = LARGEST_SIDE_FILE

    fps: Fraction
    boxes: tuple[tuple[Box, ...], ...]

    def __post_init__(self) -> None:
        if self.fps <= 0:
            raise ValueError(f"fps must be above 0, got {self.fps}")
        for number, frame in enumerate(self.boxes):
            for x0, y0, x1, y1 in frame:
                if not (0 <= x0 <= x1 <= 1 and 0 <= y0 <= y1 <= 1):
                    raise ValueError(f"frame {number}: {(x0, y0, x1, y1)} is no box between 0 and 1")

    def at(self, piece: range, fps: Fraction) -> tuple[tuple[Box, ...], ...]:
        """Boxes of the frames `piece` at another rate: of the newest source frame in each slot, as for pictures."""
        if not self.boxes:
            return ((),) * len(piece)
        ratio = fps / self.fps
        newest = (ceil((slot + Fraction(1, 2)) / ratio) - 1 for slot in piece)
        return tuple(self.boxes[min(max(0, number), len(self.boxes) - 1)] for number in newest)


def read_boxes(path: Path) -> BoxTrack:
    """Read a box file. Raises InputError naming it: a wrong truth must not pass for a video's fault."""
    try:
        return read_json(path, BoxTrack)
    except AvsyncError as error:
        raise InputError(f"boxes file {path}: {error}") from error
