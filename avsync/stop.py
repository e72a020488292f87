"""Ctrl-C and SIGTERM as a wish that is granted between two steps, when everything is whole and can be saved."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopFlag:
    """A context manager for the main thread. The second signal of a kind acts at once, as if this were not here."""

    def __init__(self, *, active: bool) -> None:
        """Not `active`: signals act as ever. Several ranks would have to agree on the step to stop at."""
        self.asked, self._active = False, active
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if self._active and threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(number, self._before[signal.Signals(number)])
