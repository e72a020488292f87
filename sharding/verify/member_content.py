"""Whether the pictures and the sound of a clip are what its json says: by its members' headers, or by decoding them.

Written for bytes that anyone may have made: whatever a decoder does with them is an answer, not an error of ours.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import av
import numpy as np

from sharding.format.clip import ClipMeta
from sharding.format.codec import Codec

WINDOW_FRAMES = 120
"""Decoded at a time."""
NPY_HEAD = 4096
"""More than any header of an npy file that we write."""
Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """How the header of one kind of file is read."""

    shape: Callable[[bytes, int], Shape]
    """From the file's first bytes, and its length: (T, H, W) of pictures, (S, channels) of sound."""
    needs: int | None = None
    """How many of its first bytes; None: all."""


def _mp4(content: bytes, _: int) -> Shape:
    with av.open(io.BytesIO(content), "r", format="mp4") as container:
        stream = container.streams.video[0]
        return stream.frames, stream.codec_context.height, stream.codec_context.width


def _flac(content: bytes, _: int) -> Shape:
    with av.open(io.BytesIO(content), "r", format="flac") as container:
        stream = container.streams.audio[0]
        samples = (stream.duration or 0) * (stream.time_base or 0) * stream.codec_context.sample_rate
        return int(samples), stream.codec_context.channels


def _npy(content: bytes, size: int) -> Shape:
    head = io.BytesIO(content)
    np.lib.format.read_magic(head)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(head)
    kinds = {3: np.dtype(np.uint8), 2: np.dtype(np.int16)}
    if fortran or dtype != kinds.get(len(shape)) or head.tell() + np.prod(shape, dtype=object) * dtype.itemsize != size:
        raise ValueError(f"{dtype} {shape} in {size} bytes")
    return (shape[0], shape[1] * 2 // 3, shape[2]) if len(shape) == 3 else shape


HEADERS = {"mp4": Header(shape=_mp4), "flac": Header(shape=_flac), "npy": Header(shape=_npy, needs=NPY_HEAD)}
"""By the last part of a codec's suffix."""


def header_of(suffix: str) -> Header:
    """How a member's header is read."""
    return HEADERS[suffix.rpartition(".")[2]]


def problem_of_headers(video: tuple[bytes, int], audio: tuple[bytes, int], meta: ClipMeta, codec: Codec) -> str:
    """What the headers say that the json does not; empty when they agree. Members: first bytes, and length."""
    wanted = {
        codec.video_suffix: (video, (meta.frames, meta.height, meta.width)),
        codec.audio_suffix: (audio, (meta.samples, meta.channels)),
    }
    for suffix, (member, shape) in wanted.items():
        try:
            found = header_of(suffix).shape(*member)
        except Exception as error:  # of a library, made by bytes from outside
            return f"a {suffix} member that does not open ({_named(error)})"
        if found != shape:
            return f"a {suffix} member of {found} where the json says {shape}"
    return ""


def problem_of_decoding(video: bytes, audio: bytes, meta: ClipMeta, codec: Codec) -> str:
    """What keeps the clip from being decoded from its first to its last frame; empty when nothing does."""
    try:
        for first in range(0, meta.frames, WINDOW_FRAMES):
            frames = range(first, min(first + WINDOW_FRAMES, meta.frames))
            codec.decode_video(video, frames, np.empty((len(frames), meta.height * 3 // 2, meta.width), np.uint8))
        codec.decode_audio(audio, 0, np.empty((meta.samples, meta.channels), np.int16))
    except Exception as error:  # of a library, made by bytes from outside
        return f"members that do not decode ({_named(error)})"
    return ""


def _named(error: Exception) -> str:
    return str(error) or type(error).__name__
