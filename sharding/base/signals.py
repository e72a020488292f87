"""Handlers of signals for a while, and what was there before put back. What a handler does is its owner's policy.

The command line ends with a word (launch/cli.py), a training saves between two steps (avsync/train/stop.py), a job's
batch script notes a fact (launch/job/signals.py), and who starts workers answers Ctrl-C when all have started (here).
Anyone may import this.
"""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], None]
Handlers = dict[signal.Signals, Any]
"""Signals, and who answered them before."""


def install(numbers: Iterable[signal.Signals], handler: Handler, *, replace: Callable[[Any], bool]) -> Handlers:
    """Let `handler` answer those of `numbers` whose present handler may be replaced; none outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in numbers if replace(signal.getsignal(number))}


def restore(before: Handlers) -> None:
    """Put back what `install` found."""
    for number, handler in before.items():
        signal.signal(number, handler)


LIKE_CTRL_C = (signal.SIGTERM, signal.SIGHUP)
"""Where they have a handler; by default they end a process on the spot, and its workers then leave by themselves."""


@contextmanager
def ctrl_c_held() -> Iterator[None]:
    """Start workers inside: they inherit the block, so Ctrl-C never reaches them, not even while they import.

    The parent gets a Ctrl-C of this while right after it, and so any signal that it takes for one (the command line
    does so with SIGTERM and SIGHUP): one in the middle would leave a worker half started.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _ctrl_c_later():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def _ctrl_c_later() -> Iterator[None]:
    """The mask is this thread's only; another thread (a progress bar's) would still take the signal."""
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    before = install((signal.SIGINT,), note, replace=lambda _: True) | install(LIKE_CTRL_C, note, replace=callable)
    try:
        yield
    finally:
        restore(before)
        if came:
            signal.raise_signal(came[0])
