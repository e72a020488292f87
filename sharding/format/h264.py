"""The stored form `h264`: a small mp4 and FLAC beside it; made and read with FFmpeg's libraries."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from numpy.typing import NDArray

from sharding.errors import WrongClip
from sharding.format.claims import ClipShape, decoding
from sharding.format.clip import Clip, Member
from sharding.format.decoded import (
    MATRIX_TAG,
    NO_CONCEALMENT,
    PIXELS,
    SAMPLES,
    UNTAGGED,
    PlaneWriter,
    check_picture,
    picture_options,
    samples_of,
)
from sharding.format.open_decoder import OpenDecoder

GOP_FRAMES = 30
"""A key frame each second at 30 fps: a window decodes at most this many frames it does not need."""
REPEATABLE_WIDTH = 128
"""x264's macroblock tree (its vector code reads memory nobody wrote) gives other bytes at each run, but not at
multiples of this width: elsewhere the tree is off, for the same clip must give the same bytes."""
MEMBER_BYTES, FRAME_BYTES = 2**16, 2**10
"""Of what stands around the pictures, and around each: a member may be twice what it holds, and that more."""
DECODER_FRAMES = 64
"""Pictures that a decoder may hold."""
RATE_OFF = 0.01
"""By which a container's own mean rate may differ: each frame's time is looked at, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class H264:
    """A small mp4 any player opens, closed GOPs of one second, and FLAC beside it (bit-exact sound)."""

    crf: int = 20
    preset: str = "superfast"
    tuning: str = "subme=2:b-adapt=0:rc-lookahead=8"
    """With the macroblock tree, 0.23 dB below the preset `veryfast` at equal bytes, for two thirds of its time."""
    video_suffix: str = "mp4"
    audio_suffix: str = "flac"

    def encode_video(self, clip: Clip) -> bytes:
        sink = io.BytesIO()
        meta = clip.meta
        with av.open(sink, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
            stream = container.add_stream("libx264", rate=meta.clock.fps)
            stream.width, stream.height, stream.pix_fmt = meta.width, meta.height, "yuv420p"
            stream.codec_context.colorspace = MATRIX_TAG[meta.matrix]
            stream.codec_context.color_range = 1  # limited
            stream.codec_context.thread_count = 1  # same bytes on any machine
            stream.codec_context.gop_size = GOP_FRAMES
            stream.codec_context.flags |= Flags.bitexact
            tree = int(meta.width % REPEATABLE_WIDTH == 0)
            params = f"open-gop=0:scenecut=0:mbtree={tree}:{self.tuning}"
            stream.options = {"crf": str(self.crf), "preset": self.preset, "x264-params": params}
            stream.codec_context.time_base = 1 / meta.clock.fps
            for number, planes in enumerate(clip.yuv):
                frame = _frame(planes)
                frame.pts, frame.time_base = number, 1 / meta.clock.fps
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return sink.getvalue()

    def encode_audio(self, clip: Clip) -> bytes:
        sink = io.BytesIO()
        meta = clip.meta
        layout = "mono" if meta.channels == 1 else "stereo"
        with av.open(sink, "w", format="flac", options={"fflags": "+bitexact"}) as container:
            stream = container.add_stream("flac", rate=meta.clock.sample_rate, layout=layout, format="s16")
            stream.codec_context.flags |= Flags.bitexact
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(clip.audio).reshape(1, -1), format="s16", layout=layout
            )
            frame.sample_rate, frame.pts = meta.clock.sample_rate, 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return sink.getvalue()

    def video_head(self, shape: tuple[int, int, int]) -> bytes | None:
        return None

    @property
    def head_bytes(self) -> int | None:
        return None

    def most_bytes(self, shape: ClipShape) -> tuple[int, int]:
        pictures = shape.frames * (FRAME_BYTES + 3 * _coded(shape.width, shape.height))
        return MEMBER_BYTES + pictures, MEMBER_BYTES + 2 * shape.sound_bytes

    def check_video(self, member: Member, size: int, shape: ClipShape) -> None:
        with _opened_video(member, shape):
            pass

    def check_audio(self, member: Member, size: int, shape: ClipShape) -> None:
        with _opened_audio(member, shape.channels, shape):
            pass

    def decode_video(
        self, member: Member, frames: range, out: NDArray[np.uint8], shape: ClipShape | None = None
    ) -> None:
        with decoding("video", DECODER_FRAMES * out[0].nbytes), _opened_video(member, shape) as (container, stream):
            fps, time_base = shape.clock.fps if shape else stream.average_rate, stream.time_base
            stream.codec_context.options = picture_options(out)
            container.seek(round(frames.start / fps / time_base), stream=stream)  # the key frame at or before
            _copy_frames(container.decode(stream), frames, fps * time_base, out)

    def decode_audio(self, member: Member, start: int, out: NDArray[np.int16], shape: ClipShape | None = None) -> None:
        with decoding("audio", out.nbytes), _opened_audio(member, out.shape[1], shape) as (container, stream):
            stream.codec_context.options = NO_CONCEALMENT
            _copy_samples(container.decode(stream), start, stream.codec_context.sample_rate, stream.time_base, out)

    def decoder(self) -> OpenDecoder:
        return OpenDecoder(self)


