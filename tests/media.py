"""Small videos whose true times are known: a flash and a beep at each event, over moving pictures and soft noise.

`write_video` makes one file; the suffix chooses the container. Times are exact on the file's own timeline.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

BEEP_S, BEEP_HZ = 0.03, 3_000
FLASH, GROUND = 235, 60  # luma


@dataclass(frozen=True, kw_only=True, slots=True)
class Video:
    """What to make. Events are seconds on the file's timeline; choose frame times to make them exact."""

    seconds: Fraction = Fraction(6)
    events: tuple[Fraction, ...] = (Fraction(2), Fraction(4))
    fps: Fraction = Fraction(30)
    frame_times: tuple[Fraction, ...] = ()
    """Variable frame rate: when each picture is shown; replaces fps."""
    width: int = 96
    height: int = 64
    video_codec: str = "libx264"
    audio_codec: str = "aac"
    sample_rate: int = 44_100
    channels: int = 1
    video_start: Fraction = Fraction(0)
    audio_start: Fraction = Fraction(0)
    flash_s: Fraction = Fraction(0)
    """How long a flash lasts; at least one picture."""
    beep_delay: Fraction = Fraction(0)
    """How late the sound is, on purpose."""
    noise: float = 0.01
    """Standard deviation of the soft noise; 0 with no events is silence."""
    still: bool = False
    """One picture throughout; the beeps stay."""
    pixel_format: str = "yuv420p"
    turn: int = 0
    """Display rotation in degrees, against the clock."""
    pixel_shape: Fraction = Fraction(1)
    """Width of a pixel for its height."""
    b_frames: int | None = None
    """Between two others; None: what tests of old were made with, 2 for H.264 and none else."""
    weights: tuple[float, ...] = ()
    """By what the sound is multiplied in each channel; all by 1."""
    channel: int | None = None
    """The only channel that has sound; None: all have the same."""
    seed: int = 0
    drawn: Callable[[Fraction], NDArray[np.uint8]] | None = None
    """What is shown at a moment, (height, width, 3) RGB, instead of texture and flashes."""


def write_video(path: Path, video: Video | None = None, options: dict[str, str] | None = None) -> Path:
    """Write `video` to `path`, whose folder is made, with `options` of the container's writer."""
    video = video or Video()
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options or {}) as container:
        pictures = _picture_stream(container, video) if video.video_codec else None
        sound = _sound_stream(container, video) if video.audio_codec else None
        packets: list[Any] = []
        if pictures is not None:
            for frame in _pictures(video):
                packets += pictures.encode(frame)
            packets += pictures.encode(None)
        if sound is not None:
            for frame in _sound(video):
                packets += sound.encode(frame)
            packets += sound.encode(None)
        container.mux(sorted(packets, key=lambda one: one.dts * one.time_base))
    return path


def _picture_stream(container: Any, video: Video) -> Any:
    stream = container.add_stream(video.video_codec, rate=video.fps)
    stream.width, stream.height, stream.pix_fmt = video.width, video.height, video.pixel_format
    stream.codec_context.time_base = Fraction(1, 90_000)
    stream.codec_context.thread_count = 1
    stream.codec_context.sample_aspect_ratio = video.pixel_shape
    if video.turn:
        stream.set_display_rotation(video.turn)
    if video.video_codec == "libx264":
        b_frames = 2 if video.b_frames is None else video.b_frames
        stream.options = {"preset": "veryfast", "crf": "16", "bf": str(b_frames), "g": "24"}
    elif video.video_codec == "libx265":
        stream.options = {"preset": "ultrafast", "x265-params": f"log-level=none:bframes={video.b_frames or 0}"}
    elif video.video_codec.startswith("libvpx"):
        stream.options = {"deadline": "realtime", "cpu-used": "8"}
    else:
        stream.codec_context.time_base = 1 / video.fps
        stream.options = {"qscale": "3", "bf": str(video.b_frames or 0)}
    return stream


LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def _sound_stream(container: Any, video: Video) -> Any:
    return container.add_stream(video.audio_codec, rate=video.sample_rate, layout=LAYOUTS[video.channels])


def _pictures(video: Video) -> Sequence[av.VideoFrame]:
    times = video.frame_times or tuple(Fraction(n) / video.fps for n in range(int(video.seconds * video.fps)))
    times = tuple(time + video.video_start for time in times)
    ends = (*times[1:], times[-1] + 1 / video.fps)
    frames, drawn = [], video.drawn
    rng = np.random.default_rng(video.seed)
    texture = rng.integers(-30, 30, (video.height, video.width), np.int16)
    tick = 1 / video.fps if video.video_codec in ("mpeg4", "mjpeg") else Fraction(1, 90_000)
    for number, (start, end) in enumerate(zip(times, ends, strict=True)):
        lit = not video.still and any(is_lit(start, end, event, video) for event in video.events)
        luma = np.full((video.height, video.width), FLASH, np.uint8)
        if not lit:
            luma[:] = GROUND + np.roll(texture, 0 if video.still else number, axis=1)
        chroma = np.full((video.height // 2, video.width), 128, np.uint8)
        frame = av.VideoFrame.from_ndarray(np.concatenate([luma, chroma]), format="yuv420p")
        if drawn is not None:
            frame = av.VideoFrame.from_ndarray(drawn(start), format="rgb24").reformat(format="yuv420p")
        if video.pixel_format != "yuv420p":
            frame = frame.reformat(format=video.pixel_format)
        frame.pts, frame.time_base = round(start / tick), tick
        frames.append(frame)
    return frames


def is_lit(start: Fraction, end: Fraction, event: Fraction, video: Video) -> bool:
    """The flash of `event` is in the picture shown from start to end."""
    return start <= event < end or event <= start < event + video.flash_s


def sound_of(video: Video) -> NDArray[np.float32]:
    """The true samples, from audio_start on."""
    rate = video.sample_rate
    count = int(video.seconds * rate)
    wave = np.random.default_rng(video.seed).normal(0, video.noise, count).astype(np.float32)
    beep = 0.9 * np.cos(2 * np.pi * BEEP_HZ * np.arange(int(BEEP_S * rate)) / rate).astype(np.float32)
    for event in video.events:
        start = round((event + video.beep_delay - video.audio_start) * rate)
        if start >= 0:
            room = wave[start : start + len(beep)]
            room[:] = beep[: len(room)]
    return wave


def _sound(video: Video) -> Sequence[av.AudioFrame]:
    wave = (sound_of(video) * 32767).clip(-32768, 32767).astype(np.int16)
    heard = video.weights or [video.channel in (None, channel) for channel in range(video.channels)]
    start = round(video.audio_start * video.sample_rate)
    frames = []
    for first in range(0, len(wave), 1024):
        block = np.outer(wave[first : first + 1024], heard).round().astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(block, format="s16", layout=LAYOUTS[video.channels])
        frame.sample_rate, frame.pts = video.sample_rate, start + first
        frame.time_base = Fraction(1, video.sample_rate)
        frames.append(frame)
    return frames


def flash_frames(yuv: NDArray[np.uint8]) -> list[int]:
    """Frames of a (T, H*3/2, W) stretch at which a flash begins."""
    rows = yuv.shape[1] * 2 // 3
    lit = yuv[:, :rows].mean(axis=(1, 2)) > (FLASH + GROUND) / 2
    return [int(frame) for frame in np.flatnonzero(lit[1:] & ~lit[:-1]) + 1]


def beep_samples(audio: NDArray[np.int16]) -> list[int]:
    """Samples of a (S, C) stretch at which a beep begins."""
    loud = np.flatnonzero(np.abs(audio.astype(np.int32)).max(axis=1) > 0.4 * 32768)
    starts = np.flatnonzero(np.diff(loud, prepend=-10_000) > 2_000)
    return [int(loud[start]) for start in starts]
