"""The picture of a video that was taken apart: where its sound comes from, and spectrograms before and after."""

from fractions import Fraction
from math import floor
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from avsync.figures import INK, HeatScale, Painter, bare, figure_png
from avsync.localize.sheet import Moment, Moments
from avsync.localize.watched import Watched
from avsync.models.spectrum import Spectrum
from avsync.separation.examples import draw_spectrogram

COLUMNS, BANDS = 1200, 128
"""Of a drawn spectrogram, however long the video."""
SHOWN, STRENGTH = 6, 0.6
"""Pictures, and how opaque the hottest colour is."""
HIGHEST_HZ = 8000
"""Few voices and no thing that is hit has more to show above."""


class Heat(NamedTuple):
    """What the sync network made of the part of the picture that it saw."""

    of: Watched
    heat: NDArray[np.float32]
    """(frames of the network's clock, h, w)"""

    def on(self, moment: Moment, scale: HeatScale) -> NDArray[np.uint8]:
        """A picture with its heat; without where the part is not there."""
        when = Fraction(moment.seconds).limit_denominator(90_000)
        height, width = moment.rgb.shape[:2]
        if not self.of.has(when):
            return moment.rgb
        frame = floor(when * self.of.network.dataset.clock.fps + Fraction(1, 2)) - self.of.frames.start
        seen = self.of.seen(when, width, height)
        painter = Painter(height=height, width=width, seen=seen, strength=STRENGTH, scale=scale)
        return painter.paint(moment.rgb, self.heat[min(max(0, frame), len(self.heat) - 1)])


class BeforeAfter:
    """Gathers, while the films are written; memory does not grow with their length."""

    def __init__(self, end_s: float, rate: int, start_s: float, stop_s: float) -> None:
        self._end_s, self._rate, self._moments = end_s, rate, Moments.over(start_s, stop_s)
        self._power = np.zeros((3, BANDS, COLUMNS))  # before, taken, left
        self._counts = np.zeros(COLUMNS)
        self._total, self._taken = 0.0, 0.0

    @property
    def share(self) -> float:
        """Of the sound's power, that which was taken."""
        return min(1.0, self._taken / self._total) if self._total else 0.0

    def offer(self, seconds: float, rgb: NDArray[np.uint8]) -> None:
        """The next picture."""
        self._moments.offer(seconds, rgb)

    def hear(self, position: int, before: NDArray[np.float32], taken: NDArray[np.float32]) -> None:
        """The next stretch of sound, (S, C) each, from sample `position` on."""
        if not len(before):
            return
        self._total += float((before**2).sum())
        self._taken += float((taken**2).sum())
        spectrum = Spectrum.of(self._rate)
        for number, sound in enumerate((before, taken, before - taken)):
            mono = torch.from_numpy(sound.mean(axis=1, dtype=np.float32)[None, None])
            power = spectrum.of_sound(mono)[0, 0, :, 1:-1].abs().square().numpy()  # its ends are half in silence
            rows = min(len(power), max(BANDS, int(HIGHEST_HZ * spectrum.size / self._rate)))
            edges = np.linspace(0, rows, BANDS + 1).astype(int)[:-1]
            bands = np.add.reduceat(power[:rows], edges, axis=0)
            seconds = (position + (1 + np.arange(bands.shape[1])) * spectrum.hop) / self._rate
            at = np.minimum(COLUMNS - 1, (seconds / self._end_s * COLUMNS).astype(int))
            np.add.at(self._power[number].T, at, bands.T)
            if not number:
                np.add.at(self._counts, at, 1)

    def png(self, heat: Heat | None) -> bytes:
        """A PNG file's bytes."""
        moments = self._moments.chosen()
        moments = moments[:: max(1, len(moments) // SHOWN)][:SHOWN]
        figure = Figure(figsize=(13, 8), dpi=100, layout="constrained")
        grid = figure.add_gridspec(4, len(moments), height_ratios=(1.6, 1, 1, 1))
        scale = HeatScale.of(heat.heat) if heat else None
        for number, moment in enumerate(moments):
            axes = figure.add_subplot(grid[0, number])
            axes.imshow(heat.on(moment, scale) if heat and scale else moment.rgb)
            axes.set_title(f"{moment.seconds:.1f} s", fontsize=8, color=INK, loc="left", pad=2)
            axes.set_axis_off()
        levels = self._levels()
        for row, (name, drawn) in enumerate(zip(("before", "on screen", "off screen"), levels, strict=True), start=1):
            self._draw(figure.add_subplot(grid[row, :]), name, drawn, float(levels[0].max()))
        return figure_png(figure)

    def _levels(self) -> NDArray[np.float64]:
        """(3, BANDS, COLUMNS) decibels; columns that no moment fell into are as those before them."""
        filled = np.flatnonzero(self._counts)
        if not len(filled):
            return np.full_like(self._power, -120.0)
        nearest = filled[np.clip(np.searchsorted(filled, np.arange(COLUMNS), "right") - 1, 0, None)]
        return 10 * np.log10(self._power[..., nearest] / self._counts[nearest] + 1e-12)

    def _draw(self, axes: Any, name: str, drawn: NDArray[np.float64], loudest: float) -> None:
        top = min(HIGHEST_HZ, self._rate / 2) / 1000
        draw_spectrogram(axes, drawn, loudest, (0, self._end_s, 0, top))
        axes.set_ylabel(f"{name}\nkHz", fontsize=9, color=INK)
        bare(axes)
