"""What is to become of a piece, and why, in plain words. Pure.

Moved is only what is better for it: where the interval of the offset lies so that the move mends more than it may
spoil. Left out for its content is only what a network that can tell such material finds nothing in; else it can't be
told.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from avsync.confidence.curve import OffsetCurve, Reading, log_odds
from avsync.curate.config import CurateConfig
from avsync.curate.offset_lines import OffsetLine
from avsync.curate.pieces import TrackPiece
from avsync.score.decide import MOSTLY

VerdictName = Literal["keep", "keep shifted", "drop", "can't tell"]
STRANGE, STRANGE_WINDOWS = 0.95, 4
"""Probability, and windows that must have been looked at, from which on a face is said not to speak."""


LEAST_MORE_S = 0.1
"""Beyond what the network looks at, a piece has to be this long for a window to fit between its pictures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A verdict on a piece."""

    verdict: VerdictName
    reason: str = ""
    confidence: float = 0.0
    """That it is in sync, once it is as the verdict says."""
    found_ms: float | None = None
    """What was measured of the offset."""
    low_ms: float | None = None
    high_ms: float | None = None
    strange: float = 0.0
    """Probability that its sound belongs to nothing that is seen, as far as offsets were tried."""

    @property
    def offset_ms(self) -> float | None:
        """By which the sound is to be moved earlier: nothing where it is kept as it is."""
        return 0.0 if self.verdict == "keep" else self.found_ms


def judge(piece: TrackPiece, need_s: float, reading: Reading, config: CurateConfig) -> Judged:
    """need_s: that the network looks at at a time."""
    if piece.steps:
        return Judged(verdict="can't tell", reason="the sound jumps somewhere in here")
    if not piece.windows:
        short = float(piece.end - piece.start) < need_s + LEAST_MORE_S
        return Judged(verdict="drop", reason="too short for the network" if short else "no sound there")
    for share, what in ((piece.silent, "silent"), (piece.still, "still picture")):
        if share >= MOSTLY:
            return Judged(verdict="drop", reason=what)
    if piece.line is None:
        return Judged(verdict="can't tell", reason="no sound that could be asked about")
    speaks = _speaks(piece, reading)
    if not piece.line.sure:
        return _unsure(piece.line.curve)
    if not piece.fits or speaks < config.sure:
        return _of_another(piece, speaks)
    return _kept(piece, piece.line, speaks, config)


def _speaks(piece: TrackPiece, reading: Reading) -> float:
    """Probability that it is this face, or picture, that the sound belongs to, if the line is right."""
    if piece.alone and piece.fits:
        return 1.0  # all that is known of the line comes from here
    prior = (1 - reading.none) / piece.faces
    odds = np.log(prior / (1 - prior)) + piece.own
    return float(reading.confidence.probability(log_odds(1 / (1 + np.exp(-np.clip(odds, -50, 50))))))


def _unsure(curve: OffsetCurve) -> Judged:
    none = 1 - float(curve.probability.sum())
    reason = "no offset fits clearly better than the others"
    if none > 0.5:
        reason = "no offset fits: dubbed, voice-over, music, further off, or unlike all that the network knows"
    return Judged(verdict="can't tell", reason=reason, strange=none)


def _of_another(piece: TrackPiece, speaks: float) -> Judged:
    """The sound is known to fit something else of this file: so the network can tell of such sound."""
    strange = 1 - speaks
    if strange >= STRANGE and piece.windows >= STRANGE_WINDOWS:
        who = (
            "another face speaks, or nobody" if piece.faces > 1 else "voice-over, or somebody who is not in the picture"
        )
        reason = f"nobody in the picture speaks: {who}; the sound fits elsewhere in the file"
        return Judged(verdict="drop", reason=reason, strange=strange)
    reason = "the sound fits elsewhere in the file, and here not clearly"
    return Judged(verdict="can't tell", reason=reason, strange=strange)


def _kept(piece: TrackPiece, line: OffsetLine, speaks: float, config: CurateConfig) -> Judged:
    curve = line.curve
    moved = line.drift * (piece.middle_s - line.middle_s)
    best = (curve.best_s + moved) * 1000
    low, high = ((edge + moved) * 1000 for edge in curve.interval_s)
    found = Judged(verdict="keep", found_ms=round(best, 1), low_ms=round(low, 1), high_ms=round(high, 1))
    repaired, as_it_is = curve.confidence * speaks, _unmoved(curve, moved) * speaks
    mends = low > best / 2 if best > 0 else high < best / 2
    if abs(best) <= config.tolerance_ms:
        return replace(found, confidence=as_it_is)
    if mends and repaired >= config.sure:
        return replace(found, verdict="keep shifted", confidence=repaired)
    if as_it_is >= config.sure:
        return replace(found, confidence=as_it_is)
    reason = "the offset is not known well enough to mend it"
    return replace(found, verdict="can't tell", reason=reason, confidence=repaired)


def _unmoved(curve: OffsetCurve, moved: float) -> float:
    """Probability that the sound as it is lies within what the confidence calls near, scaled as that is."""
    near = curve.probability[np.abs(curve.offsets_s + moved) <= curve.capture_s + 1e-9].sum()
    best = curve.probability[np.abs(curve.offsets_s - curve.best_s) <= curve.capture_s + 1e-9].sum()
    return curve.confidence * min(1.0, float(near / best)) if best > 0 else 0.0
