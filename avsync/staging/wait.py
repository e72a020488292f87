"""Work that somebody waits for, done on a thread of its own: who waits can look round meanwhile, and leave."""

from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")
LOOK_S = 0.05
LEAVE_S = 2
"""A thread in the middle of a slow read is left behind after this; nothing that it wrote counts."""


def wait_for(work: Callable[[Event], T], look: Callable[[], None]) -> T:
    """What `work` returns or raises; the event it is given says that nobody waits any more.

    `look` is called every LOOK_S until then; what it raises ends the wait.
    """
    result, left = Future[T](), Event()

    def run() -> None:
        try:
            result.set_result(work(left))
        except BaseException as error:
            result.set_exception(error)

    thread = Thread(target=run, name="avsync-wait", daemon=True)
    thread.start()
    try:
        while not wait([result], LOOK_S).done:
            look()
    finally:
        left.set()
        thread.join(LEAVE_S)
    return result.result()
