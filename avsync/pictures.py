"""Pictures for TensorBoard: the first batch as the network sees it, and heat maps on fixed validation clips.

Drawn with matplotlib's objects, without pyplot: no global state, no display.
"""

import io
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from avsync.batch import Batch
from avsync.cam import heat_of
from avsync.predict import Answer
from avsync.transforms import NetworkInput

CLIPS, MOMENTS = 4, 6
"""Rows and columns of a sheet."""


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


def batch_sheet(seen: NetworkInput, batch: Batch) -> NDArray[np.uint8]:
    """First clips of a batch: moments of the picture, and under them each sound's waveform with its label."""
    clips, sounds = min(CLIPS, len(batch.keys)), seen.sounds.shape[1]
    figure = Figure(figsize=(12, 2.4 * clips + 0.8 * clips * sounds), layout="constrained")
    grid = figure.add_gridspec(clips * (1 + sounds), MOMENTS, height_ratios=([2.4] + [0.8] * sounds) * clips)
    for row in range(clips):
        top = row * (1 + sounds)
        _moments(figure, grid, top, to_uint8(seen.frames[row]), batch.keys[row])
        for number in range(sounds):
            axes = figure.add_subplot(grid[top + 1 + number, :])
            in_sync = bool(batch.in_sync[row, number])
            color, label = ("tab:green", "in sync") if in_sync else ("tab:red", "shifted")
            axes.plot(seen.sounds[row, number].float().mean(0).cpu().numpy(), color=color, linewidth=0.4)
            axes.set(xlim=(0, seen.sounds.shape[-1]), ylim=(-1, 1), xticks=[], yticks=[])
            axes.set_ylabel(f"{label}\n{batch.draws[row].pair.shift(number):+d} frames", fontsize=7)
    return figure_pixels(figure)


def _moments(figure: Figure, grid: Any, row: int, frames: NDArray[np.uint8], title: str) -> None:
    for column, moment in enumerate(np.linspace(0, len(frames) - 1, MOMENTS).round().astype(int)):
        axes = figure.add_subplot(grid[row, column])
        axes.imshow(frames[moment])
        axes.set_axis_off()
        axes.set_title(title if column == 0 else f"frame {moment}", fontsize=7, loc="left")


def cam_sheet(answer: Answer) -> NDArray[np.uint8]:
    """Heat maps |w . f| of the in-sync pair over the pictures of the first clips of a batch."""
    clips = min(CLIPS, len(answer.batch.keys))
    figure = Figure(figsize=(12, 2.4 * clips), layout="constrained")
    for row in range(clips):
        frames = to_uint8(answer.seen.frames[row])
        heat = heat_of(answer.said.cam[row, 0], frames.shape[:3])
        logit = float(answer.said.logit[row, 0])
        for column, moment in enumerate(np.linspace(0, len(frames) - 1, MOMENTS).round().astype(int)):
            axes = figure.add_subplot(clips, MOMENTS, row * MOMENTS + column + 1)
            axes.imshow(frames[moment])
            axes.imshow(heat[moment], cmap="inferno", alpha=0.5, vmin=0, vmax=max(1e-6, float(heat.max())))
            axes.set_axis_off()
            title = f"{answer.batch.keys[row]}  logit {logit:+.1f}" if column == 0 else f"frame {moment}"
            axes.set_title(title, fontsize=7, loc="left")
    return figure_pixels(figure)
