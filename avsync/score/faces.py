"""The faces that a network of mouth crops is asked about: what is known of each, and which of them speaks.

A person who is followed from shot to shot is one voice: evidence of faces that are never there together is added up.
Faces that are there together are asked one by one, with the same sound; the file's answer is that of the one that fits
it best, which is the one that speaks.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from avsync.confidence.file_evidence import ScoreEvidence
from avsync.localize.watched import Watched
from avsync.score.decide import SyncDecision
from avsync.score.result import ScoredFace
from avsync.score.wording import offset_words
from sharding.base.text import percent

Heard = tuple[Watched, ScoreEvidence]
"""A part of the picture, and what was found about it."""
SIDES = {
    1: ("the face",),
    2: ("the left face", "the right face"),
    3: ("the left face", "the middle face", "the right face"),
}


def together(parts: Sequence[Watched]) -> bool:
    """Whether two of them are there at one moment."""
    ranges = sorted((part.frames.start, part.frames.stop) for part in parts)
    return any(stop > start for (_, stop), (start, _) in pairwise(ranges))


def joined(heard: Sequence[Heard]) -> ScoreEvidence:
    """Evidence of faces that follow each other, as of one."""
    ordered = sorted((evidence for _, evidence in heard if len(evidence.starts)), key=lambda one: int(one.starts[0]))
    if len(ordered) < 2:
        return ordered[0] if ordered else heard[0][1]
    first, last = int(ordered[0].starts[0]), ordered[-1]
    peaks = np.zeros(int(last.starts[0]) - first + len(last.peaks), np.float32)
    for one in ordered:
        begin = int(one.starts[0]) - first
        peaks[begin : begin + len(one.peaks)] = one.peaks[: len(peaks) - begin]
    return ScoreEvidence(
        clock=last.clock,
        window=last.window,
        starts=np.concatenate([one.starts for one in ordered]),
        offsets=last.offsets,
        logit=np.concatenate([one.logit for one in ordered]),
        loudness_db=np.concatenate([one.loudness_db for one in ordered]),
        motion=np.concatenate([one.motion for one in ordered]),
        peaks=peaks,
    )


def speaker(decisions: Sequence[SyncDecision]) -> int:
    """Which of faces that are there together fits the sound best."""
    return max(range(len(decisions)), key=lambda number: _fits(decisions[number]))


def _fits(decision: SyncDecision) -> tuple[bool, float]:
    return decision.verdict != "can't tell", _confidence(decision)


def _confidence(decision: SyncDecision) -> float:
    return decision.curve.confidence if decision.curve and decision.curve.tells else 0.0


def scored_faces(parts: Sequence[Watched], decisions: Sequence[SyncDecision], chosen: int) -> tuple[ScoredFace, ...]:
    """Each with its place, from left to right. chosen: the one that fits best, see `speaker`."""
    fps = float(parts[0].network.dataset.clock.fps)
    boxes = [part.box() for part in parts]
    order = sorted(range(len(parts)), key=lambda number: boxes[number][0] + boxes[number][2])
    names = SIDES.get(len(parts)) or tuple(f"face {number} from the left" for number in range(1, len(parts) + 1))
    faces = list[ScoredFace]()
    for name, number in zip(names, order, strict=True):
        part, decision, curve = parts[number], decisions[number], decisions[number].curve
        known = decision.verdict != "can't tell" and curve is not None
        faces.append(
            ScoredFace(
                name=name,
                start_s=round(part.frames.start / fps, 3),
                end_s=round(part.frames.stop / fps, 3),
                box=boxes[number],
                verdict=decision.verdict,
                offset_ms=round(curve.best_s * 1000, 1) if known and curve else None,
                confidence=round(_confidence(decision), 4),
                speaks=known and number == chosen,
            )
        )
    return tuple(faces)


def faces_words(faces: Sequence[ScoredFace]) -> str:
    """`the left face speaks, sound 120 ms late (97 % sure); of the right face it can't be told.`"""
    return "; ".join(map(_face_words, faces)) + "."


def _face_words(face: ScoredFace) -> str:
    if face.offset_ms is None:
        return f"of {face.name} it can't be told: it may not speak"
    fit = f"{offset_words(face.offset_ms)} ({percent(face.confidence, digits=0)} sure)"
    return f"{face.name} speaks, {fit}" if face.speaks else f"{face.name} fits the sound less well, {fit}"
