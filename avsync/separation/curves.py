"""What a training that takes sounds apart shows in TensorBoard: curves, spectrograms, and sounds to listen to."""

from collections.abc import Mapping

from avsync.figures import figure_pixels
from avsync.models.spectrum import Spectrum
from avsync.run.info import RunInfo
from avsync.run.paths import RunPaths
from avsync.run.receipt import Receipt
from avsync.separation.decibels import Judgement
from avsync.separation.examples import Example, sheet
from avsync.train.tracking import CurveFolder, StepMetrics, flat_settings, work_points

SHOWN = 3
"""Rows of a sheet, and sounds to listen to."""


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
        shown = [Example.of(got, row) for row in range(min(SHOWN, len(got.taken)))]
        self.validation.image("taken_apart", figure_pixels(sheet(shown, spectrum)), step)
        for row, one in enumerate(shown):
            parts = {"1_mixture": one.mixture, "2_taken": one.taken, "3_truth": one.truth}
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
