"""What was taken apart, to look at and to listen to: of the best, the median and the worst picture of an evaluation.

EVALUATION/examples/: NAME-mixture.wav, NAME-taken.wav, NAME-truth.wav, and examples.png beside them.
"""

import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from avsync.figures import to_uint8
from avsync.models.spectrum import Spectrum
from avsync.separation.decibels import Judgement
from sharding.base.files import publish

RANKS: dict[str, float] = {"best": 1.0, "median": 0.5, "worst": 0.0}
"""Of improvements in ascending order, how far up."""
DEEP_DB = 60
"""Below the loudest, where a drawn spectrogram is black."""
SOUNDS = ("mixture", "taken", "truth")
FULL = 32767


class Example(NamedTuple):
    """One picture of a mixture."""

    name: str
    picture: NDArray[np.uint8]
    """(H, W, 3), from the middle"""
    mixture: Tensor
    """(C, S), as the others"""
    taken: Tensor
    truth: Tensor

    @classmethod
    def of(cls, got: Judgement, row: int, name: str = "") -> "Example":
        """A row of a batch."""
        middle = got.given.frames[row, :, got.given.frames.shape[2] // 2, None]
        sounds = got.mixtures.sounds[row // 2], got.taken[row], got.mixtures.parts[row]
        return cls(name, to_uint8(middle)[0], *(sound.cpu().clone() for sound in sounds))  # the batch may go


def ranked(improvement: NDArray[np.float64]) -> dict[str, int]:
    """Row of each of RANKS."""
    order = np.argsort(improvement, kind="stable")
    return {name: int(order[round(place * (len(order) - 1))]) for name, place in RANKS.items()}


def sheet(examples: Sequence[Example], spectrum: Spectrum) -> Figure:
    """Of each a picture, and spectrograms of the mixture, of what was taken, of the truth."""
    figure = Figure(figsize=(12, 2.2 * len(examples)), layout="constrained")
    axes = figure.subplots(len(examples), 1 + len(SOUNDS), squeeze=False, width_ratios=(1, 2, 2, 2))
    for row, one in enumerate(examples):
        axes[row, 0].imshow(one.picture)
        axes[row, 0].set_title(one.name, fontsize=8)
        top = spectrogram_db(spectrum, one.mixture).max()
        for column, name in enumerate(SOUNDS, start=1):
            draw_spectrogram(axes[row, column], spectrogram_db(spectrum, getattr(one, name)), top)
            axes[row, column].set_title(name if row == 0 else "", fontsize=8)
        for each in axes[row]:
            each.set(xticks=[], yticks=[])
    return figure


def draw_spectrogram(
    axes: Axes,
    decibels: NDArray[np.floating],
    loudest: float,
    extent: tuple[float, float, float, float] | None = None,
) -> None:
    """decibels: (F, n). loudest: of all that is to be compared. extent: seconds and kHz of its sides."""
    look: dict[str, Any] = {"origin": "lower", "aspect": "auto", "cmap": "magma", "extent": extent}
    axes.imshow(decibels, vmin=loudest - DEEP_DB, vmax=loudest, **look)


def spectrogram_db(spectrum: Spectrum, sound: Tensor) -> NDArray[np.float32]:
    """(C, S) -> (F, n) decibels."""
    power = spectrum.of_sound(sound.unsqueeze(0))[0].abs().square().mean(0)
    return (10 * torch.log10(power + 1e-9)).float().cpu().numpy()


def write_sounds(folder: Path, examples: Sequence[Example], rate: int) -> None:
    """Equally loud within an example: the mixture's loudest sample is near full scale. Raises OSError."""
    for one in examples:
        gain = 0.9 / max(float(one.mixture.abs().max()), 1e-6)
        for name in SOUNDS:
            with publish(folder / f"{one.name}-{name}.wav") as file, wave.open(file, "wb") as written:
                sound: Tensor = getattr(one, name)
                written.setparams((len(sound), 2, rate, 0, "NONE", "not compressed"))
                written.writeframes((sound * gain).clamp(-1, 1).mul(FULL).round().short().T.cpu().numpy().tobytes())
