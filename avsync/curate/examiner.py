"""One source looked at and listened to: its faces or shots, the network's answers, and a verdict on each piece.

Memory holds a window of pictures and the answers, however long the file is.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from math import ceil, floor
from pathlib import Path

import numpy as np
import torch
from av import logging as av_logging
from numpy.typing import NDArray

from avsync.confidence.curve import Reading, Votes, vertex
from avsync.confidence.file_evidence import ScoreEvidence, blind_windows
from avsync.confidence.trust import reading_of
from avsync.curate.config import CurateConfig
from avsync.curate.offset_lines import OffsetEvidence, find_lines
from avsync.curate.pieces import TrackPiece, TrackVotes, pieces_of
from avsync.curate.source_answer import AnsweredPiece, SourceAnswer
from avsync.curate.verdict import judge
from avsync.localize.watched import looks_at_faces
from avsync.run.network import LoadedNetwork, load_network, pick_device
from avsync.score.config import ScoreConfig
from avsync.score.listen import listen, plan_windows
from sharding.base.workers import Report, limit_cpu, limit_memory
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

MEMORY = 4 * 2**30
"""Bytes that a process on the CPU may take for a source, beside its libraries: a file that wants more is damaged."""
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
        every = source.own_numbers(find_faces(found, stretches, tick))
        faces = [path for path in every if path.width >= self.config.min_crop]
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
        (evidence,) = listen(self.network, found, [(plan, where)], self.device, tick)
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """First call in each process."""

    limited: bool
    """In memory: where a GPU is used, its library reserves more than it takes."""

    def __call__(self) -> None:
        av_logging.set_level(None)  # damaged sources are told by their reason, not by decoder chatter
        if self.limited:
            limit_memory(MEMORY)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceTask:
    """A source for one of several processes, each of which loads the network once."""

    source: Source
    run_folder: Path
    config: CurateConfig
    threads: int
    size: int
    """Bytes of the source; for progress."""

    def run(self, report: Report) -> SourceAnswer:
        """The answer, not yet with the digest of what was asked. Raises InputError, FormatError: the network."""
        done, of = 0, 1.0

        def begin(ticks: float) -> None:
            nonlocal of
            of = max(1.0, ticks)

        def tick() -> None:
            nonlocal done
            done += 1
            limit_cpu(self.config.limit_s)
            report(min(done, int(of)), int(of))

        examiner = examiner_of(self.run_folder, self.config)
        torch.set_num_threads(self.threads)
        limit_cpu(self.config.limit_s)
        try:
            pieces, tracks = examiner.examine(self.source, begin, tick)
            return SourceAnswer(asked="", pieces=pieces, tracks=tracks)
        except RejectError as reject:
            return SourceAnswer(asked="", reject=reject.reason, detail=reject.detail)
        finally:
            limit_cpu(0)


@lru_cache(maxsize=1)
def examiner_of(run: Path, config: CurateConfig) -> Examiner:
    """With the network of `run`. Raises InputError, FormatError."""
    device = pick_device(config.device)
    network = load_network(run, config.checkpoint, device)
    reading = reading_of(run, network.step, config.trust).reading
    return Examiner(network=network, config=config, device=device, reading=reading)


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
        shift = vertex(*row[top - 1 : top + 2].astype(float))
        found.append(((start + evidence.window / 2) / fps, evidence.offsets[top] / fps + shift * step))
    return np.array(found).reshape(-1, 2)


def _answered(piece: TrackPiece, need_s: float, reading: Reading, config: CurateConfig) -> AnsweredPiece:
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
