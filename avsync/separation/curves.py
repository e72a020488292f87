"""What a training that takes sounds apart shows in TensorBoard: curves, spectrograms, and sounds to listen to."""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from avsync.figures import figure_pixels, to_uint8
from avsync.models.spectrum import Spectrum
from avsync.run.info import RunInfo
from avsync.run.paths import RunPaths
from avsync.run.receipt import Receipt
from avsync.separation.decibels import Judgement
from avsync.train.tracking import CurveFolder, StepMetrics, flat_settings, work_points

SHOWN = 3
"""Rows of a sheet, and sounds to listen to."""
DEEP_DB = 60
"""Below the loudest, where a drawn spectrogram is black."""


class SeparationCurves:
    """RUN/tensorboard, a folder each for training and validation."""

    def __init__(self, paths: RunPaths, info: RunInfo, resumed_at: int) -> None:
        self.train, self.validation = (
            CurveFolder(paths.tensorboard / name, resumed_at) for name in ("train", "validation")
        )
        if not resumed_at:
            lines = [f"| {name} | {value} |" for name, value in flat_settings(info.config)]
            self.train.text("settings", "\n".join(["| setting | value |", "|---|---|", *lines]), 0)

    def point(self, now: StepMetrics) -> None:
        """Error of the drawn masks in decibels, and how often the part taken is the picture's own."""
        self.train.scalars(
            {"error_db": now.loss, "own_part_taken": now.accuracy, **work_points(now)},
            now.step,
        )

    def validated(self, figures: Mapping[str, float], step: int) -> None:
        self.validation.scalars(figures, step)

    def heard(self, got: Judgement, spectrum: Spectrum, rate: int, step: int) -> None:
        """First mixtures of a validation: spectrograms under a picture, and the sounds."""
        self.validation.image("taken_apart", sheet(got, spectrum), step)
        sounds = got.mixtures.sounds.repeat_interleave(2, dim=0)
        for row in range(min(SHOWN, len(got.taken))):
            parts = {"1_mixture": sounds[row], "2_taken": got.taken[row], "3_truth": got.mixtures.parts[row]}
            for name, sound in parts.items():
                heard = sound.mean(0, keepdim=True).clamp(-1, 1).cpu()
                self.validation.draw(
                    lambda writer, name=f"sound_{row}/{name}", heard=heard: writer.add_audio(
                        name, heard, step, sample_rate=rate
                    )
                )

    def note(self, name: str, text: str, step: int) -> None:
        self.train.text(name, text, step)

    def receipt(self, receipt: Receipt) -> None:
        self.note("receipt", str(receipt), receipt.step)

    def efficiency(self, step: int, busy: float, floor: float) -> None:
        self.train.scalars({"efficiency/gpu_busy_mean": busy, "efficiency/floor": floor}, step)

    def flush(self) -> None:
        for writer in (self.train, self.validation):
            writer.flush()

    def close(self) -> None:
        for writer in (self.train, self.validation):
            writer.close()


def sheet(got: Judgement, spectrum: Spectrum) -> NDArray[np.uint8]:
    """(H, W, 3): of the first rows a picture, and spectrograms of the mixture, of what was taken, of the truth."""
    rows = min(SHOWN, len(got.taken))
    figure = Figure(figsize=(12, 2.2 * rows), layout="constrained")
    axes = figure.subplots(rows, 4, squeeze=False, width_ratios=(1, 2, 2, 2))
    sounds = got.mixtures.sounds.repeat_interleave(2, dim=0)
    for row in range(rows):
        frames = to_uint8(got.given.frames[row])
        axes[row, 0].imshow(frames[len(frames) // 2])
        loud = spectrogram_db(spectrum, sounds[row])
        columns = (("mixture", sounds), ("taken", got.taken), ("truth", got.mixtures.parts))
        for column, (name, sound) in enumerate(columns, start=1):
            drawn = spectrogram_db(spectrum, sound[row])
            axes[row, column].imshow(
                drawn, origin="lower", aspect="auto", cmap="magma", vmin=loud.max() - DEEP_DB, vmax=loud.max()
            )
            axes[row, column].set_title(name if row == 0 else "", fontsize=8)
        for one in axes[row]:
            one.set(xticks=[], yticks=[])
    return figure_pixels(figure)


def spectrogram_db(spectrum: Spectrum, sound: Tensor) -> NDArray[np.float32]:
    """(C, S) -> (F, n) decibels."""
    power = spectrum.of_sound(sound.unsqueeze(0))[0].abs().square().mean(0)
    return (10 * torch.log10(power + 1e-9)).float().cpu().numpy()
