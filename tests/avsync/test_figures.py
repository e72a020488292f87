"""Pictures hide nothing of what they show."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from avsync.evaluate import plots
from avsync.evaluate.actions import judge
from avsync.evaluate.scorecard import Scorecard, ScoreRow
from avsync.figures import figure_pixels, legend_below
from avsync.honesty.predict import Predictions
from avsync.metrics import proportion_of


def hidden(figure: Figure) -> list[str]:
    """Legends that lie over axes, or over the edge of the picture."""
    figure_pixels(figure)  # layout is worked out when it is drawn
    boxes = [axes.get_window_extent() for axes in figure.axes]
    found = list[str]()
    for axes in figure.axes:
        if legend := axes.get_legend():
            its = legend.get_window_extent()
            found += [f"{axes.get_title()!r} over axes" for box in boxes if its.overlaps(box)]
            inside = 0 <= its.x0 < its.x1 <= figure.bbox.x1 and 0 <= its.y0 < its.y1 <= figure.bbox.y1
            found += [] if inside else [f"{axes.get_title()!r} over the edge"]
    return found


@pytest.mark.parametrize(("actions", "shifts"), [(1, 1), (2, 5), (14, 3), (60, 9)])
def test_the_plot_of_an_evaluation_hides_no_row(actions: int, shifts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = list[Figure]()
    monkeypatch.setattr(plots, "figure_png", lambda figure: drawn.append(figure) or b"")
    rng, count = np.random.default_rng(actions), 40 * actions
    in_sync, group = rng.random(count) < 0.5, np.arange(count) // 4
    logit = np.where(in_sync, 1, -1) * rng.normal(1, 2, count)
    got = Predictions(
        clip=np.arange(count), shift=np.zeros(count, np.int64), in_sync=in_sync, logit=logit.astype(np.float32)
    )
    overall = proportion_of(got.hits, group)
    card = Scorecard(
        run="run",
        dataset="dataset",
        split="test",
        step=9,
        clips=count,
        unreadable=0,
        accuracy=overall,
        auc=0.8,
        loss=0.5,
        actions=judge([f"{number}" for number in range(actions)], group % actions, got.hits, group),
        shifts=tuple(ScoreRow(f"{number} to {number + 1} s", overall) for number in range(shifts)),
        localisation=None,
    )
    plots.evaluation_plot(card, got)
    assert not hidden(drawn[0])


@pytest.mark.parametrize("entries", [1, 4, 9])
def test_a_legend_of_any_length_lies_below(entries: int) -> None:
    figure = Figure(figsize=(5, 3 + entries / 9), layout="constrained")
    axes = figure.subplots()
    for number in range(entries):
        axes.plot([0, 1], [number, 0], label=f"curve {number}")
    axes.set_xlabel("step")
    legend_below(axes)
    assert not hidden(figure)
    axes.legend(loc="lower right")
    assert hidden(figure), "this test could not fail"
