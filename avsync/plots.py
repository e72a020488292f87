"""The picture of an evaluation: accuracy by action and by |shift|, and how the answers are spread."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avsync.pictures import figure_png
from avsync.predict import Predictions
from avsync.scorecard import Row, Scorecard

ACTIONS_SHOWN = 25
"""Of many actions, the easiest and the hardest are drawn; by_action.csv has all."""


def evaluation_plot(card: Scorecard, got: Predictions) -> bytes:
    """PNG bytes."""
    actions = card.actions
    if len(actions) > ACTIONS_SHOWN:
        actions = actions[: ACTIONS_SHOWN // 2] + actions[-(ACTIONS_SHOWN - ACTIONS_SHOWN // 2) :]
    figure = Figure(figsize=(13, max(4.0, 0.28 * len(actions) + 1.5)), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _bars(left, actions, "accuracy by action")
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


def _bars(axes: Axes, lines: tuple[Row, ...], title: str) -> None:
    places = np.arange(len(lines))[::-1]
    value = np.array([line.accuracy.value for line in lines])
    low = value - np.array([line.accuracy.low for line in lines])
    high = np.array([line.accuracy.high for line in lines]) - value
    axes.barh(places, value, xerr=np.stack([low.clip(0), high.clip(0)]), color="tab:blue", ecolor="black", height=0.7)
    axes.set_yticks(places, [f"{line.name} ({line.accuracy.count})" for line in lines], parse_math=False)
    axes.axvline(0.5, color="tab:red", linestyle="--", label="chance")
    axes.set(xlim=(0, 1), title=title)
    axes.legend(loc="lower right")
