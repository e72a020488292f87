"""What every pool of worker processes here agrees on: Ctrl-C is for the parent alone, and no worker outlives it.

Anyone may import this. Knows nothing of media.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

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
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = [signal.SIGINT, *(number for number in LIKE_CTRL_C if callable(signal.getsignal(number)))]
    handlers = {number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def start_worker() -> None:
    """First call in each worker: leave Ctrl-C to the parent, and die with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
