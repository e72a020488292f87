"""What a person at the terminal sees of a comparison in training: a live bar, or lines where there is no terminal."""

import time
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from avsync.finetune.place import Point
from avsync.report import LINE_EVERY_S
from avsync.terminal import open_console
from sharding.words import duration


class FinetuneReport:
    """Use as a context manager."""

    def __init__(self, steps: int, done: int) -> None:
        self._console = open_console()
        self._steps, self._first, self._started, self._last_line = steps, done, time.monotonic(), 0.0
        self._bar = Progress(
            TextColumn("fine-tuning"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(),
            console=self._console, disable=not self._console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("finetune", total=steps, completed=done, state="")

    def __enter__(self) -> "FinetuneReport":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text, soft_wrap=True)

    def done(self, step: int) -> None:
        """Moves the bar."""
        self._bar.update(self._task, completed=step)

    def trained(self, step: int, points: list[Point]) -> None:
        """What the arms do on the clips they train on."""
        state = "  ".join(f"{point.arm} {point.accuracy:.0%}" for point in points)
        self._bar.update(self._task, completed=step, state=state)
        now = time.monotonic()
        if not self._console.is_terminal and (now - self._last_line > LINE_EVERY_S or step == self._steps):
            self._last_line = now
            left = (now - self._started) / max(1, step - self._first) * (self._steps - step)
            self.say(f"step {step}/{self._steps}  accuracy on train: {state}  ETA {duration(left)}")

    def validated(self, step: int, points: list[Point]) -> None:
        """What they do on the val split."""
        told = ", ".join(f"{point.arm} {point.accuracy:.1%} (loss {point.loss:.3f})" for point in points)
        self.say(f"step {step}: accuracy on val: {told}")
