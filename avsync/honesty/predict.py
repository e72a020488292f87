"""A network's answers on fixed pairs, for validation and evaluation. Knows no ranks: the trainer gathers."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avsync.data.batch import Batch
from avsync.data.transforms import NetworkInput
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
