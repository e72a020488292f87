"""A score in plain words: one sentence for the verdict, and the reason where it can't be told."""

import numpy as np

from avsync.confidence.curve import NONE_PRIOR, OffsetCurve
from avsync.confidence.file_evidence import SILENT_DB, STILL, ScoreEvidence, blind_windows
from avsync.score.config import ScoreConfig
from avsync.score.decide import MOSTLY, SyncDecision
from avsync.score.result import ScoredPart, Verdict
from sharding.base.text import percent, plain

RIVAL = 0.1
"""Probability from which on another offset is named."""


def sentence_of(name: str, decision: SyncDecision, reason: str, config: ScoreConfig) -> str:
    """The verdict in one sentence or two. `name`: of the file."""
    return f"{plain(name)}: {_verdict_words(decision, reason, config)}"


def _verdict_words(decision: SyncDecision, reason: str, config: ScoreConfig) -> str:
    curve = decision.curve
    if decision.verdict == "can't tell" or curve is None:
        return f"can't tell. {reason}"
    if decision.verdict == "changes":
        stretches = [f"{moment(part.start_s)} to {moment(part.end_s)} {_part_words(part)}" for part in decision.parts]
        drift = " It drifts." if _drifts(decision.parts) else ""
        return f"the offset changes: {'; '.join(stretches)}.{drift}"
    sure, best = f"{percent(curve.confidence, digits=0)} sure", round(curve.best_s * 1000)
    between = "between {:+} and {:+} ms".format(*(round(edge * 1000) for edge in curve.interval_s))
    if decision.verdict == "off":
        return f"out of sync, the sound comes {abs(best)} ms {_side(curve.best_s)}, {sure} ({between})"
    return (
        f"in sync, {sure} ({offset_words(best)}, {between}; "
        f"{config.early_ms:g} ms early to {config.late_ms:g} ms late passes)"
    )


def offset_words(milliseconds: float) -> str:
    """`sound 400 ms late`."""
    rounded = round(milliseconds)
    return f"sound {abs(rounded)} ms {_side(rounded)}" if rounded else "sound and picture together"


def _side(offset: float) -> str:
    return "late" if offset > 0 else "early"


def moment(seconds: float) -> str:
    """`1:20`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _part_words(part: ScoredPart) -> str:
    fixed: dict[Verdict, str] = {"in sync": "in sync", "can't tell": "nothing to go by"}
    return fixed.get(part.verdict) or offset_words(part.offset_ms)


def _drifts(parts: tuple[ScoredPart, ...]) -> bool:
    """Three parts or more, each further off to the same side."""
    steps = np.diff([part.offset_ms for part in parts if part.verdict != "can't tell"])
    return len(steps) > 1 and bool((steps > 0).all() or (steps < 0).all())


def why_not(decision: SyncDecision, evidence: ScoreEvidence, config: ScoreConfig) -> str:
    """Why it can't be told, as far as that shows; empty when it can."""
    if decision.verdict != "can't tell":
        return ""
    need = evidence.window / float(evidence.clock.fps)
    if decision.curve is None:
        return (
            f"It has no stretch of {need:g} s with both picture and sound, and the network needs that much at a time."
        )
    for windows, what in (
        (evidence.loudness_db < SILENT_DB, "Its sound is silent"),
        (evidence.motion < STILL, "Its picture stands still"),
        (blind_windows(evidence), "It is silent, or stands still"),
    ):
        if (fraction := float(np.mean(windows))) >= MOSTLY:
            length = "" if fraction == 1 else f" for {percent(fraction, digits=0)} of its length"
            return f"{what}{length}: nothing shows when a sound belongs."
    return _doubt(decision.curve, config)


def _doubt(curve: OffsetCurve, config: ScoreConfig) -> str:
    """The content would allow it, but no offset stands out."""
    low, high = (edge * 1000 for edge in curve.tested)
    if len(curve.support) < 2 or high - low < config.reach_s * 1000 / 4:
        return f"It is so short that only {low:+.0f} to {high:+.0f} ms could be tried."
    nothing = 1 - float(curve.probability.sum())
    if nothing > max(NONE_PRIOR, 1 - nothing):
        return (
            f"No offset from {low:+.0f} to {high:+.0f} ms fits: the sound may not belong to the picture "
            "(music, another recording), be further off, or be unlike those the network learned from."
        )
    rivals = rivals_ms(curve)
    if len(rivals) > 1:
        named = ", ".join(f"{one:+.0f}" for one in rivals)
        return (
            f"Several offsets fit about as well ({named} ms): something repeats, or the sound may not belong to "
            "the picture."
        )
    return "No offset fits clearly better than the others: the pictures hardly show when the sounds are made."


def rivals_ms(curve: OffsetCurve) -> list[float]:
    """Offsets with RIVAL of the probability around them, the likeliest first; at most three."""
    left, found = curve.probability.copy(), list[float]()
    while len(found) < 3:
        top = int(left.argmax())
        near = np.abs(curve.offsets_s - curve.offsets_s[top]) <= curve.capture_s + 1e-9
        if left[near].sum() < RIVAL:
            break
        found.append(float(curve.offsets_s[top]) * 1000)
        left[near] = 0
    return found
