"""A shard put together from the parts of its sources: its tar, and then the side file that makes it whole."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO

from isal.isal_zlib import crc32
from msgspec import UNSET

from sharding.base.files import open_file, publish, write_json
from sharding.errors import RejectError, RejectReason
from sharding.format.clip import FORMAT_VERSION, Repairs
from sharding.format.records import Certainty, ClipRecord, ShardRecord, SourceClock, SourceRecord
from sharding.format.tar import END
from sharding.pack.part import PartName, PartRecord, check_loudness, check_motion, joined
from sharding.plan.plan import ShardPlan
from sharding.sources.source import Source

COPY_BYTES = 4 * 2**20
Parts = Sequence[PartRecord]
"""Of one source, in order."""


def assemble(
    plan: ShardPlan, parts: Sequence[Parts], folder: Path, dataset: Path, *, strict: bool = False
) -> ShardRecord:
    """Write `dataset`/NAME.tar from the parts in `folder`, and its side file. `parts`: one entry per source.

    Raises OSError, DamagedPart.
    """
    tar = dataset / f"{plan.name}.tar"
    clips: list[ClipRecord] = []
    sources: list[SourceRecord] = []
    rejects: list[tuple[str, str, str]] = []
    with publish(tar) as file:
        sink = _Sink(file)
        for number, (source, records) in enumerate(zip(plan.sources, parts, strict=True)):
            try:
                check(records, strict=strict)
            except RejectError as reject:
                rejects.append((source.rel, str(reject.reason), reject.detail))
                continue
            for part, record in enumerate(records):
                clips += [replace(clip, offset=clip.offset + sink.size) for clip in record.clips]
                if record.clips:
                    sink.copy(PartName(source=number, part=part), folder, record)
            sources.append(_source_record(source, records))
        sink.write(END)
    record = ShardRecord(
        format_version=FORMAT_VERSION,
        plan=plan.digest,
        tar_bytes=sink.size,
        sha256=sink.hash.hexdigest(),
        clips=tuple(clips),
        ids=tuple(source.id for source in plan.sources),
        sources=tuple(sources),
        rejects=tuple(rejects),
    )
    write_json(tar.with_suffix(".json"), record)
    return record


def check(records: Parts, *, strict: bool) -> None:
    """Whether a source has anything to use; a `strict` look wants a clock that was not mended. Raises RejectError."""
    if not any(record.clips for record in records):
        for record in records:
            if record.reject is not None:
                raise RejectError(*record.reject)
        raise RejectError(RejectReason.CORRUPT, next(record.damage for record in records))
    check_loudness(sum(record.heard for record in records), sum(record.blocks for record in records))
    check_motion(any(record.moved for record in records))
    clock = clock_of(records)
    if strict and clock.certainty is not Certainty.SURE:
        raise RejectError(RejectReason.MENDED, f"{clock}; --strict leaves such sources out")


def clock_of(records: Parts) -> SourceClock:
    """Of a source, by all its parts."""
    return reduce(SourceClock.joined, (record.clock for record in records), SourceClock())


def _source_record(source: Source, records: Parts) -> SourceRecord:
    repairs = Repairs()
    for record in records:
        repairs = joined(repairs, record.repairs)
    return SourceRecord(
        source=source.rel,
        action=source.action,
        clips=sum(len(record.clips) for record in records),
        frames=sum(clip.frames for record in records for clip in record.clips),
        lost_clips=sum(record.lost_clips for record in records),
        damage=next((record.damage for record in records if record.damage), ""),
        stream_offset_s=next(record.stream_offset_s for record in records if record.clips),
        repairs=repairs,
        clock=clock_of(records),
        tracks=next((record.tracks for record in records if record.tracks), UNSET),
        moved_sound=next((record.moved_sound for record in records if record.moved_sound), UNSET),
    )


class DamagedPart(Exception):
    """A part is not what its record says; it must be packed again."""

    def __init__(self, name: PartName) -> None:
        super().__init__(name)
        self.name = name


class _Sink:
    """The tar as it grows, and its digest."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffer = memoryview(bytearray(COPY_BYTES))
        self.hash, self.size = hashlib.sha256(), 0

    def write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self.hash.update(data)
        self.size += len(data)

    def copy(self, name: PartName, folder: Path, record: PartRecord) -> None:
        """Append a part, each clip checked: parts are not waited for, and a power failure may have emptied one."""
        with open_file(name.path(folder).with_suffix(".tar")) as part:
            end = 0
            for clip in record.clips:
                self._pass_on(part, clip.offset - end)
                if self._pass_on(part, clip.size) != clip.crc32:
                    raise DamagedPart(name)
                end = clip.offset + clip.size
            self._pass_on(part, record.bytes - end)

    def _pass_on(self, part: RawIOBase, size: int) -> int:
        """Copy `size` bytes, or what is left of them; returns their CRC-32."""
        crc = 0
        while size and (got := part.readinto(self._buffer[: min(size, COPY_BYTES)])):
            crc = crc32(self._buffer[:got], crc)
            self.write(self._buffer[:got])
            size -= got
        return crc
