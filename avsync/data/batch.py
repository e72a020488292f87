"""What the loader hands to the trainer: one batch, with its keys, still in stored form.

B clips, K sounds per clip, T frames, R = H*3/2 rows of I420, W pixels, S samples, C audio channels.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from avsync.data.order import Draw
from sharding.base.files import from_json
from sharding.format.clip import ClipMeta

TENSORS = ("in_sync", "matrix", "valid", "yuv", "audio")
"""Small ones first: their memory is not locked, so the host waits for them, and for all copies before them."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Batch:
    """Rows of a step. On a CPU the tensors are views of a reusable slot: valid until the next batch is asked for."""

    keys: tuple[str, ...]
    """Clip keys; empty for padding."""
    jsons: tuple[bytes | None, ...]
    """Each clip's json member; None for padding and for clips that could not be read."""
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

    @property
    def metas(self) -> tuple[ClipMeta | None, ...]:
        """What the jsons say."""
        return tuple((json and from_json(json, ClipMeta, "a clip's json")) or None for json in self.jsons)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`; asynchronous when the slot is pinned."""
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in TENSORS})

    def first(self, rows: int) -> "Batch":
        """A copy of so many rows, or of all: it stays."""
        told = {name: getattr(self, name)[:rows] for name in ("keys", "jsons", "draws")}
        return replace(self, **told, **{name: getattr(self, name)[:rows].clone() for name in TENSORS})

    def record_stream(self, stream: torch.cuda.Stream) -> None:
        """The tensors, made on another stream, are used on this one: their memory must not be given away before."""
        for name in TENSORS:
            getattr(self, name).record_stream(stream)
