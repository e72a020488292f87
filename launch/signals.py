"""SIGTERM (the end of a job) and SIGHUP (the end of a connection) end a command as Ctrl-C does: tidily, with a word."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Ending:
    """A context manager: inside, these signals raise KeyboardInterrupt, and `number` tells which came.

    What is ignored stays ignored (nohup). While one is being obeyed, more of them change nothing; Ctrl-C still acts.
    One of several ranks is left alone: who started the ranks ends them, and a rank that waits for others must not stay.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def code(self) -> int:
        """What a shell reports for a command that this signal, or Ctrl-C, has ended."""
        return 128 + (self.number or signal.SIGINT)

    def __enter__(self) -> Self:
        alone = int(os.environ.get("WORLD_SIZE") or 1) == 1
        if alone and threading.current_thread() is threading.main_thread():
            free = [number for number in SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
            self._before = {number: signal.signal(number, self._end) for number in free}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self.number is None:
            self.number = number
            raise KeyboardInterrupt
