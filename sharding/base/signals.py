"""Handlers of signals for a while, and what was there before put back. What a handler does is its owner's policy.

The command line ends with a word (launch/cli.py), a training saves between two steps (avsync/train/stop.py), a job's
batch script notes a fact (launch/job/signals.py), and who starts workers answers Ctrl-C when all have started (here).
Which signal does what, and when, is the table in docs/slurm.md. Anyone may import this.
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


TO_SAVE = (signal.SIGUSR1, signal.SIGUSR2)
"""What sites and people send before the time is over. To every process of a job, at some sites, and it kills those that
do not expect it: so it is blocked in what a job starts, and a trainer looks for it between two steps."""
TO_END = (signal.SIGTERM, signal.SIGHUP)
"""The end of a job, and of a connection."""
STOPS = (signal.SIGINT, *TO_END, *TO_SAVE)
"""All that ask work to stop; what there is to save is saved, whichever it is."""

_first: int | None = None


def note(number: int) -> bool:
    """A signal asks this process to stop; whether it is the first."""
    global _first
    is_first, _first = _first is None, _first or number
    return is_first


def noted() -> int | None:
    """The first that came."""
    return _first


def forget() -> None:
    """A new command begins, or the work is done before the wish could be granted."""
    global _first
    _first = None


def exit_code() -> int:
    """What a shell reports for a program that was ended by the signal which came; Ctrl-C's where none did."""
    return 128 + (_first or signal.SIGINT)


def pending() -> int | None:
    """One of TO_SAVE that has come while it is blocked."""
    return next((number for number in TO_SAVE if number in signal.sigpending()), None)


def take_pending() -> None:
    """Let what has come of TO_SAVE while it was blocked do nothing any more."""
    while pending() is not None:
        signal.sigwait(TO_SAVE)


def install(numbers: Iterable[signal.Signals], handler: Handler, *, replace: Callable[[Any], bool]) -> Handlers:
    """Let `handler` answer those of `numbers` whose present handler may be replaced; none outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in numbers if replace(signal.getsignal(number))}


def restore(before: Handlers) -> None:
    """Put back what `install` found."""
    for number, handler in before.items():
        signal.signal(number, handler)


LIKE_CTRL_C = (*TO_END, *TO_SAVE)
"""Where they have a handler; by default they end a process on the spot, and its workers then leave by themselves."""


LEFT_TO_PARENT = (signal.SIGINT, signal.SIGHUP, *TO_SAVE)


@contextmanager
def ctrl_c_held() -> Iterator[None]:
    """Start workers inside: they inherit the block, so Ctrl-C never reaches them, not even while they import.

    The parent gets a Ctrl-C of this while right after it, and so any signal that it takes for one (the command line
    does so with LIKE_CTRL_C): one in the middle would leave a worker half started. What else is sent to a whole group
    is the parent's to answer, too; only SIGTERM still ends a worker by itself.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, LEFT_TO_PARENT)
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
