"""Where windows of both labels begin, drawn; and an interval beside the line of chance. SVG that needs nothing else."""

import io
from fractions import Fraction

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from avsync.audit.leak import places
from avsync.data.pairs import PairLaw
from avsync.metrics import Share

INK, PALE, ACCENT = "#22223b", "#9a9ab0", "#c8553d"
WIDTH, HEIGHT = 220, 26
"""Pixels of an interval's drawing."""
FROM, TO = 0.3, 1.0
"""Accuracies at its sides."""
EDGE = 18
"""Pixels beside it, for what stands at a side."""
MARKS = ((0.5, "chance"), (0.75, "75 %"), (1.0, "100 %"))


def place_chart(law: PairLaw, frames: int, fps: Fraction) -> str:
    """SVG: how often the windows of each label begin at each place of a clip of so many frames."""
    figure, ways = Figure(figsize=(11.0, 2.5), layout="constrained"), law.ways(frames)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, places(ways, ways.sound), fps, "sound")
    _draw(right, places(ways, ways.picture), fps, "picture")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", fontsize=9, frameon=False, ncols=2)
    left.set_ylabel("how often", fontsize=9, color=INK)
    return _svg(figure)


def _draw(axes: Axes, joint: NDArray[np.float64], fps: Fraction, stream: str) -> None:
    out, in_sync = joint / joint.max()
    seconds = np.arange(len(out)) / float(fps)
    axes.fill_between(seconds, in_sync, color=INK, alpha=0.13, linewidth=0, label="in sync")
    axes.plot(seconds, out, color=ACCENT, linewidth=1.8, label="out of sync")
    axes.set(ylim=(0, 1.12), yticks=[], xlim=(0, max(seconds[-1], 1 / float(fps))))
    axes.set_title(f"where the {stream} window begins", loc="left", fontsize=10, color=INK)
    axes.set_xlabel("seconds of the clip", fontsize=9, color=INK)
    axes.tick_params(labelsize=8.5, colors=INK, length=3)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(PALE)


def _svg(figure: Figure) -> str:
    """Letters as outlines, so that it looks the same everywhere; no date: the same audit gives the same page."""
    sink = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "avsync"}):
        figure.savefig(sink, format="svg", metadata={"Date": None}, transparent=True)
    return sink.getvalue()


def _place(accuracy: float) -> str:
    return f"{WIDTH * (min(max(accuracy, FROM), TO) - FROM) / (TO - FROM):.1f}"


def scale_svg() -> str:
    """The accuracies above a column of intervals."""
    marks = "".join(f'<text x="{_place(mark)}" y="14">{said}</text>' for mark, said in MARKS)
    return f'<svg width="{WIDTH + 2 * EDGE}" height="18" viewBox="-{EDGE} 0 {WIDTH + 2 * EDGE} 18">{marks}</svg>'


def interval_svg(share: Share, strict: Share, verdict: str) -> str:
    """A dot with its 95 % interval, the strict one as a thin line, and chance dashed; colours come from the page."""
    at, middle = _place, HEIGHT / 2
    told = f"{share.value:.1%}, 95 % interval {share.low:.1%} to {share.high:.1%}"
    lines = (
        f'<line class="axis" x1="0" y1="{middle}" x2="{WIDTH}" y2="{middle}"/>',
        f'<line class="chance" x1="{at(0.5)}" y1="0" x2="{at(0.5)}" y2="{HEIGHT}"/>',
        f'<line class="strict" x1="{at(strict.low)}" y1="{middle}" x2="{at(strict.high)}" y2="{middle}"/>',
        f'<line class="usual" x1="{at(share.low)}" y1="{middle}" x2="{at(share.high)}" y2="{middle}"/>',
        f'<circle cx="{at(share.value)}" cy="{middle}" r="5"/>' if share.count else "",
    )
    return (
        f'<svg class="{verdict}" role="img" aria-label="{told}" width="{WIDTH + 2 * EDGE}" height="{HEIGHT}" '
        f'viewBox="-{EDGE} 0 {WIDTH + 2 * EDGE} {HEIGHT}">{"".join(lines)}</svg>'
    )
