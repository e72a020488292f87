"""Where what sounds is seen at a moment, in the part of the picture that a network is shown: outlines, or boxes.

Coordinates are shares of that part, 0 to 1, from its top left corner.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.path import Path as Outline
from numpy.typing import ArrayLike, NDArray

from avsync.data.order import View
from sharding.format.clip import ClipMeta
from sharding.format.crop import Box, Polygon

CELLS = 64
"""Along a side, where a map and the truth are laid on each other."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What sounds at one moment."""

    boxes: NDArray[np.float64]
    """(N, 4) x0, y0, x1, y1"""
    outlines: tuple[NDArray[np.float64], ...] = ()
    """Each (corners, 2): what counts, where there are any."""

    def covers(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Which points lie on it. x, y: of any shapes that go together."""
        across, down = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        if self.outlines:
            points = np.stack((across, down), axis=-1).reshape(-1, 2)
            inside = [Outline(corners).contains_points(points) for corners in self.outlines]
            return np.any(inside, axis=0).reshape(across.shape)
        x0, y0, x1, y1 = (side.reshape(-1, *(1,) * across.ndim) for side in self.boxes.T)
        return ((x0 <= across) & (across <= x1) & (y0 <= down) & (down <= y1)).any(axis=0)

    def mask(self, cells: int = CELLS) -> NDArray[np.bool_]:
        """(cells, cells)"""
        centres = (np.arange(cells) + 0.5) / cells
        return self.covers(centres, centres[:, None])

    def __bool__(self) -> bool:
        """Whether anything that sounds is in sight."""
        return len(self.boxes) > 0


def truth_at(meta: ClipMeta, frame: int, view: View) -> Truth | None:
    """At a frame of a clip; None: nobody knows."""
    if not meta.boxes:
        return None
    boxes = cropped(meta.boxes[frame], view)
    polygons = meta.masks[frame] if meta.masks and len(boxes) else ()
    return Truth(boxes, tuple(_polygon(one, view) for one in polygons))


def out_of_sight(meta: ClipMeta, frames: range) -> bool:
    """Whether the truth is known, and says that nothing in the whole picture sounds in all of these frames."""
    return bool(meta.boxes) and not any(meta.boxes[frames.start : frames.stop])


def cropped(boxes: tuple[Box, ...], view: View) -> NDArray[np.float64]:
    """Boxes (N, 4) as fractions of the central crop that the network sees, clipped to it; without those beyond it."""
    corners = np.array(boxes, float).reshape(-1, 2, 2)
    inside = _seen(corners, view).clip(0, 1).reshape(-1, 4)
    return inside[(inside[:, 0] < inside[:, 2]) & (inside[:, 1] < inside[:, 3])]


def _polygon(polygon: Polygon, view: View) -> NDArray[np.float64]:
    return _seen(np.array(polygon, float).reshape(-1, 2), view)


def _seen(points: NDArray[np.float64], view: View) -> NDArray[np.float64]:
    """Points (..., 2) of the picture as shares of its central crop; beyond it below 0 or above 1."""
    top, left = view.centre()
    return (points * (view.width, view.height) - (left, top)) / (view.crop_width, view.crop_height)
