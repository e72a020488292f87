"""Which clips each step trains on: a pure function of (index, seed, step, global batch). There is no loader state.

Shards are permuted and shared out to blocks, and clips permuted inside their block, so that reading stays near a few
shards. A block is worked out when a step asks for it: the start costs the same at any step of any epoch. Ranks take
slices of a step's clips. Knows no files and no torch.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sharding.errors import InputError

BLOCK_SHARDS = 64
"""Most shards that are mixed with each other. With 32 sources a shard this is about 2000 videos: near a full shuffle,
and little enough to lie on a node's own disk."""
KEPT_BLOCKS = 4
"""A step spans two blocks at most where a block fills a batch; a few more for who looks ahead."""


def clip_rng(seed: int, epoch: int, clip: int) -> np.random.Generator:
    """All randomness of one clip in one epoch: the same whoever asks, in whatever order (counter-based Philox)."""
    return np.random.Generator(_bits(seed, epoch, clip))


def _bits(seed: int, epoch: int, what: int) -> np.random.Philox:
    """A stream of its own for each seed below 2**64, epoch below 2**24 and `what` below 2**40."""
    return np.random.Philox(key=np.array([seed, epoch << 40 | what], np.uint64))


def shuffled(numbers: NDArray[np.int64], seed: int, epoch: int, what: int) -> NDArray[np.int64]:
    """A permutation of `numbers`, another one for each seed, epoch and `what`.

    By sorting Philox's raw numbers: of these NumPy promises that they stay the same from version to version; of its
    own `permutation` it does not.
    """
    bits = _bits(seed, epoch, (1 << 40) - 1 - what)  # counted from above: clip ids, from 0, never come near
    return numbers[np.argsort(bits.random_raw(len(numbers)), kind="stable")]


@dataclass(frozen=True, slots=True)
class StepClips:
    """The clips of one global step."""

    epoch: int
    block: int
    """The one that its first clip is of, counted within the epoch."""
    clips: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Epoch:
    """How an epoch's shards lie in blocks."""

    blocks: list[NDArray[np.int64]]
    """Rows of the table of shards, one array a block."""
    ends: NDArray[np.int64]
    """Clips up to the end of each block."""


