"""Pictures for TensorBoard: the first batch as the network sees it, and heat maps on fixed validation clips."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from avsync.data.batch import Batch
from avsync.data.transforms import NetworkInput
from avsync.figures import HeatScale, Painter, figure_pixels, to_uint8
from avsync.honesty.predict import BatchAnswer
from avsync.models.cam import heat_to_draw

MOMENTS = 6
"""Columns of a sheet."""
STRENGTH = 0.6
"""Opacity of the hottest colour."""


def batch_sheet(given: NetworkInput, batch: Batch) -> NDArray[np.uint8]:
    """A batch: moments of each clip's picture, and under them each sound's waveform with its label."""
    clips, sounds = len(batch.keys), given.sounds.shape[1]
    figure = Figure(figsize=(12, 2.4 * clips + 0.8 * clips * sounds), layout="constrained")
    grid = figure.add_gridspec(clips * (1 + sounds), MOMENTS, height_ratios=([2.4] + [0.8] * sounds) * clips)
    for row in range(clips):
        top = row * (1 + sounds)
        _moments(figure, grid, top, to_uint8(given.frames[row]), batch.keys[row])
        for number in range(sounds):
            axes = figure.add_subplot(grid[top + 1 + number, :])
            label, color = _label(batch, row, number)
            axes.plot(given.sounds[row, number].float().mean(0).cpu().numpy(), color=color, linewidth=0.4)
            axes.set(xlim=(0, given.sounds.shape[-1]), ylim=(-1, 1), xticks=[], yticks=[])
            axes.set_ylabel(label.replace(", ", "\n"), fontsize=7)
    return figure_pixels(figure)


def _label(batch: Batch, row: int, sound: int) -> tuple[str, str]:
    """What a pair is, in words and as a colour."""
    shift = f"{batch.draws[row].pair.shift(sound):+d} frames"
    return (f"in sync, {shift}", "tab:green") if bool(batch.in_sync[row, sound]) else (f"shifted, {shift}", "tab:red")


def _moments(figure: Figure, grid: Any, row: int, frames: NDArray[np.uint8], title: str) -> None:
    for column, moment in enumerate(_spread(len(frames))):
        axes = figure.add_subplot(grid[row, column])
        axes.imshow(frames[moment])
        axes.set_axis_off()
        axes.set_title(title if column == 0 else f"frame {moment}", fontsize=7, loc="left", parse_math=False)


def cam_sheet(answer: BatchAnswer, clips: int, *, points: bool = False) -> NDArray[np.uint8]:
    """Heat maps over the pictures of the first `clips` of a batch, each with the first of its sounds.

    That sound is in sync or shifted, as the pair sampler gives it; the title says which. points: see
    avsync.models.cam.heat_to_draw; such maps are drawn on one scale, so that those that are to be dark are seen to be.
    """
    rows = [row for row, valid in enumerate(answer.batch.valid.tolist()) if valid][:clips]
    figure = Figure(figsize=(12, 2.5 * max(1, len(rows))), layout="constrained")
    cams, logits, count = answer.output.cam[:, 0], answer.output.logit[:, 0].tolist(), answer.given.frames.shape[2]
    heats = [heat_to_draw(cams[row], logits[row], count, points=points) for row in rows]
    for line, (row, heat) in enumerate(zip(rows, heats, strict=True)):
        frames = to_uint8(answer.given.frames[row])
        height, width = frames.shape[1:3]
        scale = HeatScale.of(np.concatenate(heats) if points else heat)
        painter = Painter(height=height, width=width, seen=(0, 0, 1, 1), strength=STRENGTH, scale=scale)
        label, color = _label(answer.batch, row, 0)
        title = f"{answer.batch.keys[row]}\n{label}, logit {logits[row]:+.1f}"
        for column, moment in enumerate(_spread(count)):
            axes = figure.add_subplot(len(rows), MOMENTS, line * MOMENTS + column + 1)
            axes.imshow(painter.paint(frames[moment], heat[moment]))
            axes.set_axis_off()
            axes.set_title(
                f"\nframe {moment}" if column else title,
                fontsize=7,
                loc="left",
                color="black" if column else color,
                parse_math=False,
            )
    return figure_pixels(figure)


def _spread(count: int) -> list[int]:
    """Frame numbers spread over `count` frames."""
    return np.linspace(0, count - 1, MOMENTS).round().astype(int).tolist()
