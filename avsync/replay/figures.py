"""The replay's figures, as PNG bytes: training curves, maps, and the join."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from avsync.figures import Painter, figure_png, legend_below
from avsync.replay.heat import HeatAroundJoin, Joined, Shown
from avsync.replay.runs import Curves, RunCurve
from avsync.train.pictures import STRENGTH

INK, PALE, BLUE, RED, GREEN = "#22223b", "#9a9ab0", "#3a5a98", "#c8553d", "#4f8a5b"
SIDE = 216
"""Pixels of a drawn picture."""
LN2 = float(np.log(2))


def curves_figure(arms: Sequence[tuple[str, Curves]]) -> bytes:
    """A column for each arm: loss above, accuracy below, with what the swap test and the alarm say."""
    figure = Figure(figsize=(3.5 * len(arms), 5.8), layout="constrained")
    grid = figure.subplots(2, len(arms), squeeze=False, sharex="col", sharey="row")
    for (title, curves), above, below in zip(arms, *grid, strict=True):
        above.set_title(fill(title, 34), fontsize=10, parse_math=False)
        _draw(above, curves.train_loss, PALE, "training")
        _draw(above, curves.loss, BLUE, "validation", wide=True)
        above.axhline(LN2, color=INK, linewidth=0.7, linestyle=":")
        _draw(below, curves.train_accuracy, PALE, "training")
        _draw(below, curves.accuracy, BLUE, "validation", wide=True)
        _draw(below, curves.other, RED, "validation, another clip's picture")
        _draw(below, curves.audited, GREEN, "audited accuracy")
        below.axhline(0.5, color=INK, linewidth=0.7, linestyle=":")
        below.set(ylim=(0.35, 1.02), xlabel="step")
        if curves.alarm:
            for axes in (above, below):
                axes.axvline(curves.alarm.since, color=RED, linewidth=1.2, linestyle="--")
            below.text(curves.alarm.since, 0.37, " alarm", color=RED, fontsize=8)
        if curves.best:
            best = curves.best
            height = best.accuracy if best.audited is None else best.audited
            below.plot([best.step], [height], "*", color=GREEN, markersize=11, label="best")
    grid[0, 0].set_ylabel("loss (dotted: ln 2)")
    grid[1, 0].set_ylabel("accuracy (dotted: chance)")
    if len(arms):
        figure.legend(*grid[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=9)
    return figure_png(figure)


def _draw(axes: Axes, curve: RunCurve, color: str, label: str, *, wide: bool = False) -> None:
    """`wide`: can be seen under another one."""
    axes.plot(
        curve.steps, curve.values, color=color, linewidth=4 if wide else 1.4, alpha=0.5 if wide else 1, label=label
    )


def maps_figure(rows: Sequence[tuple[str, Sequence[Shown]]]) -> bytes:
    """A row for each network, the same clips in the same columns; true sources are framed."""
    columns = max((len(shown) for _, shown in rows), default=1) or 1
    figure = Figure(figsize=(1.75 * columns + 1.2, 1.9 * max(1, len(rows))), layout="constrained")
    grid = figure.subplots(max(1, len(rows)), columns, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.set_frame_on(False)
    for (title, shown), line in zip(rows, grid, strict=True):
        line[0].set_ylabel(fill(title, 24), fontsize=8, parse_math=False)
        for one, axes in zip(shown, line, strict=False):
            axes.imshow(_painted(one))
            for x0, y0, x1, y1 in one.boxes * SIDE:
                axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor="white", linewidth=1.2))
    return figure_png(figure)


def _painted(one: Shown) -> NDArray[np.uint8]:
    large = np.asarray(Image.fromarray(one.picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    painter = Painter(height=SIDE, width=SIDE, seen=(0, 0, 1, 1), strength=STRENGTH, scale=one.scale)
    return painter.paint(large, one.heat)


def join_figure(joined: Joined, heats: Sequence[tuple[str, HeatAroundJoin]], muted_s: float) -> bytes:
    """A shifted sound with its join, the join from near, and where networks are hot around it."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    grid = figure.add_gridspec(2, 2)
    whole, near, right = figure.add_subplot(grid[0, :]), figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
    time = np.arange(len(joined.sound)) / joined.rate
    whole.plot(time, joined.sound, color=BLUE, linewidth=0.5)
    whole.axvline(joined.join / joined.rate, color=RED, linewidth=1, linestyle="--")
    whole.axvspan(0, muted_s, color=PALE, alpha=0.4)
    whole.set(xlim=(0, time[-1]), xlabel="seconds of the window (grey: what the thesis zeroed)", yticks=[])
    whole.set_title("a sound that was shifted cyclically, and its join", fontsize=10, loc="left")
    span = slice(max(0, joined.join - joined.rate // 50), joined.join + joined.rate // 50)
    ms = (np.arange(span.start, min(span.stop, len(time))) - joined.join) * 1000 / joined.rate
    near.plot(ms, joined.sound[span], color=BLUE, linewidth=1)
    near.axvline(0, color=RED, linewidth=1, linestyle="--")
    near.set(xlabel="milliseconds from the join", yticks=[])
    for (title, heat), color in zip(heats, (GREEN, RED, "#e0a030", PALE), strict=False):
        right.plot(heat.offset_s, heat.heat, color=color, marker="o", markersize=3, label=title)
    right.axvline(0, color=RED, linewidth=0.8, linestyle="--")
    right.axhline(1, color=INK, linewidth=0.7, linestyle=":")
    right.set(xlabel="seconds from the join", ylabel="heat / window's mean")
    legend_below(right)
    return figure_png(figure)
