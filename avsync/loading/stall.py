"""When no batch comes: who is waiting for what, in plain lines; after long patience the run stops, and never hangs."""

import time
from collections.abc import Callable, Sequence

from avsync.loading.options import LoaderOptions, StoppedWaiting
from avsync.loading.pool import InHand
from sharding.base.console import open_console
from sharding.errors import AvsyncError

DOING = {
    "IDLE": "has been idle",
    "READ": "has been reading",
    "DECODE": "has been decoding",
}
LISTED = 8
LOOK_S = 0.5
"""Between looks at whether somebody wishes to stop."""


class Patience:
    """Watches one wait for a batch."""

    def __init__(self, options: LoaderOptions) -> None:
        self._options, self._started = options, time.monotonic()
        self._next = options.report_after_s

    def again(self) -> None:
        """Something came in: the clock starts anew. Raises StoppedWaiting on a wish: drops may come for long."""
        if self._options.stopping():
            raise StoppedWaiting
        self._started, self._next = time.monotonic(), self._options.report_after_s

    @property
    def left_s(self) -> float:
        """Seconds until it must be looked at again."""
        return min(LOOK_S, max(0.0, min(self._next, self._options.stop_after_s) - self._waited))

    def check(self, in_hand: Callable[[], Sequence[InHand]]) -> None:
        """Report when it is time. Raises StoppedWaiting on a wish, AvsyncError when patience is at its end."""
        self._look(lambda: describe(in_hand()))

    def waiting(self, what: str) -> None:
        """The same, of a wait for a copy: no worker has been asked yet."""
        self._look(lambda: f"  {what}")

    def _look(self, doing: Callable[[], str]) -> None:
        if self._options.stopping():
            raise StoppedWaiting
        waited = self._waited
        if waited >= self._options.stop_after_s:
            raise AvsyncError(
                f"no clip came in for {waited:.0f} s (--runtime.stop-after-s):\n{doing()}\n"
                "Check the disk or the network there, then give the same command again: it goes on where this stopped"
            )
        if waited >= self._next:
            self._next *= 2
            open_console(stderr=True).print(
                f"rank {self._options.rank}: no clip came in for {waited:.0f} s:\n{doing()}",
                style="yellow", soft_wrap=True, highlight=False, markup=False,
            )  # fmt: skip

    @property
    def _waited(self) -> float:
        return time.monotonic() - self._started


def describe(in_hand: Sequence[InHand]) -> str:
    """One line for each worker, longest first."""
    lines = [
        f"  worker {one.pid or 'not yet started'} {DOING[one.stage.name]} for {one.seconds:.0f} s: "
        f"{one.request.place.path} at byte {one.request.place.offset}"
        for one in in_hand[:LISTED]
    ]
    if len(in_hand) > LISTED:
        lines.append(f"  and {len(in_hand) - LISTED} more")
    return "\n".join(lines) or "  all workers are idle"
