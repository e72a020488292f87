"""One shard: its side file, then its tar against it, in one read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from sharding.clip import FORMAT_VERSION
from sharding.errors import FormatError
from sharding.files import from_json
from sharding.index import ClipRecord, ShardRecord
from sharding.rows import problem_of_clip
from sharding.tar import BLOCK, END, padded
from sharding.verify.findings import Finding, Kind, shortened
from sharding.verify.members import CutOff, Form, check_clip
from sharding.verify.tape import Tape, open_file

LARGEST_SIDE_FILE = 2**28
"""Bytes: some 500 for each clip, of 100 hours of films in one shard."""


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
    bytes: int = 0
    """Of its tar, where it was read."""

    def add(self, kind: Kind, file: str, wanted: str, found: str, clip: str = "") -> None:
        """Note a finding about `file` of this shard: `tar` or `json`."""
        self.findings.append(Finding(kind=kind, file=f"{self.name}.{file}", wanted=wanted, found=found, clip=clip))


def check_shard(
    name: str, folder: Path, planned: Sequence[str] | None, form: Form, passed: Callable[[int], None]
) -> Shard:
    """Check `folder`/`name`.json and .tar. `planned`: ids of its sources by plan.json, where that is known."""
    shard = Shard(name=name)
    record = _read_side(shard, folder, planned)
    if record is not None:
        shard.clips = len(record.clips)
        shard.sources = len(record.sources)
        shard.lost_clips = sum(source.lost_clips for source in record.sources)
    tar = folder / f"{name}.tar"
    try:
        with open_file(tar) as file:
            size = file.seek(0, 2)
            file.seek(0)
            if record is not None:
                _check_tar(shard, Tape(file, passed), record, size, form)
                shard.bytes = min(size, record.tar_bytes)
    except FileNotFoundError:
        shard.add(Kind.MISSING, "tar", "a shard", "no such file")
    except OSError as error:
        shard.add(Kind.UNREADABLE, "tar", "a shard", str(error.strerror))
    shard.findings = shortened(shard.findings)
    return shard


def read_side(path: Path) -> ShardRecord:
    """Read a side file. Raises OSError, FormatError."""
    with open_file(path) as file:
        if file.seek(0, 2) > LARGEST_SIDE_FILE:
            raise FormatError("more bytes than any side file has")
        file.seek(0)
        return from_json(file.readall(), ShardRecord, "it")


def _read_side(shard: Shard, folder: Path, planned: Sequence[str] | None) -> ShardRecord | None:
    wanted = "a side file of this format"
    try:
        record = read_side(folder / f"{shard.name}.json")
    except FileNotFoundError:
        shard.add(Kind.MISSING, "json", "a side file", "no such file")
        return None
    except OSError as error:
        shard.add(Kind.UNREADABLE, "json", "a side file", str(error.strerror))
        return None
    except FormatError as error:
        shard.add(Kind.DAMAGED, "json", wanted, str(error))
        return None
    if problem := _problem_of(record):
        shard.add(Kind.DAMAGED, "json", wanted, problem)
        return None
    shard.whole = True
    sources = [source for source, _ in groupby(clip.key.rpartition("/")[0] for clip in record.clips)]
    if planned is not None and not _in_order(sources, planned):
        shard.add(Kind.DISAGREES, "json", "sources of plan.json, in its order", f"those of {len(sources)} others")
    return record


def _problem_of(record: ShardRecord) -> str:
    """What no side file of ours says; empty when all can be true."""
    if record.format_version != FORMAT_VERSION:
        return f"format version {record.format_version}"
    end = 0
    for clip in record.clips:
        if problem := problem_of_clip(clip):
            return problem
        if clip.offset != end + BLOCK:
            return f"clip {clip.key} at {clip.offset}, not right after the one before it"
        end = _end(clip)
    if record.tar_bytes != end + len(END):
        return f"a tar of {record.tar_bytes} bytes, with clips up to {end}"
    told = (sum(source.clips for source in record.sources), sum(source.frames for source in record.sources))
    if told != (len(record.clips), sum(clip.frames for clip in record.clips)):
        return f"clips and frames of its sources that do not add up: {told}"
    return ""


def _end(clip: ClipRecord) -> int:
    return clip.offset + clip.size - clip.audio[1] + padded(clip.audio[1])


def _in_order(names: Sequence[str], planned: Sequence[str]) -> bool:
    """Each of `names` stands in `planned`, which goes on where the one before was found."""
    rest = iter(planned)
    return all(name in rest for name in names)


def _check_tar(shard: Shard, tape: Tape, record: ShardRecord, size: int, form: Form) -> None:
    if size != record.tar_bytes:
        kind = "cut off" if size < record.tar_bytes else "longer"
        shard.add(Kind.DAMAGED, "tar", f"{record.tar_bytes} bytes", f"{size}: {kind}")
    for number, clip in enumerate(record.clips):
        try:
            difference = check_clip(tape, clip, form)
        except CutOff:
            for lost in record.clips[number:]:
                shard.add(Kind.DAMAGED, "tar", f"bytes up to {_end(lost)}", f"the end at {size}", lost.key)
            return
        if difference is not None:
            shard.add(Kind.DAMAGED, "tar", difference.wanted, difference.found, clip.key)
    if tape.take(len(END)) != END:
        shard.add(Kind.DAMAGED, "tar", "two blocks of zeros at its end", "other bytes, or too few")
    if size == record.tar_bytes and (found := tape.digest()) != record.sha256:
        shard.add(Kind.DAMAGED, "tar", f"SHA-256 {record.sha256}", found)
