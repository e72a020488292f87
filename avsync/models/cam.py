"""Class activation maps: from a network's coarse cells to heat over pictures, and to the hottest point.

Every network's cells lie evenly over window and picture, cell i of n over the i-th n-th (see avsync.models): that is
what interpolation between cell centres means here. t h w cells, T frames, H W pixels.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

AROUND, MOMENT = 1 / 12, 0.1
"""Share of the picture's side, and of the window, over which evidence is gathered: standard deviations. Found on scenes
(docs/shortcuts.md)."""
CLOSE, BRIEF = 1 / 24, 0.03
"""The same for networks whose best place must tell alone (--pointing)."""
LATEST_S = Fraction(3, 20)
"""A sound is heard, and matched, for longer than its event is seen: by so much evidence may come late."""


@dataclass(frozen=True, slots=True)
class MapReading:
    """How evidence is read off a map."""

    around: float = AROUND
    """Share of the picture's side over which it is gathered."""
    moment: float = MOMENT
    """Share of the window over which it is."""
    later: int = 0
    """Frames by which it comes after what it tells of."""

    def __str__(self) -> str:
        back = f"{self.later} frame{'s' if self.later > 1 else ''} back, " if self.later else ""
        return f"{back}over {self.around:.2f} of a side and {self.moment:.2f} of the window"


def readings(fps: Fraction) -> tuple[MapReading, ...]:
    """All that there is to choose from, the usual one first."""
    widths = (AROUND, MOMENT), (CLOSE, BRIEF)
    return tuple(MapReading(*width, later) for width in widths for later in range(round(LATEST_S * fps) + 1))


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


def heat_to_draw(cam: Tensor, logit: float, frames: int, *, points: bool) -> NDArray[np.float32]:
    """Of a window, for each frame, still in cells: cam (t, h, w) -> (T, h, w).

    points: the network was trained to point (--pointing), and its evidence can be read moment by moment; of any other
    |w . f|, in which a person finds more.
    """
    if not points:
        return heat_in_time(cam, frames)
    reading = MapReading(CLOSE, BRIEF, later=frames // (2 * len(cam)))  # by half a cell, as val has it on scenes
    found = evidence(cam[None], torch.tensor([logit], device=cam.device), frames, reading)
    return found[0].cpu().numpy()


def evidence(cam: Tensor, logit: Tensor, frames: int, reading: MapReading | None = None) -> Tensor:
    """Heat that stays dark where nothing heard belongs to a place: (N, t, h, w), (N,) -> (N, T, h, w), T `frames`.

    |w . f| is hot against a sound, too, and at any moment by chance. Here a place counts by what speaks *for* it over
    the whole window, around it: its level. Within the window its moments count by what speaks for it then. The most
    heat of a map is the highest level of any place, times the network's own probability that the sound belongs here.
    """
    reading = reading or MapReading()
    cam, logit = cam.detach().float(), logit.detach().float()
    cells, steps, height, width = cam.shape
    lines = cam.permute(0, 2, 3, 1).reshape(cells, height * width, steps)
    cam = functional.interpolate(lines, frames, mode="linear", align_corners=False)
    cam = cam.reshape(cells, height, width, frames).permute(0, 3, 1, 2)
    level = cam.mean(dim=1, keepdim=True)
    for axis in (2, 3):
        level = blurred(level, axis, reading.around * max(height, width))
    level = level.relu()
    shape = (blurred(cam, 1, reading.moment * frames).relu() * level).sqrt()
    most = shape.amax(dim=(1, 2, 3), keepdim=True).clamp_min(torch.finfo(shape.dtype).tiny)
    heat = shape / most * level.amax(dim=(1, 2, 3), keepdim=True) * logit.sigmoid()[:, None, None, None]
    back = (torch.arange(frames, device=heat.device) + reading.later).clamp(max=frames - 1)
    return heat[:, back]


def blurred(cells: Tensor, axis: int, sigma: float) -> Tensor:
    """By a Gaussian of so many cells along an axis; beyond the ends the last cells go on."""
    reach = round(3 * sigma)
    if not reach:
        return cells
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=cells.device) / sigma) ** 2)
    lines = cells.movedim(axis, -1)
    padded = functional.pad(lines.reshape(-1, 1, lines.shape[-1]), (reach, reach), mode="replicate")
    return functional.conv1d(padded, (weights / weights.sum())[None, None]).reshape(lines.shape).movedim(-1, axis)


def hottest_of(cam: Tensor, frames: int) -> Hottest:
    """The hottest point of a window of `frames` frames. cam: (t, h, w)."""
    cells = cam.shape
    step, row, column = np.unravel_index(int(torch.argmax(cam.detach().abs())), cells)
    return Hottest(
        frame=int((int(step) + 0.5) * frames / cells[0]),
        x=(float(column) + 0.5) / cells[2],
        y=(float(row) + 0.5) / cells[1],
    )
