"""Pictures and sounds that are whole, and in another form than the dataset says: made by FFmpeg's own encoders.

What this build of FFmpeg cannot encode is left out.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from benchmarks.forged.original import CLOCK, FRAMES, HEIGHT, WIDTH, pictures, sound


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoKind:
    """How pictures are encoded."""

    codec: str = "libx264"
    pixels: str = "yuv420p"
    width: int = WIDTH
    height: int = HEIGHT
    frames: int = FRAMES
    fps: Fraction = CLOCK.fps
    late: int = 0
    """Frames by which the first is."""
    gap: int = 0
    """Frames left out of the times in the middle."""
    turned: int = 0
    title: str = ""
    container: str = "mp4"
    twice: bool = False
    """A second stream of pictures beside it."""
    movflags: str = ""
    options: str = ""
    """Of x265 alone."""

    def encode(self) -> bytes:
        sink = io.BytesIO()
        options = {"movflags": self.movflags} if self.movflags else {}
        with av.open(sink, "w", format=self.container, options=options) as container:
            streams: list[Any] = [container.add_stream(self.codec, rate=self.fps) for _ in range(1 + self.twice)]
            for stream in streams:
                stream.width, stream.height, stream.pix_fmt = self.width, self.height, self.pixels
                stream.codec_context.time_base, stream.codec_context.thread_count = 1 / self.fps, 1
                if self.options:
                    stream.options = {"x265-params": self.options}
                if self.turned:
                    stream.set_display_rotation(self.turned)
            if self.title:
                container.metadata["title"] = self.title
            planes = pictures(0)
            for number in range(self.frames):
                frame = av.VideoFrame.from_ndarray(planes[number % FRAMES], format="yuv420p")
                for stream in streams:
                    shown = frame.reformat(self.width, self.height, self.pixels)
                    shown.pts = number + self.late + self.gap * (number >= self.frames // 2)
                    shown.time_base = 1 / self.fps
                    container.mux(stream.encode(shown))
            for stream in streams:
                container.mux(stream.encode(None))
        return sink.getvalue()


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioKind:
    """How sound is encoded."""

    codec: str = "flac"
    container: str = "flac"
    format: str = "s16"
    layout: str = "mono"
    rate: int = CLOCK.sample_rate
    samples: int = CLOCK.sample_at(FRAMES)
    title: str = ""

    def encode(self) -> bytes:
        sink = io.BytesIO()
        channels = av.AudioLayout(self.layout).nb_channels
        with av.open(sink, "w", format=self.container) as container:
            stream: Any = container.add_stream(self.codec, rate=self.rate, layout=self.layout, format=self.format)
            if self.title:
                container.metadata["title"] = self.title
            resampler = av.AudioResampler(format=stream.codec_context.format, layout=self.layout, rate=self.rate)
            wave: NDArray[np.int16] = np.resize(sound(0)[:, 0], self.samples).repeat(channels).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(wave, format="s16", layout=self.layout)
            frame.sample_rate, frame.pts = self.rate, 0
            for one in resampler.resample(frame):
                container.mux(stream.encode(one))
            container.mux(stream.encode(None))
        return sink.getvalue()


X265 = "ctu=16:pools=none:frame-threads=1:log-level=none"
"""Blocks of its usual size are larger than these pictures, which it does not survive."""
VIDEOS = {
    "yuv444p": VideoKind(pixels="yuv444p"),
    "yuv422p": VideoKind(pixels="yuv422p"),
    "full range": VideoKind(pixels="yuvj420p"),
    "10 bits": VideoKind(pixels="yuv420p10le"),
    "wider": VideoKind(width=64),
    "one row more": VideoKind(height=HEIGHT + 2),
    "1920x1080": VideoKind(width=1920, height=1080, frames=2),
    "a frame less": VideoKind(frames=FRAMES - 1),
    "a frame more": VideoKind(frames=FRAMES + 1),
    "one frame": VideoKind(frames=1),
    "25 fps": VideoKind(fps=Fraction(25)),
    "9.99 fps": VideoKind(fps=Fraction(999, 100)),
    "late": VideoKind(late=3),
    "a gap": VideoKind(gap=2),
    "turned": VideoKind(turned=90),
    "two streams": VideoKind(twice=True),
    "hevc": VideoKind(codec="libx265", options=X265, width=128, height=128),
    "mpeg4": VideoKind(codec="mpeg4"),
    "vp9": VideoKind(codec="libvpx-vp9"),
    "mjpeg": VideoKind(codec="mjpeg", pixels="yuvj420p"),
    "matroska": VideoKind(container="matroska"),
    "fragments": VideoKind(movflags="frag_keyframe+empty_moov"),
}
SOUNDS = {
    "24 bits": AudioKind(format="s32"),
    "stereo": AudioKind(layout="stereo"),
    "5.1": AudioKind(layout="5.1"),
    "7.1": AudioKind(layout="7.1"),
    "44.1 kHz": AudioKind(rate=44_100),
    "8001 Hz": AudioKind(rate=8001),
    "shorter": AudioKind(samples=CLOCK.sample_at(FRAMES) - 1),
    "longer": AudioKind(samples=CLOCK.sample_at(FRAMES) + 800),
    "an hour": AudioKind(samples=8000 * 3600),
    "ogg": AudioKind(container="ogg"),
    "wav": AudioKind(codec="pcm_s16le", container="wav"),
    "mp3": AudioKind(codec="libmp3lame", container="mp3", format="s16p"),
}


def _changing_sound(other: AudioKind) -> bytes:
    """FLAC that goes on in another form: the second half's frames are another file's."""
    one, two = AudioKind().encode(), other.encode()
    return one[: len(one) // 2] + two[len(two) // 2 :]


def _changing_pictures(other: VideoKind) -> bytes:
    """H.264 with the headers of each stretch inside: the second stretch is another picture's."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=CLOCK.fps)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = 1 / CLOCK.fps
        stream.options = {"x264-params": "repeat-headers=1"}
        first = list(_packets(stream.codec_context, VideoKind(frames=FRAMES // 2), 0))
        inner: Any = av.CodecContext.create("libx264", "w")
        inner.width, inner.height, inner.pix_fmt, inner.time_base = (
            other.width,
            other.height,
            other.pixels,
            1 / CLOCK.fps,
        )
        inner.options = {"x264-params": "repeat-headers=1"}
        for packet in (*first, *_packets(inner, replace(other, frames=FRAMES // 2), FRAMES // 2)):
            packet.stream = stream
            container.mux(packet)
    return sink.getvalue()


def _packets(encoder: Any, kind: VideoKind, first: int) -> Iterator[Any]:
    planes = pictures(0)
    for number in range(kind.frames):
        frame = av.VideoFrame.from_ndarray(planes[first + number], format="yuv420p")
        shown = frame.reformat(kind.width, kind.height, kind.pixels)
        shown.pts, shown.time_base = first + number, 1 / CLOCK.fps
        yield from encoder.encode(shown)
    yield from encoder.encode(None)


def _with_bytes_in_tags(content: bytes, mark: bytes) -> bytes:
    return content.replace(mark, b"\xff\xfe\xfa\xc3\x28" + mark[5:])


MARK = "title of a stranger"
MADE: dict[str, dict[str, Callable[[], bytes]]] = {
    "video": {
        **{name: kind.encode for name, kind in VIDEOS.items()},
        "tags of no UTF-8": lambda: _with_bytes_in_tags(VideoKind(title=MARK).encode(), MARK.encode()),
        "wider in the middle": lambda: _changing_pictures(VideoKind(width=64)),
        "far larger in the middle": lambda: _changing_pictures(VideoKind(width=1920, height=1080)),
        "yuv444p in the middle": lambda: _changing_pictures(VideoKind(pixels="yuv444p")),
        "sound": lambda: AudioKind(codec="aac", container="mp4", format="fltp").encode(),
        "empty": lambda: b"",
        "zeros": lambda: bytes(5000),
    },
    "audio": {
        **{name: kind.encode for name, kind in SOUNDS.items()},
        "tags of no UTF-8": lambda: _with_bytes_in_tags(AudioKind(title=MARK).encode(), MARK.encode()),
        "24 bits in the middle": lambda: _changing_sound(AudioKind(format="s32")),
        "stereo in the middle": lambda: _changing_sound(AudioKind(layout="stereo")),
        "44.1 kHz in the middle": lambda: _changing_sound(AudioKind(rate=44_100)),
        "pictures": lambda: VideoKind().encode(),
        "empty": lambda: b"",
        "zeros": lambda: bytes(5000),
    },
}


@cache
def encoded(member: str, name: str) -> bytes | None:
    """One of MADE; None where this FFmpeg cannot."""
    try:
        return MADE[member][name]()
    except (FFmpegError, ValueError):
        return None
