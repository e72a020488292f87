"""What the scores of many files say of the set, and of two sets of the same names. Pure: lines in, figures out.

Intervals are of 95 %, by drawing files again with replacement (bootstrap percentiles). They are seeded: the same lines
give the same numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from avsync.confidence.curve import Votes, posterior
from avsync.score.result import ScoredFace, Verdict
from sharding.errors import InputError

SHARES_MS = (40, 80, 200)
"""In sync, to so many milliseconds either way."""
CLASS_S, CLASSES, STRETCH_S = 0.2, 10, 4.8
"""The grid of Synchformer (Iashin et al. 2024), by which MMAudio and others judge: 21 offsets from -2 to 2 s, asked
about stretches of 4.8 s. They take the first and the last of a clip of 8 s; here such stretches cover the file."""
DRAWS, FLIPS, EXACT = 1000, 10_000, 13
"""Of the bootstrap and of the sign-flip test; all flips are tried up to so many pairs."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class SetLine:
    """One file's line. Offsets are milliseconds, above 0: the sound comes late."""

    video: str
    """Full path."""
    size: int
    modified_ns: int
    """With the size: which content was scored."""
    network: str
    settings: str
    """A digest of the settings and of how the network is read: only lines with the same one can be compared."""
    seconds: float = 0.0
    verdict: Verdict = "can't tell"
    offset_ms: float | None = None
    """Also where it can't be told: the best guess. None where nothing speaks for any: no window, or a mute file."""
    interval_ms: tuple[float, float] | None = None
    confidence: float = 0.0
    in_sync: float | None = None
    """Probability that the offset lies within the tolerance; None where the file tells nothing."""
    windows: int = 0
    """That were judged."""
    desync_s: float | None = None
    """Mean absolute offset class over the file's stretches, see `desync`; None where no window could be judged."""
    faces: tuple[ScoredFace, ...] = ()
    error: str = ""
    """Why there is no answer; empty when there is one."""

    @property
    def told_ms(self) -> float:
        """Absolute offset; nan where it can't be told."""
        known = self.verdict != "can't tell" and self.offset_ms is not None
        return abs(self.offset_ms) if known and self.offset_ms is not None else float("nan")

    def within(self, milliseconds: float) -> bool:
        """Known to be in sync to so much: one offset for all of the file."""
        return self.verdict != "changes" and self.told_ms <= milliseconds


def desync(votes: Votes) -> float | None:
    """Mean of the absolute offset class, seconds, over stretches that cover the file: DeSync on all of it.

    Of a stretch the class is the one, of those the file has sound for, with most probability. One that tells nothing
    counts as what a guess is worth on average. None where the offsets that are tried hold no second class.
    """
    classes = np.rint(votes.offsets_s / CLASS_S).astype(int)
    inside = np.abs(classes) <= CLASSES
    known = np.unique(classes[inside])
    if len(known) < 2:
        return None
    begin, end = float(votes.starts_s[0]), float(votes.starts_s[-1]) + votes.window_s
    count = max(1, ceil((end - begin) / STRETCH_S - 1e-6))
    long, found = max(STRETCH_S, votes.window_s), list[float]()
    for left in np.linspace(begin, max(begin, end - long), count):
        mine = (votes.starts_s >= left - 1e-6) & (votes.starts_s + votes.window_s <= left + long + 1e-6)
        if not mine.any():
            continue
        support = votes.nats[mine].sum(axis=0)
        mass = [posterior(support, votes.reading.none)[classes == one].sum() for one in known]
        guess = float(np.abs(known).mean())
        found.append(abs(int(known[int(np.argmax(mass))])) if support.any() else guess)
    return float(np.mean(found)) * CLASS_S if found else None


