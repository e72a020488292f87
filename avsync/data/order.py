"""Which clips each step trains on, and what is cut out of each. There is no loader state.

The clips are a pure function of (index, seed, step, global batch): shards are permuted and dealt to blocks, and clips
permuted inside their block, so that reading stays near a few shards. A block is worked out when a step asks for it: the
start costs the same at any step of any epoch. Ranks take slices of a step's clips. Windows, crop and flip (a Draw) are
a pure function of (seed, epoch, clip), or of (seed, step, clip) where clips come again within an epoch; for validation
and evaluation they are always the same. No files and no torch.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from avsync.config import ViewConfig
from avsync.data.pairs import Pair, PairSampler, seconds
from sharding.errors import UsageError
from sharding.format.clip import Clock
from sharding.format.index import Index

BLOCK_SHARDS = 64
"""Most shards that are mixed with each other. With 32 sources a shard this is about 2000 videos: near a full shuffle,
and little enough to lie on a node's own disk."""
KEPT_BLOCKS = 4
"""A step spans two blocks at most where a block fills a batch; a few more for who looks ahead."""


EPOCHS = 2**24
"""As many have a stream of randomness of their own."""


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


def balanced(clips: NDArray[np.int64], group: NDArray[np.integer], balance: float) -> NDArray[np.int64]:
    """The clips of an epoch in which those of small groups come again: each about (most / n)^balance times, where its
    group has n clips, and the largest has `most`. clips: ascending; group: of each.
    """
    _, number, count = np.unique(group, return_inverse=True, return_counts=True)
    return np.repeat(clips, np.round((count.max() / count) ** balance).astype(np.int64)[number])


def partnered(clips: NDArray[np.int64], group: NDArray[np.integer]) -> NDArray[np.int64]:
    """The same clips, an even number, so that each two, counted from the first, are partners of different groups as far
    as there are such; by what stands in `clips` alone. group: of each.

    Sorted by groups, in the order in which these come, a clip meets the one half of all further on: as no group but one
    of more than half of the clips reaches so far, only that one is left with partners of its own.
    """
    _, first, number = np.unique(group, return_index=True, return_inverse=True)
    sorted_by_group = clips[np.argsort(first[number], kind="stable")]
    return sorted_by_group.reshape(2, -1).T.ravel()


