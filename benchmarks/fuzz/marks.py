"""What the fuzzed videos show and sound like: every picture carries its number, every moment of sound its own pitch.

So each picture of a packed clip tells when it was recorded, and so does the sound that is heard when it appears. What
damage has made of either is told from what is whole: numbers are written twice, and a pitch must glide as it should.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

FPS = Fraction(25)
WIDTH, HEIGHT = 160, 120
CELLS = 4
"""Along each side; each is dark or lit, one bit of a word that stands for the number."""
NUMBERS, APART = 100, 4
"""How many words there are, and in how many bits any two differ. They follow no rule: what a decoder makes of a picture
whose predecessor is missing, the one change put upon the other, is hardly ever a word."""
DARK, LIT, NEAR = 50, 190, 30
"""Luma of the cells, and how far a whole one may be from that."""
LOW_HZ, GLIDE_HZ = 500, 1_200
"""Pitch at 0 s, and how much higher it is a second later."""
LOUDNESS = 0.5
WINDOW_S, STEP_S = 0.02, 0.01
PURE = 0.97
"""Of a window's power, in one pitch."""
NOTHING = -1

Numbers = NDArray[np.int64]
Times = NDArray[np.float64]


def _words() -> list[int]:
    rng, found = np.random.default_rng(0), list[int]()
    while len(found) < NUMBERS:
        word = int(rng.integers(1 << CELLS**2))
        if all((word ^ other).bit_count() >= APART for other in found):
            found.append(word)
    return found


WORDS = _words()
"""Number -> its word."""
_NUMBER_OF = np.full(1 << CELLS**2, NOTHING)
_NUMBER_OF[WORDS] = np.arange(NUMBERS)


def picture(number: int) -> NDArray[np.uint8]:
    """The picture of one number below NUMBERS: (180, 160) I420."""
    cells = np.array([WORDS[number] >> place & 1 for place in range(CELLS**2)], bool).reshape(CELLS, CELLS)
    luma = np.kron(np.where(cells, LIT, DARK), np.ones((HEIGHT // CELLS, WIDTH // CELLS)))
    return np.concatenate([luma, np.full((HEIGHT // 2, WIDTH), 128)]).astype(np.uint8)


def sound(seconds: Fraction, rate: int, late: int = 0) -> NDArray[np.int16]:
    """(S,) from `late` samples after time 0 on."""
    times = (np.arange(int(seconds * rate)) + late) / rate
    wave = LOUDNESS * np.sin(2 * np.pi * (LOW_HZ + GLIDE_HZ / 2 * times) * times)
    return (wave * 32767).astype(np.int16)


def numbers_of(luma: NDArray[np.uint8]) -> Numbers:
    """(T, H, W) -> (T,) the number in each picture, NOTHING where it is damaged."""
    count, height, width = luma.shape
    down, across = height // CELLS, width // CELLS
    cells = luma[:, : down * CELLS, : across * CELLS].reshape(count, CELLS, down, CELLS, across)
    inside = cells[:, :, down // 4 : down - down // 4, :, across // 4 : across - across // 4]
    means = inside.mean(axis=(2, 4)).reshape(count, -1)
    bits = means > (DARK + LIT) / 2
    whole = (np.abs(means - np.where(bits, LIT, DARK)) < NEAR).all(axis=1)
    return np.where(whole, _NUMBER_OF[bits @ (1 << np.arange(CELLS**2))], NOTHING)


def times_of(wave: NDArray[np.int16], rate: int) -> Times:
    """(S,) -> for each sample when the sound around it was recorded, seconds; NaN where that cannot be heard."""
    size, step = int(WINDOW_S * rate), int(STEP_S * rate)
    found = np.full(len(wave), np.nan)
    if len(wave) < 4 * size:
        return found
    turning = _analytic(wave / 32768)
    steps, power = turning[1:] * turning[:-1].conj(), np.abs(turning[1:]) ** 2
    steps, power = _means(steps, size), _means(power, size)
    times = (np.angle(steps) * rate / (2 * np.pi) - LOW_HZ) / GLIDE_HZ
    clear = (power > LOUDNESS**2 / 100) & (np.abs(steps) > PURE * power)
    glides = np.zeros(len(times), bool)
    glides[step:-step] = np.abs(times[2 * step :] - times[: -2 * step] - 2 * STEP_S) < STEP_S / 2
    start = size // 2
    found[start : start + len(times)] = np.where(clear & glides, times, np.nan)
    return found


def _analytic(wave: NDArray[np.float64]) -> NDArray[np.complex128]:
    """The real wave and, as its imaginary part, the same a quarter of a turn later."""
    length = 1 << (len(wave) - 1).bit_length()
    spectrum = np.fft.fft(wave, length)
    spectrum[length // 2 + 1 :] = 0
    spectrum[1 : length // 2] *= 2
    return np.fft.ifft(spectrum)[: len(wave)]


def _means(values: NDArray[Any], size: int) -> NDArray[Any]:
    sums = np.cumsum(np.concatenate([[0], values]))
    return (sums[size:] - sums[:-size]) / size


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How far the sound is from the picture, picture by picture, where both can be read."""

    late_s: dict[int, float]
    """Number of a picture -> when the sound heard as it appears was recorded, minus when the picture was."""

    def apart(self, tolerance_s: float) -> dict[int, float]:
        """Those that are further apart."""
        return {number: late for number, late in self.late_s.items() if abs(late) > tolerance_s}


def reading(moments: list[tuple[int, float]], wave: NDArray[np.int16], rate: int) -> Reading:
    """`moments`: numbers of pictures and when each appears, in seconds of `wave`."""
    times, late = times_of(wave, rate), dict[int, float]()
    for number, moment in moments:
        sample = round(moment * rate)
        if 0 <= sample < len(times) and not np.isnan(times[sample]) and number not in late:
            late[number] = float(times[sample] - number / FPS)
    return Reading(late_s=late)


def appearances(numbers: Numbers, fps: Fraction) -> list[tuple[int, float]]:
    """Number and moment, in seconds, of each picture when it first appears; not of the one that is there first."""
    seen, moments = {int(numbers[0])} if len(numbers) else set[int](), list[tuple[int, float]]()
    for slot, (before, now) in enumerate(pairwise(numbers.tolist()), 1):
        if now not in (before, NOTHING) and now not in seen:
            seen.add(now)
            moments.append((now, float(slot / fps)))
    return moments
