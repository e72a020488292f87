"""What is written about a scored file: VIDEO.json. Times are seconds from the file's beginning, offsets milliseconds.

An offset above 0 means that the sound comes late: what is heard at t + offset belongs to the picture seen at t.
"""

from dataclasses import dataclass
from typing import Literal

from avsync.confidence.curve import Reading
from avsync.score.config import ScoreConfig

Verdict = Literal["in sync", "off", "changes", "can't tell"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredPart:
    """A stretch of the file for which one offset holds, or none."""

    start_s: float
    end_s: float
    verdict: Verdict
    """Never "changes"."""
    offset_ms: float
    """The best guess, also where the verdict is "can't tell"."""
    interval_ms: tuple[float, float]
    """90 % of what speaks for an offset at all lies between these."""
    confidence: float
    """Probability that the true offset is not further than `capture_ms` from `offset_ms`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredWindow:
    """What the network answers about one window alone."""

    start_s: float
    offset_ms: float
    """The offset that fits it best."""
    in_sync_logit: float
    """The network's answer at that offset; above 0: they belong together."""
    support: float
    """Nats in favour of the file's offset (see `ScoreResult.offset_ms`); below 0: against it."""
    loudness_db: float
    """Of its own sound, below full scale."""
    motion: float
    """Mean change of brightness between its pictures, of 255 steps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CurvePoint:
    """How well one offset fits the whole file."""

    offset_ms: float
    support: float
    """Nats in favour; 0: no more than for no offset at all."""
    probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredFace:
    """One of several faces that are there together, with the same sound."""

    name: str
    """By its place: `the left face`."""
    start_s: float
    end_s: float
    box: tuple[float, float, float, float]
    """Its mouth's box halfway, x0, y0, x1, y1 as fractions of the picture."""
    verdict: Verdict
    offset_ms: float | None
    """None where it can't be told."""
    confidence: float
    speaks: bool
    """It fits the sound best."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreResult:
    """One file's score."""

    video: str
    """Full path."""
    run: str
    step: int
    """Of the network."""
    seconds: float
    """Length of the picture."""
    verdict: Verdict
    offset_ms: float | None
    """Of the whole file, where it changes, too: then see `parts`. The best guess where it can't be told; None when
    nothing speaks for one offset more than for another: no window could be judged, or all are silent or still."""
    interval_ms: tuple[float, float] | None
    confidence: float
    """0 to 1; see ScoredPart. 0 where there is no offset."""
    capture_ms: float
    tested_ms: tuple[float, float] | None
    """Offsets that the file has enough sound for."""
    sentence: str
    """The answer in words."""
    reason: str
    """Why it can't be told; empty when it can."""
    parts: tuple[ScoredPart, ...]
    windows: tuple[ScoredWindow, ...]
    curve: tuple[CurvePoint, ...]
    settings: ScoreConfig
    reading: Reading | None = None
    """How the network's logits were taken; None in answers of before that was kept."""
    faces: tuple[ScoredFace, ...] = ()
    """Where several are there together; the answer above is that of the one that speaks."""
