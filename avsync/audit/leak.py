"""What the places of the windows tell about the label, worked out from the pair sampler itself: exact, nothing drawn.

Traces in a stream (of an encoder, a fade, a counter in the picture) may give away where in its file a window lies. If
the sampler puts sounds in sync at other places than sounds out of sync, whoever reads the sound's place knows something
of the label, without looking at the picture. How much, is a property of the sampler and of the lengths of the clips.

Everything here is about a guesser who knows the clip, and so its length. That is the most that anyone can get: the
label is in sync in half of the pairs of every clip, so a clip alone tells 0 bits, and what a place tells beside the
clip, I(label; place | clip) = I(label; place, clip), is never below I(label; place).

Both places together (and the roll of cyclic pairs) always tell the label: in sync means that they are equal. No
sampler can help that. So a dataset must not let a network read the place in both of its streams: probes look for that.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avsync.data.pairs import PairSampler, Ways
from sharding.errors import InputError

DIGITS = 12
"""Decimals that sums of chances are good for."""
LONGEST = 2**18
"""Frames of a clip: two hours and more at 30 a second, for which its ways take some GB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Leakage:
    """What something tells about the label."""

    bits: float
    """Mutual information with the label, of which all is log2 of the number of labels: 1 bit for two."""
    accuracy: float
    """Share of right guesses of one who knows the sampler and makes the best of it."""
    auc: float
    """Area under the ROC curve of that guesser within a clip; 0.5 is chance. NaN for more than two labels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Leak:
    """What a pair sampler tells about the label; mean over clips."""

    sound: Leakage
    """Place of the sound window alone."""
    picture: Leakage
    """Place of the picture window alone."""
    both: Leakage
    """Both places, and the roll: that is the label."""
    clips: int


def leak(sampler: PairSampler, frames: NDArray[np.integer]) -> Leak:
    """Of a sampler on clips of so many frames each, (N,), none of which is shorter than it needs.

    Raises InputError for a clip of hours: a sampler has as many ways as frames times shifts.
    """
    lengths, clips = np.unique(frames, return_counts=True)
    if lengths.max(initial=0) > LONGEST:
        raise InputError(
            f"a clip of {lengths.max()} frames is longer than an audit can work out ({LONGEST}): pack shorter clips "
            "(--clip-s); where none is so long, avsync verify tells what is wrong with the index"
        )
    rows = [_of_length(sampler.ways(length)) for length in lengths.tolist()]
    sound, picture, both = (_mean(each, clips) for each in zip(*rows, strict=True))
    return Leak(sound=sound, picture=picture, both=both, clips=len(frames))


def _of_length(ways: Ways) -> tuple[Leakage, Leakage, Leakage]:
    return (
        leakage(places(ways, ways.sound)),
        leakage(places(ways, ways.picture)),
        leakage(places(ways, ways.shift - ways.shift.min())),  # of both places and the roll only this is needed
    )


def _mean(each: tuple[Leakage, ...], weights: NDArray[np.integer]) -> Leakage:
    bits, accuracy, auc = np.average([(one.bits, one.accuracy, one.auc) for one in each], axis=0, weights=weights)
    return Leakage(bits=float(bits), accuracy=float(accuracy), auc=float(auc))


def places(ways: Ways, place: NDArray[np.int64]) -> NDArray[np.float64]:
    """Chances of (label, place): (2, places), first row not in sync. `place`: of each example, from 0 on.

    Ways are summed as whole numbers, so that equal sums give equal chances, to the last bit.
    """
    size = int(place.max()) + 1
    cell = ways.in_sync * size + place
    chances = np.zeros(2 * size)
    for of in np.unique(ways.of).tolist():
        mine = ways.of == of
        chances += np.bincount(cell[mine], ways.ways[mine], 2 * size) / of
    return chances.reshape(2, size)


def leakage(joint: NDArray[np.floating]) -> Leakage:
    """From the chances of (label, place), (L, P), that sum to 1."""
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    there = joint > 0
    bits = (joint[there] * np.log2(joint[there] / apart[there])).sum()
    auc = _auc(joint) if len(joint) == 2 else float("nan")
    return Leakage(
        bits=abs(round(float(bits), DIGITS)),
        accuracy=round(float(joint.max(axis=0).sum()), DIGITS),
        auc=round(auc, DIGITS),
    )


def _auc(joint: NDArray[np.floating]) -> float:
    """Of the guesser who ranks places by their rate of examples in sync."""
    out, in_sync = joint / joint.sum(axis=1, keepdims=True)
    rate = np.divide(in_sync, in_sync + out, out=np.zeros_like(out), where=in_sync + out > 0)
    _, rank = np.unique(rate, return_inverse=True)
    lower, level = np.bincount(rank, out), np.bincount(rank, in_sync)
    return float(((lower.cumsum() - lower / 2) * level).sum())
