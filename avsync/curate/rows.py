"""Answers of all sources become the table: the last look at what no offset fits, then a row for each piece.

Whether a network can tell such material shows in the material: where it is sure of nearly all that lies in the same
folder, a piece that fits no offset at all is dubbed or spoken over, and not one that it cannot read.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from avsync.curate.source_answer import AnsweredPiece, SourceAnswer
from avsync.curate.verdict import STRANGE, STRANGE_WINDOWS
from avsync.metrics import wilson
from sharding.errors import RejectReason
from sharding.sources.curated import CuratedRow, Verdict
from sharding.sources.source import Source

ABLE, FEWEST = 0.8, 10
"""A network can tell such material when it is sure of so many of its pieces, the lower end of the interval; and of how
many at least that must be known."""
DROPPED_UNREAD = {
    RejectReason.NO_AUDIO: "no sound",
    RejectReason.NO_VIDEO: "no picture",
    RejectReason.TOO_SHORT: "too short",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class AnsweredSource:
    """A source and what was found of it."""

    source: Source
    answer: SourceAnswer

    @property
    def keeps(self) -> bool:
        """Something of it is to be kept."""
        return any(Verdict(piece.verdict).keeps for piece in self.answer.pieces)


def settled(found: Sequence[AnsweredSource]) -> list[AnsweredSource]:
    """The same, and of what fits no offset what the other sources of its folder say about it."""
    asked, told = defaultdict[str, int](int), defaultdict[str, int](int)
    for one in found:
        for piece in _judgeable(one.answer.pieces):
            asked[one.source.action] += 1
            told[one.source.action] += Verdict(piece.verdict).keeps
    return [replace(one, answer=replace(one.answer, pieces=tuple(_settled(one, asked, told)))) for one in found]


def _judgeable(pieces: Sequence[AnsweredPiece]) -> Iterator[AnsweredPiece]:
    """Those long enough, with sound and motion."""
    return (
        piece for piece in pieces if piece.windows >= STRANGE_WINDOWS and (piece.verdict != "drop" or piece.strange > 0)
    )


def _settled(one: AnsweredSource, asked: Mapping[str, int], told: Mapping[str, int]) -> Iterator[AnsweredPiece]:
    folder = one.source.action
    for piece in one.answer.pieces:
        strange = piece.verdict == "can't tell" and piece.strange >= STRANGE and piece.windows >= 2 * STRANGE_WINDOWS
        others = asked[folder] - 1  # itself is none of those that fit
        if strange and others >= FEWEST and wilson(told[folder] / others, others)[0] >= ABLE:
            reason = "dubbed or voice-over: no offset fits, and one does of nearly all else in this folder"
            yield replace(piece, verdict="drop", reason=reason)
        else:
            yield piece


def rows_of(one: AnsweredSource) -> list[CuratedRow]:
    """The rows of one source: a single one where it could not be looked at."""
    answer, source = one.answer, one.source
    common = CuratedRow(
        path=source.rel,
        verdict=Verdict.DROP,
        action=source.action,
        split=source.split or "",
        group=source.group if source.group != source.rel else "",
        video_stream=source.video_stream,
        audio_stream=source.audio_stream,
    )
    if answer.reject:
        start, end = source.span or (Fraction(0), None)
        reason = DROPPED_UNREAD.get(RejectReason(answer.reject), "cannot be read")
        return [replace(common, start_s=start, end_s=end, reason=reason)]
    return [
        replace(
            common,
            start_s=piece.start_s,
            end_s=piece.end_s,
            track=piece.track,
            offset_ms=_decimal(piece.offset_ms),
            low_ms=_decimal(piece.low_ms),
            high_ms=_decimal(piece.high_ms),
            confidence=piece.confidence if piece.windows else None,
            drift_ms_min=_decimal(piece.drift_ms_min),
            verdict=Verdict(piece.verdict),
            reason=piece.reason,
        )
        for piece in answer.pieces
    ]


def _decimal(number: float | None) -> Fraction | None:
    return None if number is None else Fraction(round(number * 10), 10)