@dataclass(frozen=True, kw_only=True, slots=True)
class SetFigure:
    """A mean over files, with its interval."""

    value: float
    low: float
    high: float
    files: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SetSummary:
    """Of one set."""

    files: int
    failed: int
    """Lines with an error; they are in no figure."""
    cant_tell: SetFigure | None
    """Share; None, as all below, when there is no file to take it of."""
    mean_absolute_ms: SetFigure | None
    """Of the files whose offset is known."""
    in_sync: Mapping[str, SetFigure | None]
    """By "40 ms" and so on: the share known to be in sync to so much. What can't be told is not."""
    in_sync_probability: SetFigure | None
    """Mean over the files; one that tells nothing counts as 0: a set must not gain by being mute."""
    desync_s: SetFigure | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SetDifference:
    """Of one measure, A less B, over pairs of the same name."""

    pairs: int
    mean: float
    low: float
    high: float
    p: float
    """Of the sign-flip test, two-sided: how often as large a difference comes if A and B are exchangeable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SetComparison:
    """A against B. None: no pair has the measure on both sides."""

    pairs: int
    only_a: int
    only_b: int
    """Files without a counterpart that was scored."""
    absolute_ms: SetDifference | None
    """Below 0: A is nearer to sync."""
    in_sync: Mapping[str, SetDifference | None]
    """Above 0: more of A is in sync."""
    desync_s: SetDifference | None


Measure = Callable[[SetLine], float]
MISSING = float("nan")


def _desync(line: SetLine) -> float:
    return MISSING if line.desync_s is None else line.desync_s


def summarise(lines: Sequence[SetLine], seed: int) -> SetSummary:
    """Of a set's lines, in any order."""
    judged = sorted((line for line in lines if not line.error), key=lambda line: line.video)

    def figure(measure: Measure) -> SetFigure | None:
        return mean_of(np.array([measure(line) for line in judged], np.float64), seed)

    return SetSummary(
        files=len(lines),
        failed=len(lines) - len(judged),
        cant_tell=figure(lambda line: line.verdict == "can't tell"),
        mean_absolute_ms=figure(lambda line: line.told_ms),
        in_sync={f"{most} ms": figure(lambda line, most=most: line.within(most)) for most in SHARES_MS},
        in_sync_probability=figure(lambda line: line.in_sync or 0.0),
        desync_s=figure(_desync),
    )


def compare(a: Mapping[str, SetLine], b: Mapping[str, SetLine], seed: int) -> SetComparison:
    """By name. Raises InputError when no name is on both sides, or they were scored in different ways."""
    a, b = ({name: line for name, line in side.items() if not line.error} for side in (a, b))
    names = sorted(a.keys() & b.keys())
    if not names:
        raise InputError(
            f"no file of one set has a counterpart of the same name in the other: {len(a)} and {len(b)} were scored; "
            "names are compared below the folders, without their suffixes"
        )
    if len({(line.network, line.settings) for side in (a, b) for line in side.values()}) > 1:
        raise InputError("the two sets were scored with different networks or settings; score both with the same ones")

    def difference(measure: Measure) -> SetDifference | None:
        both = np.array([(measure(a[name]), measure(b[name])) for name in names], np.float64)
        return difference_of(both[:, 0] - both[:, 1], seed)

    return SetComparison(
        pairs=len(names),
        only_a=len(a) - len(names),
        only_b=len(b) - len(names),
        absolute_ms=difference(lambda line: line.told_ms),
        in_sync={f"{most} ms": difference(lambda line, most=most: line.within(most)) for most in SHARES_MS},
        desync_s=difference(_desync),
    )


def mean_of(values: Floats, seed: int) -> SetFigure | None:
    """Of those that are there (not nan), with the bootstrap's interval."""
    there = values[~np.isnan(values)]
    if not len(there):
        return None
    low, high = _resampled(there, seed)
    return SetFigure(value=float(there.mean()), low=low, high=high, files=len(there))


def difference_of(values: Floats, seed: int) -> SetDifference | None:
    """The mean of paired differences, nan where a pair has none."""
    there = values[~np.isnan(values)]
    if not len(there):
        return None
    low, high = _resampled(there, seed)
    return SetDifference(pairs=len(there), mean=float(there.mean()), low=low, high=high, p=sign_flip(there, seed))


def _resampled(values: Floats, seed: int) -> tuple[float, float]:
    """2.5 and 97.5 % of the means of as many values, drawn with replacement."""
    rng = np.random.Generator(np.random.Philox(seed))
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(DRAWS)]
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def sign_flip(differences: Floats, seed: int) -> float:
    """How often flipped signs make a mean as far from 0 as it is, or further: exactly for few pairs, else by draws."""
    count, reached = len(differences), abs(float(differences.sum())) - 1e-9
    if count <= EXACT:
        flips = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
        return float((np.abs((1 - 2 * flips) @ differences) >= reached).mean())
    rng = np.random.Generator(np.random.Philox(seed))
    hits = sum(
        bool(abs(float(np.where(rng.integers(0, 2, count), differences, -differences).sum())) >= reached)
        for _ in range(FLIPS)
    )
    return (1 + hits) / (1 + FLIPS)
