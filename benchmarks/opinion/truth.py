"""Files whose truth is known: a white flash and a beep begin at one instant. Who puts them together is right.

Which picture is the flash and where in a frame the beep begins is seen and heard; when they are, each side says itself.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.opinion.frames import NOTHING, NS, Apart, Column

LIST = "faults.csv"
"""Beside files that flash and beep: which do, and how far from each other that may be found."""
LIT = 60
"""Luma that a flash rises by, at least."""
LOUD = 0.04
"""Of full scale."""
QUIET_S = 0.25
"""Before a beep."""
NEAR_NS = NS // 4
"""Further from a flash than this is another one's beep."""


class FlashWatch:
    """Picture by picture."""

    def __init__(self) -> None:
        self._before: float | None = None

    def begins(self, picture: Any) -> int:
        """0 when a flash begins with this one, else NOTHING."""
        luma = float(picture.to_ndarray(format="gray").mean())
        rises = self._before is not None and luma - self._before > LIT
        self._before = luma
        return 0 if rises else NOTHING


class BeepWatch:
    """Frame by frame of sound."""

    def __init__(self) -> None:
        self._quiet_s = 0.0

    def begins(self, frame: Any) -> int:
        """Nanoseconds in the frame at which a beep begins, else NOTHING."""
        samples = frame.to_ndarray()
        if not frame.format.is_planar:
            samples = samples.reshape(-1, frame.layout.nb_channels).T
        scale = 1 if samples.dtype.kind == "f" else 2 ** (8 * samples.itemsize - 1)
        loud = np.flatnonzero(np.abs(samples.astype(np.float64)).max(axis=0) > LOUD * scale)
        if not len(loud):
            self._quiet_s += frame.samples / frame.sample_rate
            return NOTHING
        quiet_s = self._quiet_s + loud[0] / frame.sample_rate
        self._quiet_s = (frame.samples - 1 - int(loud[-1])) / frame.sample_rate
        return round(int(loud[0]) * NS / frame.sample_rate) if quiet_s > QUIET_S else NOTHING


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What the list says of a file."""

    tolerance_ms: float
    flashes: int
    """That have their beep, at least."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """How far flash and beep are apart, at most, where it should be nothing."""

    known: Known
    marks: int
    """Flashes with a beep, by our times."""
    ours_ms: float
    theirs_ms: float

    @property
    def right(self) -> str:
        """Who."""
        sides = (("pack", self.ours_ms), ("ffprobe", self.theirs_ms))
        enough = self.marks >= self.known.flashes
        return " and ".join(name for name, apart in sides if enough and apart <= self.known.tolerance_ms) or "nobody"


def known(path: Path) -> Known | None:
    """Of a file whose truth is known; None of others. A line of the list may stand for a folder of files."""
    for folder in path.parents:
        listed = folder / LIST
        if listed.is_file():
            inside = path.relative_to(folder)
            with listed.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    if Path(row["file"]).parts[0] == inside.parts[0]:
                        return Known(tolerance_ms=float(row["tolerance_ms"]), flashes=int(row["flashes"]))
            return None
    return None


def truth(pictures: Apart, sounds: Apart, listed: Known) -> Truth:
    """From frames in which the beginning of flashes and beeps is noted."""
    ours = _offsets(pictures, sounds, pictures.ours.when[pictures.mine], sounds.ours.when[sounds.mine])
    theirs = _offsets(pictures, sounds, pictures.theirs.when[pictures.other], sounds.theirs.when[sounds.other])
    return Truth(
        known=listed,
        marks=len(ours),
        ours_ms=float(np.abs(ours).max(initial=0)) / 1e6 if len(ours) else float("inf"),
        theirs_ms=float(np.abs(theirs).max(initial=0)) / 1e6 if len(theirs) else float("inf"),
    )


def _offsets(pictures: Apart, sounds: Apart, seen: Column, heard: Column) -> Column:
    """Of each flash, by how much its beep is late; flashes and beeps are the n-th in the order of the file."""
    flash, beep = (one.ours.begins[one.mine] for one in (pictures, sounds))
    flashes, beeps = seen[flash != NOTHING], (heard + beep)[beep != NOTHING]
    if not len(flashes) or not len(beeps):
        return np.zeros(0, np.int64)
    ours_seen = pictures.ours.when[pictures.mine][flash != NOTHING]
    ours_heard = (sounds.ours.when[sounds.mine] + beep)[beep != NOTHING]
    nearest = np.abs(ours_heard[None, :] - ours_seen[:, None]).argmin(axis=1)
    near = np.abs(ours_heard[nearest] - ours_seen) < NEAR_NS * 3
    return (beeps[nearest] - flashes)[near]
