"""The unit of packing: up to PART_CLIPS clips of one source, as a stretch of tar and what is known of it.

Parts make long films and small files alike to spread over processes, and a stopped call loses no more than these. They
lie in DATASET/.parts until all of a shard are there (sharding/pack/assemble.py). Bytes depend on the source alone.

Without sound, or with one picture throughout, a source teaches nothing: two meters look at the clips of each part, one
after the other, and the source is judged by all its parts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from sharding.base.files import LARGEST_SIDE_FILE, publish, write_json
from sharding.base.workers import Report
from sharding.config import PackConfig
from sharding.containers.choice import SILENCE_DBFS, SILENCE_POWER
from sharding.errors import RejectError, RejectReason
from sharding.format.clip import KEY_DIGITS, Clip, ClipMeta, MovedSound, Repairs
from sharding.format.codec import codec_named
from sharding.format.crop import BoxPath, ClipCrop
from sharding.format.records import ClipRecord, SourceClock
from sharding.format.tar import ShardWriter
from sharding.media.decode import OutputSpec, Span, read_spans
from sharding.media.probe import Probe
from sharding.pack.cut import ClipPlan, PartCut, runs
from sharding.plan.plan import SOFTWARE
from sharding.sources.boxes import BoxTrack, read_boxes
from sharding.sources.source import Source

BLOCK_S = 0.1
AUDIBLE_FRACTION = 0.05
"""A source is silent when fewer of its blocks than this are heard: a click or two in half a minute is no sound."""
GRID = 32
"""Cells along the shorter side of a picture."""
CHANGE = 4
"""A cell has changed when its mean luma has by more than this, of 255. A still coded by x264 at crf 35 moves it by 3;
one that was coded worse is taken for a recording, which does less harm than the reverse."""
STRIDE = 5
"""Every so many pictures are looked at."""


def check_loudness(heard: int, blocks: int) -> None:
    """Raises RejectError when a source is silent."""
    if heard < blocks * AUDIBLE_FRACTION:
        raise RejectError(
            RejectReason.SILENT, f"only {heard} of {blocks} tenths of a second are louder than {SILENCE_DBFS} dBFS"
        )


def check_motion(moved: bool) -> None:
    """Raises RejectError when a source's picture stood still."""
    if not moved:
        raise RejectError(RejectReason.FROZEN, "its picture never changes: a cover or a title, not a recording")


class LoudnessMeter:
    """How much of the clips can be heard at all."""

    def __init__(self, sample_rate: int) -> None:
        self._block = max(1, int(sample_rate * BLOCK_S))
        self.blocks = self.heard = 0

    def add(self, audio: NDArray[np.int16]) -> None:
        """audio: (S, C)"""
        whole = len(audio) // self._block
        blocks = audio[: whole * self._block].reshape(whole, -1).astype(np.float32) / 32768
        power = np.square(blocks).mean(axis=1)
        self.blocks += whole
        self.heard += int((power > SILENCE_POWER).sum())


class MotionMeter:
    """Whether the picture of the clips ever changes."""

    def __init__(self) -> None:
        self._first: NDArray[np.float32] | None = None
        self.moved = False

    def add(self, luma: NDArray[np.uint8]) -> None:
        """luma: (T, H, W)"""
        for picture in luma[::STRIDE]:
            if self.moved:
                return  # nearly always at the second picture
            cells = _cells(picture)
            self._first = cells if self._first is None else self._first
            self.moved = bool(np.abs(cells - self._first).max() > CHANGE)


