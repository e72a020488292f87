"""One row of a batch: a clip is read, its window decoded straight into the row. Runs in worker processes; no torch."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from avsync.loading.request import Request, Stage
from sharding.format.codec import Codec
from sharding.format.reader import ShardReader, StoredClip

Tell = Callable[[Stage], None]
"""Called when a stage begins."""


class Fetched(NamedTuple):
    """What is known of a filled row."""

    json: bytes
    read_ns: int
    decode_ns: int


class Fetcher:
    """Fills rows. One per process."""

    def __init__(self, codec: Codec) -> None:
        self._codec, self._reader = codec, ShardReader()
        self._sound = np.empty((0, 1), np.int16)

    def fill(self, request: Request, yuv: NDArray[np.uint8], audio: NDArray[np.int16], tell: Tell) -> Fetched:
        """Fill a row. yuv: (T, H*3/2, W), audio: (K, S, C). Raises SkipClip; the row then holds anything."""
        frames = range(*request.frames)
        started = time.perf_counter_ns()
        tell(Stage.READ)
        stored, placed = self._read(request, frames, yuv)
        read = time.perf_counter_ns()
        tell(Stage.DECODE)
        if not placed:
            self._codec.decode_video(stored.video, frames, yuv)
        self._fill_sounds(request, stored, audio)
        done = time.perf_counter_ns()
        return Fetched(bytes(stored.json), read - started, done - read)

    def _read(self, request: Request, frames: range, yuv: NDArray[np.uint8]) -> tuple[StoredClip, bool]:
        """The clip, and whether its pictures are in place already."""
        place = request.place
        head = self._codec.video_head((place.frames, *yuv.shape[1:])) if frames.step == 1 else None
        if head is None or frames.stop > place.frames:
            return self._reader.read(place), False
        first = frames.start * yuv[0].nbytes
        return self._reader.read_into(place, head, first, yuv), True

    def _fill_sounds(self, request: Request, stored: StoredClip, audio: NDArray[np.int16]) -> None:
        """All windows from one pass over the member: decoding starts at its beginning each time."""
        samples, channels = audio.shape[1:]
        first = min(start for start, _ in request.sounds)
        span = max(start for start, _ in request.sounds) + samples - first
        if self._sound.shape[0] < span or self._sound.shape[1] != channels:
            self._sound = np.empty((span, channels), np.int16)
        self._codec.decode_audio(stored.audio, first, self._sound[:span])
        for (start, roll), target in zip(request.sounds, audio, strict=True):
            heard = self._sound[start - first :][:samples]
            target[roll:], target[:roll] = heard[: samples - roll], heard[samples - roll :]
