"""Samplers of (picture, sound) pairs. To add one: a class, a line in PAIRS; tests loop over it.

A sampler must not let either stream alone tell the label. Positions are frame numbers within the clip; no torch here.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avsync.config import PairConfig, exact_seconds
from sharding.errors import UsageError
from sharding.format.clip import Clock


@dataclass(frozen=True, slots=True)
class SoundWindow:
    """One sound window to set against the picture."""

    frame: int
    """It starts when this frame of the clip appears."""
    roll: int
    """Frames by which it is turned round cyclically, its end to its front; 0 in honest pairs."""
    in_sync: bool


@dataclass(frozen=True, slots=True)
class Pair:
    """One picture window and the sounds it is judged with."""

    picture: int
    """First frame of the picture window."""
    sounds: tuple[SoundWindow, ...]

    def shift(self, sound: int) -> int:
        """Frames by which the sound's content is ahead of the picture; negative: it lags behind."""
        heard = self.sounds[sound]
        return heard.frame - self.picture - heard.roll


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ways:
    """The whole law of a sampler: each example (a picture with one sound) that it can give of a clip, none twice.

    Nothing is rounded: an example's chance is `ways / of`, where the sound in sync is looked at as often as all others.
    """

    picture: NDArray[np.int64]
    """First frame of the picture window, as in Pair."""
    sound: NDArray[np.int64]
    roll: NDArray[np.int64]
    in_sync: NDArray[np.bool_]
    ways: NDArray[np.int64]
    of: NDArray[np.int64]

    @property
    def shift(self) -> NDArray[np.int64]:
        """As Pair.shift."""
        return self.sound - self.picture - self.roll


