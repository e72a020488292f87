"""A localised video in one picture: moments with their heat, the waveform, and the score over time."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from avsync.figures import ACCENT, INK, PALE, bare, draw_sound, figure_png

MOMENTS = 12
"""Pictures on the sheet."""
PEAKS_PER_S = 200


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One picture of the sheet."""

    seconds: float
    rgb: NDArray[np.uint8]
    """(H, W, 3) with its heat"""


@dataclass(slots=True)
class Moments:
    """Picks MOMENTS pictures, evenly over time, out of a passing film."""

    wanted: list[float]
    """Seconds still to come."""
    kept: list[Moment] = field(default_factory=list)
    last: Moment | None = None

    @classmethod
    def over(cls, start_s: float, end_s: float) -> "Moments":
        fractions = (np.arange(MOMENTS) + 0.5) / MOMENTS
        return cls((start_s + fractions * (end_s - start_s)).tolist())

    def offer(self, seconds: float, rgb: NDArray[np.uint8]) -> None:
        """The next picture."""
        self.last = Moment(seconds, rgb)
        if self.wanted and seconds >= self.wanted[0]:
            self.kept.append(self.last)
            self.wanted = [moment for moment in self.wanted if moment > seconds]

    def chosen(self) -> list[Moment]:
        """What goes on the sheet; of a film too short to reach the first moment, its last picture."""
        return self.kept or [moment for moment in (self.last,) if moment is not None]


@dataclass(slots=True)
class Envelope:
    """Loudest sample of each 1/PEAKS_PER_S second, gathered piece by piece."""

    rate: int
    peaks: list[float] = field(default_factory=list)
    _rest: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))

    def add(self, samples: NDArray[np.int16]) -> None:
        """The next samples, (S, C)."""
        loud = np.abs(samples.astype(np.float32)).max(axis=1) / 32768
        joined = np.concatenate((self._rest, loud))
        step = max(1, self.rate // PEAKS_PER_S)
        whole = len(joined) // step * step
        self.peaks += joined[:whole].reshape(-1, step).max(axis=1).tolist()
        self._rest = joined[whole:]

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Middle of each peak's stretch."""
        return (np.arange(len(self.peaks)) + 0.5) * max(1, self.rate // PEAKS_PER_S) / self.rate


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sheet:
    """What the sheet shows."""

    title: str
    moments: list[Moment]
    envelope: Envelope
    score_seconds: NDArray[np.float64]
    score: NDArray[np.float32]
    """Probability, at `score_seconds`, that sound and picture belong together."""
    end_s: float


def sheet_png(sheet: Sheet) -> bytes:
    """Draw it; a PNG file's bytes."""
    columns, rows = _grid(sheet)
    height, width = sheet.moments[0].rgb.shape[:2]
    cell = 13 / columns
    figure = Figure(figsize=(13.4, rows * (cell * height / width + 0.3) + 3.2), dpi=110, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.03, wspace=0, hspace=0)  # type: ignore[union-attr]
    figure.suptitle(sheet.title, x=0.012, ha="left", fontsize=11, color=INK, parse_math=False)
    grid = figure.add_gridspec(rows + 2, columns, height_ratios=[*[cell * height / width + 0.3] * rows, 1.1, 1.1])
    for number, moment in enumerate(sheet.moments):
        axes = figure.add_subplot(grid[number // columns, number % columns])
        axes.imshow(moment.rgb, interpolation="antialiased")
        axes.set_title(f"{moment.seconds:.1f} s", fontsize=8, color=INK, loc="left", pad=2)
        axes.set_axis_off()
    sound = figure.add_subplot(grid[rows, :])
    draw_sound(sound, sheet.envelope.seconds, np.array(sheet.envelope.peaks))
    score = figure.add_subplot(grid[rows + 1, :], sharex=sound)
    _draw_score(score, sheet)
    for axes in (sound, score):
        bare(axes)
        axes.set_xlim(0, sheet.end_s)
        for moment in sheet.moments:
            axes.axvline(moment.seconds, color=PALE, linewidth=0.6, alpha=0.6)
    sound.tick_params(labelbottom=False)
    return figure_png(figure)


def _grid(sheet: Sheet) -> tuple[int, int]:
    """Columns and rows: wide pictures get fewer columns, and no row is left half empty if that can be."""
    height, width = sheet.moments[0].rgb.shape[:2]
    count = len(sheet.moments)
    columns = min(count, 4 if width >= 1.2 * height else 6)
    return columns, -(-count // columns)


def _draw_score(axes: Any, sheet: Sheet) -> None:
    axes.axhline(0.5, color=PALE, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.fill_between(sheet.score_seconds, 0.5, sheet.score, color=ACCENT, alpha=0.18, linewidth=0)
    axes.plot(sheet.score_seconds, sheet.score, color=ACCENT, linewidth=1.6)
    axes.set(ylim=(0, 1), yticks=[0, 0.5, 1])
    axes.set_yticklabels(["0", "chance", "1"])
    axes.set_ylabel("in sync", fontsize=9, color=INK)
    axes.set_xlabel("seconds", fontsize=9, color=INK)
