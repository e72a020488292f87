"""What a person at the terminal sees of a training run: a live bar, or plain lines where there is no terminal."""

import shlex
import time
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from avsync import tracking
from avsync.terminal import open_console

LINE_EVERY_S = 20.0
"""A log file gets a line this often."""


class TrainReport:
    """Use as a context manager. `quiet` for ranks other than 0."""

    def __init__(self, steps: int, done: int, quiet: bool) -> None:
        self._console = open_console(quiet=quiet)
        self._steps, self._started, self._first, self._last_line = steps, time.monotonic(), done, 0.0
        self._bar = Progress(
            TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(),
            console=self._console, disable=not self._console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("train", total=steps, completed=done, state="")

    def __enter__(self) -> "TrainReport":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, text: str, style: str = "") -> None:
        """A line that stays."""
        self._console.print(text, style=style, soft_wrap=True)

    def done(self, *following: object) -> None:
        """The last line: which command follows."""
        self.say(f"done. Next: {shlex.join(['avsync', *map(str, following)])}")

    def progress(self, now: tracking.Progress) -> None:
        """Moves the bar."""
        state = (
            f"loss {now.loss:.3f}  accuracy {now.accuracy:.1%}  {now.clips_per_s:.1f} clips/s  "
            f"data wait {now.data_wait:.0%}"
        )
        self._bar.update(self._task, completed=now.step, state=state)
        if not self._console.is_terminal and (
            time.monotonic() - self._last_line > LINE_EVERY_S or now.step == self._steps
        ):
            self._last_line = time.monotonic()
            self.say(f"step {now.step}/{self._steps}  {state}  ETA {self._eta(now.step)}")

    def _eta(self, step: int) -> str:
        pace = (time.monotonic() - self._started) / max(1, step - self._first)
        minutes, seconds = divmod(round(pace * (self._steps - step)), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