class PairSampler(Protocol):
    """Draws pairs."""

    @property
    def window(self) -> int:
        """Frames the network sees."""
        ...

    @property
    def sounds(self) -> int:
        """K, sounds per picture."""
        ...

    def __call__(self, frames: int, rng: np.random.Generator) -> Pair:
        """A pair from a clip of `frames` frames, which must be at least `shortest()`."""
        ...

    def shortest(self) -> int:
        """Frames a clip needs."""
        ...

    def ways(self, frames: int) -> Ways:
        """All that a call with `frames` can give."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Symmetric:
    """K windows of one clip, each `spacing` after the one before; the picture at any of them, each as likely, and all
    K sounds set against it. Spacing at least low, first to last at most high; every legal (spacing, start) equally
    likely. Neither stream's position says anything about the label, exactly: whichever K windows are drawn, each is as
    often the picture's as any other.

    K = 2 is Owens & Efros 2018, section 3; uniform over (frame, shift) pairs as in their released code.
    """

    window: int
    low: int
    high: int
    sounds: int = 2

    def shortest(self) -> int:
        return self.window + self.low * (self.sounds - 1)

    def __call__(self, frames: int, rng: np.random.Generator) -> Pair:
        spacings, starts = self._combs(frames)
        spacing = int(rng.choice(spacings, p=starts / starts.sum()))
        early = int(rng.integers(frames - self.window - spacing * (self.sounds - 1) + 1))
        own = int(rng.random() * self.sounds)
        windows = [early + spacing * number for number in range(self.sounds)]
        picture = windows.pop(own)
        others = (SoundWindow(frame, 0, False) for frame in windows)
        return Pair(picture, (SoundWindow(picture, 0, True), *others))

    def _combs(self, frames: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Spacings, and at how many places of a clip each of them fits."""
        last, gaps = frames - self.window, self.sounds - 1
        spacings = np.arange(self.low, min(self.high, last) // gaps + 1)
        return spacings, last - spacings * gaps + 1

    def ways(self, frames: int) -> Ways:
        members = np.arange(self.sounds)
        own, other = (axis[~np.eye(self.sounds, dtype=bool)] for axis in np.meshgrid(members, members, indexing="ij"))
        examples = list[NDArray[np.int64]]()
        for spacing, starts in zip(*self._combs(frames), strict=True):
            early = np.arange(starts)[:, None]
            examples.append(((early + spacing * own) * frames + early + spacing * other).ravel())
        pairs, count = np.unique(np.concatenate(examples), return_counts=True)
        p, q = np.divmod(pairs, frames)  # as one number: sorting rows of two takes ten times as long
        every = int(count.sum())
        return _join(np.bincount(p, count).astype(np.int64), 2 * every, p, q, np.zeros_like(p), 2 * every, count)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cyclic:
    """The thesis's labels: half the pairs get their own sound turned round cyclically by low to high frames.

    Kept to replay the thesis. It leaks: the join is audible, an audio-only rule finds it with AUC 0.95.
    """

    window: int
    low: int
    high: int
    sounds: int = 1

    def shortest(self) -> int:
        return self.window

    def __call__(self, frames: int, rng: np.random.Generator) -> Pair:
        start = int(rng.integers(frames - self.window + 1))
        if rng.random() < 0.5:
            return Pair(start, (SoundWindow(start, 0, True),))
        roll = int(rng.integers(self.low, min(self.high, self.window - 1), endpoint=True))
        return Pair(start, (SoundWindow(start, roll, False),))

    def ways(self, frames: int) -> Ways:
        starts = np.arange(frames - self.window + 1)
        rolls = np.arange(self.low, min(self.high, self.window - 1) + 1)
        start, roll = np.repeat(starts, len(rolls)), np.tile(rolls, len(starts))
        return _join(np.full_like(starts, len(rolls)), 2 * len(start), start, start, roll, 2 * len(start))


@dataclass(frozen=True, kw_only=True, slots=True)
class Uniform:
    """What first comes to mind: the sound stays, or moves by low to high frames to either side, every shift equally
    likely; then both windows begin at any position of the clip where they fit.

    Kept to show its leak. A sound that moves far has less room, so a moved sound, and its picture, lie more often at
    the ends of the clip than one in sync: 5 s of 10, moved by up to 2, are guessed right in 54.8 % by position alone.
    """

    window: int
    low: int
    high: int
    sounds: int = 1

    def shortest(self) -> int:
        return self.window + self.low

    def __call__(self, frames: int, rng: np.random.Generator) -> Pair:
        last = frames - self.window
        if rng.random() < 0.5:
            start = int(rng.integers(last + 1))
            return Pair(start, (SoundWindow(start, 0, True),))
        distance = int(rng.integers(self.low, min(self.high, last), endpoint=True))
        early = int(rng.integers(last - distance + 1))
        p, q = (early, early + distance) if rng.random() < 0.5 else (early + distance, early)
        return Pair(p, (SoundWindow(q, 0, False),))

    def ways(self, frames: int) -> Ways:
        last = frames - self.window
        p, q = _ordered(self.low, self.high, last)
        distance = np.abs(p - q)
        of = 4 * (min(self.high, last) - self.low + 1) * (last - distance + 1)  # label and side, distance, start
        return _join(np.ones(last + 1, np.int64), 2 * (last + 1), p, q, np.zeros_like(p), of)


def _ordered(low: int, high: int, last: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All (p, q) in 0 to `last` with low <= |p - q| <= high."""
    distances = np.arange(low, min(high, last) + 1)
    room = last - distances + 1  # how many positions a distance leaves
    distance = np.repeat(distances, room)
    early = np.arange(len(distance)) - np.repeat(room.cumsum() - room, room)
    return np.concatenate((early, early + distance)), np.concatenate((early + distance, early))


def _join(
    sync_ways: NDArray[np.int64],
    sync_of: int,
    picture: NDArray[np.int64],
    sound: NDArray[np.int64],
    roll: NDArray[np.int64],
    of: NDArray[np.int64] | int,
    ways: NDArray[np.int64] | int = 1,
) -> Ways:
    """Examples in sync, by position; then those that are not, each in so many ways."""
    starts = np.flatnonzero(sync_ways)
    return Ways(
        picture=np.concatenate((starts, picture)),
        sound=np.concatenate((starts, sound)),
        roll=np.concatenate((np.zeros_like(starts), roll)),
        in_sync=np.repeat((True, False), (len(starts), len(picture))),
        ways=np.concatenate((sync_ways[starts], np.broadcast_to(ways, picture.shape))),
        of=np.concatenate((np.full_like(starts, sync_of), np.broadcast_to(of, picture.shape))),
    )


PAIRS: dict[str, type[Symmetric] | type[Cyclic] | type[Uniform]] = {
    "symmetric": Symmetric,
    "cyclic": Cyclic,
    "uniform": Uniform,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class InSync:
    """One window and its own sound, every position equally likely: no pairs to tell apart, but what else is learned of
    clips: classes, or which of two sounds mixed is the picture's.
    """

    window: int
    sounds: int = 1

    def shortest(self) -> int:
        return self.window

    def __call__(self, frames: int, rng: np.random.Generator) -> Pair:
        start = int(rng.integers(frames - self.window + 1))
        return Pair(start, (SoundWindow(start, 0, in_sync=True),))

    def ways(self, frames: int) -> Ways:
        starts = np.arange(frames - self.window + 1)
        once = np.ones_like(starts)
        return Ways(picture=starts, sound=starts, roll=0 * once, in_sync=once > 0, ways=once, of=len(starts) * once)


def in_sync_sampler(config: PairConfig, clock: Clock) -> InSync:
    """Of windows as long as a configuration says; its law of pairs is not asked."""
    return InSync(window=max(1, clock.frames_in(exact_seconds(config.window_s))))


def build_sampler(config: PairConfig, clock: Clock) -> PairSampler:
    """The sampler a configuration asks for, in frames of the dataset's clock. Raises UsageError."""
    window = clock.frames_in(exact_seconds(config.window_s))
    low, high = (round(exact_seconds(s) * clock.fps) for s in (config.min_shift_s, config.max_shift_s))
    if window < 1 or low < 1:
        raise UsageError(
            f"--pairs.window-s {config.window_s} is {window} frames and --pairs.min-shift-s {config.min_shift_s} "
            f"is {low} frames at {clock.fps} fps: both must be at least one frame"
        )
    if config.law == "cyclic" and low >= window:
        raise UsageError(
            f"--pairs.min-shift-s {config.min_shift_s} must be below --pairs.window-s {config.window_s} "
            "with cyclic pairs"
        )
    if config.mute_samples >= clock.sample_at(window):
        raise UsageError(
            f"--pairs.mute-samples {config.mute_samples} leaves nothing to hear: a window of {config.window_s} s has "
            f"{clock.sample_at(window)} samples"
        )
    if low * (config.sounds - 1) > high:
        raise UsageError(
            f"--pairs.sounds {config.sounds}, each {low} frames after the one before, reach over "
            f"{low * (config.sounds - 1)} frames, --pairs.max-shift-s {config.max_shift_s} is {high} at {clock.fps} "
            "fps: take fewer sounds, or a larger max-shift-s"
        )
    more = {"sounds": config.sounds} if config.sounds > 2 else {}
    return PAIRS[config.law](window=window, low=low, high=high, **more)


def seconds(frames: int, clock: Clock) -> float:
    """For messages and plots only."""
    return float(Fraction(frames) / clock.fps)
