"""The stored form `raw`: planes and PCM as plain npy."""

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sharding.errors import SkipClip
from sharding.format.clip import Clip, Member


@dataclass(frozen=True, kw_only=True, slots=True)
class Raw:
    """Plain npy: the planes and the PCM as they are. Sixty times the bytes, a twentieth of the CPU time."""

    video_suffix: str = "video.npy"
    audio_suffix: str = "audio.npy"

    def encode_video(self, clip: Clip) -> bytes:
        return _to_npy(clip.yuv)

    def encode_audio(self, clip: Clip) -> bytes:
        return _to_npy(clip.audio)

    def video_head(self, shape: tuple[int, int, int]) -> bytes | None:
        return _npy_head(shape)

    def decode_video(self, member: Member, frames: range, out: NDArray[np.uint8]) -> None:
        stored = _from_npy(member, np.dtype(np.uint8), 3)
        if frames[-1] >= len(stored) or stored.shape[1:] != out.shape[1:]:
            raise SkipClip(f"wanted frames up to {frames[-1]} of {out.shape[1:]}, stored is {stored.shape}")
        out[:] = stored[frames.start : frames.stop : frames.step]

    def decode_audio(self, member: Member, start: int, out: NDArray[np.int16]) -> None:
        stored = _from_npy(member, np.dtype(np.int16), 2)
        if start + len(out) > len(stored) or stored.shape[1] != out.shape[1]:
            raise SkipClip(f"wanted samples {start} to {start + len(out)}, stored is {stored.shape}")
        out[:] = stored[start : start + len(out)]


def _to_npy(array: NDArray[Any]) -> bytes:
    """What np.save writes, copied once: a clip of 10 s is 30 MB, and memory is what raw packing waits for."""
    array = np.ascontiguousarray(array)
    return b"".join((_npy_head(array.shape, array.dtype.str), array.data))


@lru_cache
def _npy_head(shape: tuple[int, ...], kind: str = "|u1") -> bytes:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": kind, "fortran_order": False, "shape": shape})
    return head.getvalue()


def _from_npy(member: Member, dtype: np.dtype[Any], dimensions: int) -> NDArray[Any]:
    """The array in an npy member, as a view of its bytes. Objects are refused: they would be unpickled."""
    head = io.BytesIO(member[:4096])
    try:
        np.lib.format.read_magic(head)
        shape, fortran, stored = np.lib.format.read_array_header_1_0(head)
        if stored != dtype or fortran or len(shape) != dimensions:
            raise SkipClip(f"wanted npy of {dtype} with {dimensions} dimensions, got {stored} {shape}")
        return np.frombuffer(member, dtype, offset=head.tell(), count=int(np.prod(shape))).reshape(shape)
    except ValueError as error:
        raise SkipClip(f"its npy member is damaged: {error}") from error
