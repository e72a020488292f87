"""One stored form tried out: clips written to a disk as a shard holds them, and windows of them loaded again.

The thesis's form stands beside ours for comparison: all of a window as float32 RGB, the bytes that torch.save would
write, without torch.
"""

import errno
import math
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import av
import numpy as np
from isal.isal_zlib import crc32
from numpy.typing import DTypeLike, NDArray

from sharding.errors import FormatError
from sharding.format.clip import Clip, ClipMeta
from sharding.format.codec import Codec
from sharding.format.records import ClipRecord
from sharding.format.tar import ShardWriter


def forget(paths: Sequence[Path]) -> bool:
    """Ask the system to drop these files from memory, so that reading them again is reading the disk.

    True when it has, as far as one can know: only Linux does.
    """
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in paths:
        _drop(path)
    gone = _would_wait(paths[-1])
    _drop(paths[-1])  # asking may have made the system fetch some of it
    return gone


def _drop(path: Path) -> None:
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _would_wait(path: Path) -> bool:
    """Whether the end of a file must be fetched first. What the system cannot answer counts as no."""
    with path.open("rb", buffering=0) as file:
        try:
            os.preadv(file.fileno(), [bytearray(1)], max(0, os.fstat(file.fileno()).st_size - 1), os.RWF_NOWAIT)
        except OSError as error:
            return error.errno == errno.EAGAIN
        return False


WINDOW_S = 4
"""What a network sees of a clip, in seconds."""
FLOAT_WINDOWS = 2
"""Stored as float32, at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A clip on the disk."""

    path: Path
    bytes: int
    seconds: float
    """Of the clip, as far as it is stored."""
    cpu_s: float
    """CPU time to encode and write it."""
    disk_s: float
    """Time until the disk had it, after it was encoded."""


class Trial(Protocol):
    """Safe to load from many threads at once."""

    name: str
    stored: list[Stored]

    def store(self, clip: Clip) -> None:
        """Write a clip; adds to `stored`."""
        ...

    def load(self, number: int) -> None:
        """Read a window of a stored clip into memory, decoded as far as the loader does."""
        ...

    @property
    def psnr_db(self) -> float | None:
        """Of the stored planes against the clips' own; infinite when equal, None when they are no planes."""
        ...


class CodecTrial:
    """One of CODECS."""

    def __init__(self, name: str, codec: Codec, folder: Path) -> None:
        self.name = name
        self.stored: list[Stored] = []
        self._codec, self._folder = codec, folder
        self._clips: list[tuple[ClipRecord, ClipMeta]] = []
        self._error = 0.0
        self._values = 0
        self._thread = threading.local()

    def store(self, clip: Clip) -> None:
        path = self._folder / f"{self.name}-{len(self.stored)}.tar"
        started = time.thread_time()
        with path.open("wb") as file:
            writer = ShardWriter(file, self._codec)
            writer.add(clip)
            cpu_s = time.thread_time() - started
            disk_s = _wait_for_disk(file)
        self._clips.append((writer.clips[0], clip.meta))
        self._compare(clip)
        seconds = clip.meta.frames / float(clip.meta.clock.fps)
        self.stored.append(Stored(path=path, bytes=writer.size, seconds=seconds, cpu_s=cpu_s, disk_s=disk_s))

    def load(self, number: int) -> None:
        _, meta = self._clips[number]
        video, audio = self._members(number)
        frames, first_sample, samples = window_of(meta)
        pictures = self._buffer("pictures", (len(frames), meta.height * 3 // 2, meta.width), np.uint8)
        self._codec.decode_video(video, frames, pictures)
        self._codec.decode_audio(audio, first_sample, self._buffer("sound", (samples, meta.channels), np.int16))

    @property
    def psnr_db(self) -> float | None:
        return 10 * math.log10(255**2 * self._values / self._error) if self._error else math.inf

    def _members(self, number: int) -> tuple[memoryview, memoryview]:
        """Pictures and sound of a stored clip, in one read, checked as the loader does."""
        record, _ = self._clips[number]
        data = memoryview(bytearray(record.size))
        with (self._folder / f"{self.name}-{number}.tar").open("rb", buffering=0) as file:
            file.seek(record.offset)
            file.readinto(data)
        if crc32(data) != record.crc32:
            raise FormatError(f"{file.name} does not hold what was just written to it: the disk is not to be trusted")
        video, audio = (data[start : start + length] for start, length in (record.video, record.audio))
        return video, audio

    def _compare(self, clip: Clip) -> None:
        back = np.empty_like(clip.yuv)
        self._codec.decode_video(self._members(len(self._clips) - 1)[0], range(clip.meta.frames), back)
        for picture, own in zip(back, clip.yuv, strict=True):
            self._error += float(np.square(picture.astype(np.int32) - own).sum())
        self._values += back.size

    def _buffer(self, name: str, shape: tuple[int, ...], kind: DTypeLike) -> NDArray[Any]:
        """Memory of this thread, used over and over, as the loader's is."""
        buffer = getattr(self._thread, name, None)
        if buffer is None or buffer.shape != shape:
            buffer = np.empty(shape, kind)
            setattr(self._thread, name, buffer)
        return buffer


class FloatTrial:
    """What the thesis stored: a window's pictures as float32 RGB from 0 to 1, and its sound as float32."""

    name = "float32 .pth"
    psnr_db = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.stored: list[Stored] = []

    def store(self, clip: Clip) -> None:
        """Only some: a window is a hundred megabytes."""
        if len(self.stored) == FLOAT_WINDOWS:
            return
        path = self._folder / f"float-{len(self.stored)}.pth"
        frames, first_sample, samples = window_of(clip.meta)
        started = time.thread_time()
        pictures = np.stack([_rgb(clip.yuv[frame]) for frame in frames]).transpose(0, 3, 1, 2)
        sound = clip.audio[first_sample : first_sample + samples].astype(np.float32) / 32768
        with path.open("wb") as file:
            for array in (pictures.astype(np.float32) / 255, sound):
                np.ascontiguousarray(array).tofile(file)
            cpu_s = time.thread_time() - started
            disk_s = _wait_for_disk(file)
        seconds = len(frames) / float(clip.meta.clock.fps)
        size = path.stat().st_size
        self.stored.append(Stored(path=path, bytes=size, seconds=seconds, cpu_s=cpu_s, disk_s=disk_s))

    def load(self, number: int) -> None:
        np.fromfile(self.stored[number].path, np.float32)


def window_of(meta: ClipMeta) -> tuple[range, int, int]:
    """The middle window of a clip: its frames, its first sample and how many."""
    length = min(meta.frames, meta.clock.frames_in(Fraction(WINDOW_S)))
    first = (meta.frames - length) // 2
    samples = meta.clock.sample_at(length)
    return range(first, first + length), min(meta.clock.sample_at(first), meta.samples - samples), samples


def _rgb(planes: NDArray[np.uint8]) -> NDArray[Any]:
    return av.VideoFrame.from_ndarray(planes, format="yuv420p").to_ndarray(format="rgb24")


def _wait_for_disk(file: BinaryIO) -> float:
    started = time.perf_counter()
    file.flush()
    os.fsync(file.fileno())
    return time.perf_counter() - started
