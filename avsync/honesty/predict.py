"""A network's answers on fixed pairs, for validation and evaluation. Knows no ranks: the trainer gathers."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avsync.data.batch import Batch
from avsync.data.transforms import NetworkInput
from avsync.metrics import Proportion, proportion_of
from avsync.models.parts import SyncOutput


class BatchAnswer(NamedTuple):
    """One batch, what the network was given of it and what it answered."""

    batch: Batch
    given: NetworkInput
    output: SyncOutput


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Predictions:
    """One row per example (picture, sound). N examples."""

    clip: NDArray[np.int64]
    """(N,) clip ids"""
    shift: NDArray[np.int64]
    """(N,) frames by which the sound's content is ahead of the picture"""
    in_sync: NDArray[np.bool_]
    logit: NDArray[np.float32]

    @property
    def hits(self) -> NDArray[np.bool_]:
        return (self.logit > 0) == self.in_sync

    @property
    def loss(self) -> float:
        """Mean binary cross-entropy."""
        signed = np.where(self.in_sync, -self.logit, self.logit)
        return float(np.logaddexp(0, signed).mean()) if len(signed) else float("nan")

    @classmethod
    def of(cls, table: Tensor) -> "Predictions":
        """From rows (clip, shift, in_sync, logit, valid), as `rows` makes them; further columns are left alone."""
        kept = table[table[:, 4] > 0.5].double().cpu().numpy()
        return cls(
            clip=kept[:, 0].astype(np.int64),
            shift=kept[:, 1].astype(np.int64),
            in_sync=kept[:, 2] > 0.5,
            logit=kept[:, 3].astype(np.float32),
        )


def rows(answer: BatchAnswer) -> Tensor:
    """(B*K, 5) float64 on the network's device: clip, shift, in_sync, logit, valid; ready to be gathered over ranks."""
    batch, logit = answer.batch, answer.output.logit
    sounds = logit.shape[1]
    clip = torch.tensor([[draw.clip] * sounds for draw in batch.draws], device=logit.device)
    shift = torch.tensor([[draw.pair.shift(k) for k in range(sounds)] for draw in batch.draws], device=logit.device)
    columns = (clip, shift, batch.in_sync, logit, batch.valid.unsqueeze(1).expand_as(logit))
    return torch.stack([column.double().flatten() for column in columns], dim=1)


class Choices(NamedTuple):
    """P pairs: a sound in sync, and another one under the same picture.

    Their order is right or wrong, whatever the person, the microphone or the room adds to both logits.
    """

    clip: NDArray[np.int64]
    """(P,) clip ids"""
    shift: NDArray[np.int64]
    """(P,) of the other sound, frames"""
    right: NDArray[np.float64]
    """(P,) 1: the sound in sync has the higher logit; 1/2: both are equal"""

    def of(self, chosen: NDArray[np.bool_], group: NDArray[np.integer]) -> Proportion:
        """Of some of the pairs. group: source of each clip of the dataset."""
        return proportion_of(self.right[chosen], group[self.clip[chosen]])

    def all(self, group: NDArray[np.integer]) -> Proportion:
        return proportion_of(self.right, group[self.clip])


def choices(got: Predictions, sounds: int) -> Choices:
    """The pairs among predictions, where each picture's `sounds` follow each other, one of them in sync.

    Empty where the law of pairs gives a picture one sound only.
    """
    rows = np.arange(len(got.clip) if sounds > 1 else 0).reshape(-1, max(1, sounds))
    rows = rows[got.in_sync[rows].sum(1) == 1]
    sync = got.in_sync[rows]
    own, other = np.repeat(rows[sync], sounds - 1), rows[~sync]
    return Choices(got.clip[other], got.shift[other], preferred(got.logit[own], got.logit[other]))


def preferred(own: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 where `own` is higher, 1/2 where both are equal, as the area under ROC counts it."""
    return (own > other) + 0.5 * (own == other)
