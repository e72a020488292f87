"""Work that is done ahead: a second core makes the next items while this one is busy with those that are there.

For what lets go of Python's lock, as decoding does. Alone in a file, so that media, faces and networks may share it.
"""

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

T = TypeVar("T")


def ahead(items: Generator[T], room: int) -> Generator[T]:
    """The same items, made in a thread of their own, `room` of them in advance; 0: when they are asked for.

    What is raised there is raised here. Close it, to end early.
    """
    if not room:
        yield from items
        return
    end = object()
    pool = ThreadPoolExecutor(1, "avsync-ahead")
    try:
        waiting = deque(pool.submit(next, items, end) for _ in range(room))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, items, end))
            yield cast(T, item)
    finally:
        pool.shutdown(cancel_futures=True)
        items.close()
