"""What a person at the terminal sees of a comparison in training."""

from avsync.finetune.place import LearningPoint
from avsync.train.reporter import StepBar


class FinetuneReport(StepBar):
    """Use as a context manager."""

    def __init__(self, steps: int, done: int) -> None:
        super().__init__("fine-tuning", steps, done)

    def trained(self, step: int, points: list[LearningPoint]) -> None:
        """What the arms do on the clips they train on."""
        self.stands(step, "accuracy on train: " + "  ".join(f"{point.arm} {point.accuracy:.0%}" for point in points))

    def validated(self, step: int, points: list[LearningPoint]) -> None:
        """What they do on the val split."""
        told = ", ".join(f"{point.arm} {point.accuracy:.1%} (loss {point.loss:.3f})" for point in points)
        self.say(f"step {step}: accuracy on val: {told}")
