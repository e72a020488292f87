"""The laws by which (picture, sound) pairs are drawn. To add one: a class, a line in PAIRS; tests loop over it.

A law must not let either stream alone tell the label. Positions are frame numbers within the clip; no torch here.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np

from avsync.config import PairConfig, exact_seconds
from sharding.clip import Clock
from sharding.errors import InputError


@dataclass(frozen=True, slots=True)
class Sound:
    """One sound window to set against the picture."""

    frame: int
    """It starts when this frame of the clip appears."""
    roll: int
    """Frames by which it is turned round cyclically, its end to its front; 0 in honest laws."""
    in_sync: bool


@dataclass(frozen=True, slots=True)
class Pair:
    """One picture window and the sounds it is judged with."""

    picture: int
    """First frame of the picture window."""
    sounds: tuple[Sound, ...]

    def shift(self, sound: int) -> int:
        """Frames by which the sound's content is ahead of the picture; negative: it lags behind."""
        heard = self.sounds[sound]
        return heard.frame - self.picture - heard.roll


class PairLaw(Protocol):
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
        """Frames a clip needs for this law."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Symmetric:
    """Two windows p, q with low <= |p - q| <= high, every legal ordered pair equally likely; picture at p, sound at p
    (in sync) and at q (not). p and q have one law, so neither stream's position says anything about the label.

    Owens & Efros 2018, section 3; uniform over (frame, shift) pairs as in their released code.
    """

    window: int
    low: int
    high: int
    sounds: int = 2

    def shortest(self) -> int:
        return self.window + self.low

    def __call__(self, frames: int, rng: np.random.Generator) -> Pair:
        last = frames - self.window
        distances = np.arange(self.low, min(self.high, last) + 1)
        starts = last - distances + 1  # how many positions a distance allows
        distance = int(rng.choice(distances, p=starts / starts.sum()))
        early = int(rng.integers(last - distance + 1))
        p, q = (early, early + distance) if rng.random() < 0.5 else (early + distance, early)
        return Pair(p, (Sound(p, 0, True), Sound(q, 0, False)))


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
            return Pair(start, (Sound(start, 0, True),))
        roll = int(rng.integers(self.low, min(self.high, self.window - 1), endpoint=True))
        return Pair(start, (Sound(start, roll, False),))


PAIRS: dict[str, type[Symmetric] | type[Cyclic]] = {"symmetric": Symmetric, "cyclic": Cyclic}


def build_law(config: PairConfig, clock: Clock) -> PairLaw:
    """The law a configuration asks for, in frames of the dataset's clock. Raises InputError."""
    window = clock.frames_in(exact_seconds(config.window_s))
    low, high = (round(exact_seconds(s) * clock.fps) for s in (config.min_shift_s, config.max_shift_s))
    if window < 1 or low < 1:
        raise InputError(
            f"--pairs.window-s {config.window_s} is {window} frames and --pairs.min-shift-s {config.min_shift_s} "
            f"is {low} frames at {clock.fps} fps: both must be at least one frame"
        )
    if config.law == "cyclic" and low >= window:
        raise InputError(
            f"--pairs.min-shift-s {config.min_shift_s} must be below --pairs.window-s {config.window_s} "
            "with cyclic pairs"
        )
    return PAIRS[config.law](window=window, low=low, high=high)


def seconds(frames: int, clock: Clock) -> float:
    """For messages and plots only."""
    return float(Fraction(frames) / clock.fps)
