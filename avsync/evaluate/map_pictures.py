"""The maps of an evaluation as pictures: curves and bars by case, and the best, the median and the worst of them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from avsync.evaluate.controls import AskedMap, ShownMap
from avsync.evaluate.map_report import MapReport
from avsync.evaluate.pointing import HALF, STEPS
from avsync.figures import INK, HeatScale, Painter, figure_png, legend_below
from avsync.metrics import Proportion
from sharding.base.text import percent

COLUMNS = 6
"""Maps in a row of the sheet."""
SIDE = 192
"""Pixels of a drawn picture's longer side."""
STRENGTH = 0.6


def map_plot(report: MapReport) -> bytes:
    """PNG bytes."""
    figure = Figure(figsize=(14, 4.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for row in report.cases:
        if row.curve:
            left.plot(STEPS, row.curve, marker=".", label=f"{row.name}: AUC {row.auc:.2f}")
    left.axvline(HALF, color=INK, linewidth=0.7, linestyle=":")
    left.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="cIoU of at least", ylabel="share of maps")
    legend_below(left)
    for text in left.get_legend().get_texts() if left.get_legend() else ():
        text.set_parse_math(False)  # names come from data
    _bars(middle, [(f"{row.name} ({row.maps})", row.right, row.hottest) for row in report.cases])
    middle.set_title("right: lit, on what sounds (hottest point o)", fontsize=10)
    _bars(right, [(f"{one.control} ({one.lit.count})", one.lit, None) for one in report.false])
    right.set_title("lit where nothing in the picture sounds", fontsize=10)
    figure.suptitle(
        f"maps: threshold {report.threshold.heat:.3g} chosen on {report.threshold.split}, "
        f"ROC AUC of the heat {report.separation:.3f}"
    )
    return figure_png(figure)


def _bars(axes: Axes, rows: Sequence[tuple[str, Proportion, Proportion | None]]) -> None:
    heights = np.arange(len(rows))[::-1]
    for height, (_, share, point) in zip(heights, rows, strict=True):
        if not share.count:
            continue
        reach = [[max(0.0, share.value - share.low)], [max(0.0, share.high - share.value)]]
        axes.barh(height, share.value, xerr=reach, color="tab:blue", ecolor="black", height=0.7)
        if point:
            axes.plot(point.value, height, "o", color="tab:orange", markersize=5)
    axes.set_yticks(heights, [name for name, *_ in rows], parse_math=False)
    axes.set(xlim=(0, 1), ylim=(-0.7, len(rows) - 0.3))


def map_sheet(asked: Sequence[AskedMap]) -> bytes | None:
    """The highest cIoU, those about the median, and the lowest, of the maps that were kept (controls.KEPT, the first
    ones), what sounds outlined: PNG bytes; None without any.
    """
    kept = sorted((one for one in asked if one.kept), key=lambda one: -one.ciou)
    if not kept:
        return None
    count = min(COLUMNS, len(kept))
    middle = (len(kept) - count) // 2
    rows = {"best": kept[:count], "median": kept[middle : middle + count], "worst": kept[-count:]}
    scale = HeatScale.of(np.concatenate([one.kept.heat.ravel() for one in kept if one.kept]))
    figure = Figure(figsize=(1.9 * count + 0.5, 2.3 * len(rows)), layout="constrained")
    for line, (name, maps) in enumerate(rows.items()):
        for column, one in enumerate(maps):
            axes = figure.add_subplot(len(rows), count, line * count + column + 1)
            if one.kept:
                _draw(axes, one.kept, scale)
            axes.set_title(f"{one.case or 'map'}, cIoU {percent(one.ciou)}", fontsize=7, parse_math=False)
            if not column:
                axes.set_ylabel(name, fontsize=9)
    return figure_png(figure)


def _draw(axes: Axes, kept: ShownMap, scale: HeatScale) -> None:
    picture = _large(kept.picture)
    height, width = picture.shape[:2]
    painter = Painter(height=height, width=width, seen=(0, 0, 1, 1), strength=STRENGTH, scale=scale)
    axes.imshow(painter.paint(picture, kept.heat))
    across, down = (((np.arange(side) + 0.5) / side) for side in kept.truth.shape[::-1])
    axes.contour(across * width, down * height, kept.truth.astype(float), [0.5], colors="white", linewidths=1.2)
    axes.set(xticks=[], yticks=[])
    axes.set_frame_on(False)


def _large(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
