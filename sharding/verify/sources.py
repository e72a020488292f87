"""What a side file tells of its sources, against the json of their clips."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from itertools import groupby

from sharding.format.clip import ClipMeta, Repairs
from sharding.format.records import SourceRecord
from sharding.pack.part import joined


def source_differences(told: Sequence[SourceRecord], clips: Sequence[ClipMeta]) -> Iterator[tuple[str, str]]:
    """(what the clips say, what is told), for each source of which it is not the same. `clips`: all, in order.

    How many clips were lost, and why, no clip can say.
    """
    groups = [list(group) for _, group in groupby(clips, lambda clip: clip.key.rpartition("/")[0])]
    if len(groups) != len(told):
        yield f"{len(groups)} sources that gave a clip", str(len(told))
        return
    for record, group in zip(told, groups, strict=True):
        wanted = _as_clips_say(record, group)
        differ = [field.name for field in fields(record) if getattr(record, field.name) != getattr(wanted, field.name)]
        if differ:
            yield _words(wanted, differ), _words(record, differ)


def _as_clips_say(record: SourceRecord, clips: list[ClipMeta]) -> SourceRecord:
    repairs = Repairs()
    for clip in clips:
        repairs = joined(repairs, clip.repairs)
    first = clips[0]
    return replace(
        record,
        source=first.source,
        action=first.action,
        clips=len(clips),
        frames=sum(clip.frames for clip in clips),
        stream_offset_s=first.stream_offset_s,
        repairs=repairs,
    )


def _words(record: SourceRecord, names: list[str]) -> str:
    return ", ".join(f"{name} {getattr(record, name)!r}" for name in names)
