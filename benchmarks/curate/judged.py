"""What the table says of planted videos, held against the truth, second by second."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from avsync.metrics import proportion_of
from benchmarks.base.table import Table
from benchmarks.curate.planted import Truth
from sharding.base.text import interval, percent
from sharding.sources.curated import CuratedRow, Verdict

PICTURE_S = 0.04
WORSE_S = 0.02
"""A second is spoilt when its sound is further off than it was, by more than half a picture."""
OUTCOMES = ("right", "off", "spoilt", "dropped", "can't tell")
ABOUT = (
    "right: kept, and in sync to one picture of 40 ms after the repair; of what is no material: left out, as dropped "
    "or can't tell. off: kept, and not so. spoilt: of these, further off than before; of what is no material: kept."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Second:
    """A second of a video, and what became of it."""

    kind: str
    video: str
    outcomes: frozenset[str]


def judged(video: str, truth: Truth, rows: Sequence[CuratedRow], track: int | None = None) -> list[Second]:
    """Each second of a video that a row covers; `track`: by its rows alone."""
    found = list[Second]()
    for row in rows:
        if row.end_s is None or (track is not None and row.track != track):
            continue
        length = float(row.end_s - row.start_s)
        for at in range(max(1, round(length))):
            time = float(row.start_s) + (at + 0.5) * length / max(1, round(length))
            found.append(Second(kind=truth.kind, video=video, outcomes=frozenset(_outcomes(truth, row, time))))
    return found


def _outcomes(truth: Truth, row: CuratedRow, time: float) -> Iterable[str]:
    if not row.verdict.keeps:
        yield "dropped" if row.verdict is Verdict.DROP else "can't tell"
        if not truth.material:
            yield "right"
        return
    if not truth.material:
        yield from ("off", "spoilt")
        return
    was = truth.offset_s(time)
    left = was - float(row.offset_ms or Fraction(0)) / 1000
    yield "right" if abs(left) <= PICTURE_S else "off"
    if abs(left) > abs(was) + WORSE_S:
        yield "spoilt"


def table_of(seconds: Sequence[Second], title: str) -> Table:
    """A row for each kind; intervals are by video."""
    table = Table(title, ("kind", "videos", "seconds", *OUTCOMES), note=ABOUT)
    kinds = list(dict.fromkeys(one.kind for one in seconds))
    for kind in (*kinds, "all"):
        mine = [one for one in seconds if kind in (one.kind, "all")]
        videos = sorted({one.video for one in mine})
        groups = np.array([videos.index(one.video) for one in mine])
        table.add(kind, len(videos), len(mine), *(_share(mine, groups, name) for name in OUTCOMES))
    return table


def _share(mine: Sequence[Second], groups: np.ndarray, name: str) -> str:
    found = proportion_of(np.array([name in one.outcomes for one in mine]), groups)
    return f"{percent(found.value, 0)} ({interval(found.low, found.high, 0)})"
