"""A source's own pictures and sound, in and out: each at its own moment, upright, in the colours a player shows.

Written as mp4 any player opens: H.264 in yuv420p and AAC, picture by picture; nothing is held in memory.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO, Self

import av
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from sharding.format.clip import ColorMatrix
from sharding.media.audio import AudioTimeline
from sharding.media.picture import turn_of
from sharding.media.probe import Probe, open_media
from sharding.media.stream import SourceStream
from sharding.media.video import timed_frames

TICK = Fraction(1, 90_000)
"""What moments are counted in: exact for 24, 25, 30, 60 and NTSC rates, and for whole milliseconds."""
LONGEST_SIDE = 1280
AAC_BIT_RATE = 256_000
SOUND_STEP_S = Fraction(1, 2)
"""Sound is written in pieces of this length, just ahead of the pictures."""
_SPACES: dict[ColorMatrix, Colorspace] = {
    "bt601": Colorspace.ITU601,
    "bt709": Colorspace.ITU709,
    "bt2020": Colorspace.BT2020,
}
STEPS: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "transpose=clock": lambda rgb: np.rot90(rgb, -1),
    "transpose=cclock": lambda rgb: np.rot90(rgb),
    "transpose=cclock_flip": lambda rgb: rgb.transpose(1, 0, 2),
    "transpose=clock_flip": lambda rgb: np.rot90(rgb, 2).transpose(1, 0, 2),
    "hflip": lambda rgb: rgb[:, ::-1],
    "vflip": lambda rgb: rgb[::-1],
    "copy": lambda rgb: rgb,
}
"""The filters of sharding.media.picture.TURNS, on (H, W, 3) arrays."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture of a source and when it appears."""

    tick: int
    ticks: int
    """How long it stays."""
    rgb: NDArray[np.uint8]
    """(H, W, 3), as a player shows it, H and W even, neither above LONGEST_SIDE."""


def read_pictures(source: Probe) -> Iterator[Picture]:
    """Every picture that is shown, in order; each tick is greater than the last."""
    to_rgb = VideoReformatter()
    with closing(SourceStream(source, source.video, threads=0)) as opened:
        size: tuple[int, int] | None = None
        end = round(source.video.end / TICK)
        for tick, ticks, frame in _shown(_timed(source, opened), end):
            size = size or _size(frame, opened.stream.sample_aspect_ratio)
            scaled: Any = to_rgb.reformat(
                frame,
                width=size[0],
                height=size[1],
                format="rgb24",
                src_colorspace=_SPACES[source.matrix],
                interpolation=Interpolation.BICUBIC,
            )
            yield Picture(tick, ticks, upright(scaled.to_ndarray(), turn_of(frame)))


def upright(rgb: NDArray[np.uint8], turn: str) -> NDArray[np.uint8]:
    """Turn a picture (H, W, 3) as the filters named by `turn` would."""
    for step in filter(None, turn.split(",")):
        rgb = STEPS[step](rgb)
    return np.ascontiguousarray(rgb)


def _shown(frames: Iterator[tuple[Fraction, av.VideoFrame]], end: int) -> Iterator[tuple[int, int, av.VideoFrame]]:
    """(tick, ticks it stays, frame), ascending; of several at one tick, or before time 0, the last."""
    held: tuple[int, av.VideoFrame] | None = None
    for time, frame in frames:
        tick = max(0, round(time / TICK))
        if held is not None and tick < held[0]:
            continue  # backward in time
        if held is not None and tick > held[0]:
            yield held[0], tick - held[0], held[1]
        held = (tick, frame)
    if held is not None:
        yield held[0], max(1, end - held[0]), held[1]


def _timed(source: Probe, opened: SourceStream) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Decoded frames with their times; damaged packets are passed over, as packing does."""
    for one in timed_frames(source, opened):
        yield one.tick * opened.tick - source.video.origin, one.frame


def _size(frame: av.VideoFrame, pixel_shape: Fraction | None) -> tuple[int, int]:
    """Width and height to scale to before turning: square pixels, even sides, none above LONGEST_SIDE."""
    width, height = frame.width * (pixel_shape or Fraction(1)), Fraction(frame.height)
    shrink = min(Fraction(1), LONGEST_SIDE / max(width, height))
    return max(2, round(width * shrink / 2) * 2), max(2, round(height * shrink / 2) * 2)


def nearest_aac_rate(rate: int) -> int:
    """The rate (Hz) that AAC can store nearest to `rate`; of two as near, the higher."""
    rates = av.Codec("aac", "w").audio_rates or ()
    return min(rates, key=lambda known: (abs(known - rate), -known))


class SourceSound:
    """A source's sound from presentation time 0 on, stereo or mono, at its own rate or the nearest that AAC knows."""

    def __init__(self, source: Probe) -> None:
        with open_media(source.path) as container:
            context: Any = container.streams[source.audio.index].codec_context
            self.rate = nearest_aac_rate(context.sample_rate or 48000)
            self.channels = min(2, context.channels or 1)
        self._timeline = AudioTimeline(source, sample_rate=self.rate, channels=self.channels, first_sample=0)
        self._stop = round(source.audio.end * self.rate)
        self._position = 0

    def until(self, moment: Fraction) -> NDArray[np.int16]:
        """What is heard from the last call's moment to this one, (S, C)."""
        stop = min(self._stop, max(self._position, round(moment * self.rate)))
        samples = self._timeline.read(self._position, stop - self._position).audio
        self._position = stop
        return samples

    def close(self) -> None:
        self._timeline.close()


class FilmWriter:
    """Writes pictures at their ticks, and sound from time 0 on, as mp4 into an open file."""

    def __init__(self, file: BinaryIO, *, height: int, width: int, rate: int, channels: int) -> None:
        self._container = av.open(file, "w", format="mp4", options={"movie_timescale": str(TICK.denominator)})
        self._video: Any = self._container.add_stream("libx264", rate=30)
        self._video.width, self._video.height, self._video.pix_fmt = width, height, "yuv420p"
        self._video.time_base = self._video.codec_context.time_base = TICK
        self._video.codec_context.colorspace, self._video.codec_context.color_range = int(Colorspace.ITU709), 1
        self._video.codec_context.flags |= Flags.frame_duration
        self._video.options = {"crf": "18", "preset": "veryfast"}
        self._layout = "stereo" if channels == 2 else "mono"
        self._audio: Any = self._container.add_stream("aac", rate=rate, layout=self._layout)
        self._audio.bit_rate = AAC_BIT_RATE
        self._to_yuv = VideoReformatter()
        self._heard = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._container.mux(self._video.encode(None))
            self._container.mux(self._audio.encode(None))
        self._container.close()

    def show(self, picture: Picture) -> None:
        """The next picture; its size is the film's."""
        rgb = av.VideoFrame.from_ndarray(picture.rgb, format="rgb24")
        frame = self._to_yuv.reformat(
            rgb, format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        frame.pts, frame.duration, frame.time_base = picture.tick, picture.ticks, TICK
        self._container.mux(self._video.encode(frame))

    def sound(self, samples: NDArray[np.int16]) -> None:
        """The next samples, (S, C)."""
        if not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=self._layout)
        frame.sample_rate, frame.pts = self._audio.rate, self._heard
        frame.time_base = Fraction(1, self._audio.rate)
        self._heard += len(samples)
        self._container.mux(self._audio.encode(frame))
