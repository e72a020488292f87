"""Each cause that a run's record can show is named when it is there, and a healthy run raises nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from avsync.config import OptimConfig, TrainConfig
from avsync.metrics import Proportion, wilson
from avsync.presets import PRESETS
from avsync.run.diagnosis import RULES, Recorded, ValidationPoint, diagnose, keep_point, recorded
from avsync.run.paths import RunPaths
from avsync.run.progress import RunProgress, ValidationScore
from sharding.base.files import write_json
from sharding.errors import FormatError

CONFIG = TrainConfig(steps=300, optim=OptimConfig(lr=0.02, warmup_steps=10))


def about(value: float, count: int = 200) -> Proportion:
    return Proportion(value, *wilson(value, count), count)


def point(
    step: int, train_loss: float | None, train: float, val: float, choice: float | None = None
) -> ValidationPoint:
    return ValidationPoint(
        step=step,
        train_loss=train_loss,
        train_accuracy=train,
        loss=0.6,
        accuracy=about(val),
        choice=about(choice if choice is not None else val),
        parted=val,
        threshold=0.1,
    )


def run_of(*points: ValidationPoint, step: int = 300, diverged: bool = False) -> Recorded:
    return Recorded(config=CONFIG, step=step, diverged=diverged, points=points)


BIASED = replace(point(300, 0.3, 0.9, 0.71, 0.93), parted=0.86, threshold=-1.6)
SICK = {
    "learning rate, no number": (run_of(diverged=True), "learning rate", "lower --optim.lr (it was 0.02)"),
    "learning rate, grown": (run_of(point(300, 3.0, 0.5, 0.5)), "learning rate", "lower --optim.lr"),
    "flat": (
        run_of(point(150, 0.6935, 0.5, 0.5), point(300, 0.6929, 0.51, 0.49)), "nothing learned", "avsync train --check",
    ),
    "people": (
        run_of(point(150, 0.4, 0.8, 0.52), point(300, 0.1, 0.97, 0.51)), "people, not sync", "More sources for train",
    ),
    "threshold": (run_of(BIASED), "threshold", "logits above -1.60 as in sync (86.0 % instead of 71.0 %)"),
}  # fmt: skip
WELL = {
    "not validated": run_of(),
    "the demo": run_of(
        point(120, 0.58, 0.68, 0.79, 0.9), point(240, 0.36, 0.84, 0.86, 0.95), point(360, 0.31, 0.87, 0.85, 0.94)
    ),
    "still on the plateau": run_of(point(100, 0.693, 0.5, 0.5), step=100),
    "late": run_of(point(150, 0.6935, 0.5, 0.5), point(300, 0.5, 0.75, 0.72)),
    "knows training better, but others too": run_of(point(300, 0.05, 0.99, 0.7, 0.8)),
    "few examples, no threshold": run_of(replace(BIASED, accuracy=about(0.71, 12), choice=about(0.8, 6), parted=0.86)),
    "few sources, at chance": run_of(replace(point(300, 0.5, 0.8, 0.5), choice=about(0.5, 4))),
}


@pytest.mark.parametrize("name", SICK)
def test_a_planted_cause_is_named_with_its_remedy(name: str) -> None:
    found, cause, remedy = SICK[name]
    (finding,) = diagnose(found)
    assert finding.cause == cause
    assert remedy in finding.line
    assert "\n" not in str(finding)


def test_every_rule_is_planted_here() -> None:
    assert {cause for _, cause, _ in SICK.values()} == set(RULES)


@pytest.mark.parametrize("name", WELL)
def test_a_healthy_run_raises_nothing(name: str) -> None:
    assert diagnose(WELL[name]) == []


@pytest.mark.parametrize("preset", PRESETS)
def test_lines_are_those_of_any_settings(preset: str) -> None:
    for found, cause, _ in SICK.values():
        config = replace(PRESETS[preset](), steps=300, low_rate=CONFIG.low_rate, optim=CONFIG.optim)
        assert [finding.cause for finding in diagnose(replace(found, config=config))] == [cause]


def test_lines_of_a_future_that_was_given_up_are_forgotten(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    for step, loss in ((100, 0.5), (200, 0.4), (300, 0.3), (150, 0.45)):
        keep_point(paths, point(step, loss, 0.8, 0.8))
    assert [one.step for one in recorded(paths, CONFIG, 300).points] == [100, 150]
    assert [one.step for one in recorded(paths, CONFIG, 120).points] == [100]
    paths.validations.write_text("{}\n")
    with pytest.raises(FormatError, match=r"validations\.jsonl.*delete it"):
        recorded(paths, CONFIG, 300)


@pytest.mark.parametrize(
    ("loss", "accuracy", "val", "cause"),
    [
        (0.1, 0.97, 0.5, "people, not sync"),
        (0.69, 0.5, 0.5, "nothing learned"),
        (None, 0.5, 0.5, "learning rate"),
        (0.3, 0.87, 0.85, ""),
    ],
)
def test_of_a_run_of_before_its_last_validation_is_looked_at(
    tmp_path: Path, loss: float | None, accuracy: float, val: float, cause: str
) -> None:
    last = ValidationScore(300, val, 0.7, val)
    write_json(
        RunPaths(tmp_path).progress, RunProgress(steps=300, step=300, loss=loss, accuracy=accuracy, validation=last)
    )
    assert [one.cause for one in diagnose(recorded(RunPaths(tmp_path), CONFIG, 300))] == ([cause] if cause else [])


def test_a_run_that_recorded_nothing_says_nothing(tmp_path: Path) -> None:
    assert diagnose(recorded(RunPaths(tmp_path), CONFIG, 0)) == []
