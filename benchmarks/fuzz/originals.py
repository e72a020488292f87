"""The whole files that are damaged: one for each common pair of codecs in each container, a few seconds long.

All of them say when each picture and each sound was recorded, see marks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from benchmarks.fuzz.marks import FPS, HEIGHT, WIDTH, picture, sound

SECONDS = Fraction(18, 5)
GOP = 12
BLOCK = 1024
BIT_RATE = 96_000
BIT_EXACT = {"fflags": "+bitexact"}
"""No random serial numbers: files are the same each time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Original:
    """How a file is written."""

    container: str
    """Its row in the table, and its suffix."""
    format: str
    """FFmpeg's muxer."""
    video: str
    audio: str
    b_frames: int = 0
    rate: int = 44_100
    layout: str = "mono"
    late: int = 0
    """Samples by which the encoder delays the sound, where the container has no way to say so."""
    movflags: str = ""

    @property
    def name(self) -> str:
        """Unique among ORIGINALS, and a file's name."""
        kind = "-".join([self.video.removeprefix("lib"), *(["b"] if self.b_frames else []), self.audio])
        extra = self.movflags.partition("+")[0]
        return "-".join(filter(None, [kind, extra])) + f".{self.container}"

    def write(self, folder: Path) -> Path:
        """The file, made if it is not there."""
        path = folder / self.name
        if path.exists():
            return path
        options = BIT_EXACT | ({"movflags": self.movflags} if self.movflags else {})
        half = folder / f"half-{self.name}"  # whole when it has its name
        with av.open(str(half), "w", format=self.format, options=options) as container:
            pictures, sounds = self._picture_stream(container), self._sound_stream(container)
            packets = [packet for frame in _pictures() for packet in pictures.encode(frame)] + pictures.encode(None)
            packets += [packet for frame in self._sounds() for packet in sounds.encode(frame)] + sounds.encode(None)
            container.mux(sorted(packets, key=lambda one: one.dts * one.time_base))
        return half.rename(path)

    def _picture_stream(self, container: Any) -> Any:
        stream = container.add_stream(self.video, rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base, stream.codec_context.thread_count = 1 / FPS, 1
        stream.codec_context.gop_size = GOP
        stream.options = {"bf": str(self.b_frames), **VIDEO_OPTIONS.get(self.video, {"qscale": "3"})}
        return stream

    def _sound_stream(self, container: Any) -> Any:
        stream = container.add_stream(self.audio, rate=self.rate, layout=self.layout)
        stream.codec_context.bit_rate = BIT_RATE
        stream.options = {"strict": "-2"}  # FFmpeg's own Vorbis
        return stream

    def _sounds(self) -> Iterator[av.AudioFrame]:
        wave = sound(SECONDS, self.rate, self.late)
        for first in range(0, len(wave), BLOCK):
            block = wave[first : first + BLOCK].reshape(-1, 1).repeat(1 + (self.layout == "stereo"), axis=1)
            frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout=self.layout)
            frame.sample_rate, frame.pts, frame.time_base = self.rate, self.late + first, Fraction(1, self.rate)
            yield frame


# VP8 with a positive speed looks at the clock, and writes other bytes on a busy machine
VIDEO_OPTIONS = {
    "libx264": {"preset": "veryfast", "crf": "20", "g": str(GOP)},
    "libvpx": {"deadline": "realtime", "cpu-used": "-8", "g": str(GOP), "b": "300k"},
}


def _pictures() -> Iterator[av.VideoFrame]:
    for number in range(int(SECONDS * FPS)):
        frame = av.VideoFrame.from_ndarray(picture(number), format="yuv420p")
        frame.pts, frame.time_base = number, 1 / FPS
        yield frame


_FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof"
_MP3_LATE, _MP2_LATE = 1105, 481

ORIGINALS = (
    Original(container="mp4", format="mp4", video="libx264", audio="aac"),
    Original(container="mp4", format="mp4", video="libx264", audio="aac", b_frames=2, rate=48_000),
    Original(container="mp4", format="mp4", video="libx264", audio="aac", b_frames=2, movflags=_FRAGMENTS),
    Original(container="mp4", format="mp4", video="mpeg4", audio="libmp3lame", b_frames=2, movflags="faststart"),
    Original(container="mov", format="mov", video="libx264", audio="pcm_s16le", b_frames=2),
    Original(container="mov", format="mov", video="mpeg4", audio="aac", b_frames=1, layout="stereo"),
    Original(container="mkv", format="matroska", video="libx264", audio="aac", b_frames=2),
    Original(container="mkv", format="matroska", video="mpeg4", audio="libmp3lame"),
    Original(container="mkv", format="matroska", video="mpeg2video", audio="pcm_s16le", b_frames=2, rate=48_000),
    Original(container="webm", format="webm", video="libvpx", audio="libopus", rate=48_000),
    Original(container="webm", format="webm", video="libvpx", audio="vorbis", layout="stereo"),
    Original(container="ts", format="mpegts", video="libx264", audio="aac", b_frames=2),
    Original(container="ts", format="mpegts", video="mpeg2video", audio="mp2", b_frames=2, rate=48_000),
    Original(container="ts", format="mpegts", video="libx264", audio="libmp3lame"),
    Original(container="mpg", format="mpeg", video="mpeg1video", audio="mp2", b_frames=2),
    Original(container="vob", format="vob", video="mpeg2video", audio="mp2", b_frames=2, rate=48_000),
    Original(container="avi", format="avi", video="mpeg4", audio="libmp3lame", late=_MP3_LATE),
    Original(container="avi", format="avi", video="libx264", audio="pcm_s16le", b_frames=2),
    Original(container="avi", format="avi", video="mpeg4", audio="mp2", b_frames=2, late=_MP2_LATE),
    Original(container="ogg", format="ogg", video="libvpx", audio="vorbis", layout="stereo"),
    Original(container="ogg", format="ogg", video="libvpx", audio="libopus", rate=48_000),
    Original(container="flv", format="flv", video="libx264", audio="aac", b_frames=2),
    Original(container="flv", format="flv", video="flv", audio="libmp3lame"),
    Original(container="asf", format="asf", video="wmv2", audio="wmav2", layout="stereo"),
    Original(container="asf", format="asf", video="mpeg4", audio="libmp3lame"),
)
