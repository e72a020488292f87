"""Streams batches of a dataset, in the order they are wanted. What a step gets is decided elsewhere (data/order.py).

Worker processes read and decode straight into shared slots: threads that decode take Python's lock so often that the
training thread's kernel launches slow down several times (docs/log.md). There is no state to save.
"""

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import torch

from avsync.data.batch import Batch
from avsync.data.order import Draw
from avsync.data.selection import WindowShape
from avsync.data.transforms import MATRICES
from avsync.loading.memory import SharedSlots
from avsync.loading.meter import LoadMeter
from avsync.loading.options import ErrorBudget, LoaderOptions
from avsync.loading.pool import Patience, WorkerPool
from avsync.loading.shape import SlotLayout
from avsync.loading.spawner import spawner_of
from avsync.loading.worker import Reply, Request
from avsync.staging.shelf import Shelf
from avsync.world import cores_of_rank
from sharding.errors import SkipClip
from sharding.format.clip import ColorMatrix
from sharding.format.dataset import Dataset

TRIES = 5
"""Files in which a clip is looked for, while copies of its shard come and go."""


class _Row(NamedTuple):
    """What came of one row; `json` is None for padding and for what could not be read."""

    json: bytes | None = None
    matrix: ColorMatrix = MATRICES[0]


@dataclass(slots=True, eq=False)
class _Pending:
    """A batch under way."""

    slot: int
    draws: list[Draw]
    replies: list[Reply | None]
    missing: int
    paths: dict[int, Path] = field(default_factory=dict)
    """In which file each row is looked for."""

    @property
    def waits_for(self) -> str:
        """The first file of which a row is missing; else the first of all."""
        late = (path for row, path in self.paths.items() if self.replies[row] is None)
        return str(next(late, next(iter(self.paths.values()), "")))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A row that a worker was asked for."""

    batch: _Pending
    row: int
    path: Path
    tries: int = 1


class Stream:
    """One pass over wanted rows: requests go out ahead, batches come back in order, slots go round.

    Iterate once; `close` ends it early.
    """

    def __init__(
        self,
        dataset: Dataset,
        shelf: Shelf,
        shape: WindowShape,
        options: LoaderOptions,
        meter: LoadMeter,
        budget: ErrorBudget,
    ) -> None:
        self._dataset, self._shelf, self._shape, self._options = dataset, shelf, shape, options
        self._meter, self._budget = meter, budget
        self._held = ExitStack()
        self._numbers = count()
        self._wanted_at: dict[int, _Wanted] = {}
        self._pending: deque[_Pending] = deque()
        self._copied: dict[int, torch.cuda.Event] = {}
        self._side = torch.cuda.Stream(options.device) if options.device.type == "cuda" else None

    def close(self) -> None:
        self._held.close()

    def run(self, wanted: Iterable[list[Draw]]) -> Iterator[Batch]:
        """The batches. On a CPU each is valid until the next is asked for; on a GPU it is a copy."""
        rows = iter(wanted)
        if (first := next(rows, None)) is None:
            return
        rows = chain([first], rows)
        with self._held:
            self._open(len(first))
            while True:
                asked = time.perf_counter_ns()
                self._start_more(rows)
                if not self._pending:
                    return
                current = self._pending.popleft()
                ready = self._finish(current)
                self._meter.batch(time.perf_counter_ns() - asked, ready)
                batch = self._on_device(self._batch(current), current.slot)
                self._start_more(rows)  # while the consumer is at this one, all other slots are being filled
                yield batch
                self._free.append(current.slot)

    def _start_more(self, rows: Iterator[list[Draw]]) -> None:
        while len(self._pending) < self._ahead and (draws := next(rows, None)) is not None:
            self._pending.append(self._start(self._free.popleft(), draws))

    def _open(self, rows: int) -> None:
        info, options, shape = self._dataset.info, self._options, self._shape
        workers = options.workers or cores_of_rank()
        self._ahead = max(options.prefetch, -(-2 * workers // rows))  # small batches: still work for every worker
        spare = 2 if self._side else 1  # one is with the consumer, another's copy to a GPU may still be under way
        layout = SlotLayout(
            workers=workers,
            slots=self._ahead + spare,
            rows=rows,
            frames=shape.frames,
            picture=(info.height * 3 // 2, info.width),
            sounds=shape.sounds,
            samples=shape.samples,
            channels=info.channels,
        )
        self._slots = self._held.enter_context(SharedSlots(layout, pin=self._side is not None))
        self._free = deque(range(layout.slots))
        self._pool = self._held.enter_context(WorkerPool(workers, info.form, self._slots, self._meter))

    def _start(self, slot: int, draws: list[Draw]) -> _Pending:
        if copied := self._copied.pop(slot, None):
            copied.synchronize()
        pending = _Pending(slot, draws, [None] * len(draws), missing=0)
        for row, draw in enumerate(draws):
            if draw.clip >= 0:
                pending.missing += 1
                shard = int(self._dataset.index.shard[draw.clip])
                path = self._shelf.path(shard, Patience(self._options).waiting)
                self._ask(_Wanted(pending, row, path))
        return pending

    def _ask(self, wanted: _Wanted) -> None:
        number = next(self._numbers)
        self._wanted_at[number] = wanted
        wanted.batch.paths[wanted.row] = wanted.path
        draw = wanted.batch.draws[wanted.row]
        self._pool.give(self._request(number, wanted.batch.slot, wanted.row, draw, wanted.path))

    def _request(self, number: int, slot: int, row: int, draw: Draw, path: Path) -> Request:
        clock, shape = self._dataset.info.clock, self._shape
        location, start = self._dataset.location(draw.clip, path), draw.pair.picture
        last = clock.sample_at(location.frames) - shape.samples  # frames are no whole samples: rounding may go beyond
        sounds = tuple((min(clock.sample_at(s.frame), last), clock.sample_at(s.roll)) for s in draw.pair.sounds)
        return Request(
            number=number,
            slot=slot,
            row=row,
            location=location,
            frames=(start, start + shape.window, shape.every),
            sounds=sounds,
        )

    def _finish(self, current: _Pending) -> int:
        """Wait until all rows of a batch are there. How many batches were, before that."""
        patience = Patience(self._options)
        patience.begins(current.waits_for)
        self._take(self._pool.replies(0))
        ready = sum(not pending.missing for pending in (current, *self._pending))
        while current.missing:
            replies = self._pool.replies(patience.left_s)
            self._take(replies)
            patience.again(current.waits_for) if replies else patience.check(self._pool.in_hand)
        return ready

    def _take(self, replies: list[Reply]) -> None:
        for reply in replies:
            wanted = self._wanted_at.pop(reply.number)
            pending, row = wanted.batch, wanted.row
            if reply.error and not reply.wrong and (path := self._elsewhere(wanted)):
                self._ask(_Wanted(pending, row, path, wanted.tries + 1))
            else:
                pending.replies[row], pending.missing = reply, pending.missing - 1

    def _elsewhere(self, wanted: _Wanted) -> Path | None:
        """A copy of a shard may be gone or damaged: where else the clip can be read, also when that copy goes, too."""
        clip = wanted.batch.draws[wanted.row].clip
        shard = int(self._dataset.index.shard[clip])
        if wanted.tries == TRIES:
            return None
        return self._shelf.instead(wanted.path, shard, clip, Patience(self._options).waiting)

    def _batch(self, pending: _Pending) -> Batch:
        draws, (yuv, audio) = pending.draws, self._slots.slot(pending.slot)
        rows = [self._judge(draw, reply) for draw, reply in zip(draws, pending.replies, strict=True)]
        for number, row in enumerate(rows):
            if row.json is None:  # what a failed read left there must not depend on what the slot held before
                yuv[number].zero_()
                audio[number].zero_()
        return Batch(
            keys=tuple(self._dataset.key(draw.clip) if row.json else "" for draw, row in zip(draws, rows, strict=True)),
            jsons=tuple(row.json for row in rows),
            draws=tuple(draws),
            yuv=yuv[: len(draws)],
            audio=audio[: len(draws)],
            in_sync=torch.tensor([[float(sound.in_sync) for sound in draw.pair.sounds] for draw in draws]),
            matrix=torch.tensor([MATRICES.index(row.matrix) for row in rows]),
            valid=torch.tensor([row.json is not None for row in rows]),
        )

    def _judge(self, draw: Draw, reply: Reply | None) -> _Row:
        """A clip that could not be read goes on the budget."""
        if reply is None:
            return _Row()
        if reply.error:
            self._budget.skip(SkipClip(f"clip {self._dataset.key(draw.clip)}: {reply.error}"))
            return _Row()
        self._budget.ok()
        self._meter.clip(self._dataset.index.layout(draw.clip).size, reply.read_ns, reply.decode_ns)
        return _Row(reply.json, reply.matrix)

    def _on_device(self, batch: Batch, slot: int) -> Batch:
        """Copied on a stream of its own, beside the step that the GPU is still at."""
        if not self._side:
            return batch
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        here = torch.cuda.current_stream(self._options.device)
        with torch.cuda.stream(self._side):
            begin.record()
            there = batch.to(self._options.device)
            end.record()
        here.wait_event(end)
        there.record_stream(here)
        self._copied[slot] = end
        self._meter.copy(begin, end)
        return there


class Loader:
    """Iterates over batches for given rows. Use as a context manager: its processes leave when it closes."""

    def __init__(self, dataset: Dataset, shelf: Shelf, shape: WindowShape, options: LoaderOptions) -> None:
        """shelf: where the dataset's shards are found."""
        self.dataset, self.shelf, self.shape, self.options = dataset, shelf, shape, options
        self.meter, self.budget = LoadMeter(), ErrorBudget(options.error_budget)
        self._streams: list[Stream] = []
        spawner_of(os.getpid())  # takes a moment to import what workers need

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._streams:
            stream.close()
        self._streams.clear()  # and with them their memory

    def batches(self, wanted: Iterable[list[Draw]]) -> Iterator[Batch]:
        """Batches for the rows of `wanted`, in order, on the options' device; rows of the first one are the most.

        On a CPU a batch is valid until the next one is asked for. Raises AvsyncError when too many clips in a row are
        unusable, or none comes in for too long.
        """
        stream = Stream(self.dataset, self.shelf, self.shape, self.options, self.meter, self.budget)
        self._streams.append(stream)
        return stream.run(wanted)
