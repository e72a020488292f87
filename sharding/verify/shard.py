"""One shard: its side file, then its tar against it, in one read."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields, replace
from itertools import groupby
from pathlib import Path

from sharding.base.files import LARGEST_SIDE_FILE, from_json, open_file, read_file
from sharding.errors import FormatError
from sharding.format.clip import FORMAT_VERSION, ClipMeta, Repairs
from sharding.format.columns import problem_of_clip
from sharding.format.records import ClipRecord, ClockSums, ShardRecord, SourceRecord
from sharding.format.tar import BLOCK, END, padded
from sharding.pack.part import joined
from sharding.verify.findings import Finding, FindingKind, shortened
from sharding.verify.members import CutOff, Mismatch, StoredForm, Tape, check_clip


def source_differences(records: Sequence[SourceRecord], clips: Sequence[ClipMeta]) -> Iterator[tuple[str, str]]:
    """(what the clips say, what its record says), for each source of which it is not the same. `clips`: all, in order.

    How many clips were lost, and why, no clip can say.
    """
    groups = [list(group) for _, group in groupby(clips, lambda clip: clip.key.rpartition("/")[0])]
    if len(groups) != len(records):
        yield f"{len(groups)} sources that gave a clip", str(len(records))
        return
    for record, group in zip(records, groups, strict=True):
        wanted = _as_clips_say(record, group)
        differ = [field.name for field in fields(record) if getattr(record, field.name) != getattr(wanted, field.name)]
        if differ:
            yield _values(wanted, differ), _values(record, differ)


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
        moved_sound=next(
            (one.moved_sound for one in clips if one.moved_sound != record.moved_sound), record.moved_sound
        ),
    )


def _values(record: SourceRecord, names: list[str]) -> str:
    return ", ".join(f"{name} {getattr(record, name)!r}" for name in names)


_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(kw_only=True, slots=True)
class Shard:
    """What was found out about one shard."""

    name: str
    """`<split>/NNNNNN`."""
    findings: list[Finding] = field(default_factory=list[Finding])
    whole: bool = False
    """Its side file can be used."""
    clips: int = 0
    sources: int = 0
    lost_clips: int = 0
    clocks: ClockSums = field(default_factory=ClockSums)
    """By its side file: what packing mended, which is no damage."""
    bytes: int = 0
    """Of its tar, where it was read."""

    def add(self, kind: FindingKind, file: str, wanted: str, found: str, clip: str = "") -> None:
        """Note a finding about `file` of this shard: `tar` or `json`."""
        self.findings.append(Finding(kind=kind, file=f"{self.name}.{file}", wanted=wanted, found=found, clip=clip))


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardContext:
    """What the dataset's other files say of all shards; None where they cannot be used."""

    planned: Mapping[str, Sequence[str]] | None = None
    """Shard -> ids of its sources, by plan.json."""
    rejects: Set[tuple[str, ...]] | None = None
    """Rows of rejects.csv."""


def check_shard(
    name: str, folder: Path, around: ShardContext, form: StoredForm, passed: Callable[[int], None]
) -> Shard:
    """Check `folder`/`name`.json and .tar."""
    shard = Shard(name=name)
    record = _read_side(shard, folder)
    if record is not None:
        _compare(shard, record, around)
        shard.clips = len(record.clips)
        shard.sources = len(record.sources)
        shard.lost_clips = sum(source.lost_clips for source in record.sources)
        shard.clocks = ClockSums.of(source.clock for source in record.sources)
    tar = folder / f"{name}.tar"
    try:
        with open_file(tar) as file:
            size = file.seek(0, 2)
            file.seek(0)
            if record is not None:
                _check_tar(shard, Tape(file, passed), record, size, form)
                shard.bytes = min(size, record.tar_bytes)
    except FileNotFoundError:
        shard.add(FindingKind.MISSING, "tar", "a shard", "no such file")
    except OSError as error:
        shard.add(FindingKind.UNREADABLE, "tar", "a shard", str(error.strerror))
    shard.findings = shortened(shard.findings)
    return shard


def read_side(path: Path) -> ShardRecord:
    """Read a side file. Raises OSError, FormatError."""
    return from_json(read_file(path, LARGEST_SIDE_FILE), ShardRecord, "it")


