"""What every picture of ours is drawn with: figures as pixels, sound as a wave, heat over pictures.

H W pixels, h w cells.

Figures are matplotlib's objects, without pyplot: no global state, no display.
"""

import io
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from sharding.format.clip import Box

INK, PALE, ACCENT = "#22223b", "#9a9ab0", "#c8553d"
LEAST_REACH = 0.05
"""Of a drawn sound, of full scale: softer sound must not look loud."""
LEVELS = 256
BELOW_POINTS, LEGEND_COLUMNS = 30, 3
"""A legend below axes begins under the numbers and the name of the axis."""
COLD, HOT = 50, 99.5
"""Percentiles over the whole video that stay clear and get the full colour."""
LEAST_CONTRAST = 0.5
"""A map that rises less than this fraction above its own median stays pale: flat maps must not light up."""
FINER = 4
"""Cells are drawn this much finer with cubic curves first: straight ones show their grid."""


def to_uint8(frames: Tensor) -> NDArray[np.uint8]:
    """(3, T, H, W) in [-1, 1] -> (T, H, W, 3) uint8."""
    return ((frames.float() + 1) * 127.5).round().byte().permute(1, 2, 3, 0).cpu().numpy()


def figure_pixels(figure: Figure) -> NDArray[np.uint8]:
    """(H, W, 3) uint8"""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def figure_png(figure: Figure) -> bytes:
    """The figure as a PNG file's bytes."""
    sink = io.BytesIO()
    Image.fromarray(figure_pixels(figure)).save(sink, "PNG")
    return sink.getvalue()


def draw_sound(axes: Any, seconds: NDArray, peaks: NDArray, step: Literal["post"] | None = None) -> None:
    """A sound's loudest samples, 0 to 1, as a wave over time."""
    axes.fill_between(seconds, -peaks, peaks, color=INK, linewidth=0, step=step)
    reach = max(LEAST_REACH, float(peaks.max(initial=0))) * 1.05
    axes.set(ylim=(-reach, reach), yticks=[])
    axes.set_ylabel("sound", fontsize=9, color=INK)


def legend_below(axes: Axes, title: str | None = None) -> None:
    """Under the axes and their labels: inside there would be a row, a bar or a curve that it hides."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    under = axes.transAxes + ScaledTranslation(0, -BELOW_POINTS / 72, figure.dpi_scale_trans)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=under,
        ncols=LEGEND_COLUMNS,
        fontsize=8,
        frameon=False,
        title=title,
        title_fontsize=8,
    )


def bare(axes: Any) -> None:
    """Without a frame, with small numbers."""
    axes.tick_params(labelsize=8, colors=INK, length=3)
    for side in axes.spines.values():
        side.set_visible(False)


@dataclass(frozen=True, slots=True)
class HeatScale:
    """Heat -> 0 to 1, one scale for a whole video so that it neither flickers nor pretends."""

    cold: float
    hot: float

    @classmethod
    def of(cls, heat: NDArray[np.float32]) -> "HeatScale":
        """From all heat of a video, (n, h, w)."""
        cold, hot = (float(level) for level in np.percentile(heat, (COLD, HOT)))
        return cls(cold, max(hot, cold * (1 + LEAST_CONTRAST), 1e-6))

    def level(self, heat: NDArray[np.float32]) -> NDArray[np.float32]:
        """Same shape, 0 to 1."""
        return ((heat - self.cold) / (self.hot - self.cold)).clip(0, 1)


class Painter:
    """Draws heat maps over pictures of one size."""

    def __init__(self, *, height: int, width: int, seen: Box, strength: float, scale: HeatScale) -> None:
        """`seen`: the part of the picture that the map covers; beyond it the heat fades out."""
        self.scale = scale
        x, y = (_across(size, low, high) for size, low, high in ((width, seen[0], seen[2]), (height, seen[1], seen[3])))
        rows, columns = torch.meshgrid(y, x, indexing="ij")
        self._positions = torch.stack((columns, rows), dim=-1).unsqueeze(0)  # (1, H, W, 2): -1 to 1 over what is seen
        self._fade = _fade(y)[:, None] * _fade(x)[None, :]  # (H, W)
        self._keep, self._color = _tables(strength)

    def paint(self, picture: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
        """picture: (H, W, 3) RGB, heat: (h, w) -> (H, W, 3)."""
        level = self._level(heat)
        blended = picture * self._keep[level][..., None] + self._color[level]
        return (blended >> 8).astype(np.uint8)

    def _level(self, heat: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(h, w) -> (H, W), 0 to LEVELS - 1."""
        cells = torch.from_numpy(self.scale.level(heat))[None, None]
        smooth = functional.interpolate(cells, scale_factor=FINER, mode="bicubic", align_corners=False)
        level = functional.grid_sample(smooth, self._positions, padding_mode="border", align_corners=False)[0, 0]
        return (level.clamp(0, 1) * self._fade * (LEVELS - 1)).round().byte().numpy()


def _across(size: int, low: float, high: float) -> torch.Tensor:
    """Pixel centres along an axis, (size,): -1 at fraction `low` of it, 1 at fraction `high`."""
    centre = (torch.arange(size) + 0.5) / size
    return (centre - low) / (high - low) * 2 - 1


def _fade(across: torch.Tensor) -> torch.Tensor:
    """1 where the network looks, falling to 0 over a tenth of that beyond."""
    return (1 - (across.abs() - 1).clamp(min=0) * 5).clamp(min=0)


def _tables(strength: float) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Per level, in 256ths: how much of the picture is kept (LEVELS,), and colour that is added (LEVELS, 3)."""
    level = np.linspace(0, 1, LEVELS)
    opacity = strength * level**0.8
    color = matplotlib.colormaps["turbo"](0.3 + 0.65 * level)[:, :3] * 255
    keep = np.round(256 * (1 - opacity))
    return keep.astype(np.uint16), np.floor((256 - keep)[:, None] * color).astype(np.uint16)
