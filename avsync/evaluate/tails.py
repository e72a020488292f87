"""How often blind chance does as well: exact tails of sums, without a law of errors. No torch.

An action's sample are its sources, not its examples: examples of a source are alike. A source's score is its share of
right answers. With a handful of sources a normal law would promise too much, so the law of the sum itself is worked
out, as a product of spectra.
"""

import numpy as np
from numpy.typing import NDArray

CHANCE = 0.5
CELLS = 120
"""Scores are rounded to so many parts: halves, thirds, quarters, fifths, sixths, eighths, ... fall on whole ones."""


def _cells(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.rint(scores * CELLS).astype(np.int64)


def above_chance(scores: NDArray[np.floating]) -> float:
    """p-value, one-sided, of "the network only guesses": every source might as well have scored 1 - score.

    scores: (S,) one of each source. The randomisation test of Fisher 1935 over the 2^S exchanges of right and wrong,
    all of them: exact whatever the law of the scores, as picture and sound swap roles with probability 1/2.
    """
    steps = _cells(scores) - CELLS // 2
    reach = int(np.abs(steps).sum())
    if not reach:
        return 1.0
    size = 2 * reach + 1
    wave = 2 * np.pi * np.arange(reach + 1) / size
    spectrum = np.ones(len(wave))
    for step, count in zip(*np.unique(np.abs(steps), return_counts=True), strict=True):
        spectrum *= np.cos(wave * step) ** count
    law = np.fft.irfft(spectrum, size)  # a sum s stands at s modulo size
    return _share(law[np.arange(int(steps.sum()), reach + 1) % size])


def beside_all(scores: NDArray[np.floating], pool: NDArray[np.floating]) -> float:
    """p-value, two-sided, of "this action is like all": as many sources drawn blindly from `pool` do as well or badly.

    scores: (S,) of the action's sources; pool: (N,) of the sources of all actions, the action's own among them, which
    are put back when drawn: where actions are few, this errs on the careful side.
    """
    count = len(scores)
    if count == len(pool):
        return 1.0
    law = np.bincount(_cells(pool), minlength=CELLS + 1) / len(pool)
    size = count * CELLS + 1
    law_of_sum = np.fft.irfft(np.fft.rfft(law, size) ** count, size)
    place = int(_cells(scores).sum())
    return min(1.0, 2 * min(_share(law_of_sum[place:]), _share(law_of_sum[: place + 1])))


def _share(law: NDArray[np.floating]) -> float:
    """A sum of probabilities; the transform's rounding leaves some 1e-16 below 0."""
    return float(np.clip(law.sum(), 0.0, 1.0))


def discoveries(p_values: NDArray[np.floating], rate: float) -> NDArray[np.bool_]:
    """Which of many questions are answered, so that at most a share `rate` of the answers is false in the mean.

    Benjamini & Hochberg 1995. Where nothing is there to be found, anything at all is found in `rate` of the cases.
    """
    order = np.argsort(p_values, kind="stable")
    allowed = rate * np.arange(1, len(p_values) + 1) / len(p_values)
    passed = np.flatnonzero(p_values[order] <= allowed)
    found = np.zeros(len(p_values), np.bool_)
    if len(passed):
        found[order[: passed[-1] + 1]] = True
    return found
