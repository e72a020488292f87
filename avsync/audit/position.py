"""Where in its file does a window lie? Asked of each stream alone: which of two windows of one clip comes earlier?

Chance is one half, exactly, whatever is seen and heard: who cannot read the place is as often right as wrong. What is
read is a weighted sum of features, learned by ridge regression on the differences of the two windows (Hoerl & Kennard
1970), solved in as many unknowns as there are clips.

N clips, F features.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from avsync.audit.evidence import AuditEvidence, Looked, folds
from avsync.audit.features import texture

RIDGES = (0.03, 0.3, 3.0)
"""Shares of the mean size of an example; which one fits is found on the examples learned from."""

Blocks = list[NDArray[np.float32]]
"""Kinds of features, (N, F) each. Every kind weighs the same, however many features it has."""


def heard(looked: Looked) -> Blocks:
    """A sound's map as it is, and what each of its rows does over time."""
    maps = looked.maps[:, 0].astype(np.float32)
    over_time = np.concatenate((maps.mean(2), maps.min(2), maps.max(2), maps.std(2)), 1)
    ends = np.concatenate((maps[..., :5].mean(2), maps[..., -5:].mean(2)), 1)
    return [maps.reshape(len(maps), -1), over_time, ends, looked.rules[:, 0]]


def seen(looked: Looked) -> Blocks:
    """Pixels, each with a weight of its own, and texture."""
    pictures = looked.pictures
    kinds = [texture(torch.from_numpy(some)).numpy() for some in np.array_split(pictures, len(pictures) // 64 + 1)]
    return [pictures.reshape(len(pictures), -1).astype(np.float32), np.concatenate(kinds)]


def place_scores(early: Blocks, late: Blocks, group: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """(N, 2) score of the earlier and the later window of each clip: higher is later. Learned from other sources.

    In each half of the clips scores have mean 0 and standard deviation 1.
    """
    scores = np.zeros((len(group), 2))
    for learn, ask in folds(group, seed):
        if learn.any() and ask.any():
            some = _read(early, late, learn, ask)
            scores[ask] = (some - some.mean()) / max(float(some.std()), 1e-9)
    return scores


def _read(early: Blocks, late: Blocks, learn: NDArray[np.bool_], ask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(asked, 2) scores, of no certain scale."""
    kernel, against = 0.0, [0.0, 0.0]
    for first, second in zip(early, late, strict=True):
        change = (second[learn] - first[learn]).astype(np.float64)
        spread = np.sqrt(np.square(change).mean(0))
        weight = 1 / (spread + 0.1 * spread.mean() + 1e-9)
        middle = (first[learn].mean(0) + second[learn].mean(0)) / 2
        change *= weight
        size = np.square(change).sum(1).mean() + 1e-9
        kernel = kernel + change @ change.T / size
        for side, block in enumerate((first, second)):
            against[side] = against[side] + ((block[ask] - middle) * weight) @ change.T / size
    dual = _ridge(np.asarray(kernel))
    return np.stack([np.asarray(one) @ dual for one in against], 1)


def _ridge(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of the examples, all of whose differences ought to be 1; the ridge that errs least on one left out."""
    fits = list[tuple[float, NDArray[np.float64]]]()
    for ridge in RIDGES:
        inverse = np.linalg.inv(kernel + np.eye(len(kernel)) * ridge * max(float(np.trace(kernel)), 1e-9) / len(kernel))
        dual = inverse.sum(1)
        fits.append((float(np.square(dual / np.diag(inverse)).mean()), dual))
    return min(fits, key=lambda one: one[0])[1]


def which_is_later(scores: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """(N,) above 0: right, that the later window comes later. Windows that look the same are guessed at."""
    apart = scores[:, 1] - scores[:, 0]
    coin = np.random.Generator(np.random.Philox(seed)).choice((-1e-12, 1e-12), len(apart))
    return np.where(apart == 0, coin, apart)


def compare_places(
    evidence: AuditEvidence, sound: NDArray[np.float64], picture: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Which of two sounds belongs to a picture, guessed by their places alone: above 0 is right; and the sources' pair.

    The sounds are those of another source's clip, at the same two places, so that what is seen and heard there cannot
    help. Each clip's two pictures are both asked about: who reads the place in one stream only is right once in two.
    """
    couple, number = evidence.places.couple, evidence.places.pair_of_sources
    closer, group = list[float](), list[int]()
    for one in np.unique(couple[couple >= 0]).tolist():
        both = np.flatnonzero(couple == one)
        if len(both) < 2:  # the other one could not be read
            continue
        for looks, hears in (both, both[::-1]):
            for at in (0, 1):
                far, near = (abs(picture[looks, at] - sound[hears, place]) for place in (1 - at, at))
                closer.append(far - near)
                group.append(int(number[looks]))
    return np.array(closer), np.array(group, np.int64)
