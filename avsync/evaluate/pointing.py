"""The pointing game (Zhang et al. 2016, Top-down Neural Attention): is the hottest point of a map on a true source?

Needs clips whose json carries true boxes, as generated scenes do.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from avsync.data.order import View
from avsync.models.cam import Hottest
from sharding.format.clip import Box, ClipMeta


@dataclass(frozen=True, slots=True)
class PointingResult:
    """One map's outcome."""

    hit: bool
    """The hottest point lies in a true box at its moment."""
    centre_hit: bool
    """The picture's centre would have."""
    chance: float
    """Fraction of the picture that the true boxes cover at that moment: what a blind guess hits."""


def point(hottest: Hottest, meta: ClipMeta, first_frame: int, view: View) -> PointingResult | None:
    """Judge one map; None when no true source is in sight at that moment: none sounds, or all are beyond the crop.

    `first_frame`: the window's start in the clip.
    """
    frame = first_frame + hottest.frame
    if not meta.boxes or not meta.boxes[frame]:
        return None
    boxes = cropped(meta.boxes[frame], view)
    if not len(boxes):
        return None
    return PointingResult(
        hit=bool(_inside(boxes, hottest.x, hottest.y)),
        centre_hit=bool(_inside(boxes, 0.5, 0.5)),
        chance=_covered(boxes),
    )


def cropped(boxes: tuple[Box, ...], view: View) -> NDArray[np.float64]:
    """Boxes (N, 4) as fractions of the central crop that the network sees, clipped to it; without those beyond it."""
    top, left = view.centre()
    corner = np.array([left, top, left, top])
    full = np.array([view.width, view.height, view.width, view.height])
    seen = np.array([view.crop_width, view.crop_height, view.crop_width, view.crop_height])
    inside = ((np.array(boxes) * full - corner) / seen).clip(0, 1)
    return inside[(inside[:, 0] < inside[:, 2]) & (inside[:, 1] < inside[:, 3])]


def _inside(boxes: NDArray[np.float64], x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
    """Which points lie in at least one box: boxes may overlap."""
    x0, y0, x1, y1 = (side[:, None, None] for side in boxes.T)
    return ((x0 <= x) & (x <= x1) & (y0 <= y) & (y <= y1)).any(axis=0)


def _covered(boxes: NDArray[np.float64], cells: int = 200) -> float:
    """Fraction of the picture under the boxes, on a fine grid."""
    centres = (np.arange(cells) + 0.5) / cells
    return float(_inside(boxes, centres, centres[:, None]).mean())
