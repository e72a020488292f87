"""An audit as one HTML page, by audit.html.j2: what stands in it, and a chart of where windows of both labels begin."""

from collections.abc import Iterable
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from avsync.audit.leak import places
from avsync.audit.report import about, bits, seen_from
from avsync.audit.result import AuditResult
from avsync.data.pairs import PairSampler
from sharding.base.pages import image, render, svg
from sharding.base.text import interval, percent

TEMPLATE = Path(__file__).with_name("audit.html.j2")
INK, PALE, ACCENT = "#22223b", "#9a9ab0", "#c8553d"


def page_html(audit: AuditResult, chart: bytes | None, seconds: float, repeat: str) -> str:
    """The whole page. chart: of pairs, SVG of a clip of so many seconds (place_chart); repeat: the command typed."""
    return render(
        TEMPLATE,
        audit=audit,
        about=about(audit),
        chart=image(chart, "svg+xml", "how often windows of each label begin at each place") if chart else "",
        seconds=seconds,
        flags=_flags(audit.config),
        repeat=repeat,
        bits=bits,
        seen_from=seen_from,
        percent=percent,
        interval=interval,
        ink=INK,
        pale=PALE,
        accent=ACCENT,
    )


def _flags(config: Any, before: str = "--") -> Iterable[tuple[str, object]]:
    for field in fields(config):
        value, flag = getattr(config, field.name), before + field.name.replace("_", "-")
        if hasattr(value, "__dataclass_fields__"):
            yield from _flags(value, flag + ".")
        else:
            yield flag, value


def place_chart(sampler: PairSampler, frames: int, fps: Fraction) -> bytes:
    """SVG: how often the windows of each label begin at each place of a clip of so many frames."""
    figure, ways = Figure(figsize=(11.0, 2.5), layout="constrained"), sampler.ways(frames)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, places(ways, ways.sound), fps, "sound")
    _draw(right, places(ways, ways.picture), fps, "picture")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", fontsize=9, frameon=False, ncols=2)
    left.set_ylabel("how often", fontsize=9, color=INK)
    return svg(figure, transparent=True)


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