class Order:
    """Clip ids by step. Each clip at most once an epoch; what does not fill a last batch is left to other epochs."""

    def __init__(self, *, clips: NDArray[np.int64], shards: NDArray[np.int32], batch: int, seed: int) -> None:
        """clips: ids that may be used, ascending; shards: the shard of each, ascending, as in an index.

        Raises InputError when the clips do not fill one batch.
        """
        if len(clips) < batch:
            raise InputError(
                f"--batch {batch} needs at least {batch} usable clips, the dataset has {len(clips)}: "
                "lower --batch or pack more videos"
            )
        self.clips, self.batch, self.seed = clips, batch, seed
        self.steps_per_epoch = len(clips) // batch
        self._first = np.flatnonzero(np.diff(shards, prepend=-1))
        self._size = np.diff(self._first, append=len(shards))
        self._shard = shards[self._first]
        self._epoch = lru_cache(maxsize=2)(self._lay_out)
        self._block = lru_cache(maxsize=KEPT_BLOCKS)(self._mix)

    def step(self, step: int) -> StepClips:
        """The clips of global step `step`, counted from 0 over all epochs."""
        epoch, position = divmod(step, self.steps_per_epoch)
        start, end = position * self.batch, (position + 1) * self.batch
        ends = self._epoch(epoch).ends
        first, last = np.searchsorted(ends, (start, end - 1), side="right").tolist()
        skipped = int(ends[first - 1]) if first else 0
        parts = [self._block(epoch, block) for block in range(first, last + 1)]
        clips = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return StepClips(epoch, first, clips[start - skipped : end - skipped])

    def first_step(self, step: int) -> int:
        """The first of the steps that start in the same block as `step`."""
        epoch, position = divmod(step, self.steps_per_epoch)
        ends = self._epoch(epoch).ends
        block = int(np.searchsorted(ends, position * self.batch, side="right"))
        start = int(ends[block - 1]) if block else 0
        return epoch * self.steps_per_epoch - (-start // self.batch)

    def blocks(self, step: int) -> Iterator[NDArray[np.int32]]:
        """Shard numbers of the block that `step` starts in, then of each following one, through all epochs, for ever.

        Steps touch blocks in this order; the first clips of a step may be the last ones of a block.
        """
        begun = self.step(step)
        epoch, block = begun.epoch, begun.block
        while True:
            for rows in self._epoch(epoch).blocks[block:]:
                yield self._shard[rows]
            epoch, block = epoch + 1, 0

    def _lay_out(self, epoch: int) -> _Epoch:
        """Blocks differ by one shard at most: a small one at the end would be a batch of few sources."""
        rows = shuffled(np.arange(len(self._first)), self.seed, epoch, 0)
        blocks = np.array_split(rows, -(-len(rows) // BLOCK_SHARDS))
        return _Epoch(blocks=blocks, ends=np.cumsum([self._size[block].sum() for block in blocks]))

    def _mix(self, epoch: int, block: int) -> NDArray[np.int64]:
        rows = self._epoch(epoch).blocks[block]
        bounds = zip(self._first[rows].tolist(), self._size[rows].tolist(), strict=True)
        places = np.concatenate([np.arange(first, first + size) for first, size in bounds])
        return self.clips[shuffled(places, self.seed, epoch, 1 + block)]


def share_of_rank(clips: NDArray[np.int64], rank: int, ranks: int, accumulate: int) -> list[NDArray[np.int64]]:
    """This rank's clips of a global step, one array per accumulation pass."""
    return list(clips.reshape(accumulate, ranks, -1)[:, rank])


def check_batch(batch: int, ranks: int, accumulate: int) -> None:
    """Raises InputError when a global batch cannot be shared out evenly."""
    if batch % (ranks * accumulate):
        raise InputError(
            f"--batch {batch} cannot be shared by {ranks} processes in --runtime.accumulate {accumulate} passes: "
            f"make it a multiple of {ranks * accumulate}"
        )


class Digest:
    """A rolling fingerprint of all clips trained on, in order: equal digests, same clips in the same order.

    Chained by block: a block's hash begins with the hash before it, called its mark, and the number of steps so far.
    So the digest of any step is found from the mark by hashing one block, however long the run.
    """

    def __init__(self, mark: str = "", steps: int = 0) -> None:
        """A run's beginning, or the beginning of a block before which there were `steps` steps."""
        self.steps = steps
        self._place: tuple[int, int] | None = None
        self._begin(mark)

    def _begin(self, mark: str) -> None:
        self.mark, self._hash = mark, hashlib.blake2b(mark.encode(), digest_size=16)
        self._hash.update(self.steps.to_bytes(8, "little"))

    @property
    def state(self) -> str:
        """32 hexadecimal digits."""
        return self._hash.hexdigest()

    def add(self, step: StepClips) -> None:
        """Count one more step; steps come in order."""
        place = step.epoch, step.block
        if self._place not in (None, place):
            self._begin(self.state)
        self._place = place
        self._hash.update(step.clips.astype("<i8").tobytes())
        self.steps += 1

    @classmethod
    def resumed(cls, order: Order, steps: int, mark: str) -> Self:
        """After `steps` steps, at least one, when the block of the last one began with `mark`."""
        first = order.first_step(steps - 1)
        return cls(mark, first)._through(order, steps)

    @classmethod
    def after(cls, order: Order, steps: int) -> Self:
        """After `steps` steps, worked out from the first one on: as long as it takes."""
        return cls()._through(order, steps)

    def _through(self, order: Order, steps: int) -> Self:
        for step in range(self.steps, steps):
            self.add(order.step(step))
        return self
