"""A wish to stop, from a person, a site or a launcher; granted between two steps, when all is whole and can be saved.

Every rank may be wished to stop, by a signal that asks for it (STOPS: Ctrl-C, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2), or
by a file that appears; all of them save and leave. One wish is enough: before each batch the ranks ask each other
(`agreed`), so all of them leave the same step undone.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self, TypeVar

from avsync.loading.options import StoppedWaiting
from sharding.base.environment import STOP_FILE
from sharding.base.housekeeping import is_there
from sharding.base.signals import STOPS, Handlers, forget, install, note, pending, restore
from sharding.errors import AvsyncError

T = TypeVar("T")
LOOK_S = 1.0
"""Between looks at the file: it lies on a disk that many share."""


class Stopped(KeyboardInterrupt):
    """The wish was granted: what was trained is saved, as `report` says."""

    def __init__(self, report: str = "") -> None:
        super().__init__()
        self.report = report


class StopFlag:
    """A context manager for the main thread; elsewhere only the file and what is blocked count.

    Signals may come again and again (SLURM sends SIGTERM twice at once): that changes nothing, least of all a save
    that is under way. Only a second Ctrl-C acts at once, and costs what is not saved by then. A signal that was ignored
    stays ignored (nohup).
    """

    def __init__(self, *, looks: bool = True) -> None:
        """looks: for the file. One rank is enough while there is no trouble; see `waiting`."""
        path = os.environ.get(STOP_FILE)
        self._file, self._looks, self._looked = Path(path) if path else None, looks, -LOOK_S
        self._asked = False
        self._before: Handlers = {}

    @property
    def asked(self) -> bool:
        """Whether this rank is wished to stop. Cheap: for every step."""
        if not self._asked:
            # blocked by whoever started us: so it kills no helper that has not learned of it, and waits to be seen
            if waits := pending():
                note(waits)
            self._asked = waits is not None or (self._looks and self._file_is_there())
        return self._asked

    def ask(self) -> None:
        """Wish it ourselves, from any thread: what is wrong at one rank ends all of them between the same two steps."""
        self._asked = True

    def waiting(self) -> bool:
        """The same, of a rank whose batch does not come: it looks for the file itself, as the others wait for it."""
        return self.asked or self._file_is_there()

    def _file_is_there(self) -> bool:
        now = time.monotonic()
        if self._file is None or now - self._looked < LOOK_S:
            return False
        self._looked = now
        self._asked = self._asked or is_there(self._file)
        return self._asked

    def __enter__(self) -> Self:
        self._before = install(STOPS, self._ask, replace=lambda current: current not in (signal.SIG_IGN, None))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        restore(self._before)
        if kind is None:
            forget()  # all was done before the wish could be granted

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        note(number)
        if number == signal.SIGINT:
            signal.signal(number, self._before[signal.SIGINT])


def agreed(things: Iterator[T], stop: StopFlag, any_rank: Callable[[bool], bool]) -> Iterator[T]:
    """`things`, each given only when no rank wishes to stop; every rank must ask for as many.

    Raises StoppedWaiting on every rank alike, before the same thing. A rank that is waiting for its batch leaves the
    wait when it is wished to stop itself: SLURM tells all ranks, and the file is seen by all that wait. The others wait
    here, on their CPU, their GPUs having nothing to do anyway. If the wish reached one rank only, by a signal, it waits
    here for a rank that knows of nothing until that one's batch comes or its patience (stop_after_s) ends; then, as in
    any failure of one rank, all end. A worker or a copy that fails while a stop is wished has most likely got the
    same signals: that is a stop, too.
    """
    while True:
        thing, wish = None, stop.asked
        if not wish:
            try:
                thing = next(things, None)
            except StoppedWaiting:
                wish = True
            except AvsyncError:
                if not stop.waiting():
                    raise
                wish = True
        if any_rank(wish):
            raise StoppedWaiting
        if thing is None:
            return
        yield thing
