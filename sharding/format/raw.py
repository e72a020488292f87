"""The stored form `raw`: planes and PCM as plain npy."""

import io
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sharding.errors import WrongClip
from sharding.format.blocks import block_checksums
from sharding.format.claims import ClipShape, decoding
from sharding.format.clip import BlockChecksums, Clip, Member

NPY_HEAD = 4096
"""Bytes; more than any header of an npy file that we write."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Raw:
    """Plain npy: the planes and the PCM as they are. Sixty times the bytes, a twentieth of the CPU time."""

    video_suffix: str = "video.npy"
    audio_suffix: str = "audio.npy"

    def encode_video(self, clip: Clip) -> bytes:
        return _to_npy(clip.yuv)

    def encode_audio(self, clip: Clip) -> bytes:
        return _to_npy(clip.audio)

    def heads(self, shape: ClipShape) -> tuple[bytes, bytes]:
        return _npy_head(shape.pictures), _npy_head(shape.sound, "<i2")

    def checksums(self, clip: Clip) -> BlockChecksums:
        return block_checksums(ClipShape.of(clip.meta), bytes_of(clip.yuv), bytes_of(clip.audio))

    @property
    def head_bytes(self) -> int | None:
        return NPY_HEAD

    def most_bytes(self, shape: ClipShape) -> tuple[int, int]:
        return NPY_HEAD + shape.picture_bytes, NPY_HEAD + shape.sound_bytes

    def check_video(self, member: Member, size: int, shape: ClipShape) -> None:
        _check(_Head.read(member), size, np.dtype(np.uint8), shape.pictures)

    def check_audio(self, member: Member, size: int, shape: ClipShape) -> None:
        _check(_Head.read(member), size, np.dtype(np.int16), shape.sound)

    def decode_video(
        self, member: Member, frames: range, out: NDArray[np.uint8], shape: ClipShape | None = None
    ) -> None:
        with decoding("video", out.nbytes):
            stored = _from_npy(member, np.dtype(np.uint8), 3, shape and shape.pictures)
            if frames[-1] >= len(stored) or stored.shape[1:] != out.shape[1:]:
                raise WrongClip(f"wanted frames up to {frames[-1]} of {out.shape[1:]}, stored is {stored.shape}")
            out[:] = stored[frames.start : frames.stop : frames.step]

    def decode_audio(self, member: Member, start: int, out: NDArray[np.int16], shape: ClipShape | None = None) -> None:
        with decoding("audio", out.nbytes):
            stored = _from_npy(member, np.dtype(np.int16), 2, shape and shape.sound)
            if start + len(out) > len(stored) or stored.shape[1] != out.shape[1]:
                raise WrongClip(f"wanted samples {start} to {start + len(out)}, stored is {stored.shape}")
            out[:] = stored[start : start + len(out)]

    def decoder(self) -> Self:
        return self


def bytes_of(array: NDArray[Any]) -> memoryview:
    """All of it, in order; a copy only where it lies otherwise."""
    return np.ascontiguousarray(array).reshape(-1).data.cast("B")


def _to_npy(array: NDArray[Any]) -> bytes:
    """What np.save writes."""
    return b"".join((_npy_head(array.shape, array.dtype.str), bytes_of(array)))


@lru_cache
def _npy_head(shape: tuple[int, ...], kind: str = "|u1") -> bytes:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": kind, "fortran_order": False, "shape": shape})
    return head.getvalue()


@dataclass(frozen=True, slots=True)
class _Head:
    """What an npy member says of itself."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    in_order: bool
    """The last index runs fastest."""
    bytes: int

    @classmethod
    def read(cls, member: Member) -> Self:
        """Raises ValueError and its like: anyone may have written it."""
        head = io.BytesIO(member[:NPY_HEAD])
        np.lib.format.read_magic(head)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(head)
        return cls(shape, dtype, not fortran, head.tell())


def _check(head: _Head, size: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    if (head.shape, head.dtype, head.in_order) != (shape, dtype, True):
        order = "" if head.in_order else ", first index fastest"
        raise WrongClip(f"its array is {head.dtype} {head.shape}{order}; wanted {dtype} {shape}")
    if size != (wanted := head.bytes + math.prod(shape) * dtype.itemsize):
        raise WrongClip(f"its array of {shape} has {size} bytes; wanted {wanted}")


def _from_npy(member: Member, dtype: np.dtype[Any], dimensions: int, shape: tuple[int, ...] | None) -> NDArray[Any]:
    """The array in an npy member, as a view of its bytes. Objects are refused: they would be unpickled."""
    head = _Head.read(member)
    if head.dtype != dtype or not head.in_order or len(head.shape) != dimensions or min(head.shape) < 0:
        raise WrongClip(f"wanted npy of {dtype} with {dimensions} dimensions, got {head.dtype} {head.shape}")
    if shape is not None:
        _check(head, len(member), dtype, shape)
    return np.frombuffer(member, dtype, math.prod(head.shape), head.bytes).reshape(head.shape)
