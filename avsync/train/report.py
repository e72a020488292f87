"""What a person at the terminal sees of a training run."""

import shlex

from avsync.train import tracking
from avsync.train.step_bar import StepBar


class TrainReport(StepBar):
    """Use as a context manager. `quiet` for ranks other than 0."""

    def __init__(self, steps: int, done: int, quiet: bool) -> None:
        super().__init__("training", steps, done, quiet=quiet)

    def finished(self, *following: object) -> None:
        """The last line: which command follows."""
        self.say(f"done. Next: {shlex.join(['avsync', *map(str, following)])}")

    def progress(self, now: tracking.Progress) -> None:
        """How the training stands."""
        self.stands(
            now.step,
            f"loss {now.loss:.3f}  accuracy {now.accuracy:.1%}  {now.clips_per_s:.1f} clips/s  "
            f"data wait {now.data_wait:.0%}",
        )
