"""Class activation maps: from a network's coarse cells to heat over pictures, and to the hottest point.

Every network's cells lie evenly over window and picture, cell i of n over the i-th n-th (see avsync.models): that is
what interpolation between cell centres means here. t h w cells, T frames, H W pixels.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


class Hottest(NamedTuple):
    """Where a map is hottest: the centre of its hottest cell, for interpolation adds no higher point."""

    frame: int
    """Frame of the window, 0 to T - 1."""
    x: float
    """Share of the width that the network sees, 0 left to 1 right."""
    y: float
    """Share of the height, 0 top to 1 bottom."""


def heat_of(cam: Tensor, size: tuple[int, int, int]) -> NDArray[np.float32]:
    """|w . f|, interpolated in time and space: cam (t, h, w) -> (T, H, W)."""
    magnitude = cam.detach().float().abs()
    heat = functional.interpolate(magnitude[None, None], size, mode="trilinear", align_corners=False)
    return heat[0, 0].cpu().numpy()


def heat_in_time(cam: Tensor, frames: int) -> NDArray[np.float32]:
    """|w . f| for each frame, still in cells: cam (t, h, w) -> (T, h, w). The first half of heat_of."""
    return heat_of(cam, (frames, cam.shape[1], cam.shape[2]))


def heat_of_cells(cam: Tensor) -> Tensor:
    """|w . f|: any shape -> the same."""
    return cam.detach().abs()


def hottest_of(cam: Tensor, frames: int) -> Hottest:
    """The hottest point of a window of `frames` frames. cam: (t, h, w)."""
    cells = cam.shape
    step, row, column = np.unravel_index(int(torch.argmax(cam.detach().abs())), cells)
    return Hottest(
        frame=int((int(step) + 0.5) * frames / cells[0]),
        x=(float(column) + 0.5) / cells[2],
        y=(float(row) + 0.5) / cells[1],
    )
