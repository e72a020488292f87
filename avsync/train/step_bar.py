"""Steps of a training on the terminal: a live bar, or plain lines where there is no terminal."""

import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sharding.base.console import open_console
from sharding.base.text import duration

LINE_EVERY_S = 20.0
"""A log file gets a line this often."""


class StepBar:
    """Use as a context manager. `quiet` for ranks other than 0."""

    def __init__(self, doing: str, steps: int, done: int, *, quiet: bool = False) -> None:
        self._console = open_console(quiet=quiet)
        self._steps, self._started, self._first, self._last_line = steps, time.monotonic(), done, 0.0
        self._bar = Progress(
            TextColumn(doing), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[state]}", markup=False),
            TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(),
            console=self._console, disable=not self._console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task(doing, total=steps, completed=done, state="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, text: str, style: str = "") -> None:
        """A line that stays."""
        self._console.print(text, style=style, soft_wrap=True)

    def done(self, step: int) -> None:
        """Moves the bar."""
        self._bar.update(self._task, completed=step)

    def stands(self, step: int, state: str) -> None:
        """Moves the bar and says how the training stands; in a log file, a line now and then and at the end."""
        self._bar.update(self._task, completed=step, state=state)
        now = time.monotonic()
        if not self._console.is_terminal and (now - self._last_line > LINE_EVERY_S or step == self._steps):
            self._last_line = now
            left = (now - self._started) / max(1, step - self._first) * (self._steps - step)
            self.say(f"step {step}/{self._steps}  {state}  ETA {duration(left)}")
