"""How good the maps are: by case of the truth, and how often they light up where nothing in the picture sounds.

How they are read (avsync.models.cam.MapReading) is chosen on val, by where their hottest points lie there. So is one
threshold for all, as detectors are set, by false alarms: the lowest heat at which no control lights more than one map
of twenty. From it on a map is lit; how many true ones are is then the network's merit.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from avsync.evaluate.controls import CONTROLS, AskedMap
from avsync.evaluate.pointing import HALF, area, success
from avsync.metrics import Mean, Proportion, mean_of, proportion_of, roc_auc
from avsync.models.cam import MapReading
from sharding.base.csv_table import write_csv
from sharding.base.text import interval, percent

ALLOWED = 0.05
"""Of val's maps under each control that may be lit."""
OFF_SCREEN = "off-screen"
READ = ("around", "moment", "frames_back")
"""Columns: see MapReading."""
ALL = "all"
MOST_CASES = 20
"""Rows; the rarer cases are among all of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Threshold:
    """The heat from which on a map is lit."""

    heat: float
    split: str
    """Whose maps it was chosen on."""
    maps: int
    """Of these, with their own sound."""
    reading: MapReading = field(default_factory=MapReading)
    """The one by which most hottest points lay on what sounds there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseRow:
    """One case of the truth, or all of them."""

    name: str
    maps: int
    right: Proportion
    """Lit, and its hottest point on what sounds; where nothing in the picture sounds: dark."""
    lit: Proportion
    hottest: Proportion | None
    """Hottest point on what sounds, lit or not; None where nothing was in sight, as for the rest."""
    ciou: Mean | None
    found: Proportion | None
    """cIoU of at least 0.5."""
    auc: float | None
    """Area under the success curve of cIoU."""
    curve: tuple[float, ...] = ()
    """That curve: rates at pointing.STEPS."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FalseMaps:
    """How often a map is lit under one control."""

    control: str
    lit: Proportion


@dataclass(frozen=True, kw_only=True, slots=True)
class MapReport:
    """All that is said of maps."""

    threshold: Threshold
    cases: tuple[CaseRow, ...]
    """All of them first."""
    false: tuple[FalseMaps, ...]
    """Silence, noise, swap; off-screen where there is such a picture."""
    separation: float
    """ROC AUC of the heat: a map with its source in sight against one under a control."""


def unlit(asked: Sequence[AskedMap]) -> dict[str, list[AskedMap]]:
    """The maps that must stay dark under each control, each with its heat."""
    found = {name: [one for one in asked if name in one.controls] for name in CONTROLS}
    return {
        name: maps for name, maps in (found | {OFF_SCREEN: [one for one in asked if one.off_screen]}).items() if maps
    }


def heat_under(control: str, asked: Sequence[AskedMap]) -> NDArray[np.float64]:
    """The most of each."""
    return np.array([one.heat if control == OFF_SCREEN else one.controls[control] for one in asked])


def choose(asked: Mapping[MapReading, Sequence[AskedMap]], split: str) -> Threshold:
    """Of the maps of val, as each reading has them: the reading that points best, and the lowest heat at which no
    control lights more than ALLOWED of them. What has no heat is dark.
    """
    reading = max(asked, key=lambda one: sum(bool(its.point and its.point.hit) for its in asked[one]))
    maps = asked[reading]
    heats = np.concatenate([[0.0, *(one.heat for one in maps)], *(heat_under(*one) for one in unlit(maps).items())])
    needed = 0.0
    for control, dark in unlit(maps).items():
        under = np.sort(heat_under(control, dark))
        needed = max(needed, float(under[len(under) - 1 - int(ALLOWED * len(under))]))
    above = heats[heats > needed]
    least = (needed + float(above.min())) / 2 if len(above) else float(np.nextafter(needed, np.inf))
    return Threshold(heat=least, split=split, maps=len(maps), reading=reading)


def report(asked: Sequence[AskedMap], threshold: Threshold) -> MapReport:
    """Of at least one map."""
    false, dark = list[FalseMaps](), unlit(asked)
    for control, maps in dark.items():
        lit = heat_under(control, maps) >= threshold.heat
        false.append(FalseMaps(control=control, lit=proportion_of(lit, _groups(maps))))
    seen = np.array([one.heat for one in asked if not one.off_screen])
    unseen = np.concatenate([heat_under(name, maps) for name, maps in dark.items()]) if dark else np.zeros(0)
    heats, positive = np.concatenate((seen, unseen)), np.arange(len(seen) + len(unseen)) < len(seen)
    return MapReport(
        threshold=threshold,
        cases=tuple(_rows(asked, threshold)),
        false=tuple(false),
        separation=roc_auc(heats, positive),
    )


def _rows(asked: Sequence[AskedMap], threshold: Threshold) -> Iterator[CaseRow]:
    yield _row(ALL, asked, threshold)
    named = Counter(one.case for one in asked if one.case)
    for name in sorted(name for name, _ in named.most_common(MOST_CASES)):
        yield _row(name, [one for one in asked if one.case == name], threshold)


def _row(name: str, asked: Sequence[AskedMap], threshold: Threshold) -> CaseRow:
    """Where what sounds is beyond the network's crop at the hottest moment, nothing is right or wrong."""
    lit = np.array([one.heat >= threshold.heat for one in asked])
    pointed = [one for one in asked if one.point]
    judged = [one for one in asked if one.off_screen or one.point]
    found, groups = np.array([one.ciou for one in pointed]), _groups(pointed)
    return CaseRow(
        name=name,
        maps=len(asked),
        right=proportion_of(np.array([_is_right(one, threshold) for one in judged], bool), _groups(judged)),
        lit=proportion_of(lit, _groups(asked)),
        hottest=proportion_of(np.array([bool(one.point and one.point.hit) for one in pointed]), groups)
        if pointed
        else None,
        ciou=mean_of(found, groups) if pointed else None,
        found=proportion_of(found >= HALF, groups) if pointed else None,
        auc=area(found) if pointed else None,
        curve=tuple(success(found).tolist()) if pointed else (),
    )


