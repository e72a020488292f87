"""What a motion sounds like.

S audio samples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sharding.scenes.motion import Curve, Motion

RING_S = 0.5
"""Length of one impact's ringing; it has died away by then."""
HUM_PARTS = 6
"""Its tone and overtones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Voice:
    """The timbre of one object."""

    pitch: float
    """Hz, of the lowest mode."""
    modes: tuple[float, ...]
    """Frequencies of the modes, as multiples of the pitch."""
    decay: float
    """Seconds in which an impact falls to 1/e."""
    span: float
    """Octaves between the tone at the floor and at the top."""
    loudness: float


def draw_voice(rng: np.random.Generator) -> Voice:
    """A random timbre: bar, membrane or string."""
    families = ((1.0, 2.76, 5.4), (1.0, 1.59, 2.14, 2.65), (1.0, 2.0, 3.0))
    return Voice(
        pitch=float(np.exp(rng.uniform(np.log(220), np.log(700)))),
        modes=families[rng.integers(len(families))],
        decay=float(rng.uniform(0.04, 0.09)),
        span=float(rng.uniform(1.0, 1.8)),
        loudness=float(rng.uniform(0.7, 1.0)),
    )


def sound_of(motion: Motion, voice: Voice, samples: int, rate: int) -> Curve:
    """(S,) impacts ring, and a tone rises in pitch with the object and in loudness with its speed; about -1 to 1."""
    return voice.loudness * (_impacts(motion, voice, samples, rate) + _tone(motion, voice, samples, rate))


def _impacts(motion: Motion, voice: Voice, samples: int, rate: int) -> Curve:
    ring = _ring(voice, rate)
    lead = len(ring)
    out = np.zeros(samples + 2 * lead)
    for time, strength in motion.impacts:
        start = lead + round(time * rate)
        if 0 <= start < samples + lead:
            out[start : start + lead] += 0.8 * strength * ring
    return out[lead : lead + samples]


def _ring(voice: Voice, rate: int) -> Curve:
    """One impact: damped modes, the higher the shorter, behind a click."""
    time = np.arange(int(RING_S * rate)) / rate
    ring = np.zeros_like(time)
    for number, mode in enumerate(voice.modes):
        frequency = voice.pitch * mode
        if frequency < rate / 2.2:
            ring += np.exp(-time * (1 + number) / voice.decay) * np.sin(2 * np.pi * frequency * time) / (1 + number)
    click = np.exp(-time / 0.002) * np.cos(2 * np.pi * min(2500.0, rate / 5) * time)
    return (ring + 0.7 * click) / 1.6


def _tone(motion: Motion, voice: Voice, samples: int, rate: int) -> Curve:
    if not motion.effort.any():
        return np.zeros(samples)
    time = np.arange(samples) / rate
    effort = np.interp(time, motion.time, motion.effort)
    octave = voice.span * np.interp(time, motion.time, motion.height)
    phase = 2 * np.pi * np.cumsum(voice.pitch * 2.0**octave) / rate
    return 0.5 * effort * (np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.2 * np.sin(3 * phase))


def background(rng: np.random.Generator, samples: int, level: float) -> Curve:
    """(S,) noise, duller than white, stationary, of this root mean square."""
    white = rng.standard_normal(samples + 8)
    dull = sum(white[shift : shift + samples] * 0.7**shift for shift in range(8))
    return level * np.asarray(dull) / np.sqrt(sum(0.49**shift for shift in range(8)))


def hum(rng: np.random.Generator, samples: int, rate: int, level: float) -> Curve:
    """(S,) a tone that never changes, with overtones, of this root mean square: what mains and fans sound like.

    Wherever a sound is cut and put together again, its phase jumps.
    """
    pitch, time = rng.uniform(90, 130), np.arange(samples) / rate
    parts = [
        rng.uniform(0.3, 1) / number * np.sin(2 * np.pi * pitch * number * time + rng.uniform(0, 2 * np.pi))
        for number in range(1, HUM_PARTS + 1)
    ]
    whole = np.sum(parts, axis=0)
    return level * whole / np.sqrt(np.mean(whole**2))


def to_pcm(sound: Curve) -> NDArray[np.int16]:
    """(S,) as 16-bit samples, loud peaks bent, never wrapped."""
    return np.rint(np.tanh(sound) * 32_000).astype(np.int16)
