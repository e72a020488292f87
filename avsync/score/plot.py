"""One picture of a score: evidence over time and offset, the curve, the sound, and the verdict as its title."""

import textwrap
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from avsync.confidence.file_evidence import ScoreEvidence
from avsync.figures import ACCENT, INK, PALE, bare, draw_sound, figure_png
from avsync.score.result import ScoreResult
from sharding.base.text import percent

GOOD, BAD = "#2a7f62", "#b23a48"
COLUMNS = 1500
"""Of the heat image and the waveform: more than the picture has room for."""
HEAT = 4.0
"""Logit at which colours are full: the network is 98 % sure."""
TITLE, LINE = 118, 0.2
"""Letters a line, and its height in inches."""
MOST_LINES = 12
"""Of it: an offset may change a hundred times."""


def score_png(answer: ScoreResult, evidence: ScoreEvidence) -> bytes:
    """Draw it; a PNG file's bytes."""
    wide, high = 13.4, 7.4  # inches; places are given: to have them worked out takes longer than to draw
    figure = Figure(figsize=(wide, high), dpi=110)
    colour = {"in sync": GOOD, "can't tell": INK}.get(answer.verdict, BAD)
    title = textwrap.wrap(answer.sentence, TITLE, max_lines=MOST_LINES, placeholder=" ...")
    figure.text(0.012, 1 - 0.1 / high, "\n".join(title), va="top", fontsize=12, color=colour, parse_math=False)
    top = 1 - (0.5 + LINE * len(title)) / high
    grid = figure.add_gridspec(
        3,
        4,
        width_ratios=(4, 0.06, 0.06, 1),
        height_ratios=(3.2, 0.8, 0.9),
        left=0.8 / wide,
        right=1 - 0.1 / wide,
        bottom=0.5 / high,
        top=top,
        wspace=0.05,
        hspace=0.12,
    )
    heat = figure.add_subplot(grid[0, 0])
    sound, support = (figure.add_subplot(grid[row, 0], sharex=heat) for row in (1, 2))
    curve = figure.add_subplot(grid[0, 3], sharey=heat)
    if answer.windows:
        _draw_heat(figure.add_subplot(grid[0, 1]), heat, evidence, answer)
        _draw_curve(curve, answer)
        _draw_support(support, answer, evidence)
    _draw_peaks(sound, evidence)
    span = max(answer.seconds, 0.1)
    first = float(evidence.seconds(evidence.starts[:1]).sum())
    heat.set(xlim=(first, first + span))
    for axes in (heat, sound, support, curve):
        bare(axes)
    for axes in (heat, sound):
        axes.tick_params(labelbottom=False)
    support.set_xlabel("seconds", fontsize=9, color=INK)
    _draw_key(figure.add_subplot(grid[1:, 3]), answer)
    return figure_png(figure)


def _draw_heat(key: Any, axes: Any, evidence: ScoreEvidence, answer: ScoreResult) -> None:
    """Each moment shows the mean of the windows over it; `key`: axes for the key to colours."""
    image, (first, last) = heat_image(evidence)
    offsets = evidence.seconds(evidence.offsets) * 1000
    step = float(offsets[1] - offsets[0]) / 2 if len(offsets) > 1 else 20.0
    drawn = axes.imshow(
        image.T,
        aspect="auto",
        origin="lower",
        extent=(first, last, offsets[0] - step, offsets[-1] + step),
        cmap="RdBu_r",
        vmin=-HEAT,
        vmax=HEAT,
        interpolation="nearest",
    )
    axes.set_facecolor("#eeeeee")
    axes.axhline(0, color=INK, linewidth=0.7, linestyle=(0, (4, 3)))
    for part in answer.parts:
        if part.verdict != "can't tell":
            axes.plot((part.start_s, part.end_s), (part.offset_ms,) * 2, color="black", linewidth=1.2)
    axes.set_ylabel("sound early      offset in ms      sound late", fontsize=9, color=INK)
    axes.set_title("which offset fits, moment by moment", fontsize=9, color=INK, loc="left")
    bar = axes.figure.colorbar(drawn, cax=key, ticks=(-HEAT, 0, HEAT))
    key.set_yticklabels(("no", "?", "yes"), fontsize=8, color=INK)
    bar.outline.set_visible(False)


