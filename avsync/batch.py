"""What the loader hands to the trainer: one batch, with its keys, still in stored form.

B clips, K sounds per clip, T frames, R = H*3/2 rows of I420, W pixels, S samples, C audio channels.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from avsync.draw import Draw
from sharding.clip import ClipMeta


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Batch:
    """Rows of a step. Tensors are views of a reusable slot: valid until the next batch is asked for."""

    keys: tuple[str, ...]
    """Clip keys; empty for padding."""
    metas: tuple[ClipMeta | None, ...]
    """What each clip's json says; None for padding and for clips that could not be read."""
    draws: tuple[Draw, ...]
    """How each row was cut: with it any row can be rebuilt."""
    yuv: Tensor
    """(B, T, R, W) uint8"""
    audio: Tensor
    """(B, K, S, C) int16"""
    in_sync: Tensor
    """(B, K) float32: 1 or 0"""
    matrix: Tensor
    """(B,) int64: row of transforms.YUV_TO_RGB"""
    valid: Tensor
    """(B,) bool: False for padding and for clips that could not be read; they count for nothing"""

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`; asynchronous when the slot is pinned."""
        names = ("yuv", "audio", "in_sync", "matrix", "valid")
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in names})
