"""Two sounds mixed into one: what a network that takes sounds apart is trained and judged with.

A step's clips come two by two (order.partnered). Each two make one mixture, and it is heard with the picture of the one
and with that of the other: whatever a mixture sounds like, each of its parts is once what belongs to the picture and
once what does not, so that nothing in the mixture alone can tell which. How loud each is, is drawn from (seed, step,
clip) alone, as windows are; a run that resumes mixes the same again.

B clips, M = B / 2 mixtures, C audio channels, S samples.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from avsync.data.batch import Batch
from avsync.data.order import FIXED_SEED, clip_rng

STREAM = 2 << 32
"""Added to the seed, which is below it: randomness of its own, beside that of windows and of augmentation."""
LEVEL = 0.1
"""Root mean square of each part, give or take its gain: a mixture seldom reaches full scale."""
AUDIBLE = 1e-3
"""Root mean square, -60 dB, below which a window holds no sound to be found again."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Mixtures:
    """Rows of a batch, mixed."""

    parts: Tensor
    """(B, C, S): each row's own sound, as it is in the mixture"""
    counts: Tensor
    """(B,) bool: both parts of the mixture could be read, and can be heard"""

    @property
    def sounds(self) -> Tensor:
        """(M, C, S)"""
        return self.parts.unflatten(0, (-1, 2)).sum(dim=1)

    @property
    def others(self) -> Tensor:
        """(B, C, S): what of each row's mixture is not its own."""
        return self.parts.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


def mixed(sounds: Tensor, batch: Batch, seed: int, step: int, spread_db: float) -> Mixtures:
    """sounds: (B, C, S), in which rows 2i and 2i + 1 are partners; spread_db: as SeparateConfig has it."""
    loudness = sounds.square().mean(dim=(1, 2)).sqrt()
    audible = batch.valid & (loudness >= AUDIBLE)
    gains = torch.tensor(gains_db([draw.clip for draw in batch.draws], seed, step, spread_db), device=sounds.device)
    factor = LEVEL * 10 ** (gains / 20) / loudness.clamp(min=AUDIBLE)
    parts = sounds * (factor * batch.valid)[:, None, None]
    return Mixtures(parts=parts, counts=audible.view(-1, 2).all(dim=1).repeat_interleave(2))


def mixed_fixed(sounds: Tensor, batch: Batch, spread_db: float) -> Mixtures:
    """The same each time, for validation and evaluation."""
    return mixed(sounds, batch, FIXED_SEED, 0, spread_db)


def gains_db(clips: list[int], seed: int, step: int, spread_db: float) -> list[float]:
    """By how much each clip is louder than LEVEL; 0 for padding."""
    half = spread_db / 2
    return [float(_rng(seed, step, clip).uniform(-half, half)) if clip >= 0 else 0.0 for clip in clips]


def _rng(seed: int, step: int, clip: int) -> np.random.Generator:
    return clip_rng(seed + STREAM, step % (1 << 24), clip)
