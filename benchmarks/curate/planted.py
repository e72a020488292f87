"""Videos whose truth is known: recordings joined to a reel, and the sound moved, exchanged or covered.

A clip's pictures and sound are cut to one length first, and of the reel the ends are left out that a moved sound does
not reach: nothing but the content tells the offset.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from io import BytesIO
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avsync.localize.film import FilmWriter, Picture, read_pictures
from sharding.base.files import publish
from sharding.media.audio import AudioTimeline
from sharding.media.probe import probe

RATE, TICKS = 16_000, 90_000
MOST_S = 0.85
"""No sound is moved further."""
TAPS = 24
"""Samples on either side that a sample between two is made of."""
CLOSED = 8
"""Pictures at the beginning of a clip, in which nobody speaks yet."""
JPEG_QUALITY = 18
MUSIC_DB = -3.0
"""Of music over speech, below the speech."""

Frames = NDArray[np.uint8]
Wave = NDArray[np.int16]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reel:
    """Recordings of one speaker, or one scene, end to end."""

    name: str
    fps: int
    frames: Frames
    """(T, H, W, 3)"""
    wave: Wave
    """(S,)"""
    quiet: tuple[int, ...] = ()
    """Pictures in which nobody speaks, as far as is known."""

    @property
    def seconds(self) -> float:
        return len(self.frames) / self.fps


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """What is true of a planted video."""

    kind: str
    material: bool
    """Its sound belongs to its picture."""
    offsets: tuple[tuple[float, float, float], ...] = ()
    """(from second, offset there in seconds, drift in seconds a second), ascending."""

    middle: float = 0.0
    """Of two faces side by side: pixels from the left, where the second picture begins."""

    def of_face(self, *, speaks: bool) -> "Truth":
        """What is true of one of the two."""
        kind = "two faces: who speaks" if speaks else "two faces: who listens"
        return replace(self, kind=kind, material=speaks)

    def offset_s(self, time_s: float) -> float:
        start, offset, drift = [one for one in self.offsets if one[0] <= time_s][-1]
        return offset + drift * (time_s - start)


def reel_of(name: str, clips: Sequence[Path], fps: int) -> Reel:
    """Clips end to end, each cut to whole pictures; what sound misses at its end is silence."""
    pictures, waves, quiet, count = list[Frames](), list[Wave](), list[int](), 0
    for clip in clips:
        source = probe(clip)
        shown = np.stack([one.rgb for one in read_pictures(source)])
        with closing(AudioTimeline(source, sample_rate=RATE, channels=1, first_sample=0)) as timeline:
            heard = timeline.read(0, len(shown) * RATE // fps).audio[:, 0]
        pictures.append(shown)
        waves.append(np.pad(heard, (0, len(shown) * RATE // fps - len(heard))))
        quiet += range(count, count + CLOSED)
        count += len(shown)
    return Reel(name=name, fps=fps, frames=np.concatenate(pictures), wave=np.concatenate(waves), quiet=tuple(quiet))


def moved(reel: Reel, offset_s: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> tuple[Frames, Wave]:
    """The reel's middle, with what is heard at second t of it taken `offset_s(t)` earlier in the reel."""
    margin = ceil(MOST_S * reel.fps)
    frames = reel.frames[margin : len(reel.frames) - margin]
    times = np.arange(len(frames) * RATE // reel.fps) / RATE
    return frames, heard_at(reel.wave, (times + margin / reel.fps - offset_s(times)) * RATE)


def heard_at(wave: Wave, places: NDArray[np.float64]) -> Wave:
    """The sound between samples, by a sinc under a Hann window; silence beyond its ends.

    A straight line between them takes the high notes away: a network then hears what no moved sound has.
    """
    near = np.floor(places).astype(np.int64)
    padded, found = np.pad(wave.astype(np.float64), TAPS), np.zeros(len(places))
    for tap in range(1 - TAPS, TAPS + 1):
        away = places - near - tap
        weight = np.sinc(away) * (0.5 + 0.5 * np.cos(np.pi * away / TAPS))
        found += weight * padded[np.clip(near + tap + TAPS, 0, len(padded) - 1)]
    return found.round().clip(-32768, 32767).astype(np.int16)


def music(samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Chords, one every half second, about as loud as 1 in root mean square."""
    times, wave = np.arange(samples) / RATE, np.zeros(samples)
    for start in np.arange(0, samples / RATE, 0.5):
        root = 110 * 2 ** (rng.integers(0, 24) / 12)
        since = times - start
        decay = np.where(since >= 0, np.exp(-2.5 * np.clip(since, 0, None)), 0.0)
        for ratio in (1.0, 1.25, 1.5, 2.0, 3.0):
            wave += decay * np.sin(2 * np.pi * root * ratio * times) / ratio
    return wave / max(1e-9, float(np.sqrt(np.mean(wave**2))))


def write(path: Path, frames: Frames, wave: Wave, fps: int) -> None:
    """As mp4: H.264 and AAC."""
    height, width = frames.shape[1:3]
    tick = TICKS // fps
    with publish(path) as file, FilmWriter(file, height=height, width=width, rate=RATE, channels=1) as film:
        for number, rgb in enumerate(frames):
            film.sound(wave[number * RATE // fps : (number + 1) * RATE // fps, None])
            film.show(Picture(number * tick, tick, np.ascontiguousarray(rgb)))


def side_by_side(reel: "Reel", other: "Reel", rng: np.random.Generator) -> tuple[Frames, Wave, Truth]:
    """Two people, of whom the left one is heard, and the right one speaks, too, without being heard."""
    offset = float(rng.uniform(-0.8, 0.8))
    frames, wave = moved(reel, lambda times: np.full_like(times, offset))
    beside, _ = moved(other, np.zeros_like)
    count = min(len(frames), len(beside))
    truth = Truth(kind="two faces", material=True, offsets=((0.0, offset, 0.0),), middle=frames.shape[2])
    return np.concatenate((frames[:count], beside[:count]), axis=2), wave[: count * RATE // reel.fps], truth


Plant = Callable[[Reel, Reel, np.random.Generator], tuple[Frames, Wave, Truth]]
"""From a reel and another one a video's pictures and sound, and what is true of it."""


def _constant(kind: str, low: float, high: float, change: Callable[[Frames], Frames] = lambda frames: frames) -> Plant:
    def plant(reel: Reel, other: Reel, rng: np.random.Generator) -> tuple[Frames, Wave, Truth]:
        offset = float(rng.uniform(low, high) * rng.choice((-1, 1)))
        frames, wave = moved(reel, lambda times: np.full_like(times, offset))
        return change(frames), wave, Truth(kind=kind, material=True, offsets=((0.0, offset, 0.0),))

    return plant


def _drift(reel: Reel, other: Reel, rng: np.random.Generator) -> tuple[Frames, Wave, Truth]:
    drift, offset = float(rng.choice((-1e-3, 1e-3))), float(rng.uniform(-0.3, 0.3))
    frames, wave = moved(reel, lambda times: offset + drift * times)
    return frames, wave, Truth(kind="drift of 0.1 %", material=True, offsets=((0.0, offset, drift),))


def _step(reel: Reel, other: Reel, rng: np.random.Generator) -> tuple[Frames, Wave, Truth]:
    first, then = rng.permutation([rng.uniform(-0.8, -0.16), 0.0, rng.uniform(0.16, 0.8)])[:2]
    at = float(rng.uniform(0.35, 0.65) * (reel.seconds - 2 * MOST_S))
    frames, wave = moved(reel, lambda times: np.where(times < at, first, then))
    truth = Truth(kind="step in mid file", material=True, offsets=((0.0, float(first), 0.0), (at, float(then), 0.0)))
    return frames, wave, truth


def _another(reel: Reel, other: Reel, rng: np.random.Generator) -> tuple[Frames, Wave, Truth]:
    frames, _ = moved(reel, np.zeros_like)
    _, wave = moved(other, np.zeros_like)
    length = min(len(frames), len(wave) * reel.fps // RATE)
    return frames[:length], wave[: length * RATE // reel.fps], Truth(kind="another's speech", material=False)


def _voice_over(reel: Reel, other: Reel, rng: np.random.Generator) -> tuple[Frames, Wave, Truth]:
    """Pictures of the closed mouth, to and fro."""
    _, wave = moved(other, np.zeros_like)
    count, order = len(wave) * reel.fps // RATE, list[int]()
    while len(order) < count:
        first = int(rng.choice(reel.quiet[::CLOSED]))
        order += [*range(first, first + CLOSED), *range(first + CLOSED - 2, first, -1)] * 3
    return reel.frames[order[:count]], wave, Truth(kind="voice-over, face silent", material=False)


def _music_over(reel: Reel, other: Reel, rng: np.random.Generator) -> tuple[Frames, Wave, Truth]:
    offset = float(rng.uniform(-0.8, 0.8))
    frames, wave = moved(reel, lambda times: np.full_like(times, offset))
    level = float(np.sqrt(np.mean(wave.astype(float) ** 2))) * 10 ** (MUSIC_DB / 20)
    mixed = np.clip(wave + level * music(len(wave), rng), -32768, 32767).astype(np.int16)
    return frames, mixed, Truth(kind="music over speech", material=True, offsets=((0.0, offset, 0.0),))


def _music_alone(reel: Reel, other: Reel, rng: np.random.Generator) -> tuple[Frames, Wave, Truth]:
    frames, wave = moved(reel, np.zeros_like)
    return frames, (2000 * music(len(wave), rng)).astype(np.int16), Truth(kind="music alone", material=False)


def _silence(reel: Reel, other: Reel, rng: np.random.Generator) -> tuple[Frames, Wave, Truth]:
    frames, wave = moved(reel, np.zeros_like)
    return frames, rng.integers(-3, 4, len(wave)).astype(np.int16), Truth(kind="silence", material=False)


def _still(reel: Reel, other: Reel, rng: np.random.Generator) -> tuple[Frames, Wave, Truth]:
    frames, wave = moved(reel, np.zeros_like)
    return np.repeat(frames[:1], len(frames), axis=0), wave, Truth(kind="still picture", material=False)


def _mirrored(frames: Frames) -> Frames:
    return frames[:, :, ::-1]


def _coded_again(frames: Frames) -> Frames:
    coded = list[Frames]()
    for rgb in frames:
        sink = BytesIO()
        Image.fromarray(rgb).save(sink, "JPEG", quality=JPEG_QUALITY)
        coded.append(np.asarray(Image.open(sink).convert("RGB")))
    return np.stack(coded)


PLANTS: dict[str, Plant] = {
    "in sync": _constant("in sync", 0.0, 0.0),
    "constant offset": _constant("constant offset", 0.08, 0.8),
    "small offset": _constant("small offset", 0.05, 0.12),
    "drift": _drift,
    "step": _step,
    "mirrored": _constant("mirrored", 0.0, 0.8, _mirrored),
    "coded again": _constant("coded again", 0.0, 0.8, _coded_again),
    "music over speech": _music_over,
    "another": _another,
    "voice-over": _voice_over,
    "music alone": _music_alone,
    "silence": _silence,
    "still": _still,
}
"""Kind -> how a video of it is made."""