def _read_side(shard: Shard, folder: Path) -> ShardRecord | None:
    wanted = "a side file of this format"
    try:
        record = read_side(folder / f"{shard.name}.json")
    except FileNotFoundError:
        shard.add(FindingKind.MISSING, "json", "a side file", "no such file")
        return None
    except OSError as error:
        shard.add(FindingKind.UNREADABLE, "json", "a side file", str(error.strerror))
        return None
    except FormatError as error:
        shard.add(FindingKind.DAMAGED, "json", wanted, str(error))
        return None
    if problem := _problem_of(record):
        shard.add(FindingKind.DAMAGED, "json", wanted, problem)
        return None
    shard.whole = True
    return record


def _compare(shard: Shard, record: ShardRecord, around: ShardContext) -> None:
    sources = [source for source, _ in groupby(clip.key.rpartition("/")[0] for clip in record.clips)]
    if around.planned is not None and not _in_order(sources, around.planned.get(shard.name, ())):
        shard.add(
            FindingKind.DISAGREES, "json", "sources of plan.json, in its order", f"{len(sources)}, not all of them"
        )
    if around.rejects is not None and (others := set(record.rejects) - around.rejects):
        shard.add(FindingKind.DISAGREES, "json", "only rejects that stand in rejects.csv", ": ".join(min(others)))


def _problem_of(record: ShardRecord) -> str:
    """What no side file of ours says; empty when all can be true."""
    if record.format_version != FORMAT_VERSION:
        return f"format version {record.format_version}"
    if not all(_DIGEST.fullmatch(digest) for digest in (record.plan, record.sha256)):
        return "a digest that is none"
    end = 0
    for clip in record.clips:
        if problem := problem_of_clip(clip):
            return problem
        if clip.offset != end + BLOCK:
            return f"clip {clip.key} at {clip.offset}, not right after the one before it"
        end = _end(clip)
    if record.tar_bytes != end + len(END):
        return f"a tar of {record.tar_bytes} bytes, with clips up to {end}"
    sums = (sum(source.clips for source in record.sources), sum(source.frames for source in record.sources))
    if sums != (len(record.clips), sum(clip.frames for clip in record.clips)):
        return f"clips and frames of its sources that do not add up: {sums}"
    return ""


def _end(clip: ClipRecord) -> int:
    return clip.offset + clip.size - clip.audio[1] + padded(clip.audio[1])


def _in_order(names: Sequence[str], planned: Sequence[str]) -> bool:
    """Each of `names` stands in `planned`, which goes on where the one before was found."""
    rest = iter(planned)
    return all(name in rest for name in names)


def _check_tar(shard: Shard, tape: Tape, record: ShardRecord, size: int, form: StoredForm) -> None:
    if size != record.tar_bytes:
        kind = "cut off" if size < record.tar_bytes else "longer"
        shard.add(FindingKind.DAMAGED, "tar", f"{record.tar_bytes} bytes", f"{size}: {kind}")
    differences, metas = list[tuple[ClipRecord, Mismatch]](), list[ClipMeta]()
    for number, clip in enumerate(record.clips):
        try:
            difference = check_clip(tape, clip, form, metas.append)
        except CutOff:
            lost = record.clips[number:]
            differences += [(one, Mismatch(f"bytes up to {_end(one)}", f"the end at {size}")) for one in lost]
            break
        if difference is not None:
            differences.append((clip, difference))
    else:
        if tape.take(len(END)) != END:
            shard.add(FindingKind.DAMAGED, "tar", "two blocks of zeros at its end", "other bytes, or too few")
    digest = tape.digest()
    if size == record.tar_bytes and digest != record.sha256:
        shard.add(FindingKind.DAMAGED, "tar", f"SHA-256 {record.sha256}", digest)
    for clip, difference in differences:
        if difference.of_bytes and digest == record.sha256:  # the tar is whole: its side file has changed
            shard.add(FindingKind.DISAGREES, "json", f"{difference.found} as in the tar", difference.wanted, clip.key)
        else:
            shard.add(FindingKind.DAMAGED, "tar", difference.wanted, difference.found, clip.key)
    if len(metas) == len(record.clips):
        for wanted, found in source_differences(record.sources, metas):
            shard.add(FindingKind.DISAGREES, "json", f"{wanted} as in the clips", found)
