"""A comparison as a table at the terminal, as files and as a picture."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from avsync.figures import figure_png, legend_below
from avsync.finetune.compare import Comparison
from avsync.finetune.out_folder import LearningPoint, OutPaths
from avsync.finetune.scoring import ArmAnswers
from avsync.finetune.task import Splits
from avsync.metrics import Proportion
from sharding.base.console import open_console
from sharding.base.csv_table import write_csv
from sharding.base.files import publish, write_json
from sharding.base.text import counted, interval, percent

COLORS = {"learned": "tab:green", "scratch": "tab:gray", "frozen": "tab:blue"}


def save(found: Comparison, answers: ArmAnswers, points: list[LearningPoint], splits: Splits, paths: OutPaths) -> None:
    """Write table, predictions and plot; result.json last: where it is, the rest is."""
    lines = list[tuple[object, ...]]()
    for arm in found.arms:
        measures = (("top1", arm.top1), ("top5", arm.top5), ("mean_of_classes", arm.per_class))
        lines += [(arm.name, what, it.value, it.low, it.high) for what, it in measures if it]
    lines += [("majority class", "top1", found.majority.value, found.majority.low, found.majority.high)]
    lines += [("chance", "top1", found.chance, found.chance, found.chance)]
    lines += [
        (f"{it.better} - {it.than}", "top1", it.top1.value, it.top1.low, it.top1.high) for it in found.differences
    ]
    write_csv(paths.table, ("arm", "measure", "value", "low_95", "high_95"), lines)
    _write_predictions(answers, splits, paths.predictions)
    with publish(paths.plot) as file:
        file.write(comparison_plot(found, points))
    write_json(paths.result, found)


def _write_predictions(answers: ArmAnswers, splits: Splits, path: Path) -> None:
    """One line per test clip."""
    dataset, classes = splits.feeds["test"].dataset, splits.classes
    named = [each.argmax(axis=1) for each in answers.probabilities.values()]
    rows = [
        (dataset.key(clip), classes[answers.labels[row]], *(classes[guess[row]] for guess in named))
        for row, clip in enumerate(answers.clips.tolist())
    ]
    write_csv(path, ("clip", "class", *answers.probabilities), rows)


def comparison_plot(found: Comparison, points: list[LearningPoint]) -> bytes:
    """Learning curves of all arms, and how they end. PNG bytes."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for arm in found.arms:
        for split, style in (("train", ":"), ("val", "-")):
            own = [point for point in points if (point.arm, point.split) == (arm.name, split)]
            steps, values = [point.step for point in own], [point.accuracy for point in own]
            left.plot(
                steps,
                values,
                style,
                marker="." if split == "val" else "",
                color=COLORS[arm.name],
                label=f"{arm.name}, {split}",
            )
    _levels(left, found)
    left.set(ylim=(0, 1), xlabel="step", ylabel="accuracy", title="learning")
    legend_below(left)
    values = np.array([arm.top1.value for arm in found.arms])
    errors = np.array([[arm.top1.value - arm.top1.low, arm.top1.high - arm.top1.value] for arm in found.arms]).T
    right.bar(
        [arm.name for arm in found.arms],
        values,
        yerr=errors.clip(0),
        capsize=4,
        color=[COLORS[arm.name] for arm in found.arms],
    )
    _levels(right, found)
    right.set(ylim=(0, 1), title=f"test: {found.clips} clips of {found.sources} sources")
    figure.suptitle("; ".join(one.verdict for one in found.differences[:1]), parse_math=False, fontsize=10)
    return figure_png(figure)


def _levels(axes: Axes, found: Comparison) -> None:
    """What needs no network."""
    axes.axhline(found.chance, color="tab:red", linestyle="--", linewidth=0.8, label="chance")
    axes.axhline(found.majority.value, color="tab:orange", linestyle="--", linewidth=0.8, label="majority class")


def show(found: Comparison, paths: OutPaths) -> None:
    """Print it."""
    console, config = open_console(), found.begun.config
    table = Table(title=f"{config.task} recognition, test split (95 % intervals over sources)")
    for name in ("arm", "top-1", "top-5", "mean of classes", "best step (val)"):
        table.add_column(name, justify="left" if name == "arm" else "right")
    for arm in found.arms:
        table.add_row(
            arm.name,
            _shown(arm.top1),
            _shown(arm.top5) if arm.top5 else "-",
            _shown(arm.per_class),
            f"{arm.picked_step} ({percent(arm.val_accuracy)})",
        )
    table.add_section()
    table.add_row("majority", _shown(found.majority), "", percent(found.chance), "")
    table.add_row("chance", percent(found.chance), "", percent(found.chance), "")
    console.print(table)
    for one in found.differences:
        console.print(one.verdict, soft_wrap=True)
    console.print(f"{counted(found.clips, 'test clip')} of {counted(found.sources, 'source')}, on {found.device}")
    if found.unreadable:
        console.print(f"{counted(found.unreadable, 'clip')} could not be read and count for nothing", style="yellow")
    console.print(f"table, predictions, curves and plot: {paths.root}", soft_wrap=True)


def _shown(it: Proportion) -> str:
    return f"{percent(it.value)} ({interval(it.low, it.high)})"
