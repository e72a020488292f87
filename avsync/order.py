"""Which clips each step trains on: a pure function of (index, seed, step, global batch). There is no loader state.

Shards are permuted, grouped into blocks, and clips permuted inside a block, so that reading stays near a few shards.
Ranks take slices of a step's clips. Knows no files and no torch.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sharding.errors import InputError

BLOCK_SHARDS = 64
"""Shards mixed with each other. With 32 sources a shard this is about 2000 videos: near a full shuffle."""


def clip_rng(seed: int, epoch: int, clip: int) -> np.random.Generator:
    """All randomness of one clip in one epoch: the same whoever asks, in whatever order (counter-based Philox)."""
    return np.random.Generator(np.random.Philox(key=[seed, (epoch << 40) | clip]))


@dataclass(frozen=True, slots=True)
class StepClips:
    """The clips of one global step."""

    epoch: int
    clips: NDArray[np.int64]


class Order:
    """Clip ids by step. Each clip at most once an epoch; what does not fill a last batch is left to other epochs."""

    def __init__(self, *, clips: NDArray[np.int64], shards: NDArray[np.int32], batch: int, seed: int) -> None:
        """clips: ids that may be used, ascending; shards: the shard of each; batch: clips a global step.

        Raises InputError when the clips do not fill one batch.
        """
        if len(clips) < batch:
            raise InputError(
                f"--batch {batch} needs at least {batch} usable clips, the dataset has {len(clips)}: "
                "lower --batch or pack more videos"
            )
        self.clips, self.shards, self.batch, self.seed = clips, shards, batch, seed
        self.steps_per_epoch = len(clips) // batch
        self._epoch_order = lru_cache(maxsize=2)(self._shuffle)

    def epoch(self, epoch: int) -> StepClips:
        """The clips of a whole epoch, in order."""
        return StepClips(epoch, self._epoch_order(epoch)[: self.steps_per_epoch * self.batch])

    def step(self, step: int) -> StepClips:
        """The clips of global step `step`, counted from 0 over all epochs."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = self._epoch_order(epoch)
        return StepClips(epoch, order[position * self.batch : (position + 1) * self.batch])

    def _shuffle(self, epoch: int) -> NDArray[np.int64]:
        rng = np.random.Generator(np.random.Philox(key=[self.seed, epoch << 40 | (1 << 40) - 1]))
        names = np.unique(self.shards)
        block = np.empty(names[-1] + 1, np.int64)
        block[rng.permutation(names)] = np.arange(len(names)) // BLOCK_SHARDS
        return self.clips[np.lexsort((rng.random(len(self.clips)), block[self.shards]))]


def share_of_rank(clips: NDArray[np.int64], rank: int, ranks: int, accumulate: int) -> list[NDArray[np.int64]]:
    """This rank's clips of a global step, one array per accumulation pass."""
    return list(clips.reshape(accumulate, ranks, -1)[:, rank])


def check_batch(batch: int, ranks: int, accumulate: int) -> None:
    """Raises InputError when a global batch cannot be shared out evenly."""
    if batch % (ranks * accumulate):
        raise InputError(
            f"--batch {batch} cannot be shared by {ranks} processes in --accumulate {accumulate} passes: "
            f"make it a multiple of {ranks * accumulate}"
        )


class Digest:
    """A rolling fingerprint of all clips trained on, in order: equal digests, same clips in the same order.

    Chained by epoch: the digest of a late step is found by hashing each epoch's order once.
    """

    def __init__(self) -> None:
        self._epoch, self._hash = 0, hashlib.blake2b(digest_size=16)

    @property
    def state(self) -> str:
        """32 hexadecimal digits."""
        return self._hash.hexdigest()

    def add(self, step: StepClips) -> None:
        """Count one more step; steps come in order."""
        if step.epoch != self._epoch:
            self._epoch, self._hash = step.epoch, hashlib.blake2b(self._hash.digest(), digest_size=16)
        self._hash.update(step.clips.astype("<i8").tobytes())

    @classmethod
    def after(cls, order: Order, steps: int) -> "Digest":
        """The digest an undisturbed run has after `steps` steps."""
        digest = cls()
        epochs, rest = divmod(steps, order.steps_per_epoch)
        for epoch in range(epochs):
            digest.add(order.epoch(epoch))
        if rest:
            whole = order.epoch(epochs)
            digest.add(StepClips(epochs, whole.clips[: rest * order.batch]))
        return digest