def _is_right(one: AskedMap, threshold: Threshold) -> bool:
    lit = one.heat >= threshold.heat
    return not lit if one.off_screen else bool(lit and one.point and one.point.hit)


def _groups(asked: Sequence[AskedMap]) -> NDArray[np.int64]:
    return np.array([one.group for one in asked], np.int64)


def map_table(found: MapReport) -> Table:
    """By case, then by control."""
    columns = ("right", "95 % interval", "hottest point on it", "cIoU", "cIoU 0.5", "AUC", "maps")
    table = Table("case", *columns, title="maps: by case of the truth")
    for row in found.cases:
        spread = interval(row.right.low, row.right.high)
        hottest, overlap, half = (percent(one.value) if one else "" for one in (row.hottest, row.ciou, row.found))
        area_under = f"{row.auc:.3f}" if row.auc is not None else ""
        table.add_row(
            Text(row.name), percent(row.right.value), spread, hottest, overlap, half, area_under, str(row.maps)
        )
    return table


def map_words(found: MapReport) -> str:
    """How often maps light up for nothing."""
    threshold, false = found.threshold, ", ".join(f"{one.control} {one.lit}" for one in found.false)
    return (
        f"lit though nothing in the picture sounds: {false}; lit from heat {threshold.heat:.3g} on, chosen on "
        f"{threshold.maps} maps of {threshold.split}, as was how they are read, {threshold.reading}; own sound against "
        f"these, ROC AUC {found.separation:.3f}"
    )


def write_maps(folder: Path, found: MapReport) -> None:
    """by_case.csv and false_maps.csv."""
    shares = ("right", "lit", "hottest", "found")
    names = ("case", "maps", *(f"{name}{end}" for name in shares for end in ("", "_low_95", "_high_95", "_examples")))
    rows = (
        (row.name, row.maps, *chain(*(_cells(getattr(row, name)) for name in shares)), *_overlap(row))
        for row in found.cases
    )
    write_csv(folder / "by_case.csv", (*names, "ciou", "ciou_low_95", "ciou_high_95", "auc"), rows)
    threshold = found.threshold
    chosen = (threshold.heat, threshold.split, *astuple(threshold.reading))
    false = ((one.control, *_cells(one.lit), *chosen) for one in found.false)
    header = ("control", "lit", "low_95", "high_95", "examples", "threshold", "chosen_on", *READ)
    write_csv(folder / "false_maps.csv", header, false)


def _cells(share: Proportion | None) -> tuple[object, ...]:
    return astuple(share) if share else ("", "", "", 0)


def _overlap(row: CaseRow) -> tuple[object, ...]:
    return (row.ciou.value, row.ciou.low, row.ciou.high, row.auc) if row.ciou else ("", "", "", "")