def heat_image(evidence: ScoreEvidence) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """(columns, D) mean logit of the windows over each moment, nan where none could be asked; and from when to when."""
    starts, length = evidence.starts - evidence.starts[0], evidence.window
    total = int(starts[-1]) + length
    columns = min(COLUMNS, total)
    edges = np.linspace(0, total, columns + 1)
    asked = ~np.isnan(evidence.logit)
    image = np.zeros((columns, evidence.logit.shape[1]), np.float32)
    count = np.zeros(image.shape, np.float32)
    for start, row, there in zip(starts, evidence.logit, asked, strict=True):
        low, high = np.searchsorted(edges, (start, start + length))
        span = slice(int(low), max(int(low) + 1, int(high)))
        image[span] += np.where(there, row, 0)
        count[span] += there
    first = float(evidence.starts[0] / evidence.clock.fps)
    with np.errstate(invalid="ignore"):
        return (image / np.where(count, count, np.nan)).astype(np.float32), (
            first,
            first + float(total / evidence.clock.fps),
        )


def _draw_curve(axes: Any, answer: ScoreResult) -> None:
    offsets = [point.offset_ms for point in answer.curve]
    axes.plot([point.support for point in answer.curve], offsets, color=ACCENT, linewidth=1.6)
    axes.axvline(0, color=PALE, linewidth=0.8)
    config = answer.settings
    axes.axhspan(-config.early_ms, config.late_ms, color=GOOD, alpha=0.18, linewidth=0)
    if answer.offset_ms is not None and answer.verdict in ("in sync", "off"):
        axes.axhline(answer.offset_ms, color="black", linewidth=0.8)
    axes.set_title("whole file", fontsize=9, color=INK, loc="left")
    axes.set_xlabel("evidence (nats)", fontsize=9, color=INK)
    axes.tick_params(labelleft=False)


def _draw_peaks(axes: Any, evidence: ScoreEvidence) -> None:
    columns = min(COLUMNS, len(evidence.peaks))
    edges = np.linspace(0, len(evidence.peaks), columns, endpoint=False).astype(int)
    loud = np.maximum.reduceat(evidence.peaks, edges) if columns else evidence.peaks
    first = evidence.starts[0] if columns else 0
    draw_sound(axes, (first + edges) / float(evidence.clock.fps), loud, step="post")


def _draw_support(axes: Any, answer: ScoreResult, evidence: ScoreEvidence) -> None:
    middle = evidence.window / float(evidence.clock.fps) / 2
    seconds = [one.start_s + middle for one in answer.windows]
    support = np.array([one.support for one in answer.windows])
    width = min(middle * 2, max(0.05, float(np.diff(seconds).min()) if len(seconds) > 1 else middle * 2)) * 0.9
    axes.bar(seconds, support, width=width, color=np.where(support > 0, GOOD, BAD))
    axes.axhline(0, color=PALE, linewidth=0.8)
    axes.set_ylabel(f"for / against\n{round(answer.offset_ms or 0):+} ms", fontsize=9, color=INK)


def _draw_key(axes: Any, answer: ScoreResult) -> None:
    """The numbers, for those who want them."""
    axes.set_axis_off()
    lines = [f"verdict   {answer.verdict}"]
    if answer.offset_ms is not None and answer.interval_ms is not None and answer.tested_ms is not None:
        low, high = answer.interval_ms
        lines += [
            f"best      {round(answer.offset_ms):+} ms",
            f"90 %      {round(low):+} to {round(high):+} ms",
            f"sure      {percent(answer.confidence, digits=0)} (within {answer.capture_ms:.0f} ms)",
            f"tried     {answer.tested_ms[0]:+.0f} to {answer.tested_ms[1]:+.0f} ms",
            f"windows   {len(answer.windows):,}",
        ]
    lines.append("above 0: sound late")
    axes.text(0.02, 0.8, "\n".join(lines), family="monospace", fontsize=8, color=INK, va="top", parse_math=False)