class Order:
    """Clip ids by step. Each as often an epoch as `clips` has it, or less: what does not fill a last batch is left to
    other epochs.
    """

    def __init__(
        self,
        *,
        clips: NDArray[np.int64],
        shards: NDArray[np.int32],
        batch: int,
        seed: int,
        repeats: bool = False,
        partners: NDArray[np.integer] | None = None,
    ) -> None:
        """clips: ids that may be used, ascending; shards: the shard of each, ascending, as in an index; `repeats`: a
        clip may stand there more than once; partners: of each clip of the index its group, where each two clips of a
        step are to be of different ones (`partnered`).

        Raises UsageError when the clips do not fill one batch.
        """
        if len(clips) < batch:
            raise UsageError(
                f"--batch {batch} needs at least {batch} usable clips, the dataset has {len(clips)}: "
                "lower --batch or pack more videos"
            )
        self.clips, self.batch, self.seed, self.repeats = clips, batch, seed, repeats
        self.steps_per_epoch = len(clips) // batch
        self._partners = partners
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
        clips = clips[start - skipped : end - skipped]
        return StepClips(epoch, first, clips if self._partners is None else partnered(clips, self._partners[clips]))

    def stream(self, step: int) -> int:
        """Of randomness: an epoch has one, unless a clip that comes again within it is to be cut another way."""
        return step % EPOCHS if self.repeats else step // self.steps_per_epoch

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
        if epoch >= EPOCHS:
            raise UsageError(f"no training has {EPOCHS:,} epochs of {len(self.clips)} clips: lower --steps")
        rows = shuffled(np.arange(len(self._first)), self.seed, epoch, 0)
        blocks = np.array_split(rows, -(-len(rows) // BLOCK_SHARDS))
        return _Epoch(blocks=blocks, ends=np.cumsum([self._size[block].sum() for block in blocks]))

    def _mix(self, epoch: int, block: int) -> NDArray[np.int64]:
        rows = self._epoch(epoch).blocks[block]
        bounds = zip(self._first[rows].tolist(), self._size[rows].tolist(), strict=True)
        positions = np.concatenate([np.arange(first, first + size) for first, size in bounds])
        return self.clips[shuffled(positions, self.seed, epoch, 1 + block)]


def share_of_rank(clips: NDArray[np.int64], rank: int, ranks: int, passes: int) -> list[NDArray[np.int64]]:
    """A rank's clips of a global step, one array for each accumulation pass."""
    return list(clips.reshape(passes, ranks, -1)[:, rank])


def check_batch(batch: int, ranks: int, accumulate: int, *, partners: bool = False) -> None:
    """Raises UsageError when a global batch cannot be shared out evenly; `partners` stay together."""
    if batch % (evenly := ranks * accumulate * (1 + partners)):
        raise UsageError(
            f"--batch {batch} cannot be shared{' two by two' * partners} by {ranks} processes in --runtime.accumulate "
            f"{accumulate} passes: make it a multiple of {evenly}"
        )


class Digest:
    """A rolling fingerprint of all clips trained on, in order: equal digests, same clips in the same order.

    Chained by block: a block's hash begins with the hash before it, called its mark, and the number of steps so far.
    So the digest of any step is found from the mark by hashing one block, however long the run.
    """

    def __init__(self, mark: str = "", steps: int = 0) -> None:
        """A run's beginning, or the beginning of a block before which there were `steps` steps."""
        self.steps = steps
        self._block: tuple[int, int] | None = None
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
        block = step.epoch, step.block
        if self._block not in (None, block):
            self._begin(self.state)
        self._block = block
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


@dataclass(frozen=True, slots=True)
class Draw:
    """One row of a batch."""

    clip: int
    """Clip id; -1: padding, to be ignored."""
    pair: Pair
    top: int
    left: int
    flip: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """Sizes in pixels of the stored picture, of what is cut out of it, and of what the network is shown."""

    height: int
    width: int
    crop_height: int
    crop_width: int
    out_height: int
    out_width: int
    flip: bool = True
    """Half of the training windows are mirrored left to right."""

    @classmethod
    def build(cls, config: ViewConfig, height: int, width: int) -> "View":
        """Even crops, so that they fall on whole chroma samples."""
        crop_height, crop_width = (2 * max(1, round(side * config.crop / 2)) for side in (height, width))
        return cls(
            height=height,
            width=width,
            crop_height=crop_height,
            crop_width=crop_width,
            out_height=config.size or crop_height,
            out_width=config.size or crop_width,
            flip=config.flip,
        )

    def centre(self) -> tuple[int, int]:
        """Top and left of the central crop, even so that it falls on whole chroma samples."""
        return (self.height - self.crop_height) // 4 * 2, (self.width - self.crop_width) // 4 * 2

    def random(self, rng: np.random.Generator) -> tuple[int, int]:
        """Top and left of a random crop, even."""
        rows, columns = (self.height - self.crop_height) // 2, (self.width - self.crop_width) // 2
        return 2 * int(rng.integers(rows + 1)), 2 * int(rng.integers(columns + 1))


def usable_clips(index: Index, sampler: PairSampler, clock: Clock) -> NDArray[np.int64]:
    """Ids of the clips long enough for a pair. Raises UsageError when there is none, saying how long they are."""
    usable = np.flatnonzero(index.frames >= sampler.shortest())
    if not len(usable):
        raise UsageError(
            f"no clip is long enough: a window and its shift need {seconds(sampler.shortest(), clock):.2f} s "
            f"(--pairs.window-s, --pairs.min-shift-s), the longest clip has "
            f"{seconds(int(index.frames.max()), clock):.2f} s: lower them, or pack longer clips (--clip-s)"
        )
    return usable


def draws_of_step(
    order: Order, step: int, sampler: PairSampler, index: Index, view: View, rank: int, ranks: int, passes: int
) -> list[list[Draw]]:
    """A rank's rows of a global step, one list for each accumulation pass."""

    def draw(clip: int) -> Draw:
        rng = clip_rng(order.seed, stream, clip)
        pair = sampler(int(index.frames[clip]), rng)
        top, left = view.random(rng)
        return Draw(clip, pair, top, left, view.flip and bool(rng.random() < 0.5))

    wanted, stream = order.step(step), order.stream(step)
    return [[draw(int(clip)) for clip in clips] for clips in share_of_rank(wanted.clips, rank, ranks, passes)]


Row = TypeVar("Row")
FIXED_SEED = 20180410  # arXiv 1804.03641's month; only has to stay the same for ever


def fixed_draws(
    index: Index, clips: NDArray[np.int64], sampler: PairSampler, view: View, per_clip: int = 1
) -> list[Draw]:
    """The same pairs each time, for validation and evaluation: central crop, no flip, `per_clip` pairs of each clip."""
    top, left = view.centre()
    return [
        Draw(int(clip), sampler(int(index.frames[clip]), clip_rng(FIXED_SEED, number, int(clip))), top, left, False)
        for clip in clips
        for number in range(per_clip)
    ]


def fixed_choice(clips: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` of the clips, always the same ones, spread over the whole split."""
    return np.sort(shuffled(clips, FIXED_SEED, 0, 0)[:count])


def even_batch(count: int, most: int) -> int:
    """The size of batches, at most `most`, to which `count` rows are dealt evenly: none is left with a row or two."""
    return -(-count // max(1, -(-count // most)))


def mixed(draws: Sequence[Row], batch: int) -> list[Row]:
    """The same draws so ordered that a batch takes them from everywhere: neighbours are mostly of one source."""
    rounds = -(-len(draws) // batch)
    return [draw for first in range(rounds) for draw in draws[first::rounds]]


def batches_of_rank(draws: list[Draw], batch: int, rank: int, ranks: int) -> list[list[Draw]]:
    """This rank's rows in batches of one size, padded with ignored rows so that all ranks have as many batches."""
    padding = Draw(-1, draws[0].pair, 0, 0, False)
    per_round = batch * ranks
    rounds = -(-len(draws) // per_round)
    padded = draws + [padding] * (rounds * per_round - len(draws))
    return [padded[(number * ranks + rank) * batch :][:batch] for number in range(rounds)]
