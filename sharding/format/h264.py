"""The stored form `h264`: a small mp4 and FLAC beside it; made and read with FFmpeg's libraries."""

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.error import FFmpegError
from numpy.typing import NDArray

from sharding.errors import SkipClip
from sharding.format.clip import Clip, Member

GOP_FRAMES = 30
"""A key frame each second at 30 fps: a window decodes at most this many frames it does not need."""
REPEATABLE_WIDTH = 128
"""x264's macroblock tree (its vector code reads memory nobody wrote) gives other bytes at each run, but not at
multiples of this width: elsewhere the tree is off, for the same clip must give the same bytes."""
_MATRIX_TAG = {"bt709": 1, "bt601": 6, "bt2020": 9}  # ISO/IEC 23091-2 matrix coefficients


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
            stream.codec_context.colorspace = _MATRIX_TAG[meta.matrix]
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

    def decode_video(self, member: Member, frames: range, out: NDArray[np.uint8]) -> None:
        try:
            with av.open(io.BytesIO(member), "r", format="mp4") as container:
                stream = container.streams.video[0]
                stream.codec_context.thread_count = 1
                fps, time_base = stream.average_rate, stream.time_base
                assert fps is not None
                assert time_base is not None
                container.seek(round(frames.start / fps / time_base), stream=stream)  # the key frame at or before
                _copy_frames(container.decode(stream), frames, fps * time_base, out)
        except (FFmpegError, IndexError) as error:
            raise SkipClip(f"its video member does not decode: {error}") from error

    def decode_audio(self, member: Member, start: int, out: NDArray[np.int16]) -> None:
        try:
            with av.open(io.BytesIO(member), "r", format="flac") as container:
                stream = container.streams.audio[0]
                stream.codec_context.thread_count = 1
                _copy_samples(container.decode(stream), start, out)
        except (FFmpegError, IndexError) as error:
            raise SkipClip(f"its audio member does not decode: {error}") from error


def copy_planes(frame: av.VideoFrame, out: NDArray[np.uint8]) -> None:
    """Copy one yuv420p frame into I420 layout, `out` uint8 (H*3/2, W), H and W even."""
    rows, width = out.shape
    height = rows * 2 // 3
    chroma = out[height:].reshape(2, height // 2, width // 2)
    for plane, part in zip(frame.planes, (out[:height], chroma[0], chroma[1]), strict=True):
        view = np.frombuffer(memoryview(plane), np.uint8)  # pyright: ignore[reportArgumentType]
        view = view.reshape(-1, plane.line_size)
        part[:] = view[: part.shape[0], : part.shape[1]]


def _frame(planes: NDArray[np.uint8]) -> av.VideoFrame:
    """One picture, (H*3/2, W), as a frame over the same memory: copies would be 10 ms of each 4 s.

    PyAV takes the height for a multiple of 4 then; where it is not, its copying way is right.
    """
    wrap = av.VideoFrame.from_ndarray if len(planes) % 6 else av.VideoFrame.from_numpy_buffer
    return wrap(np.ascontiguousarray(planes), format="yuv420p")


def _copy_frames(decoded: Any, frames: range, frames_per_tick: Fraction, out: NDArray[np.uint8]) -> None:
    """Copy the planes of the wanted frames; plane views, because to_ndarray would allocate each frame anew."""
    height, width = out.shape[1] * 2 // 3, out.shape[2]
    per, ticks = frames_per_tick.numerator, frames_per_tick.denominator  # a Fraction costs 1 us for each frame
    filled = 0
    for frame in decoded:
        number = (2 * frame.pts * per + ticks) // (2 * ticks)  # the nearest
        if number < frames[filled]:
            continue
        if number != frames[filled] or (frame.height, frame.width) != (height, width):
            raise SkipClip(
                f"wanted frame {frames[filled]} of {width}x{height}, got {number} of {frame.width}x{frame.height}"
            )
        copy_planes(frame, out[filled])
        filled += 1
        if filled == len(frames):
            return
    raise SkipClip(f"wanted {len(frames)} frames from {frames.start} on, the video ends after {filled}")


def _copy_samples(decoded: Any, start: int, out: NDArray[np.int16]) -> None:
    position, stop = 0, start + len(out)
    for frame in decoded:
        block = frame.to_ndarray().reshape(-1, out.shape[1])
        low, high = max(start, position), min(stop, position + len(block))
        if low < high:
            out[low - start : high - start] = block[low - position : high - position]
        position += len(block)
        if position >= stop:
            return
    raise SkipClip(f"wanted samples {start} to {stop}, the sound ends at {position}")
