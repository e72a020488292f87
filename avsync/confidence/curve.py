"""From a network's answers window by window to one curve over the offset, and to the parts that tell it.

The network's logit is the logarithm of how much likelier a window is when picture and sound belong together than when
they do not. So logits add up over windows that know nothing of each other; those that overlap share what they know
(`_weight`). How true the network's own numbers are differs between networks: `Reading` says how to take
them, and trust.py finds it.

A window may also have nothing to tell, as music over pictures does: so no window speaks against an offset for more
than log(SILENT). "None of these offsets" is a candidate like any other, with evidence 0.

n windows, D offsets.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from avsync.confidence.file_evidence import ScoreEvidence
from avsync.config import TRUST
from avsync.metrics import AS_IT_IS, Calibration

SILENT = 0.1
"""Fraction of the windows that tell nothing, in a file that is in sync."""
SUREST = 2.0
"""Logit that no window counts for more than, 88 %: about how often networks are right of one window. Of what is unlike
all they were trained on they may say far larger numbers."""
NONE_PRIOR = 0.25
"""Of a file: that its sound does not belong to its picture, or is further off than is tried; by default."""
SWITCH = 1e-3
"""Of a window: that another offset begins with it."""
INTERVAL = 0.9
"""Of the probability, within the interval that is given with an offset."""
CAPTURE_FRAMES, CAPTURE_S = 1.5, 0.08
"""The confidence is the probability that the true offset is not further than the larger of these from the best."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How a network's logits are to be read as evidence (trust.py)."""

    trust: float = TRUST
    threshold: float = 0.0
    """The logit that tells nothing."""
    none: float = NONE_PRIOR
    """Probability, before anything is looked at, that no offset that is tried is the true one."""
    confidence: Calibration = AS_IT_IS
    """How the log odds of the best offset, as they come out, are to be read."""


def milliseconds(stretch_s: tuple[float, float]) -> tuple[float, float]:
    """A stretch of offsets as it is written."""
    return round(stretch_s[0] * 1000, 1), round(stretch_s[1] * 1000, 1)


def log_odds(probability: Floats) -> Floats:
    """Of a probability, which is not taken for surer than one in a million."""
    inside = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.log(inside / (1 - inside))


def vertex(left: float, middle: float, right: float) -> float:
    """Where a parabola through three neighbours has its top, in steps from the middle one; 0 where it has none."""
    bend = left - 2 * middle + right
    return 0.5 * (left - right) / bend if bend < 0 else 0.0


