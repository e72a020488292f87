"""What was learned, as a table with medians and ranges over the seeds, and as curves."""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from matplotlib.figure import Figure

from avsync.figures import figure_png
from benchmarks.base.table import Table
from benchmarks.learning.cell import Found
from sharding.base.text import interval

NOTE = (
    "Median over the seeds, with least and most in brackets; where some seeds never got there, how many did. "
    "Seconds a step are those of the machine as busy as it was."
)


def markdown(found: Sequence[Found]) -> str:
    """The table; one row for all seeds of the same settings."""
    rows = [tuple(cell(group) for cell in COLUMNS.values()) for group in grouped(found)]
    return Table("", tuple(COLUMNS), rows, NOTE).markdown() + "\n"


def grouped(found: Sequence[Found]) -> list[list[Found]]:
    """Those that differ in their seed alone lie together, in the order they came."""
    groups: dict[str, list[Found]] = {}
    for row in found:
        groups.setdefault(row.cell.name.rpartition("-seed")[0], []).append(row)
    return list(groups.values())


def spread(values: Sequence[float | None], form: str) -> str:
    """Median [least to most]; what never came is not hidden."""
    there = [value for value in values if value is not None and not math.isnan(value)]
    if not there:
        return "never" if len(values) == 1 else f"never (0 of {len(values)})"
    text = f"{median(there):{form}}"
    if len(there) > 1:
        text += f" [{min(there):{form}} to {max(there):{form}}]"
    text = text.replace("%", " %")
    return text if len(there) == len(values) else f"{text} ({len(there)} of {len(values)})"


def figure(name: str, form: str) -> Callable[[Sequence[Found]], str]:
    """A column: the spread of one figure."""
    return lambda group: spread([getattr(row, name) for row in group], form)


def accuracy(group: Sequence[Found]) -> str:
    """With the interval of each seed."""
    each = "; ".join(interval(row.low, row.high, 0) for row in group)
    return f"{figure('accuracy', PERCENT)(group)} ({each})"


def optimiser(group: Sequence[Found]) -> str:
    """And what else is special of the steps."""
    cell = group[0].cell
    low = f", {cell.low_rate_steps} steps at low rate" if cell.low_rate_steps else ""
    wide = f", {cell.wide_steps} steps with windows far apart" if cell.wide_steps else ""
    return f"{cell.optimizer} {cell.lr:g}, {cell.batch} clips{low}{wide}"


PERCENT = ".1%"
COLUMNS: Mapping[str, Callable[[Sequence[Found]], str]] = {
    "network": lambda group: group[0].cell.title,
    "pairs": lambda group: group[0].cell.law,
    "window": lambda group: f"{group[0].cell.window_s:g} s, {group[0].cell.size} px",
    "optimiser": optimiser,
    "steps": lambda group: str(group[0].cell.steps),
    "seeds": lambda group: str(len(group)),
    "accuracy on symmetric pairs (95 %, each seed)": accuracy,
    "on its own pairs": figure("own_accuracy", PERCENT),
    "loss at the end": figure("loss", ".3f"),
    "left the plateau at step": figure("left_at", ".0f"),
    "validation above chance at step": figure("above_at", ".0f"),
    "hottest point, times chance": figure("times_chance", ".1f"),
    "s a step": figure("step_s", ".2f"),
}
"""Head -> cell of a row, from the results of all its seeds."""


def picture(found: Sequence[Found]) -> bytes:
    """A PNG: loss of training over the steps, a colour for each setting, a line for each seed."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="loss of training", title="Learning on scenes")
    for number, group in enumerate(grouped(found)):
        for row in group:
            steps, losses = zip(*row.curve, strict=True)
            label = f"{row.cell.title}, {row.cell.law}" if row is group[0] else "_"
            axes.plot(steps, losses, color=f"C{number % 10}", alpha=0.8, label=label)
    axes.axhline(math.log(2), color="grey", linestyle=":", label="chance, ln 2")
    axes.legend()
    return figure_png(figure)
