"""The unit of packing: up to PART_CLIPS clips of one source, as a piece of tar and what is known of it.

Parts make long films and small files alike to spread over processes, and a stopped call loses no more than these. They
lie in DATASET/.parts until all of a shard are there (sharding/pack/assemble.py). Bytes depend on the source alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from sharding.base.files import publish, write_json
from sharding.base.workers import Tell
from sharding.config import PackConfig
from sharding.errors import RejectError, RejectReason
from sharding.format.clip import (
    Box,
    Clip,
    ClipMeta,
    Repairs,
)
from sharding.format.codec import codec_named
from sharding.format.records import ClipRecord
from sharding.format.writer import ShardWriter
from sharding.media.decode import Form, Span, read_spans
from sharding.media.packet_times import Stretch
from sharding.media.probe import Probe, probe
from sharding.pack.content import Loudness, Motion
from sharding.pack.pieces import cut
from sharding.plan.plan import SOFTWARE
from sharding.sources.boxes import read_boxes
from sharding.sources.source import Source

PART_CLIPS = 12
"""Longer sources are packed by several processes; entering by seeking costs a few percent of so many clips."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PartName:
    """Where a part lies in a shard's folder of parts."""

    source: int
    """Place of its source in the shard."""
    part: int = 0

    def path(self, folder: Path) -> Path:
        """Of its record; the tar lies beside it."""
        return folder / f"{self.source:06d}-{self.part:05d}.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class PartRecord:
    """What a part holds. Offsets count from its own start."""

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
    """Of `blocks`, see content.Loudness."""
    moved: bool = False
    """See content.Motion."""
    stream_offset_s: float = 0.0
    repairs: Repairs = field(default_factory=Repairs)


@dataclass(frozen=True, kw_only=True, slots=True)
class PartCut:
    """What a part is to hold."""

    found: Probe
    pieces: tuple[range, ...]
    of: int = 1
    """Parts of its source."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """A source looked at and cut."""

    found: Probe
    parts: tuple[tuple[range, ...], ...]

    def part(self, number: int) -> PartCut:
        """One of its parts."""
        return PartCut(found=self.found, pieces=self.parts[number], of=len(self.parts))


def survey(source: Source, config: PackConfig) -> Survey:
    """Look at a source and cut it. Raises RejectError."""
    if source.absent:
        raise RejectError(RejectReason.UNREADABLE, source.absent)
    found = probe(source.path)
    pieces = cut(_wanted(source, found), config)
    if not found.seekable:
        return Survey(found=found, parts=(tuple(pieces),))
    count = -(-len(pieces) // PART_CLIPS)
    edges = [number * len(pieces) // count for number in range(count + 1)]
    return Survey(found=found, parts=tuple(tuple(pieces[first:stop]) for first, stop in pairwise(edges)))


def _wanted(source: Source, found: Probe) -> list[Stretch]:
    """When there is picture and sound, inside the part a CSV row asks for."""
    if source.span is None:
        return list(found.shown)
    first, last = source.span
    stretches = ((max(start, first), end if last is None else min(end, last)) for start, end in found.shown)
    return [(start, end) for start, end in stretches if start < end]


def pack_part(source: Source, part: PartCut, path: Path, config: PackConfig, tell: Tell) -> PartRecord:
    """Pack the clips of one part next to `path`, then its record there. Raises RejectError, OSError, InputError."""
    loudness, motion = Loudness(config.sample_rate), Motion()
    lost, damage, repairs = 0, "", Repairs()
    with publish(path.with_suffix(".tar"), lasting=False) as file:
        writer = ShardWriter(file, codec_named(config.codec))
        for number, (clip, why) in enumerate(clips_of(source, part.found, part.pieces, config), 1):
            if why:
                lost, damage = lost + 1, damage or why
            else:
                loudness.hear(clip.audio)
                motion.see(clip.yuv[:, : clip.meta.height])
                writer.add(clip)
                repairs = joined(repairs, clip.meta.repairs)
            tell(number, len(part.pieces))
    record = PartRecord(
        of=part.of,
        bytes=writer.size,
        clips=tuple(writer.clips),
        lost_clips=lost,
        damage=damage,
        blocks=loudness.blocks,
        heard=loudness.heard,
        moved=motion.moved,
        stream_offset_s=_offset(part.found),
        repairs=repairs,
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


def clips_of(source: Source, found: Probe, pieces: Sequence[range], config: PackConfig) -> Iterator[tuple[Clip, str]]:
    """Clips, each with why it must not be used: empty when it is fine."""
    width, height = config.picture
    form = Form(clock=config.clock, width=width, height=height, channels=config.channels, fit=config.fit)
    track = read_boxes(source.boxes) if source.boxes else None
    for piece, span in zip(pieces, read_spans(found, pieces, form), strict=True):
        boxes = track.at(piece, form.clock.fps) if track else ()
        yield Clip(meta=_meta(source, found, span, form, boxes), yuv=span.yuv, audio=span.audio), span.damage


def _meta(source: Source, found: Probe, span: Span, form: Form, boxes: tuple[tuple[Box, ...], ...]) -> ClipMeta:
    return ClipMeta(
        key=f"{source.id}/{span.first_frame:08d}",
        source=source.rel,
        group=source.group,
        action=source.action,
        first_frame=span.first_frame,
        frames=len(span.yuv),
        clock=form.clock,
        width=form.width,
        height=form.height,
        channels=form.channels,
        matrix=span.matrix,
        stream_offset_s=_offset(found),
        repairs=span.repairs,
        decoder=SOFTWARE,
        boxes=boxes,
    )


def _offset(found: Probe) -> float:
    return round(found.stream_offset_s, 6)
