"""The picture of an evaluation: accuracy by action and by |shift|, how the answers are spread and what they mean."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avsync.evaluate.actions import CHANCE, UNKNOWN, ActionRow, easiest_and_hardest
from avsync.evaluate.scorecard import Scorecard, ScoreRow, Trustworthiness
from avsync.figures import figure_png, legend_below
from avsync.honesty.predict import Predictions
from sharding.base.text import percent

COLORS = {"easy": "tab:green", "learned": "tab:blue", "hard": "tab:orange", "chance": "tab:red", UNKNOWN: "tab:gray"}
"""Of verdicts."""


def evaluation_plot(card: Scorecard, got: Predictions) -> bytes:
    """PNG bytes."""
    easiest, hardest = easiest_and_hardest(card.actions)
    actions = (*easiest, *hardest)
    figure = Figure(figsize=(16, max(4.0, 0.28 * len(actions) + 1.5)), layout="constrained")
    left, middle, right, last = figure.subplots(1, 4)
    _estimates(left, actions)
    _bars(middle, card.shifts, "by |shift|: accuracy, choice o")
    limit = max(1.0, float(np.abs(got.logit).max())) if len(got.logit) else 1.0
    for in_sync, color, label in ((True, "tab:green", "in sync"), (False, "tab:red", "shifted")):
        right.hist(
            got.logit[got.in_sync == in_sync], np.linspace(-limit, limit, 41), alpha=0.6, color=color, label=label
        )
    right.axvline(0, color="black", linewidth=0.8)
    right.set(xlabel="logit (above 0: the network says in sync)", ylabel="examples")
    legend_below(right, f"AUC {card.auc:.3f}")
    if card.reliability:
        _reliability(last, card.reliability)
    figure.suptitle(
        f"{Path(card.run).name}, step {card.step:,}, on {Path(card.dataset).name}, split {card.split}: "
        f"accuracy {card.accuracy}",
        parse_math=False,
    )
    return figure_png(figure)


def _estimates(axes: Axes, rows: tuple[ActionRow, ...]) -> None:
    """Of each action the interval and, as a point in its verdict's colour, the shrunken estimate."""
    heights = np.arange(len(rows))[::-1]
    for height, row in zip(heights, rows, strict=True):
        accuracy, color = row.accuracy, COLORS[row.verdict]
        axes.hlines(height, accuracy.low, accuracy.high, color=color, linewidth=1.5)
        axes.plot(accuracy.value, height, "|", color=color, markersize=7)
        axes.plot(row.estimate, height, "o", color=color, markersize=5)
    for verdict in (verdict for verdict in COLORS if any(row.verdict == verdict for row in rows)):
        axes.plot([], [], "o", color=COLORS[verdict], label=verdict)
    axes.set_yticks(heights, [f"{row.name} ({row.sources})" for row in rows], parse_math=False)
    axes.axvline(CHANCE, color="black", linestyle="--", linewidth=0.8, label="chance level")
    axes.set(xlim=(0, 1), ylim=(-0.7, len(rows) - 0.3))
    axes.set_title("by action (sources): interval, accuracy |, estimate o", fontsize=10)
    legend_below(axes)


def _reliability(axes: Axes, found: Trustworthiness) -> None:
    """Predicted against observed; on the diagonal a probability means what it says."""
    axes.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=0.8)
    read = {"logits as they are": (found.of_logits, "tab:gray"), "calibrated on val": (found.of_run, "tab:blue")}
    for name, (one, color) in read.items():
        if one:
            at, value = [row.predicted for row in one.bins], [row.observed.value for row in one.bins]
            ends = [(row.observed.low, row.observed.high) for row in one.bins]
            axes.vlines(at, *zip(*ends, strict=True), color=color, linewidth=1)
            axes.plot(at, value, "o-", color=color, markersize=4, label=f"{name}: error {percent(one.error)}")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="predicted probability", ylabel="share in sync")
    legend_below(axes)


def _bars(axes: Axes, rows: tuple[ScoreRow, ...], title: str) -> None:
    heights = np.arange(len(rows))[::-1]
    value, low, high = np.array([(row.accuracy.value, row.accuracy.low, row.accuracy.high) for row in rows]).T
    reach = np.stack([value - low, high - value]).clip(0)
    axes.barh(heights, value, xerr=reach, color="tab:blue", ecolor="black", height=0.7)
    chosen = [(height, row.choice) for height, row in zip(heights, rows, strict=True) if row.choice]
    for height, choice in chosen:
        axes.plot([choice.low, choice.high], [height, height], color="tab:orange", linewidth=1)
        axes.plot(choice.value, height, "o", color="tab:orange", markersize=5)
    if chosen:
        axes.plot([], [], "o", color="tab:orange", label="choice between both sounds")
    axes.set_yticks(heights, [f"{row.name} ({row.accuracy.count})" for row in rows], parse_math=False)
    axes.axvline(CHANCE, color="tab:red", linestyle="--", label="chance")
    axes.set(xlim=(0, 1))
    axes.set_title(title, fontsize=10)
    legend_below(axes)
