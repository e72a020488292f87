"""Threads that keep ahead: they have the shards of this block and the next one copied before they are asked for.

Threads, not processes: they sleep in large reads and writes (measured beside a thread of tiny torch operations: 10 %
fewer of them while 900 MB/s are copied, nothing once the blocks are there), and they end with their process.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Self

from avsync.staging.checksum import shard_size
from avsync.staging.copies import TOUCH_S
from avsync.staging.fetch import FetchStopped
from avsync.staging.scratch import CopyOutcome, Scratch
from avsync.staging.shelf import Shelf
from sharding.base.text import size
from sharding.errors import AvsyncError

STREAMS_OF_A_FOLDER = 1
"""One large file after the other is what disks and network file systems give fastest."""
STREAMS_OF_A_URL = 4
"""Object stores limit each connection, not their number."""
LOOK_AGAIN_S = 1
"""Pause before another look at what is missing."""
LEAVE_S = 5
"""A thread in the middle of a slow read is left behind after this; nothing that it wrote counts."""
JUMP = 16
"""Blocks a batch may lie ahead of the last one; more is another run's."""

Coming = Callable[[Iterable[int]], None]
Kept = tuple[Shelf, Iterable[int]]
"""Shards that are needed again and again."""


class Stager:
    """Fills a Scratch for one run. Use as a context manager: it owns threads.

    Ranks of a machine that share a scratch folder share the work: what one is copying, the others pass over.
    """

    def __init__(self, scratch: Scratch, blocks: Iterator[Iterable[int]], after: threading.Event | None = None) -> None:
        """`blocks`: shards by block, in the order of the run, from the one that it begins with.

        after: nothing is copied before it is set.
        """
        self.begun = threading.Event()
        """The first block is there: others may come to their copies."""
        self._after = after
        self._scratch, self._blocks = scratch, blocks
        self._now, self._next, self._turns = self._block(), self._block(), 0
        self._turning = threading.Lock()
        """Held by who marks copies as in use, or as not any more: the last word must be of the newest block."""
        self._stop = threading.Event()
        self._failed: BaseException | None = None
        self._refused = set[int]()
        count = STREAMS_OF_A_FOLDER if scratch.location.folder is not None else STREAMS_OF_A_URL
        self._threads = [threading.Thread(target=self._run, name="avsync-stager", daemon=True) for _ in range(count)]

    def __enter__(self) -> Self:
        self._check_limit()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        until = time.monotonic() + LEAVE_S
        for thread in self._threads:
            thread.join(max(0, until - time.monotonic()))
        self._scratch.done_with({*self._now, *self._next})

    def using(self, shards: Iterable[int]) -> None:
        """The shards of each batch, in order, when it is asked for: so the stager knows how far the run is.

        Raises what ended a thread, if it is something that nobody foresaw.
        """
        if self._failed is not None:
            raise self._failed
        wanted = set(shards)
        for _ in range(JUMP):
            if not wanted & (set(self._next) - set(self._now)):
                return
            self._turn()

    def _check_limit(self) -> None:
        """From a folder, what finds no room is read directly; from a URL it would be fetched over and over."""
        scratch, limit = self._scratch, self._scratch.room.limit
        needed = sum(shard_size(scratch.dataset.index, shard) for shard in set(self._now))
        if scratch.location.folder is None and 0 < limit < needed:
            scratch.say(
                f"--runtime.scratch-gb allows {size(limit)}, but the shards that are read at a time take "
                f"{size(needed)}: they will be fetched more than once; twice that size is best"
            )

    def _turn(self) -> None:
        before = self._now
        with self._turning:
            self._now, self._next = self._next, self._block()
            self._scratch.done_with(set(before) - set(self._now) - set(self._next))
        self._refused.clear()
        self._turns += 1

    def _block(self) -> tuple[int, ...]:
        return tuple(int(shard) for shard in next(self._blocks, ()))

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if self._after is None or self._after.is_set():
                    self._round()
                self._stop.wait(LOOK_AGAIN_S)
        except FetchStopped:
            pass
        except BaseException as error:  # a bug: the run shall stop and show it, not go on without us
            self._failed = error

    def _round(self) -> None:
        """One pass over what is missing, the nearest first; it ends early when that has changed."""
        turn, looked = self._turns, time.monotonic()
        for shard in self._missing():
            if time.monotonic() - looked > TOUCH_S:
                self._missing()
                looked = time.monotonic()
            if self._turns != turn or self._stage(shard) is CopyOutcome.NO_ROOM:
                return

    def _stage(self, shard: int) -> CopyOutcome | None:
        """None when the origin does not give it: reported once, and left to the loader until the next block."""
        try:
            return self._scratch.stage(shard, stop=self._stop)
        except AvsyncError as error:
            self._refused.add(shard)
            self._scratch.say(str(error))
            return None

    def _missing(self) -> list[int]:
        """What has no copy; what has one is marked as in use."""
        with self._turning:
            wanted = dict.fromkeys((*self._now, *self._next))
            there = self._scratch.in_use(wanted)
        missing = [shard for shard in wanted if shard not in there and shard not in self._refused]
        if not set(self._now).intersection(missing):
            self.begun.set()
        return missing


@contextmanager
def keep_ahead(shelf: Shelf, blocks: Iterator[Iterable[int]], *kept: Kept) -> Iterator[Coming]:
    """Keeps `shelf` filled while the context is open; what it gives must hear of the shards of each batch, in order.

    kept: of other splits; copied when the first block is there, and kept while there is room.
    """
    with ExitStack() as held:
        first = held.enter_context(Stager(shelf, blocks)) if isinstance(shelf, Scratch) else None
        others = [
            held.enter_context(Stager(other, iter([shards]), first.begun if first else None))
            for other, shards in kept
            if isinstance(other, Scratch)
        ]

        def coming(shards: Iterable[int]) -> None:
            if first:
                first.using(shards)
            for other in others:
                other.using(())

        yield coming
