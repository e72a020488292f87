"""An evaluation's figures: overall, by action, by |shift|, and where the maps point. Numbers and files; no network."""

from collections.abc import Iterator
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from avsync.evaluate.actions import ActionRow, judge
from avsync.evaluate.forced_choice import Bias, shift_bins, span_name, within
from avsync.evaluate.map_report import MapReport, write_maps
from avsync.evaluate.matching import Matching
from avsync.evaluate.pointing import PointingResult
from avsync.honesty.judge import Honesty
from avsync.honesty.predict import Choices, Predictions
from avsync.metrics import AS_IT_IS, Calibration, Proportion, Reliability, proportion_of
from avsync.run.paths import SUMMARY
from sharding.base.csv_table import write_csv
from sharding.base.files import write_json
from sharding.base.guarded import make_folder
from sharding.format.dataset import Dataset


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One line of a table."""

    name: str
    accuracy: Proportion
    choice: Proportion | None = None
    """Which of the two sounds of a picture belongs to it; None where there is no such pair."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Localisation:
    """How often a point lies on a true source."""

    hottest: Proportion
    """The hottest point of |w . f| of in-sync pairs."""
    centre: Proportion
    """The middle of the picture."""
    chance: float
    """A point drawn blindly: the true boxes' mean part of the picture."""

    @property
    def times_chance(self) -> float:
        return self.hottest.value / self.chance if self.chance else float("nan")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trustworthiness:
    """Does the probability that an example is in sync mean what it says?"""

    of_logits: Reliability
    """The logit read as the network means it: 1 / (1 + exp(-logit))."""
    of_run: Reliability | None
    """... and as the run's validation found that it has to be read; None: the run does not say."""

    @classmethod
    def of(cls, got: Predictions, group: NDArray[np.integer], found: Calibration | None) -> Self:
        """group: source of each clip of the dataset."""

        def read_by(calibration: Calibration) -> Reliability:
            return Reliability.of(calibration.probability(got.logit), got.in_sync, group[got.clip])

        return cls(of_logits=read_by(AS_IT_IS), of_run=found and read_by(found))

    @property
    def best(self) -> Reliability:
        """What is to be gone by."""
        return self.of_run or self.of_logits


@dataclass(frozen=True, kw_only=True, slots=True)
class Scorecard:
    """Everything `avsync evaluate` reports."""

    run: str
    """Full path."""
    dataset: str
    """Full path."""
    split: str
    step: int
    clips: int
    """Clips that were asked about."""
    unreadable: int
    """Clips that could not be read, and count for nothing."""
    accuracy: Proportion
    auc: float
    loss: float
    actions: tuple[ActionRow, ...]
    """Highest estimate first."""
    shifts: tuple[ScoreRow, ...]
    localisation: Localisation | None
    honesty: Honesty | None = None
    """None in summaries of before it was asked."""
    choice: Proportion | None = None
    """Which of the two sounds of a picture belongs to it; None where the law of pairs gives one sound only."""
    bias: Bias | None = None
    matching: Matching | None = None
    choice_by_action: dict[str, Proportion] = field(default_factory=dict)
    reliability: Trustworthiness | None = None
    """None in summaries of before it was asked."""
    maps: MapReport | None = None
    """None where nobody knows where the sounds come from, and in summaries of before it was asked."""


def by_action(got: Predictions, dataset: Dataset) -> tuple[ActionRow, ...]:
    """Accuracy of each action with its verdict, highest estimate first."""
    action, group = dataset.index.action[got.clip], dataset.index.group[got.clip]
    return judge(dataset.info.actions, action, got.hits, group)


def by_shift(got: Predictions, found: Choices, dataset: Dataset) -> tuple[ScoreRow, ...]:
    """Accuracy of in-sync examples, and of shifted ones by how far, with the choice between both."""
    group, fps = dataset.index.group, dataset.info.clock.fps
    of, distance, moved = group[got.clip], np.abs(got.shift), np.abs(found.shift)
    rows = [ScoreRow("in sync", proportion_of(got.hits[got.in_sync], of[got.in_sync]))]
    for span in shift_bins(distance[~got.in_sync], fps) if (~got.in_sync).any() else ():
        chosen, pairs = ~got.in_sync & within(distance, fps, span), within(moved, fps, span)
        if chosen.any():
            choice = found.of(pairs, group) if pairs.any() else None
            rows.append(ScoreRow(span_name(span), proportion_of(got.hits[chosen], of[chosen]), choice))
    return tuple(rows)


def localisation(points: list[PointingResult], groups: NDArray[np.integer]) -> Localisation | None:
    """None when no clip had true boxes."""
    if not points:
        return None
    return Localisation(
        hottest=proportion_of(np.array([point.hit for point in points]), groups),
        centre=proportion_of(np.array([point.centre_hit for point in points]), groups),
        chance=float(np.mean([point.chance for point in points])),
    )


def save(card: Scorecard, got: Predictions, dataset: Dataset, folder: Path) -> None:
    """Write summary.json, by_action.csv, by_shift.csv, reliability.csv and predictions.csv."""
    make_folder(folder)
    write_json(folder / SUMMARY, card)
    header = ("accuracy", "low_95", "high_95", "examples")
    more = ("estimate", "sources", "verdict", "more_sources_to_tell")
    choice = ("choice", "choice_low_95", "choice_high_95", "pairs")
    actions = ((*_cells(row), *_choice_cells(card.choice_by_action.get(row.name))) for row in card.actions)
    shifts = ((row.name, *astuple(row.accuracy), *_choice_cells(row.choice)) for row in card.shifts)
    write_csv(folder / "by_action.csv", ("action", *header, *more, *choice), actions)
    write_csv(folder / "by_shift.csv", ("shift", *header, *choice), shifts)
    columns = ("reading", "low", "high", "predicted", "observed", "low_95", "high_95", "examples")
    write_csv(folder / "reliability.csv", columns, _reliability_rows(card.reliability))
    if card.maps:
        write_maps(folder, card.maps)
    names, action, fps = dataset.info.actions, dataset.index.action, dataset.info.clock.fps
    examples = (
        (dataset.key(int(clip)), names[action[clip]], f"{float(int(shift) / fps):.4f}", int(sync), f"{logit:.4f}")
        for clip, shift, sync, logit in zip(got.clip, got.shift, got.in_sync, got.logit, strict=True)
    )
    write_csv(folder / "predictions.csv", ("clip", "action", "shift_s", "in_sync", "logit"), examples)


def _reliability_rows(found: Trustworthiness | None) -> Iterator[tuple[object, ...]]:
    """A line for each bin."""
    for name in ("of_logits", "of_run") if found else ():
        read: Reliability | None = getattr(found, name)
        for row in read.bins if read else ():
            yield name, row.low, row.high, row.predicted, *astuple(row.observed)


def _cells(row: ActionRow) -> tuple[object, ...]:
    name, accuracy, *more = astuple(row)
    return name, *accuracy, *more


def _choice_cells(choice: Proportion | None) -> tuple[object, ...]:
    return astuple(choice) if choice else ("", "", "", 0)