@contextmanager
def _opened_video(member: Member, shape: ClipShape | None) -> Iterator[tuple[Any, Any]]:
    """Container and stream, of which the headers say nothing but what we wrote. Raises WrongClip and the library's."""
    with _opened(member, "mp4", "h264") as (container, stream):
        coded: Any = stream.codec_context
        if coded.name != "h264" or coded.pix_fmt != PIXELS:
            raise WrongClip(f"its pictures are {coded.name}, {coded.pix_fmt}; wanted h264, {PIXELS}")
        if shape is not None:
            found = (stream.frames, coded.height, coded.width)
            if found != (wanted := (shape.frames, shape.height, shape.width)):
                raise WrongClip(f"its pictures are {found} (frames, height, width); wanted {wanted}")
            if stream.start_time or abs((stream.average_rate or 0) / shape.clock.fps - 1) > RATE_OFF:
                raise WrongClip(
                    f"its pictures begin at {stream.start_time}, {stream.average_rate} a second; wanted 0, "
                    f"{shape.clock.fps} a second"
                )
            if shape.matrix and coded.colorspace not in (UNTAGGED, MATRIX_TAG[shape.matrix]):
                raise WrongClip(f"its pictures are tagged with matrix {coded.colorspace}, its json says {shape.matrix}")
        yield container, stream


@contextmanager
def _opened_audio(member: Member, channels: int, shape: ClipShape | None) -> Iterator[tuple[Any, Any]]:
    """The same of the sound."""
    with _opened(member, "flac", "flac") as (container, stream):
        coded: Any = stream.codec_context
        if coded.name != "flac" or (coded.format.name, coded.channels) != (SAMPLES, channels):
            raise WrongClip(
                f"its sound is {coded.name}, {coded.format.name}, {coded.channels} channels; wanted flac, {SAMPLES}, "
                f"{channels}"
            )
        if shape is not None:
            found = (int((stream.duration or 0) * stream.time_base * coded.sample_rate), coded.channels)
            if found != shape.sound or coded.sample_rate != shape.clock.sample_rate:
                raise WrongClip(
                    f"its sound is {found} (samples, channels) at {coded.sample_rate} Hz; wanted {shape.sound} at "
                    f"{shape.clock.sample_rate} Hz"
                )
        yield container, stream


@contextmanager
def _opened(member: Member, form: str, decoder: str) -> Iterator[tuple[Any, Any]]:
    """No decoder but this one is ever started, whatever the member says that it holds."""
    only = {"codec_whitelist": decoder}
    with av.open(io.BytesIO(member), "r", format=form, container_options=only, metadata_errors="replace") as container:
        if len(container.streams) != 1:
            raise WrongClip(f"its {form} member holds {len(container.streams)} streams; wanted one")
        stream = container.streams[0]
        stream.codec_context.thread_count = 1
        yield container, stream


def _coded(width: int, height: int) -> int:
    """Pixels of a picture in whole macroblocks."""
    return -(-width // 16) * -(-height // 16) * 256


def _frame(planes: NDArray[np.uint8]) -> av.VideoFrame:
    """One picture, (H*3/2, W), as a frame over the same memory: copies would be 10 ms of each 4 s.

    PyAV takes the height for a multiple of 4 then; where it is not, its copying way is right.
    """
    wrap = av.VideoFrame.from_ndarray if len(planes) % 6 else av.VideoFrame.from_numpy_buffer
    return wrap(np.ascontiguousarray(planes), format="yuv420p")


def _copy_frames(decoded: Any, frames: range, frames_per_tick: Fraction, out: NDArray[np.uint8]) -> None:
    """Copy the planes of the wanted frames; plane views, because to_ndarray would allocate each frame anew."""
    planes = PlaneWriter(out)
    per, ticks = frames_per_tick.numerator, frames_per_tick.denominator  # a Fraction costs 1 us for each frame
    filled, last = 0, -1
    for frame in decoded:
        number = (2 * frame.pts * per + ticks) // (2 * ticks)  # the nearest
        if abs(frame.pts * per - number * ticks) > per or (last >= 0 and number != last + 1):
            raise WrongClip(f"a frame stands at {frame.pts * per / ticks:.3f} of the clip's, after frame {last}")
        check_picture(frame, number, out)
        last = number
        if number < frames[filled]:
            continue
        if number != frames[filled]:
            raise WrongClip(f"wanted frame {frames[filled]}, got {number}")
        planes.put(frame, filled)
        filled += 1
        if filled == len(frames):
            return
    raise WrongClip(f"wanted {len(frames)} frames from {frames.start} on, the video ends after {filled}")


def _copy_samples(decoded: Any, start: int, rate: int, time_base: Fraction, out: NDArray[np.int16]) -> None:
    position, stop, channels = 0, start + len(out), out.shape[1]
    samples_per_tick = time_base * rate
    per, ticks = samples_per_tick.numerator, samples_per_tick.denominator
    for frame in decoded:
        block = samples_of(frame, position, rate, channels)
        if frame.pts * per != position * ticks:
            raise WrongClip(f"its sound goes on at sample {frame.pts * per / ticks:.0f} after sample {position}")
        low, high = max(start, position), min(stop, position + len(block))
        if low < high:
            out[low - start : high - start] = block[low - position : high - position]
        position += len(block)
        if position >= stop:
            return
    raise WrongClip(f"wanted samples {start} to {stop}, the sound ends at {position}")
