"""The picture of an evaluation: accuracy by action and by |shift|, and how the answers are spread."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avsync.evaluate.actions import CHANCE, UNKNOWN, ActionRow, easiest_and_hardest
from avsync.evaluate.scorecard import Scorecard, ScoreRow
from avsync.figures import figure_png
from avsync.honesty.predict import Predictions

COLORS = {"easy": "tab:green", "learned": "tab:blue", "hard": "tab:orange", "chance": "tab:red", UNKNOWN: "tab:gray"}
"""Of verdicts."""


def evaluation_plot(card: Scorecard, got: Predictions) -> bytes:
    """PNG bytes."""
    easiest, hardest = easiest_and_hardest(card.actions)
    actions = (*easiest, *hardest)
    figure = Figure(figsize=(13, max(4.0, 0.28 * len(actions) + 1.5)), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _estimates(left, actions)
    _bars(middle, card.shifts, "accuracy by |shift|")
    limit = max(1.0, float(np.abs(got.logit).max())) if len(got.logit) else 1.0
    for in_sync, color, label in ((True, "tab:green", "in sync"), (False, "tab:red", "shifted")):
        right.hist(
            got.logit[got.in_sync == in_sync], np.linspace(-limit, limit, 41), alpha=0.6, color=color, label=label
        )
    right.axvline(0, color="black", linewidth=0.8)
    right.set(xlabel="logit (above 0: the network says in sync)", ylabel="examples")
    right.legend(title=f"AUC {card.auc:.3f}")
    share = card.accuracy
    figure.suptitle(
        f"{Path(card.run).name}, step {card.step:,}, on {Path(card.dataset).name}, split {card.split}: "
        f"accuracy {share.value:.1%} [{share.low:.1%}, {share.high:.1%}]",
        parse_math=False,
    )
    return figure_png(figure)


def _estimates(axes: Axes, rows: tuple[ActionRow, ...]) -> None:
    """Of each action the interval and, as a point in its verdict's colour, the shrunken estimate."""
    places = np.arange(len(rows))[::-1]
    for place, row in zip(places, rows, strict=True):
        share, color = row.accuracy, COLORS[row.verdict]
        axes.hlines(place, share.low, share.high, color=color, linewidth=1.5)
        axes.plot(share.value, place, "|", color=color, markersize=7)
        axes.plot(row.estimate, place, "o", color=color, markersize=5)
    for verdict in (verdict for verdict in COLORS if any(row.verdict == verdict for row in rows)):
        axes.plot([], [], "o", color=COLORS[verdict], label=verdict)
    axes.set_yticks(places, [f"{row.name} ({row.sources})" for row in rows], parse_math=False)
    axes.axvline(CHANCE, color="black", linestyle="--", linewidth=0.8, label="chance level")
    axes.set(xlim=(0, 1), ylim=(-0.7, len(rows) - 0.3), title="by action (sources): interval, accuracy |, estimate o")
    axes.legend(loc="lower left", fontsize=7)


def _bars(axes: Axes, lines: tuple[ScoreRow, ...], title: str) -> None:
    places = np.arange(len(lines))[::-1]
    value = np.array([line.accuracy.value for line in lines])
    low = value - np.array([line.accuracy.low for line in lines])
    high = np.array([line.accuracy.high for line in lines]) - value
    axes.barh(places, value, xerr=np.stack([low.clip(0), high.clip(0)]), color="tab:blue", ecolor="black", height=0.7)
    axes.set_yticks(places, [f"{line.name} ({line.accuracy.count})" for line in lines], parse_math=False)
    axes.axvline(0.5, color="tab:red", linestyle="--", label="chance")
    axes.set(xlim=(0, 1), title=title)
    axes.legend(loc="lower right")