def _cells(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Means of square cells of (H, W)."""
    side = max(1, min(picture.shape) // GRID)
    height, width = (length // side for length in picture.shape)
    grid = picture[: height * side, : width * side].reshape(height, side, width, side)
    return grid.mean(axis=(1, 3), dtype=np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class PartName:
    """Where a part lies in a shard's folder of parts."""

    source: int
    """Position of its source in the shard."""
    part: int = 0

    def path(self, folder: Path) -> Path:
        """Of its record; the tar lies beside it."""
        return folder / f"{self.source:06d}-{self.part:05d}.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class PartRecord:
    """What a part holds. Offsets count from its own start."""

    LARGEST_FILE: ClassVar[int] = LARGEST_SIDE_FILE

    of: int = 1
    """Parts of this source."""
    bytes: int = 0
    clips: tuple[ClipRecord, ...] = ()
    lost_clips: int = 0
    damage: str = ""
    """Found at the first lost clip."""
    reject: tuple[RejectReason, str] | None = None
    """Why nothing of this part can be used: reason and detail."""
    blocks: int = 0
    heard: int = 0
    """Of `blocks`, see LoudnessMeter."""
    moved: bool = False
    """See MotionMeter."""
    stream_offset_s: float = 0.0
    repairs: Repairs = field(default_factory=Repairs)
    clock: SourceClock = field(default_factory=SourceClock)
    tracks: tuple[BoxPath, ...] = ()
    """Of the whole source, in its first part."""
    moved_sound: MovedSound | UnsetType = UNSET


def pack_part(source: Source, part: PartCut, path: Path, config: PackConfig, report: Report) -> PartRecord:
    """Pack the clips of one part next to `path`, then its record there. Raises RejectError, OSError, InputError."""
    loudness, motion = LoudnessMeter(config.sample_rate), MotionMeter()
    lost, damage, repairs = 0, "", Repairs()
    found = part.found
    clock = SourceClock(restarts=found.restarts, edits=found.edits, streams=found.choice)
    with publish(path.with_suffix(".tar"), lasting=False) as file:
        writer = ShardWriter(file, codec_named(config.codec))
        for number, (clip, span) in enumerate(clips_of(source, found, part.pieces, config), 1):
            if why := span.damage:
                lost, damage = lost + 1, damage or why
            else:
                loudness.add(clip.audio)
                motion.add(clip.yuv[:, : clip.meta.height])
                writer.add(clip)
                repairs = joined(repairs, clip.meta.repairs)
                clock = clock.joined(SourceClock(changes=span.changes, strays=span.strays))
            report(number, len(part.pieces))
    record = PartRecord(
        of=part.of,
        bytes=writer.size,
        clips=tuple(writer.clips),
        lost_clips=lost,
        damage=damage,
        blocks=loudness.blocks,
        heard=loudness.heard,
        moved=motion.moved,
        stream_offset_s=_offset(found),
        repairs=repairs,
        clock=clock,
        tracks=part.tracks,
        moved_sound=source.moved_sound(config.clock),
    )
    write_json(path, record, lasting=False)
    return record


def refuse(path: Path, reject: RejectError, of: int = 1, clips: int = 0) -> PartRecord:
    """Note that nothing of a part, which would have been `clips` clips, can be used."""
    record = PartRecord(of=of, reject=(reject.reason, reject.detail), lost_clips=clips, damage=reject.detail)
    write_json(path, record, lasting=False)
    return record


def joined(one: Repairs, other: Repairs) -> Repairs:
    """Repairs of two stretches together."""
    return Repairs(
        frames_repeated=one.frames_repeated + other.frames_repeated,
        frames_dropped=one.frames_dropped + other.frames_dropped,
        longest_still=max(one.longest_still, other.longest_still),
        silence_samples=one.silence_samples + other.silence_samples,
        samples_dropped=one.samples_dropped + other.samples_dropped,
        audio_breaks=one.audio_breaks + other.audio_breaks,
        decode_errors=one.decode_errors + other.decode_errors,
    )


def clips_of(
    source: Source, found: Probe, pieces: Sequence[ClipPlan], config: PackConfig
) -> Iterator[tuple[Clip, Span]]:
    """Clips, each with the span it was made of: its `damage` says why it must not be used."""
    width, height = config.picture
    spec = OutputSpec(
        clock=config.clock,
        width=width,
        height=height,
        channels=config.channels,
        fit=config.fit,
        sound_late=source.sound_late(config.clock),
    )
    track = read_boxes(source.boxes) if source.boxes else None
    for run in runs(pieces):
        spans = read_spans(found, [piece.frames for piece in run], spec, [piece.where for piece in run])
        for piece, span in zip(run, spans, strict=True):
            meta = replace(_meta(source, found, span, spec), crop=_crop(piece, span))
            if track:
                meta = _with_truth(meta, track, piece.frames)
            yield Clip(meta=meta, yuv=span.yuv, audio=span.audio), span


def _with_truth(meta: ClipMeta, track: BoxTrack, frames: range) -> ClipMeta:
    """Where its sound comes from. Of a part of the picture only boxes are told: masks would have to be cut to it."""
    fps = meta.clock.fps
    if meta.crop:
        return replace(meta, boxes=meta.crop.boxes_in_clip(track.at(frames, fps)), case=track.case)
    return replace(meta, boxes=track.at(frames, fps), masks=track.masks_at(frames, fps), case=track.case)


def _crop(piece: ClipPlan, span: Span) -> ClipCrop | UnsetType:
    if piece.path is None or len(span.taken) < len(piece):  # damaged; nobody will see it
        return UNSET
    return ClipCrop.of(piece.path, span.taken)


def _meta(source: Source, found: Probe, span: Span, spec: OutputSpec) -> ClipMeta:
    return ClipMeta(
        key=f"{source.id}/{span.first_frame:0{KEY_DIGITS}d}",
        source=source.rel,
        group=source.group,
        action=source.action,
        first_frame=span.first_frame,
        frames=len(span.yuv),
        clock=spec.clock,
        width=spec.width,
        height=spec.height,
        channels=spec.channels,
        matrix=span.matrix,
        stream_offset_s=_offset(found),
        repairs=span.repairs,
        decoder=SOFTWARE,
        moved_sound=source.moved_sound(spec.clock),
    )


def _offset(found: Probe) -> float:
    return round(found.stream_offset_s, 6)
