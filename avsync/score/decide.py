"""From a curve to a verdict: in sync, off, changing, or can't tell, and then why not."""

from dataclasses import dataclass

import numpy as np

from avsync.confidence.curve import OffsetCurve, Reading, Votes, milliseconds
from avsync.confidence.file_evidence import ScoreEvidence, blind_windows
from avsync.score.config import ScoreConfig
from avsync.score.result import ScoredPart, Verdict

PART_WINDOWS, PART_SURE = 2, 0.95
"""A part with an offset of its own is as long as so many windows side by side, and at least so sure: among many parts
that could be cut out, some fit by chance."""
MOSTLY = 0.8
"""Of the windows: what holds for so many holds for the file."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SyncDecision:
    """What is found about a file, not yet in words."""

    verdict: Verdict
    curve: OffsetCurve | None
    """Of the whole file; None when no window could be judged."""
    parts: tuple[ScoredPart, ...]


def decide(evidence: ScoreEvidence, config: ScoreConfig, reading: Reading) -> tuple[SyncDecision, Votes | None]:
    """The verdict, and the votes it comes from; None when the file has no window to judge."""
    if not len(evidence.starts) or np.isnan(evidence.logit).all():
        return SyncDecision(verdict="can't tell", curve=None, parts=()), None
    votes = Votes.of(evidence, blind_windows(evidence), reading)
    curve = votes.curve()
    parts = tuple(_part(votes, first, stop, config) for first, stop in _merged(votes, votes.parts()))
    offsets = [part.offset_ms for part in parts if part.verdict != "can't tell"]
    changes = len(offsets) > 1 and max(offsets) - min(offsets) > curve.capture_s * 1000
    verdict = "changes" if changes else verdict_of(curve, config)
    return SyncDecision(verdict=verdict, curve=curve, parts=parts), votes


def verdict_of(curve: OffsetCurve, config: ScoreConfig) -> Verdict:
    """Of one offset for all of the windows."""
    if curve.confidence < config.sure:
        return "can't tell"
    low, high = sync_range_ms(curve, config)
    return "in sync" if low <= curve.best_s * 1000 <= high else "off"


def sync_range_ms(curve: OffsetCurve, config: ScoreConfig) -> tuple[float, float]:
    """Best offsets that are called in sync: the tolerance, and what the grid of offsets cannot resolve."""
    blur = curve.step_s * 1000 / 4
    return -config.early_ms - blur, config.late_ms + blur


def _part(votes: Votes, first: int, stop: int, config: ScoreConfig) -> ScoredPart:
    curve = votes.curve(first, stop)
    span = float(votes.starts_s[stop - 1] - votes.starts_s[first]) + votes.window_s
    long = span >= PART_WINDOWS * votes.window_s or stop - first == len(votes.starts_s)
    middle = votes.window_s / 2  # a window speaks for what lies around its middle
    start_s = float(votes.starts_s[first]) + (middle if first else 0)
    last = stop == len(votes.starts_s)
    end_s = float(votes.starts_s[stop - 1] + votes.window_s) if last else float(votes.starts_s[stop]) + middle
    return ScoredPart(
        start_s=round(start_s, 3),
        end_s=round(end_s, 3),
        verdict=verdict_of(curve, config) if curve.confidence >= PART_SURE and long else "can't tell",
        offset_ms=round(curve.best_s * 1000, 1),
        interval_ms=milliseconds(curve.interval_s),
        confidence=round(curve.confidence, 4),
    )


def _merged(votes: Votes, runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Neighbours whose best offsets the grid cannot tell apart become one."""
    merged = runs[:1]
    for first, stop in runs[1:]:
        before, here = votes.curve(*merged[-1]), votes.curve(first, stop)
        if abs(before.best_s - here.best_s) <= here.step_s + 1e-9:
            merged[-1] = merged[-1][0], stop
        else:
            merged.append((first, stop))
    return merged
