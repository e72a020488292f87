"""What was learned, as a table with medians and ranges over the seeds, and as curves."""

import math
from collections.abc import Iterator, Sequence
from statistics import median

from matplotlib.figure import Figure

from avsync.figures import figure_png
from benchmarks.learning_cell import Found
from benchmarks.train_table import table

HEADS = (
    "network", "pairs", "window", "optimiser", "steps", "seeds", "accuracy on symmetric pairs (95 %, each seed)",
    "on its own pairs", "loss at the end", "left the plateau at step", "validation above chance at step",
    "hottest point, times chance", "s a step",
)  # fmt: skip
NOTE = (
    "Median over the seeds, with least and most in brackets; where some seeds never got there, how many did. "
    "Seconds a step are those of the machine as busy as it was."
)


def markdown(found: Sequence[Found]) -> str:
    """The table; one row for all seeds of the same settings."""
    return "\n".join(table(HEADS, _rows(found))) + f"\n\n{NOTE}\n"


def _rows(found: Sequence[Found]) -> Iterator[Sequence[str]]:
    for group in grouped(found):
        cell = group[0].cell
        low = f", {cell.low_rate_steps} steps at low rate" if cell.low_rate_steps else ""
        wide = f", {cell.wide_steps} steps with windows far apart" if cell.wide_steps else ""
        each = "; ".join(f"{row.low:.0%} to {row.high:.0%}" for row in group)
        yield (
            cell.told, cell.law, f"{cell.window_s:g} s, {cell.size} px",
            f"{cell.optimizer} {cell.lr:g}, {cell.batch} clips{low}{wide}", str(cell.steps),
            str(len(group)), f"{spread([row.accuracy for row in group], '.1%')} ({each})",
            spread([row.own_accuracy for row in group], ".1%"), spread([row.loss for row in group], ".3f"),
            spread([row.left_at for row in group], ".0f"), spread([row.above_at for row in group], ".0f"),
            spread([row.times_chance for row in group], ".1f"), spread([row.step_s for row in group], ".2f"),
        )  # fmt: skip


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
    return text if len(there) == len(values) else f"{text} ({len(there)} of {len(values)})"


def picture(found: Sequence[Found]) -> bytes:
    """A PNG: loss of training over the steps, a colour for each setting, a line for each seed."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="loss of training", title="Learning on scenes")
    for number, group in enumerate(grouped(found)):
        for row in group:
            steps, losses = zip(*row.curve, strict=True)
            label = f"{row.cell.told}, {row.cell.law}" if row is group[0] else "_"
            axes.plot(steps, losses, color=f"C{number % 10}", alpha=0.8, label=label)
    axes.axhline(math.log(2), color="grey", linestyle=":", label="chance, ln 2")
    axes.legend()
    return figure_png(figure)
