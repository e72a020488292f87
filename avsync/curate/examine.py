"""One source looked at and listened to: its faces or shots, the network's answers, and a verdict on each piece.

Memory holds a window of pictures and the answers, however long the file is.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import ceil, floor

import numpy as np
import torch
from numpy.typing import NDArray

from avsync.confidence.curve import Reading, Votes
from avsync.confidence.file_evidence import ScoreEvidence, blind_windows
from avsync.curate.config import CurateConfig
from avsync.curate.offset_lines import OffsetEvidence, find_lines
from avsync.curate.pieces import Piece, TrackVotes, pieces_of
from avsync.curate.source_answer import AnsweredPiece
from avsync.curate.verdict import judge
from avsync.localize.watched import looks_at_faces
from avsync.run.network import LoadedNetwork
from avsync.score.config import ScoreConfig
from avsync.score.listen import listen, plan_windows
from sharding.containers.choice import StreamWish
from sharding.containers.stretches import Stretch
from sharding.errors import RejectError, RejectReason
from sharding.faces.shots import find_shots
from sharding.faces.steady import find_faces
from sharding.format.crop import BoxPath, Size
from sharding.media.probe import Probe, probe
from sharding.media.video import upright_size
from sharding.pack.cut import wanted_of
from sharding.sources.source import Source

LEAST_GAP_S = Fraction(1)
"""A stretch without a face gets a row of its own when it is so long."""
Floats = NDArray[np.float64]
Examined = tuple[tuple[AnsweredPiece, ...], tuple[BoxPath, ...]]
"""Pieces, and the tracks that they name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Examiner:
    """A network in memory, and what is wanted of it."""

    network: LoadedNetwork
    config: CurateConfig
    device: torch.device
    reading: Reading

    def examine(self, source: Source, begin: Callable[[float], None], tick: Callable[[], None]) -> Examined:
        """What is found in a source. `begin` is told how many ticks there will be, about; `tick` comes with each.

        Raises RejectError, MemoryError; InputError: there is no detector of faces.
        """
        if source.absent:
            raise RejectError(RejectReason.UNREADABLE, source.absent)
        found = probe(source.path, StreamWish(video=source.video_stream, audio=source.audio_stream))
        stretches = [one for one in wanted_of(source, found) if one != found.missing]
        size = upright_size(found)
        if size is None:
            raise RejectError(RejectReason.CORRUPT, "none of its pictures decodes")
        if not stretches:
            raise RejectError(RejectReason.TOO_SHORT, "picture and sound are never there together")
        begin(2 * sum(float(end - start) for start, end in stretches))
        if not looks_at_faces(self.network, self.config.crop):
            shots = [shot for stretch in stretches for shot in find_shots(found, stretch, tick)]
            return self._answered([self._heard(found, shot, None, size, tick) for shot in shots]), ()
        faces = [path for path in find_faces(found, stretches, tick) if path.width >= self.config.min_crop]
        shown = [(path, path.stretch) for path in faces if path.stretch is not None]
        tracks = [self._heard(found, stretch, path, size, tick) for path, stretch in shown]
        nobody = [
            AnsweredPiece(start_s=start, end_s=end, verdict="drop", reason="no face in the picture")
            for start, end in gaps(stretches, [stretch for _, stretch in shown])
            if end - start >= LEAST_GAP_S or not shown
        ]
        pieces = sorted((*self._answered(tracks), *nobody), key=lambda one: (one.start_s, one.track or 0))
        return tuple(pieces), tuple(faces)

    def _heard(
        self, found: Probe, stretch: Stretch, path: BoxPath | None, size: Size, tick: Callable[[], None]
    ) -> TrackVotes:
        """A face through its shot, or all of the picture, as the network hears it."""
        fps = self.network.dataset.clock.fps
        frames = range(ceil(stretch[0] * fps), floor(stretch[1] * fps))
        plan = plan_windows(found, self.network, _as_scored(self.config), frames)
        where = None if path is None else partial(path.region, picture=size)
        evidence = listen(self.network, found, plan, self.device, tick, where)
        return TrackVotes(
            start=stretch[0],
            end=stretch[1],
            track=path.track if path else None,
            faces=path.faces if path else 1,
            votes=_votes(evidence, self.reading),
            loudness_db=evidence.loudness_db.astype(float),
            motion=evidence.motion.astype(float),
            peaks=peaks_of(evidence),
        )

    def _answered(self, tracks: Sequence[TrackVotes]) -> tuple[AnsweredPiece, ...]:
        votes = [one.votes for one in tracks if one.votes is not None]
        peaks = np.concatenate([one.peaks for one in tracks]) if tracks else np.empty((0, 2))
        lines = find_lines(OffsetEvidence.of(votes, peaks), self.config.sure) if votes else ()
        fps = self.network.dataset.clock.fps
        need_s = self.network.spec.frames / float(fps)
        return tuple(_answered(piece, need_s, self.reading, self.config) for piece in pieces_of(tracks, lines, fps))


def _as_scored(config: CurateConfig) -> ScoreConfig:
    return ScoreConfig(reach_s=config.reach_s, hop_s=config.hop_s)


def _votes(evidence: ScoreEvidence, reading: Reading) -> Votes | None:
    if not evidence.logit.size or not (evidence.logit == evidence.logit).any():
        return None
    return Votes.of(evidence, blind_windows(evidence), reading)


def peaks_of(evidence: ScoreEvidence) -> Floats:
    """(p, 2) of each window that shows a peak its middle and the offset of that, both in seconds."""
    fps, found = float(evidence.clock.fps), list[tuple[float, float]]()
    step = float(evidence.offsets[1] - evidence.offsets[0]) / fps if len(evidence.offsets) > 1 else 0.0
    for start, row, blind in zip(evidence.starts, evidence.logit, blind_windows(evidence), strict=True):
        if blind or np.isnan(row).all():
            continue
        top = int(np.nanargmax(row))
        if not 0 < top < len(row) - 1 or np.isnan(row[top - 1 : top + 2]).any():
            continue
        left, middle, right = row[top - 1 : top + 2].astype(float)
        bend = left - 2 * middle + right
        shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
        found.append(((start + evidence.window / 2) / fps, evidence.offsets[top] / fps + shift * step))
    return np.array(found).reshape(-1, 2)


def _answered(piece: Piece, need_s: float, reading: Reading, config: CurateConfig) -> AnsweredPiece:
    judged = judge(piece, need_s, reading, config)
    kept = judged.verdict in ("keep", "keep shifted") and piece.line is not None
    drift = round(piece.line.drift * 60_000, 1) if kept and piece.line and piece.line.drift_known else None
    return AnsweredPiece(
        start_s=piece.start,
        end_s=piece.end,
        verdict=judged.verdict,
        reason=judged.reason,
        track=piece.track,
        offset_ms=judged.offset_ms,
        low_ms=judged.low_ms,
        high_ms=judged.high_ms,
        found_ms=judged.found_ms,
        confidence=round(judged.confidence, 4),
        drift_ms_min=drift,
        windows=piece.windows,
        strange=round(judged.strange, 4),
    )


def gaps(stretches: Sequence[Stretch], taken: Sequence[Stretch]) -> Iterator[Stretch]:
    """What of `stretches` none of `taken` covers."""
    ordered = sorted(taken)
    for start, end in stretches:
        for first, last in ordered:
            if first >= end or last <= start:
                continue
            if first > start:
                yield start, first
            start = max(start, last)
        if start < end:
            yield start, end
