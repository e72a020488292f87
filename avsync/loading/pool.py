"""The workers of one pass: hands out requests, collects replies, replaces workers that die. Knows no batches."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from selectors import EVENT_READ, DefaultSelector
from types import TracebackType
from typing import Self

import msgspec

from avsync.loading.memory import SharedSlots
from avsync.loading.meter import LoadMeter
from avsync.loading.options import FixedWait, LoaderOptions, StoppedWaiting
from avsync.loading.spawner import Spawner, spawner_of
from avsync.loading.worker import Reply, Request, Setup, Stage
from sharding.base.console import open_console
from sharding.base.files import to_json
from sharding.errors import AvsyncError
from sharding.format.form import ClipForm

AHEAD = 32
"""Requests a worker may have before it: work for a long training step, and never more than its connection holds."""
DEATHS_OF_A_CLIP = 2
"""Workers that one clip may cost before it counts as unreadable."""


@dataclass(slots=True, eq=False)
class _Worker:
    number: int
    spawner: Spawner
    connection: Connection
    pid: int = 0
    in_hand: dict[int, Request] = field(default_factory=dict)
    """By number, in the order they were given; it is at the first."""
    since: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, kw_only=True, slots=True)
class InHand:
    """What a worker is doing, for reports."""

    pid: int
    request: Request
    stage: Stage
    seconds: float
    """Since it has been doing that."""


class WorkerPool:
    """A context manager. Its workers leave by themselves when it closes, at the latest after the clip in hand."""

    def __init__(self, count: int, form: ClipForm, slots: SharedSlots, meter: LoadMeter) -> None:
        """form: what every clip of the dataset has to be."""
        self._form, self._slots = to_json(form), slots
        self._waiting: list[Request] = []
        self._deaths: dict[int, int] = {}
        self._meter = meter
        self._selector = DefaultSelector()
        self._workers: list[_Worker] = []
        for number in range(count):
            self._workers.append(self._start(number))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.connection.close()
        self._selector.close()

    def give(self, request: Request) -> None:
        """To whom has least to do; kept back while all have enough."""
        worker = min(self._workers, key=lambda worker: len(worker.in_hand))
        if len(worker.in_hand) < AHEAD:
            self._send(worker, request)
        else:
            self._waiting.append(request)

    def replies(self, seconds: float) -> list[Reply]:
        """All that has come in; waits up to `seconds` for the first of it."""
        replies: list[Reply] = []
        while events := self._selector.select(0 if replies else seconds):
            replies += [reply for key, _ in events if (reply := self._hear(key.data))]
        while self._waiting and min(len(worker.in_hand) for worker in self._workers) < AHEAD:
            self.give(self._waiting.pop(0))
        return replies

    def in_hand(self) -> list[InHand]:
        """What each busy worker is at, longest first."""
        now, board = time.monotonic_ns(), self._slots.board
        found: list[InHand] = []
        for worker in self._workers:
            if worker.in_hand:
                number, stage, since = board[worker.number].tolist()
                request = worker.in_hand.get(number) or next(iter(worker.in_hand.values()))
                seconds = (now - since) / 1e9 if since else 0.0
                found.append(InHand(pid=worker.pid, request=request, stage=Stage(stage), seconds=seconds))
        return sorted(found, key=lambda one: -one.seconds)

    def _start(self, number: int) -> _Worker:
        spawner = spawner_of(os.getpid())
        try:
            connection = spawner.spawn(self._slots.handle)
        except AvsyncError:  # it was killed this moment: once more, with another
            spawner = spawner_of(os.getpid())
            connection = spawner.spawn(self._slots.handle)
        worker = _Worker(number, spawner, connection)
        setup = Setup(worker=number, form=self._form, layout=self._slots.layout)
        with suppress(OSError):  # it has died: the next `replies` notices
            worker.connection.send_bytes(msgspec.msgpack.encode(setup))
        self._selector.register(worker.connection, EVENT_READ, worker)
        return worker

    def _send(self, worker: _Worker, request: Request) -> None:
        worker.in_hand[request.number] = request
        with suppress(OSError):  # it has died: the next `replies` notices
            worker.connection.send_bytes(msgspec.msgpack.encode(request))

    def _hear(self, worker: _Worker) -> Reply | None:
        try:
            message = worker.connection.recv_bytes()
        except (EOFError, OSError):
            return self._bury(worker)
        if not worker.pid:
            worker.pid = int(message)
            return None
        reply = msgspec.msgpack.decode(message, type=Reply)
        del worker.in_hand[reply.number]
        if reply.trouble:
            raise AvsyncError(f"in a worker process: {reply.trouble}")
        if reply.bug:
            raise RuntimeError(f"in a worker process:\n{reply.bug}")
        return reply

    def _bury(self, dead: _Worker) -> Reply | None:
        """Put another in its place and give it the same; a clip that costs worker after worker is given up."""
        cause = dead.spawner.cause(dead.pid, dead.since)
        self._selector.unregister(dead.connection)
        dead.connection.close()
        if not dead.pid:
            raise AvsyncError(f"a worker process {cause} before it could start; is memory short?")
        self._meter.replaced += 1
        worker = self._workers[self._workers.index(dead)] = self._start(dead.number)
        left, reply = list(dead.in_hand.values()), None
        if left:
            suspect = left[0].number
            self._deaths[suspect] = self._deaths.get(suspect, 0) + 1
            if self._deaths[suspect] >= DEATHS_OF_A_CLIP:
                reply = Reply(
                    number=suspect, error=f"{self._deaths.pop(suspect)} worker processes {cause} while they read it"
                )
                left = left[1:]
        for request in left:
            self._send(worker, request)
        return reply


# When no batch comes: who is waiting for what, in plain lines; after long patience the run stops, and never hangs.

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
        self._next, self._watch = options.report_after_s, options.watch or FixedWait(options.stop_after_s)
        self._copy = ""

    def begins(self, what: str) -> None:
        """What is waited for, for reports."""
        self._watch.again(what)

    def again(self, what: str) -> None:
        """Something came in: the clock starts anew. Raises StoppedWaiting on a wish: drops may come for long."""
        if self._options.stopping():
            raise StoppedWaiting
        self._watch.again(what)
        self._started, self._next = time.monotonic(), self._options.report_after_s

    @property
    def left_s(self) -> float:
        """Seconds until it must be looked at again."""
        return min(LOOK_S, max(0.0, min(self._next, self._watch.limit_s()) - self._waited))

    def check(self, in_hand: Callable[[], Sequence[InHand]]) -> None:
        """Report when it is time. Raises StoppedWaiting on a wish, AvsyncError when patience is at its end."""
        self._look(lambda: describe(in_hand()))

    def waiting(self, what: str) -> None:
        """The same, of a wait for a copy: no worker has been asked yet."""
        if self._copy != what:
            self._copy = what
            self._watch.again(what.removeprefix("waiting for "))
        self._look(lambda: f"  {what}")

    def _look(self, doing: Callable[[], str]) -> None:
        if self._options.stopping():
            raise StoppedWaiting
        waited = self._waited
        if waited >= self._watch.limit_s():
            raise AvsyncError(
                f"{self._watch.hangs(waited)}:\n{doing()}\n"
                "Check the disk or the network there, then give the same command again: it goes on where this stopped"
            )
        if waited >= self._next:
            self._next *= 2
            open_console(stderr=True, unheard=True).print(
                f"rank {self._options.rank}: no clip came in for {waited:.0f} s:\n{doing()}",
                style="yellow",
                soft_wrap=True,
                highlight=False,
                markup=False,
            )

    @property
    def _waited(self) -> float:
        return time.monotonic() - self._started


def describe(in_hand: Sequence[InHand]) -> str:
    """One line for each worker, longest first."""
    lines = [
        f"  worker {one.pid or 'not yet started'} {DOING[one.stage.name]} for {one.seconds:.0f} s: "
        f"{one.request.location.path} at byte {one.request.location.offset}"
        for one in in_hand[:LISTED]
    ]
    if len(in_hand) > LISTED:
        lines.append(f"  and {len(in_hand) - LISTED} more")
    return "\n".join(lines) or "  all workers are idle"
