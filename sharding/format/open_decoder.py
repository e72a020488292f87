"""Decoders that stay open from clip to clip: an eighth of a short clip's time goes into opening them.

They get a clip's packets alone (packets.py, sound_frames.py). Between clips they are emptied, so that nothing of one
comes out with the next; one that met anything strange is not used again, and the clip is judged as a file of its own.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import av
import numpy as np
from av.codec.context import CodecContext
from av.error import FFmpegError
from numpy.typing import NDArray

from sharding.errors import WrongClip
from sharding.format.claims import ClipShape
from sharding.format.clip import Member
from sharding.format.decoded import (
    MATRIX_TAG,
    NO_CONCEALMENT,
    UNTAGGED,
    Decoder,
    PlaneWriter,
    check_picture,
    picture_options,
    samples_of,
)
from sharding.format.packets import VideoPackets
from sharding.format.sound_frames import SoundFrames

KEPT = 2
"""Decoders of each kind: clips of a dataset differ in their matrix alone, and each holds some 20 pictures."""
AT_ONCE = 8
"""Pictures that are copied in a row: decoding drives the program that copies out of the core's cache."""
_REFUSED = (FFmpegError, WrongClip, ValueError, MemoryError)
"""What decoders, and those who look at what they hand out, have against foreign bytes. The judge says what is wrong."""


class OpenDecoder:
    """Decodes clip after clip, bit for bit as its judge does, who decodes each as a file of its own. For one thread.

    What the judge says of a wrong one is what counts.
    """

    def __init__(self, judge: Decoder) -> None:
        self._judge = judge
        self._video, self._audio = _Kept("h264"), _Kept("flac")

    def decode_video(
        self, member: Member, frames: range, out: NDArray[np.uint8], shape: ClipShape | None = None
    ) -> None:
        """As a Codec does. Raises SkipClip."""
        if shape is None or not self._pictures(memoryview(member), frames, out, shape):
            self._judge.decode_video(member, frames, out, shape)

    def decode_audio(self, member: Member, start: int, out: NDArray[np.int16], shape: ClipShape | None = None) -> None:
        """As a Codec does. Raises SkipClip."""
        if shape is None or not self._samples(bytes(member), start, out, shape):
            self._judge.decode_audio(member, start, out, shape)

    def _pictures(self, member: memoryview, frames: range, out: NDArray[np.uint8], shape: ClipShape) -> bool:
        """Whether they are there now, and nothing about them was strange."""
        tags = (UNTAGGED, MATRIX_TAG[shape.matrix]) if shape.matrix else ()
        packets = VideoPackets.find(member, shape)
        if packets is None or (tags and packets.matrix not in (None, *tags)):
            return False
        pictures = packets.pictures(member, frames)
        return pictures is not None and self._video.use(
            packets.extradata, picture_options(out), lambda decoder: _fill(decoder, pictures, frames, out, tags)
        )

    def _samples(self, member: bytes, start: int, out: NDArray[np.int16], shape: ClipShape) -> bool:
        """The same of sound."""
        sound = SoundFrames.find(member, shape)
        if sound is None or out.shape[1] != shape.channels:
            return False
        blocks = sound.blocks(member, start, start + len(out))
        return blocks is not None and self._audio.use(
            sound.info, NO_CONCEALMENT, lambda decoder: _fill_sound(decoder, blocks, start, out, shape)
        )


class _Kept:
    """The decoders of one kind that are open, each for what it was opened with; the one used last is the last to go."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._free: OrderedDict[tuple[bytes, str], Any] = OrderedDict()

    def use(self, extradata: bytes, options: dict[str, str], work: Callable[[Any], bool]) -> bool:
        """What `work` says when it is done with a decoder, which is kept when that is yes."""
        key = (extradata, str(options))
        try:
            decoder = self._free.pop(key, None) or self._open(extradata, options)
            if not work(decoder):
                return False
            decoder.flush_buffers()
        except _REFUSED:
            return False
        self._free[key] = decoder
        if len(self._free) > KEPT:
            self._free.popitem(last=False)
        return True

    def _open(self, extradata: bytes, options: dict[str, str]) -> Any:
        decoder: Any = CodecContext.create(self._name, "r")
        decoder.extradata, decoder.thread_count, decoder.options = extradata, 1, options
        decoder.open()
        return decoder


def _fill(
    decoder: Any, pictures: list[tuple[int, bytes]], frames: range, out: NDArray[np.uint8], tags: tuple[int, ...]
) -> bool:
    """Decode them, and copy those that are wanted; whether each came once, and in the right colours."""
    waiting = {number for number, _ in pictures}
    rows, planes = {number: row for row, number in enumerate(frames)}, PlaneWriter(out)
    packets = [_packet(*picture) for picture in pictures]
    frame, held = None, list[av.VideoFrame]()
    for packet in (*packets, None):  # the last: what the decoder holds back
        held += decoder.decode(packet)
        if len(held) < AT_ONCE and packet is not None:
            continue
        for frame in held:
            if frame.pts not in waiting or frame.is_corrupt:
                return False
            waiting.remove(frame.pts)
            if frame.pts in rows:
                planes.put(frame, rows.pop(frame.pts))
        held.clear()
    if frame is None:
        return False
    check_picture(frame, frames[-1], out)  # all are like one of them: no picture brings parameters of its own
    return not waiting and not rows and (not tags or frame.colorspace in tags)


def _packet(number: int, slices: bytes) -> av.Packet:
    """One picture, which comes out with its number as `pts`."""
    packet = av.Packet(slices)
    packet.pts = number
    return packet


def _fill_sound(
    decoder: Any, blocks: list[tuple[int, int, bytes]], start: int, out: NDArray[np.int16], shape: ClipShape
) -> bool:
    """Decode blocks, each with its first sample and its length; whether each gave as many samples as that."""
    rate, channels = shape.clock.sample_rate, shape.channels
    for first, length, block in blocks:
        frames = decoder.decode(av.Packet(block))
        if len(frames) != 1 or frames[0].samples != length:
            return False
        low, high = max(start, first), min(start + len(out), first + length)
        out[low - start : high - start] = samples_of(frames[0], first, rate, channels)[low - first : high - first]
    return True
