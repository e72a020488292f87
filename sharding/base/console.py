"""The terminal: a console that shows data as it is, the one progress bar of all long work, and a word while it waits.

Data is never read as markup ("[/x]" is a name, not a tag): bold and colours come from rich.text.Text or `style`.
Anyone may import this.
"""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Literal, Self

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.segment import Segment

from sharding.base.text import duration, percent, plain_lines

NO_WINDOW = 160
"""Cells of a line in a pipe or a file."""
LINE_EVERY_S = 20.0
"""A log file gets a line this often."""
SILENT_S = 2.0
"""What takes longer than this says so."""
Unit = Literal["count", "bytes", "share"]
_AMOUNT: dict[Unit, tuple[Callable[[], ProgressColumn], ...]] = {
    "count": (MofNCompleteColumn,),
    "bytes": (DownloadColumn, TransferSpeedColumn),
    "share": (TaskProgressColumn,),
}


class WorkConsole(Console):
    """A console beside which work may go on whose end does not depend on being seen."""

    unheard = False
    """What cannot be printed any more (a closed terminal, a log on a full disk, a reader that left) is passed over."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)  # rich prints here, all that it prints
        except OSError:
            if not self.unheard:
                raise
            quiet, self.quiet = self.quiet, True
            with self:
                pass  # so that rich does not try again
            self.quiet = quiet

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Only rich itself steers the terminal: what a name or a log holds is an escape, whoever prints it."""
        for segment in super().render(renderable, options):
            text = segment.text
            yield segment if segment.control or text.isprintable() else segment._replace(text=plain_lines(text))

    def on_broken_pipe(self) -> None:
        """What it means is for who prints to say; rich would end the program."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def open_console(*, stderr: bool = False, quiet: bool = False, wide: bool = False, unheard: bool = False) -> Console:
    """Where to print, without markup, emoji codes and colours guessed from what is printed.

    wide: lines of NO_WINDOW cells in a pipe or a file, unless COLUMNS says how many. unheard: see WorkConsole.
    """
    console = WorkConsole(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)
    if wide and not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = NO_WINDOW
    console.unheard = unheard
    return console


class Bar:
    """How far long work is: a live bar with the time left, or a plain line now and then where no terminal is.

    Use as a context manager. `doing` names the work, `state` says how it stands. A `passing` bar goes when the work is
    done; in a log it has lines while it lasts, and no last one. `line` makes the log's line, and there is one when the
    first piece is done; without it: doing, amount, state, time left. A last line says how it stood in the end, of short
    work only with `always_ends`. Work that nobody can see goes on.
    """

    def __init__(
        self,
        doing: str,
        total: float | None = None,
        *,
        done: float = 0,
        unit: Unit | None = "count",
        console: Console | None = None,
        passing: bool = False,
        line: Callable[[], str] | None = None,
        always_ends: bool = False,
    ) -> None:
        self.console = console or open_console(stderr=True)
        self._doing, self._total, self._done, self._first, self._state = doing, total, done, done, ""
        self._own_lines = line is not None
        self._line, self._logs = line or self._usual_line, not self.console.is_terminal
        self._always_ends, self._passing, self._counts = always_ends, passing, unit not in ("share", None)
        amount = (column() for column in _AMOUNT[unit]) if unit else ()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            *amount,
            TextColumn("{task.fields[state]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            console=self.console,
            transient=passing,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task(doing, total=total, state="")
        self._bar.update(self._task, completed=done)
        self._started = self._last_line = time.monotonic()
        self._rhythm: tuple[float, float] | None = None

    def __enter__(self) -> Self:
        if isinstance(self.console, WorkConsole):
            self.console.unheard = True
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if self._logs and not self._passing and (self._always_ends or self._last_line != self._started):
            self._log()
        if isinstance(self.console, WorkConsole):
            self.console.unheard = False

    def advance(self, more: float = 1) -> None:
        """So much more is done."""
        self.update(self._done + more)

    def update(
        self,
        done: float | None = None,
        *,
        total: float | None = None,
        state: str | None = None,
        doing: str | None = None,
    ) -> None:
        """Move the bar, or log a line when it is time for one; what is None stays as it is."""
        self._done = self._done if done is None else done
        self._total = self._total if total is None else total
        self._state = self._state if state is None else state
        self._doing = self._doing if doing is None else doing
        self._bar.update(
            self._task, completed=self._done, total=self._total, state=self._state, description=self._doing
        )
        if self._rhythm is None and self._done > self._first:
            self._rhythm = self._done, time.monotonic()
        is_first = self._own_lines and self._last_line == self._started and self._rhythm is not None
        if self._logs and (is_first or time.monotonic() - self._last_line >= LINE_EVERY_S):
            self._log()

    def say(self, text: str, style: str = "") -> None:
        """A line that stays, above the bar."""
        self.console.print(text, style=style, soft_wrap=True)

    def _log(self) -> None:
        self._last_line = time.monotonic()
        self.say(self._line())

    def _usual_line(self) -> str:
        amount = f"{self._done:,.0f}" if self._total is None else f"{self._done:,.0f} of {self._total:,.0f}"
        share = f"({percent(self._done / self._total, digits=0)})" if self._total else ""
        if not self._counts:
            amount, share = "", share.strip("()")
        return "  ".join(filter(None, (f"{self._doing}:", amount, share, self._state, self.left())))

    def left(self) -> str:
        """`ETA 3.2 min`; empty while there is no pace.

        Once there is more than the first piece, by the others: it has waited for files, processes and compilers.
        """
        return "" if self.left_s is None else f"ETA {duration(self.left_s)}"

    @property
    def left_s(self) -> float | None:
        """Seconds; None while there is no pace."""
        if self._total is None or self._rhythm is None:
            return None
        first, since = self._rhythm if self._done > self._rhythm[0] else (self._first, self._started)
        pace = (time.monotonic() - since) / (self._done - first)
        return pace * max(0.0, self._total - self._done)


class WaitNotice:
    """A context manager that says what is being waited for, once it takes long: a line, and another now and then.

    `doing` may be changed while it lasts; `end` ends it early.
    """

    def __init__(self, doing: str, console: Console | None = None) -> None:
        self.doing = doing
        self._console = console or open_console(stderr=True)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._say, name="avsync-waiting", daemon=True)

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """There is nothing to wait for any more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def say(self, text: str) -> None:
        """A line at once: what has happened meanwhile."""
        self._console.print(text, soft_wrap=True)

    def _say(self) -> None:
        pause = SILENT_S
        while not self._over.wait(pause):
            self.say(f"{self.doing} ({duration(time.monotonic() - self._began)} so far)")
            pause = LINE_EVERY_S
