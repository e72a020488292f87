"""One unit of packing: a shard, made by one process from its sources, whole or not at all.

A source that cannot be packed leaves no byte behind, only its reason in the side file.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from sharding.boxes import read_boxes
from sharding.clip import FORMAT_VERSION, Box, Clip, ClipMeta
from sharding.codec import codec_named
from sharding.config import PackConfig
from sharding.content import Loudness, Motion
from sharding.decode import Form, Span, read_spans
from sharding.errors import RejectError, RejectReason
from sharding.files import publish, write_json
from sharding.index import ShardRecord
from sharding.plan import SOFTWARE, ShardPlan, cut
from sharding.probe import Probe, probe
from sharding.sources import Source
from sharding.writer import ShardWriter


class Watch(Protocol):
    """Who follows the work."""

    def clip_done(self) -> None:
        """Called between clips; may raise to stop the work."""
        ...

    def source_done(self, source: Source) -> None:
        """Called when a source is packed or rejected."""
        ...


def pack_shard(plan: ShardPlan, folder: Path, config: PackConfig, watch: Watch) -> ShardRecord:
    """Write `folder`/NAME.tar and then its side file."""
    tar = folder / f"{plan.name}.tar"
    rejects: list[tuple[str, str, str]] = []
    with publish(tar) as file:
        writer = ShardWriter(file, codec_named(config.codec))
        for source in plan.sources:
            mark = writer.mark()
            try:
                _add_source(source, writer, config, watch)
            except RejectError as reject:
                writer.take_back(mark)
                rejects.append((source.rel, str(reject.reason), reject.detail))
            watch.source_done(source)
        digest = writer.finish()
    record = ShardRecord(
        format_version=FORMAT_VERSION,
        plan=plan.digest,
        tar_bytes=writer.size,
        sha256=digest,
        clips=tuple(writer.clips),
        rejects=tuple(rejects),
    )
    write_json(tar.with_suffix(".json"), record)
    return record


def _add_source(source: Source, writer: ShardWriter, config: PackConfig, watch: Watch) -> None:
    loudness, motion = Loudness(config.sample_rate), Motion()
    for clip in clips_of(source, config):
        watch.clip_done()
        loudness.hear(clip.audio)
        motion.see(clip.yuv[:, : clip.meta.height])
        writer.add(clip)
    loudness.check()
    motion.check()


def clips_of(source: Source, config: PackConfig) -> Iterator[Clip]:
    """All clips of one source, in order. Raises RejectError."""
    found = probe(source.path)
    pieces = cut(_usable(source, found), config)
    width, height = config.picture
    form = Form(clock=config.clock, width=width, height=height, channels=config.channels, fit=config.fit)
    track = read_boxes(source.boxes) if source.boxes else None
    for piece, span in zip(pieces, read_spans(found, pieces, form), strict=True):
        if span.damage:
            raise RejectError(RejectReason.CORRUPT, span.damage)
        boxes = track.at(piece, form.clock.fps) if track else ()
        yield Clip(meta=_meta(source, found, span, form, boxes), yuv=span.yuv, audio=span.audio)


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
        stream_offset_s=round(found.stream_offset_s, 6),
        repairs=span.repairs,
        decoder=SOFTWARE,
        boxes=boxes,
    )


def _usable(source: Source, found: Probe) -> tuple[Fraction, Fraction]:
    """When there is picture and sound, inside the part a CSV row asks for."""
    start, end = found.overlap
    if source.span is not None:
        start, wanted = max(start, source.span[0]), source.span[1]
        end = end if wanted is None else min(end, wanted)
    return start, end
