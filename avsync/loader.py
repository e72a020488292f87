"""Streams batches: threads read and decode clips straight into reusable slots, in the order they will be used.

Decoding is C code without the GIL, so threads do: nothing to pickle, fork, or feed through shared memory. Slots are
reused because fresh memory costs more than the copy into it (measured: 112 against 15 ms a batch of 8 raw clips).
What a step gets is decided elsewhere (avsync/draw.py); the loader only fetches, so it has no state to save.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch

from avsync.batch import Batch
from avsync.config import RuntimeConfig
from avsync.draw import Draw
from avsync.pairs import PairLaw
from avsync.transforms import MATRICES
from avsync.world import cores_of_rank
from sharding.clip import ClipMeta
from sharding.codec import Codec
from sharding.dataset import Dataset
from sharding.errors import AvsyncError, SkipClip


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowShape:
    """Sizes of one row of a batch as it leaves the loader."""

    window: int
    """Frames of the clip that a window spans."""
    every: int
    """Of those, every n-th is decoded (1: all); the paper's low-rate stage takes every 4th."""
    samples: int
    sounds: int

    @classmethod
    def of(cls, dataset: Dataset, law: PairLaw, every: int = 1) -> "WindowShape":
        samples = dataset.info.clock.sample_at(law.window)
        return cls(window=law.window, every=every, samples=samples, sounds=law.sounds)

    @property
    def frames(self) -> int:
        """T, pictures the network sees."""
        return len(range(0, self.window, self.every))


@dataclass(slots=True)
class ErrorBudget:
    """Forgives scattered bad clips, not a broken dataset: stops after `limit` in a row."""

    limit: int
    in_a_row: int = 0
    total: int = 0
    last: str = ""

    def ok(self) -> None:
        self.in_a_row = 0

    def skip(self, error: SkipClip) -> None:
        self.in_a_row, self.total, self.last = self.in_a_row + 1, self.total + 1, str(error)
        if self.in_a_row >= self.limit:
            raise AvsyncError(
                f"{self.in_a_row} clips in a row were unusable; the last: {error}. "
                "Check the disk, then pack the dataset again"
            ) from error


@dataclass(slots=True)
class WaitMeter:
    """Seconds the consumer stood waiting for batches, since it was last read."""

    waited_s: float = 0.0

    def read(self) -> float:
        waited, self.waited_s = self.waited_s, 0.0
        return waited


@dataclass(frozen=True, kw_only=True, slots=True)
class LoaderOptions:
    """How to load, whatever is loaded."""

    threads: int = 0
    """0: one per core this process may use."""
    prefetch: int = 4
    error_budget: int = 20
    pin: bool = False
    """Page-locked slots, for asynchronous copies to a GPU."""

    @classmethod
    def of(cls, runtime: RuntimeConfig, device: torch.device) -> Self:
        """What a run's settings ask for."""
        return cls(
            threads=runtime.threads, prefetch=runtime.prefetch, error_budget=runtime.error_budget,
            pin=device.type == "cuda",
        )  # fmt: skip


SPARE_SLOTS = 2
"""One batch is with the consumer; another's copy to a GPU may still be under way while the next one is filled."""


