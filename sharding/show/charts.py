"""The charts of the page, as SVG: how long clips are, and the A/V clock. They hold numbers only, no name from data."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from sharding.base.pages import svg
from sharding.show import formatting
from sharding.show.av_clock import OFFSET_LABELS, AvClock, Histogram, OffsetHistogram
from sharding.show.contact_sheet import ACCENT, INK, PALE
from sharding.show.survey import Survey

WIDE, SMALL = (9.2, 2.9), (4.4, 2.5)
"""Inches."""
DOUBTFUL = OFFSET_LABELS.index("0.1 - 0.5 s")
"""Offsets from here on are drawn in another colour: most containers stay far below."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A picture and the same in words."""

    title: str
    svg: bytes
    in_words: str
    """The numbers, for those who cannot see the picture."""


def length_chart(survey: Survey) -> Chart:
    """Clips by length."""
    bins = formatting.length_bins(survey.frames, survey.info.clock.fps)
    return _chart("clip length", [one.label for one in bins], [one.clips for one in bins], SMALL, "clips")


def clock_charts(clock: AvClock) -> list[Chart]:
    """Stream offsets, gaps, repairs."""
    return [offset_chart(clock.offsets), *map(_histogram, (clock.silence, clock.repeated, clock.stills))]


def offset_chart(offsets: OffsetHistogram) -> Chart:
    """From sound that starts first, over together, to sound that starts late."""
    labels = [*(f"-{label}" for label in OFFSET_LABELS[:0:-1]), OFFSET_LABELS[0], *OFFSET_LABELS[1:]]
    named = [label.removeprefix("-").replace(" and more", "\nand more").replace(" - ", "-") for label in labels]
    counts = [*reversed(offsets.sound_first), offsets.together, *offsets.sound_late]
    middle = len(OFFSET_LABELS) - 1
    colors = [ACCENT if abs(at - middle) >= DOUBTFUL else INK for at in range(len(counts))]
    sides = ("◀ sound starts first", "picture starts first ▶")
    return _chart("stream offset", named, counts, WIDE, "sources", colors, sides)


def _histogram(one: Histogram) -> Chart:
    labels = [label.replace(" and more", "\nand more").replace(" - ", "-") for label in one.labels]
    return _chart(one.title, labels, list(one.counts), SMALL, "sources")


def _chart(
    title: str,
    labels: Sequence[str],
    counts: Sequence[int],
    inches: tuple[float, float],
    unit: str,
    colors: Sequence[str] | str = INK,
    sides: tuple[str, str] = ("", ""),
) -> Chart:
    figure = Figure(figsize=inches, layout="constrained")
    axes = figure.add_subplot()
    places = range(len(counts))
    bars = axes.bar(places, counts, color=colors, width=0.82)
    axes.bar_label(bars, [f"{count:,}" if count else "" for count in counts], fontsize=8, color=INK, padding=2)
    axes.set_xticks(places, labels, fontsize=7.5, color=INK)
    axes.set_yticks([])
    axes.set_ylim(0, 1.15 * max(1, max(counts, default=0)))
    axes.tick_params(length=0)
    axes.set_title(title, loc="center" if sides[0] else "left", fontsize=10, color=INK)
    for side, text in zip(("left", "right"), sides, strict=True):
        if text:
            axes.set_title(text, loc=side, fontsize=9, color=INK)
    axes.set_ylabel(unit, fontsize=8, color=PALE)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(PALE)
    numbers = ", ".join(f"{label}: {count:,}" for label, count in zip(labels, counts, strict=True)).replace("\n", " ")
    return Chart(title=title, svg=svg(figure), in_words=f"{title}; {unit} per bin: {numbers}")