def posterior(support: Floats, none: float) -> Floats:
    """Evidence for each offset, (..., D), as the probability of each; what is missing to 1 is that of none of them."""
    prior = (1 - none) / support.shape[-1]
    top = support.max(axis=-1, keepdims=True).clip(min=0)
    weight = prior * np.exp(support - top)
    return weight / (weight.sum(axis=-1, keepdims=True) + none * np.exp(-top))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OffsetCurve:
    """What some windows together say."""

    offsets_s: Floats
    """(D,) above 0: the sound comes late"""
    support: Floats
    """(D,) evidence in favour of each offset, in nats; 0 where nothing is known"""
    probability: Floats
    """(D,); what is missing to 1 is the probability of none of them"""
    capture_s: float
    """See CAPTURE_FRAMES."""
    calibration: Calibration = AS_IT_IS
    """See Reading.confidence."""

    @property
    def tells(self) -> bool:
        """Whether anything speaks for or against an offset; else all that is known is what is likely of any file."""
        return bool(np.abs(self.support).max() > 1e-9)

    @property
    def tested(self) -> tuple[float, float]:
        """Smallest and largest offset, seconds, that the file has sound for."""
        return float(self.offsets_s[0]), float(self.offsets_s[-1])

    @property
    def step_s(self) -> float:
        """From one offset to the next; 0 when there is one only."""
        return float(self.offsets_s[1] - self.offsets_s[0]) if len(self.offsets_s) > 1 else 0.0

    @property
    def best_s(self) -> float:
        """The offset with most evidence, between the offsets that were tried where its neighbours say so."""
        top = int(self.probability.argmax())
        if not 0 < top < len(self.support) - 1:
            return float(self.offsets_s[top])
        shift = vertex(*self.support[top - 1 : top + 2])
        return float(self.offsets_s[top] + np.clip(shift, -0.5, 0.5) * self.step_s)

    @property
    def confidence(self) -> float:
        """Probability that the true offset is near the best one."""
        return self._read(self.probability[np.abs(self.offsets_s - self.best_s) <= self.capture_s + 1e-9].sum())

    def chance(self, low_s: float, high_s: float) -> float:
        """Probability that the true offset lies between these, read as the confidence is."""
        inside = (self.offsets_s >= low_s - 1e-9) & (self.offsets_s <= high_s + 1e-9)
        return self._read(self.probability[inside].sum())

    def _read(self, probability: float) -> float:
        if self.calibration == AS_IT_IS:
            return float(probability)
        return float(self.calibration.probability(log_odds(np.asarray(probability))))

    @property
    def interval_s(self) -> tuple[float, float]:
        """The shortest stretch of offsets with INTERVAL of what `probability` gives to offsets, around the best."""
        low = high = int(self.probability.argmax())
        want = INTERVAL * self.probability.sum()
        while self.probability[low : high + 1].sum() < want:
            below = self.probability[low - 1] if low else -1.0
            above = self.probability[high + 1] if high + 1 < len(self.probability) else -1.0
            low, high = (low - 1, high) if below > above else (low, high + 1)
        middle = self.best_s
        return (
            min(middle, float(self.offsets_s[low])) - self.step_s / 2,
            max(middle, float(self.offsets_s[high])) + self.step_s / 2,
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Votes:
    """The evidence of each window, ready to be added up."""

    starts_s: Floats
    """(n,)"""
    window_s: float
    offsets_s: Floats
    """(D,) only those that some window could be asked about"""
    nats: Floats
    """(n, D) in favour of an offset; 0 where a window could not be asked"""
    capture_s: float
    reading: Reading

    @classmethod
    def of(cls, evidence: ScoreEvidence, blind: NDArray[np.bool_], reading: Reading) -> Self:
        """Without the evidence of `blind` windows, (n,)."""
        asked = ~np.isnan(evidence.logit)
        known = asked.any(axis=0)
        logit = np.where(asked, evidence.logit - reading.threshold, 0.0).astype(np.float64)[:, known]
        fps = float(evidence.clock.fps)
        return cls(
            starts_s=evidence.seconds(evidence.starts),
            window_s=evidence.window / fps,
            offsets_s=evidence.seconds(evidence.offsets[known]),
            nats=_nats(logit, asked[:, known] & ~blind[:, None]) * _weight(evidence) * reading.trust,
            capture_s=max(CAPTURE_FRAMES / fps, CAPTURE_S),
            reading=reading,
        )

    def curve(self, first: int = 0, stop: int | None = None) -> OffsetCurve:
        """Windows first ... stop - 1 together."""
        support = self.nats[first:stop].sum(axis=0)
        return OffsetCurve(
            offsets_s=self.offsets_s,
            support=support,
            probability=posterior(support, self.reading.none),
            capture_s=self.capture_s,
            calibration=self.reading.confidence,
        )

    def parts(self) -> list[tuple[int, int]]:
        """The file cut where another offset holds, or none: (first, stop) of windows. The likeliest cut (Viterbi)."""
        (count, offsets), none = self.nats.shape, self.reading.none
        nats = np.concatenate((self.nats, np.zeros((count, 1))), axis=1)  # the last column: none of them
        best = np.concatenate((np.full(offsets, np.log((1 - none) / offsets)), [np.log(none)])) + nats[0]
        back = np.zeros((count, offsets + 1), np.int64)
        stay, leave = np.log(1 - SWITCH), np.log(SWITCH / (offsets + 1))
        for number in range(1, count):
            top = int(best.argmax())
            moved = best[top] + leave > best + stay
            back[number] = np.where(moved, top, np.arange(offsets + 1))
            best = np.maximum(best[top] + leave, best + stay) + nats[number]
        states = [int(best.argmax())]
        for row in back[:0:-1]:
            states.append(int(row[states[-1]]))
        states.reverse()
        changes = [number for number in range(1, count) if states[number] != states[number - 1]]
        return list(pairwise([0, *changes, count]))


def _nats(logit: Floats, asked: NDArray[np.bool_]) -> Floats:
    """The answers about each window, as evidence; a network that says yes to everything of a window tells nothing."""
    usual = np.array([np.median(row[there]) if there.any() else 0.0 for row, there in zip(logit, asked, strict=True)])
    logit = (logit - usual.clip(min=0)[:, None]).clip(max=SUREST)
    nats = np.logaddexp(np.log(1 - SILENT) + logit, np.log(SILENT))
    return _filled(np.where(asked, nats, 0.0), asked)


def _filled(nats: Floats, asked: NDArray[np.bool_]) -> Floats:
    """Guess what windows that could not be asked about an offset would have told: else offsets that fewer windows can
    be asked about, those far from 0, would lose to 0 by that alone, as where something repeats.

    An offset is granted what it has shown elsewhere, a window that tells nothing counted in, and never more than the
    best offset shows in that window.
    """
    judged = np.asarray(asked.any(axis=1))
    best = int(nats.sum(axis=0).argmax())
    usual = nats.sum(axis=0) / (asked.sum(axis=0) + 1)
    granted = np.minimum(usual[None, :], np.where(asked[:, best], nats[:, best], np.inf)[:, None])
    return np.where(asked | ~judged[:, None], nats, granted)


def _weight(evidence: ScoreEvidence) -> float:
    """Windows that overlap count as often as they would stand side by side."""
    if len(evidence.starts) < 2:
        return 1.0
    span = int(evidence.starts[-1] - evidence.starts[0]) + evidence.window
    return min(1.0, span / evidence.window / len(evidence.starts))