class _Slot:
    """Memory of one batch, filled over and over."""

    def __init__(self, rows: int, dataset: Dataset, shape: WindowShape, pin: bool) -> None:
        info = dataset.info
        self.yuv = torch.zeros(
            (rows, shape.frames, info.height * 3 // 2, info.width), dtype=torch.uint8, pin_memory=pin
        )
        self.audio = torch.zeros((rows, shape.sounds, shape.samples, info.channels), dtype=torch.int16, pin_memory=pin)
        self.copied: torch.cuda.Event | None = None

    def clear(self, row: int) -> None:
        """What a failed read left there must not depend on what the slot held before."""
        self.yuv[row].zero_()
        self.audio[row].zero_()

    def wait_until_free(self) -> None:
        """An asynchronous copy to the GPU may still be reading this slot."""
        if self.copied is not None:
            self.copied.synchronize()
            self.copied = None


@dataclass(slots=True)
class _Pending:
    slot: _Slot
    draws: list[Draw]
    rows: list[Future[ClipMeta | None]] = field(default_factory=list)


class Loader:
    """Iterates over batches for given rows. Use as a context manager: it owns threads."""

    def __init__(self, dataset: Dataset, shape: WindowShape, options: LoaderOptions) -> None:
        self.dataset, self.shape, self.options = dataset, shape, options
        self.wait, self.budget = WaitMeter(), ErrorBudget(options.error_budget)
        threads = options.threads or cores_of_rank()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="avsync-decode")

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def batches(self, wanted: Iterable[list[Draw]]) -> Iterator[Batch]:
        """Batches for the rows of `wanted`, in order. A batch is valid until the next one is asked for."""
        source = iter(wanted)
        free: deque[_Slot] = deque()
        slots = 0
        pending: deque[_Pending] = deque()
        while True:
            while len(pending) < self.options.prefetch and (draws := next(source, None)) is not None:
                if slots < self.options.prefetch + SPARE_SLOTS:
                    slots += 1
                    free.append(_Slot(len(draws), self.dataset, self.shape, self.options.pin))
                slot = free.popleft()
                slot.wait_until_free()
                pending.append(self._start(slot, draws))
            if not pending:
                return
            current = pending.popleft()
            batch = self._finish(current)
            yield batch
            if self.options.pin and torch.cuda.is_available():
                current.slot.copied = torch.cuda.Event()
                current.slot.copied.record()
            free.append(current.slot)

    def _start(self, slot: _Slot, draws: list[Draw]) -> _Pending:
        pending = _Pending(slot, draws)
        pending.rows = [self._pool.submit(self._fill, slot, row, draw) for row, draw in enumerate(draws)]
        return pending

    def _fill(self, slot: _Slot, row: int, draw: Draw) -> ClipMeta | None:
        """Runs in a thread: one clip into one row of a slot. None for padding."""
        if draw.clip < 0:
            return None
        stored = self.dataset.read(draw.clip)
        meta, codec, shape = stored.meta(), self.dataset.codec, self.shape
        frames = range(draw.pair.picture, draw.pair.picture + shape.window, shape.every)
        try:
            codec.decode_video(stored.video, frames, slot.yuv[row].numpy())
            self._fill_sounds(codec, stored.audio, draw, meta.samples, slot.audio[row].numpy())
        except SkipClip as error:
            raise SkipClip(f"clip {self.dataset.key(draw.clip)}: {error}") from error
        return meta

    def _fill_sounds(self, codec: Codec, member: memoryview, draw: Draw, samples: int, out: np.ndarray) -> None:
        """`samples` of the clip: where frames are no whole samples, rounding may put a last window one beyond it."""
        clock = self.dataset.info.clock
        for sound, target in zip(draw.pair.sounds, out, strict=True):
            codec.decode_audio(member, min(clock.sample_at(sound.frame), samples - len(target)), target)
            if sound.roll:
                target[:] = np.roll(target, clock.sample_at(sound.roll), axis=0)

    def _finish(self, pending: _Pending) -> Batch:
        started = time.perf_counter()
        metas: list[ClipMeta | None] = []
        for number, row in enumerate(pending.rows):
            try:
                metas.append(row.result())
                self.budget.ok()
            except SkipClip as error:
                self.budget.skip(error)
                metas.append(None)
                pending.slot.clear(number)
        self.wait.waited_s += time.perf_counter() - started
        return self._batch(pending, metas)

    def _batch(self, pending: _Pending, metas: list[ClipMeta | None]) -> Batch:
        draws = tuple(pending.draws)
        return Batch(
            keys=tuple(meta.key if meta else "" for meta in metas),
            metas=tuple(metas),
            draws=draws,
            yuv=pending.slot.yuv,
            audio=pending.slot.audio,
            in_sync=torch.tensor([[float(sound.in_sync) for sound in draw.pair.sounds] for draw in draws]),
            matrix=torch.tensor([MATRICES.index(meta.matrix) if meta else 0 for meta in metas]),
            valid=torch.tensor([meta is not None for meta in metas]),
        )
