"""A source: one video file with sound as named by a person, its id, the split it stands on; and a walk over folders.

Names from outside never become paths of the dataset: only `Source.id` does.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from sharding.config import PackConfig
from sharding.errors import InputError
from sharding.format.index import SPLITS

SUFFIXES = frozenset(
    ".3g2 .3gp .asf .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogg .ogv .ts .vob .webm .wmv".split()
)
"""What a video is known by, in lower case."""
ID_CHARACTERS, ID_DIGITS = 56, 16
"""Of a source's name and of its digest in its id: with frame number and suffix it fits into USTAR's 100 bytes."""
SPLIT_BUCKETS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One video file with sound, or the part of one that a CSV row names."""

    id: str
    """Safe characters only, unique in a dataset: stands in keys and tar names."""
    path: Path
    rel: str
    """The path as given, relative to the input folder; for reports."""
    action: str
    group: str
    """Sources of one group never stand on two sides of a split."""
    size: int = 0
    """Bytes when the work was planned; 0 before that, and when there is no such file."""
    span: tuple[Fraction, Fraction | None] | None = None
    """Seconds of the source's timeline to use; None = all of it, an open end = to its end."""
    split: str | None = None
    """Wanted split; None = by the group's hash."""
    boxes: Path | None = None
    """JSON of the true sound positions, where they are known."""
    line: int | None = None
    """Line of the CSV it came from."""
    absent: str = ""
    """Why there is no file, where the listing knows already: `path` leads nowhere. Empty when there is one."""
    video_stream: int | None = None
    audio_stream: int | None = None
    """Index of the stream to use, as ffprobe numbers all streams of the file; None = packing chooses."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceList:
    """All sources of one input, sorted by relative path."""

    sources: tuple[Source, ...]
    ignored: int = 0
    """Files of the folder that are no videos, by their suffix."""
    notes: tuple[str, ...] = ()
    """What a person should know about the input, a sentence each."""


def walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Each folder below, relative ("" is `folder` itself, "a/b" one inside), and its files' names; nothing is opened.

    In one order on every machine. Hidden ones are left out; a folder reached twice through links is walked once.
    Raises OSError.
    """
    walked: set[str] = set()

    def refuse(error: OSError) -> None:
        raise error

    for here, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        real = os.path.realpath(here)
        if real in walked:
            folders.clear()
            continue
        walked.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = os.path.relpath(here, folder)
        yield "" if below == "." else below, sorted(name for name in names if not name.startswith("."))


def is_video(name: str) -> bool:
    """By its suffix."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def source_id(rel: str, part: str = "") -> str:
    """A name that is safe in any file system: what can be kept of `rel`, and a digest of all of it."""
    digest = hashlib.sha256(os.fsencode(rel) + part.encode()).hexdigest()[:ID_DIGITS]
    stem = rel.rsplit(".", 1)[0] if "." in rel.rsplit("/", 1)[-1] else rel
    kept = re.sub(r"[^A-Za-z0-9_-]+", "_", stem.replace("/", "-")).strip("_-")
    return f"{kept[-ID_CHARACTERS:]}-{digest}" if kept else digest


def printable(name: str) -> str:
    """A file name as valid text: bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace")


def assign_splits(sources: tuple[Source, ...], config: PackConfig) -> dict[str, list[Source]]:
    """Split -> its sources, in order. A group stays together; a wanted split wins over the hash.

    Raises InputError when two rows want one group on two sides.
    """
    wanted: dict[str, Source] = {}
    for source in sources:
        if source.split is None:
            continue
        first = wanted.setdefault(source.group, source)
        if first.split != source.split:
            raise InputError(
                f"group {source.group!r} stands on two sides: line {first.line} ({first.rel}) says {first.split}, "
                f"line {source.line} ({source.rel}) says {source.split}; give both rows one split, or two groups"
            )
    splits: dict[str, list[Source]] = {split: [] for split in SPLITS}
    for source in sources:
        explicit = wanted.get(source.group)
        split = explicit.split if explicit is not None else None
        splits[split or split_of(source.group, config.val_percent, config.test_percent)].append(source)
    return splits


def split_of(group: str, val_percent: int, test_percent: int) -> str:
    """The side a group stands on: a pure function of its name, whatever else is in the dataset."""
    bucket = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8]) % SPLIT_BUCKETS
    percent = bucket * 100 // SPLIT_BUCKETS
    if percent < val_percent:
        return "val"
    return "test" if percent < val_percent + test_percent else "train"
