"""Where in a file which offset of its sound holds: the evidence over time cut into lines, each an offset and a drift.

A file in one piece has one line that lies flat. A clock that runs too fast tilts it, an editor's cut begins another
one. Which lines there are is decided together, by the evidence of all windows (Viterbi over offset and drift): a new
line must earn what it costs, so that chance makes none. Pure: numbers go in and come out.

m moments, D offsets, S drifts, B offsets at the file's middle.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from avsync.confidence.curve import SWITCH, OffsetCurve, Reading, Votes, posterior

MOST_DRIFT = 2e-3
"""Seconds a second: twice what mixing up the two rates of NTSC makes."""
MOST_DRIFTS = 81
"""That are tried, the one of 0 in the middle: of a file of an hour neighbours are then two steps of offset apart at its
ends, and it may be cut where they part."""
DRIFTS = 0.1
"""Of the lines: that are not flat, before anything is looked at."""
USUAL_S, ANYWHERE = 0.25, 0.05
"""How far off sound lies in most files, mean of the amount, before anything is looked at; and the share of files where
any offset within reach is as likely. What repeats itself fits a beat later as well: then the smaller offset it is."""
NEAR_S, LEAST_PEAKS = 0.12, 10
"""Of a window's best offset from the line that it may speak for; and how many tell a drift."""
DRIFT_DEVIATIONS = 2.576
"""Of a drift's interval, 99 %, which must leave out 0."""
MOST_PEAKS = 500
"""That a drift is fitted to: of more, every so many are looked at."""
HALF_PICTURE_S = 0.02
"""Of 25 a second: drift that moves the sound by less within a piece does not matter."""
BEYOND = -50.0
"""Nats of an offset that was not tried."""
MOMENT_S = 1.0
"""Windows that begin within so many seconds are one moment."""
OUTSIDE = 0.01
"""Probability that a step is not where it is said to be."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OffsetEvidence:
    """What all that is watched of a file says, moment by moment."""

    times_s: Floats
    """(m,) ascending: the middle of what was looked at"""
    offsets_s: Floats
    """(D,) ascending, evenly spaced"""
    nats: Floats
    """(m, D) in favour of each offset; 0 where nothing is known"""
    peaks: Floats
    """(p, 2) of each window its middle, in seconds, and the offset that fits it best: finer than all of them together,
    for what each window may tell is bounded there"""
    capture_s: float
    reading: Reading

    @classmethod
    def of(cls, votes: Sequence[Votes], peaks: Floats) -> Self:
        """Of several faces that are there at one moment, one speaks, and it is not known which."""
        grids = np.unique(np.concatenate([one.offsets_s for one in votes]).round(6))
        hops = [float(np.median(np.diff(one.starts_s))) for one in votes if len(one.starts_s) > 1]
        length = max([MOMENT_S, *hops])
        gathered = dict[int, list[tuple[float, Floats]]]()
        for one in votes:
            columns = np.searchsorted(grids, one.offsets_s.round(6))
            middles = one.starts_s + one.window_s / 2
            moments = np.floor(middles / length).astype(int)
            for moment in np.unique(moments):
                row = np.zeros(len(grids))
                row[columns] = one.nats[moments == moment].sum(axis=0)
                gathered.setdefault(int(moment), []).append((float(middles[moments == moment].mean()), row))
        ordered = [gathered[moment] for moment in sorted(gathered)]
        return cls(
            times_s=np.array([float(np.mean([time for time, _ in rows])) for rows in ordered], np.float64),
            offsets_s=grids,
            nats=np.array([_one_of([row for _, row in rows]) for rows in ordered]).reshape(len(ordered), len(grids)),
            peaks=peaks,
            capture_s=votes[0].capture_s,
            reading=votes[0].reading,
        )

    @property
    def smooth(self) -> Self:
        """The same, each offset with half of its neighbours: a tilted line lies between offsets that were tried, where
        chance counts less than on a flat one.
        """
        beside = np.pad(self.nats, ((0, 0), (1, 1)), mode="edge")
        return replace(self, nats=beside[:, :-2] / 4 + beside[:, 1:-1] / 2 + beside[:, 2:] / 4)

    @property
    def step_s(self) -> float:
        return float(self.offsets_s[1] - self.offsets_s[0]) if len(self.offsets_s) > 1 else self.capture_s

    def along(self, drift: float, middle_s: float, first: int = 0, stop: int | None = None) -> Floats:
        """(D,) support for each offset at `middle_s`, if it drifts so."""
        total = np.zeros(len(self.offsets_s))
        for time, row in zip(self.times_s[first:stop], self.nats[first:stop], strict=True):
            total += self._at(row, self.offsets_s + drift * (time - middle_s)) if drift else row
        return total

    def _at(self, row: Floats, offsets: Floats) -> Floats:
        return np.interp(offsets, self.offsets_s, row, left=BEYOND, right=BEYOND)


def _one_of(rows: Sequence[Floats]) -> Floats:
    return np.logaddexp.reduce(np.array(rows), axis=0) - np.log(len(rows))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OffsetLine:
    """A stretch of a file for which one offset holds, or one that drifts evenly."""

    start_s: float
    """From here on it surely holds; of the first line of a file -inf."""
    end_s: float
    """Up to here; of the last one inf."""
    middle_s: float
    curve: OffsetCurve
    """At the middle."""
    drift: float
    """Seconds that the sound falls behind in a second."""
    drift_known: bool
    """There was enough to tell a drift that matters."""
    sure: bool
    """Of the offset."""

    def offset_s(self, time_s: Any) -> Any:
        """At a moment, or at several."""
        return self.curve.best_s + self.drift * (time_s - self.middle_s)

    def holds(self, time_s: float) -> bool:
        return self.start_s <= time_s <= self.end_s


def find_lines(evidence: OffsetEvidence, sure: float) -> tuple[OffsetLine, ...]:
    """The likeliest lines, in the order of time; none where there is no evidence at all.

    sure: probability from which on an offset is believed. A line beside others has to earn its place first: among many
    that could be cut out, some fit by chance.
    """
    if not evidence.nats.size:
        return ()
    spans = _cut(evidence.smooth, _family(evidence))
    while len(merged := _merged(evidence, spans, sure)) < len(spans):
        spans = merged
    cost = -float(np.log(SWITCH)) if len(spans) > 1 else 0.0
    lines = [_fit(evidence, *span, cost, sure) for span in spans]
    edges = [(-np.inf, -np.inf)]
    edges += [_edge(evidence, *pair, both) for pair, both in zip(pairwise(spans), pairwise(lines), strict=True)]
    edges.append((np.inf, np.inf))
    return tuple(
        replace(line, start_s=edges[number][1], end_s=edges[number + 1][0]) for number, line in enumerate(lines)
    )


def _family(evidence: OffsetEvidence) -> Floats:
    """(S,) drifts to try: neighbours are a step of offset apart at the ends of the file."""
    span = float(evidence.times_s[-1] - evidence.times_s[0])
    count = min(MOST_DRIFTS // 2, int(MOST_DRIFT * span / evidence.step_s)) if span else 0
    return np.linspace(-MOST_DRIFT, MOST_DRIFT, 2 * count + 1) if count else np.zeros(1)


def _cut(evidence: OffsetEvidence, drifts: Floats) -> list[tuple[int, int, float]]:
    """(first, stop, drift) of moments: the likeliest cut into lines."""
    times, step = evidence.times_s, evidence.step_s
    middle = float(times[0] + times[-1]) / 2
    beyond = int(np.ceil(np.abs(drifts).max() * (times[-1] - middle) / step))
    starts = evidence.offsets_s[0] + step * np.arange(-beyond, len(evidence.offsets_s) + beyond)
    prior = np.full((len(drifts), len(starts)), np.log(DRIFTS / max(1, len(drifts) - 1) / len(starts)))
    prior[np.abs(drifts) < 1e-12] = np.log((1 - DRIFTS) / len(starts))
    prior += usual(starts)
    stay, enter = np.log(1 - SWITCH), np.log(SWITCH) + prior
    best = prior.copy()
    entered = np.zeros(best.shape, np.int32)
    """Since which moment each line holds."""
    tops, since = list[int](), list[int]()
    for number, (time, row) in enumerate(zip(times, evidence.nats, strict=True)):
        if number:
            fresh = best.flat[tops[-1]] + enter
            moved = fresh > best + stay
            best = np.where(moved, fresh, best + stay)
            entered[moved] = number
        best += evidence._at(row, starts[None, :] + drifts[:, None] * (time - middle))
        tops.append(int(best.argmax()))
        since.append(int(entered.flat[tops[-1]]))
    spans, stop = list[tuple[int, int, float]](), len(times)
    while stop:
        first = since[stop - 1]
        spans.append((first, stop, float(drifts[tops[stop - 1] // len(starts)])))
        stop = first
    return spans[::-1]


def _merged(
    evidence: OffsetEvidence, spans: Sequence[tuple[int, int, float]], sure: float
) -> list[tuple[int, int, float]]:
    """Neighbours become one where one line says nearly as much as two, or where neither of them is believed."""
    merged, cost = list(spans[:1]), -float(np.log(SWITCH))
    for span in spans[1:]:
        left, joint = merged[-1], (merged[-1][0], span[1], span[2])
        one, other, both = (_fit(evidence, *some, cost, sure) for some in (left, span, joint))
        lost = _gain(evidence, left, one) + _gain(evidence, span, other) - _gain(evidence, joint, both)
        worth = cost + float(np.log(len(evidence.offsets_s)))
        if lost <= worth or not (one.sure or other.sure):
            merged[-1] = *joint[:2], both.drift
        else:
            merged.append(span)
    return merged


def _gain(evidence: OffsetEvidence, span: tuple[int, int, float], line: OffsetLine) -> float:
    """What a line through a span says for itself, in nats."""
    return float(evidence.smooth.along(line.drift, line.middle_s, *span[:2]).max())


def _fit(evidence: OffsetEvidence, first: int, stop: int, drift: float, cost: float, sure: float) -> OffsetLine:
    """One line through these moments, with the drift that their single windows show."""
    times = evidence.times_s[first:stop]
    line = _with_drift(evidence, first, stop, drift, cost, sure)
    near = evidence.peaks[(times[0] <= evidence.peaks[:, 0]) & (evidence.peaks[:, 0] <= times[-1])]
    near = near[np.abs(near[:, 1] - line.offset_s(near[:, 0])) <= NEAR_S]
    if len(near) < LEAST_PEAKS:
        return line
    slope, low, high = median_slope(near[:: -(-len(near) // MOST_PEAKS)])
    moves = max(abs(low), abs(high)) * (times[-1] - times[0])
    there = low > 0 or high < 0
    if abs(slope) <= MOST_DRIFT and there:
        line = _with_drift(evidence, first, stop, slope, cost, sure)
    elif drift:
        line = _with_drift(evidence, first, stop, 0.0, cost, sure)
    return replace(line, drift_known=bool(there or moves <= 2 * HALF_PICTURE_S))


def median_slope(points: Floats) -> tuple[float, float, float]:
    """Of points (p, 2): the median of the slopes of all pairs, and its interval (Theil 1950, Sen 1968)."""
    left, right = np.triu_indices(len(points), 1)
    run, rise = (points[right] - points[left]).T
    slopes = np.sort(rise[run > 0] / run[run > 0])
    count = len(points)
    spread = DRIFT_DEVIATIONS * np.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low, high = (int(np.clip((len(slopes) + side * spread) / 2, 0, len(slopes) - 1)) for side in (-1, 1))
    return float(np.median(slopes)), float(slopes[low]), float(slopes[high])


def _with_drift(evidence: OffsetEvidence, first: int, stop: int, drift: float, cost: float, sure: float) -> OffsetLine:
    times = evidence.times_s[first:stop]
    middle = float(times[0] + times[-1]) / 2
    support = evidence.along(drift, middle, first, stop) - cost + usual(evidence.offsets_s)
    curve = OffsetCurve(
        offsets_s=evidence.offsets_s,
        support=support,
        probability=posterior(support, evidence.reading.none),
        capture_s=evidence.capture_s,
        calibration=evidence.reading.confidence,
    )
    return OffsetLine(
        start_s=-np.inf,
        end_s=np.inf,
        middle_s=middle,
        curve=curve,
        drift=drift,
        drift_known=False,
        sure=curve.confidence >= sure,
    )


def usual(offsets_s: Floats) -> Floats:
    """(D,) nats for each offset before anything is looked at, above those if all were equally likely."""
    near = np.exp(-np.abs(offsets_s) / USUAL_S)
    share = (1 - ANYWHERE) * near / near.sum() + ANYWHERE / len(near)
    return np.log(share * len(near))


def _edge(
    evidence: OffsetEvidence,
    left: tuple[int, int, float],
    right: tuple[int, int, float],
    lines: tuple[OffsetLine, OffsetLine],
) -> tuple[float, float]:
    """Where the left one surely ends, and the right one surely begins."""
    times = evidence.times_s
    one, other = lines
    between = float(times[left[1] - 1] + times[left[1]]) / 2
    if not (one.sure and other.sure) or abs(one.offset_s(between) - other.offset_s(between)) <= evidence.step_s:
        return between, between  # it makes no difference
    first, last = left[0], right[1]
    gains = np.array(
        [
            np.interp(one.offset_s(time), evidence.offsets_s, row)
            - np.interp(other.offset_s(time), evidence.offsets_s, row)
            for time, row in zip(times[first:last], evidence.nats[first:last], strict=True)
        ]
    )
    value = np.cumsum(gains)[:-1]  # of a step behind each moment
    likely = np.exp(value - value.max())
    below = np.cumsum(likely) / likely.sum()
    good = np.flatnonzero((below >= OUTSIDE / 2) & (below - likely / likely.sum() <= 1 - OUTSIDE / 2)) + first
    return float(times[good[0]]), float(times[good[-1] + 1])
