"""The learning curves of all arms, and what a person at the terminal is told of them."""

import torch

from avsync.finetune.config import ArmName
from avsync.finetune.out_folder import Begun, LearningPoint, OutPaths
from avsync.run.progress import ValidationScore, finite
from avsync.run.receipt import Receipt
from avsync.run.state import State
from avsync.train.reporter import Reporter
from avsync.train.tracking import CurveFolder, StepMetrics
from avsync.world import words_for
from sharding.base.files import read_json, write_json
from sharding.base.text import counted, percent


class LearningCurves:
    """OUT/curves.json, and the same in TensorBoard, a folder for each arm."""

    def __init__(self, out: OutPaths, arms: tuple[ArmName, ...], step: int) -> None:
        """Points up to `step`, from which the training goes on."""
        self._path = out.curves
        before = read_json(out.curves, list[LearningPoint]) if step else []
        self.points = [point for point in before if point.step <= step]
        self._writers: dict[ArmName, CurveFolder] = {arm: CurveFolder(out.run.tensorboard / arm, step) for arm in arms}

    def add(self, points: list[LearningPoint]) -> None:
        self.points += points
        for point in points:
            drawn = {f"{point.split}/loss": point.loss, f"{point.split}/accuracy": point.accuracy}
            self._writers[point.arm].scalars(drawn, point.step)

    def best(self, arm: ArmName) -> LearningPoint | None:
        """Highest accuracy; of equal ones, common where the val split is small, the lower loss; then the earlier."""
        own = [point for point in self.points if (point.arm, point.split) == (arm, "val")]
        return max(own, key=lambda point: (point.accuracy, -point.loss), default=None)

    def scored(self, step: int) -> bool:
        """Whether there is a validation of that step."""
        return any((point.split, point.step) == ("val", step) for point in self.points)

    def point(self, now: StepMetrics) -> None:
        """Means since the point before."""
        self.add(
            [
                LearningPoint(arm=arm, split="train", step=now.step, loss=loss, accuracy=accuracy)
                for arm, (loss, accuracy), examples in zip(self._writers, now.means, now.sums[2::3], strict=True)
                if examples
            ]
        )

    def note(self, name: str, text: str, step: int) -> None:
        for writer in self._writers.values():
            writer.text(name, text, step)

    def receipt(self, receipt: Receipt) -> None:
        self.note("receipt", str(receipt), receipt.step)

    def efficiency(self, step: int, busy: float, floor: float) -> None:
        """A comparison has no floor to keep."""

    def flush(self) -> None:
        """A point that no checkpoint has reached is forgotten by who goes on."""
        for writer in self._writers.values():
            writer.flush()
        write_json(self._path, self.points)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()


class FinetuneReporter(Reporter):
    """How the arms do."""

    def __init__(self, begun: Begun, out: OutPaths, state: State, curves: LearningCurves) -> None:
        self._begun, self._log, config = begun, out.run.tensorboard, begun.config
        super().__init__("fine-tuning", out.run, state, steps=config.steps, batch=config.batch, curves=curves)

    def introduce(self, device: torch.device, clips: int, first: int) -> None:
        """What is compared, learned from so many clips from step `first` on."""
        begun = self._begun
        self.say(
            f"{begun.config.task} recognition, {len(begun.classes)} classes: {' and '.join(begun.config.arms)}, "
            f"network {begun.model} of step {begun.run_step}; 1 process, on {words_for(device)}; "
            f"{counted(clips, 'clip')} to train on, {begun.config.batch} a step, "
            f"{f'resumed at step {first}' if first else 'steps 0'} to {begun.config.steps}; log: {self._log}"
        )

    def status(self, now: StepMetrics) -> str:
        """What the arms do on the clips they train on."""
        means = zip(self._begun.config.arms, now.means, strict=True)
        each = (f"{arm} {percent(accuracy, digits=0)}" for arm, (_, accuracy) in means)
        return "accuracy on train: " + "  ".join(each)

    def scored(self, points: list[LearningPoint], state: State) -> None:
        """What they do on the val split; progress.json has the first arm's."""
        first = points[0]
        each = ", ".join(f"{point.arm} {percent(point.accuracy)} (loss {point.loss:.3f})" for point in points)
        self.say(f"step {state.step}: accuracy on val: {each}")
        self.validated(ValidationScore(state.step, first.accuracy, finite(first.loss)), state)
