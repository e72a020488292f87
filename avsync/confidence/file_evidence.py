"""A network's answers about one file, window by window and offset by offset, and what a window shows and sounds like.

n windows, D offsets, T frames of a window, R = H*3/2 rows of I420, S samples, C channels.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sharding.format.clip import Clock

GRID_S = 0.04
"""Offsets lie a frame apart, or the fewest frames that make so much: the peak is wider."""
WINDOWS = 8
"""Of a short file; more would tell the same again."""
SHORTEST_HOP_S, USUAL_HOP_S = 0.25, 1.0
LONG_S = 300
"""From this length on windows lie further apart, up to one window: more of the same makes no answer surer."""
QUIETEST_DB = -120.0
SILENT_DB = -60.0
"""Below this a window's sound is called silent."""
STILL = 0.15
"""Below this mean change of brightness, of 255 steps, a window's picture is called still."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScoreEvidence:
    """What was found, window by window."""

    clock: Clock
    window: int
    """T, frames."""
    starts: NDArray[np.int64]
    """(n,) first frames, ascending; frame 0 is presentation time 0"""
    offsets: NDArray[np.int64]
    """(D,) frames by which the sound is taken from later in the file, ascending, evenly spaced, 0 among them"""
    logit: NDArray[np.float32]
    """(n, D) above 0: the two belong together; nan where the file has no such sound"""
    loudness_db: NDArray[np.float32]
    """(n,) root mean square of the window's own sound, dB below full scale"""
    motion: NDArray[np.float32]
    """(n,) mean change of brightness from frame to frame, in steps of 0 to 255"""
    peaks: NDArray[np.float32]
    """(frames,) loudest sample during each frame from the first window on, 0 to 1"""

    def seconds(self, frames: NDArray[np.int64]) -> NDArray[np.float64]:
        """Frames as seconds, for words and plots."""
        return frames / float(self.clock.fps)


def offset_step(fps: Fraction) -> int:
    """Frames from one offset to the next."""
    return max(1, round(GRID_S * float(fps)))


def usual_hop(seconds: float, window_s: float) -> float:
    """From one window to the next, seconds."""
    if seconds > LONG_S:
        return min(window_s, USUAL_HOP_S * seconds / LONG_S)
    return min(USUAL_HOP_S, max(SHORTEST_HOP_S, (seconds - window_s) / WINDOWS))


def blind_windows(evidence: ScoreEvidence) -> NDArray[np.bool_]:
    """(n,) windows that cannot tell anything: silent, or still."""
    return (evidence.loudness_db < SILENT_DB) | (evidence.motion < STILL)


def decibels(sound: NDArray[np.int16]) -> float:
    """Root mean square of samples, below full scale."""
    power = float(np.square(sound.astype(np.float32) / 32768).mean())
    return max(QUIETEST_DB, 10 * np.log10(max(power, 1e-20)))


def mean_motion(yuv: NDArray[np.uint8]) -> float:
    """Mean change of brightness from picture to picture, of 255 steps. yuv: (T, R, W)"""
    luma = yuv[:, : yuv.shape[1] * 2 // 3]
    changes = [np.abs(after.astype(np.int16) - before).mean() for before, after in pairwise(luma)]
    return float(np.mean(changes)) if changes else 0.0
