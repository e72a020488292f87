"""A source: one video file with sound as named by a person, its id, the split it stands on; and a walk over folders.

Names from outside never become paths of the dataset: only `Source.id` does.
"""

import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from msgspec import UnsetType

from sharding.base.files import is_dropping
from sharding.base.text import counted, first_few, plain
from sharding.config import PackConfig
from sharding.errors import InputError, RejectReason
from sharding.format.clip import Clock, MovedSound
from sharding.format.crop import BoxPath
from sharding.format.index import SPLITS
from sharding.format.records import Reject

SUFFIXES = frozenset(
    ".3g2 .3gp .asf .avi .divx .f4v .flv .m2p .m2t .m2ts .m4v .mkv .mov .mp4 .mpe .mpeg .mpg .mts .mxf .ogg .ogm .ogv"
    " .qt .tod .tp .trp .ts .vob .webm .wmv".split()
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
    crops: tuple[BoxPath, ...] | None = None
    """The parts of the picture to pack; None = all of it, or what packing finds."""
    crop_fault: str = ""
    """Why the boxes that a table gives are of no use; empty when they are."""
    piece: tuple[int, int] = (0, 1)
    """Which part of its file it is, from 0 on, and of how many: faces are looked for in each by itself."""
    sound_late_ms: Fraction | None = None
    """By how much its sound comes late, by a curated table: it is moved earlier by as much. None: nobody has judged."""

    def own_numbers(self, paths: Sequence[BoxPath]) -> tuple[BoxPath, ...]:
        """What was found in it, numbered from 1 on, by numbers that no other part of its file has."""
        at, of = self.piece
        return tuple(replace(path, track=(path.track - 1) * of + at + 1) for path in paths)

    def moved_sound(self, clock: Clock) -> MovedSound | UnsetType:
        """By how much the sound of its clips is moved."""
        return MovedSound.of(self.sound_late_ms or Fraction(0), clock)

    def sound_late(self, clock: Clock) -> int:
        """The same in samples."""
        moved = self.moved_sound(clock)
        return moved.samples if moved else 0


KINDS_NAMED, LONGEST_SUFFIX = 3, 8


@dataclass(slots=True)
class OtherFiles:
    """Files of a folder that are no videos by their suffix: how many of each kind, and which came first."""

    kinds: Counter[str] = field(default_factory=Counter)
    """By suffix, in lower case."""
    first: dict[str, str] = field(default_factory=dict)

    def add(self, rel: str) -> None:
        suffix = Path(rel).suffix.lower()
        kind = suffix if 1 < len(suffix) <= LONGEST_SUFFIX and suffix.isprintable() else "without a suffix"
        self.kinds[kind] += 1
        self.first.setdefault(kind, plain(printable(rel)))

    def __str__(self) -> str:
        """`24 files (23 .json like a/1.json, 1 .txt: b.txt)`"""
        if not self.kinds:
            return counted(0, "file")
        shown, count = self.kinds.most_common(KINDS_NAMED), self.kinds.total()
        named = [f"{many:,} {kind}{' like' if many > 1 else ':'} {self.first[kind]}" for kind, many in shown]
        rest = count - sum(many for _, many in shown)
        return f"{counted(count, 'file')} ({', '.join((*named, *[f'{rest:,} of other kinds'] * bool(rest)))})"


class LeftOut(NamedTuple):
    """Rows of a curated table that are not packed."""

    verdict: str
    reason: str
    rows: int

    def __str__(self) -> str:
        return f"{self.rows:,} {self.verdict}{f': {plain(self.reason)}' if self.reason else ''}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceList:
    """All sources of one input, sorted by relative path."""

    sources: tuple[Source, ...]
    ignored: OtherFiles = field(default_factory=OtherFiles)
    notes: tuple[str, ...] = ()
    """What a person should know about the input, a sentence each."""
    unlisted: tuple[Reject, ...] = ()
    """Folders that could not be listed: what lies in them is not known."""
    left_out: tuple[LeftOut, ...] = ()
    """By the verdicts of a curated table; the most frequent first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A folder of a walk."""

    below: str
    """Its path relative to where the walk began: "" is that folder itself, "a/b" one inside."""
    names: tuple[str, ...] = ()
    """Of its files, sorted; hidden ones are left out."""
    outside: tuple[str, ...] = ()
    """Those of them that lie elsewhere, behind links that lead out of the folder where the walk began."""
    trouble: str = ""
    """Why it cannot be listed; empty when it was."""

    @property
    def reject(self) -> Reject:
        """What to say of a folder that cannot be listed."""
        detail = f"a folder, or a link, that cannot be listed: {self.trouble}; mend that and run the same command again"
        return Reject(printable(self.below), RejectReason.UNREADABLE, detail)


def walk(folder: Path) -> Iterator[Folder]:
    """Each folder below, `folder` first, in one order on every machine; no file is opened.

    Hidden ones, and those of desktops and servers, are left out; a folder reached twice through links is walked once.
    One that cannot be listed costs itself only, as does a link that leads nowhere, unless its name is a video's.
    Raises OSError when it is `folder`.
    """
    walked, root = set[str](), os.path.realpath(folder)
    waiting = [""]
    while waiting:
        below = waiting.pop()
        here = folder / below
        try:
            if (real := os.path.realpath(here)) in walked:
                continue
            walked.add(real)  # also when it fails: under another name its videos would be others
            entries = _entries(here)
        except OSError as error:
            if not below:
                raise
            yield Folder(below=below, trouble=_words(error))
            continue
        names, folders, troubles = list[os.DirEntry[str]](), list[str](), list[Folder]()
        for entry in entries:
            inside = f"{below}/{entry.name}" if below else entry.name
            try:
                folders.append(entry.name) if _is_folder(entry) else names.append(entry)
            except OSError as error:
                troubles.append(Folder(below=inside, trouble=_words(error)))
        away = not _is_within(real, root)
        outside = (one.name for one in names if away or (one.is_symlink() and not _is_within(_real(one), root)))
        yield Folder(below=below, names=tuple(one.name for one in names), outside=tuple(outside))
        yield from troubles
        waiting += [f"{below}/{name}" if below else name for name in reversed(folders)]


def _real(entry: os.DirEntry[str]) -> str:
    return os.path.realpath(entry.path)


def _is_within(path: str, root: str) -> bool:
    return path == root or path.startswith(os.path.join(root, ""))


def tell_unlisted(unlisted: Sequence[Reject]) -> tuple[str, ...]:
    """A sentence for a person, where there are such folders."""
    if not unlisted:
        return ()
    names = first_few([plain(one.path) for one in unlisted])
    return (f"{counted(len(unlisted), 'folder')} cannot be listed, and what is in there is left out: {names}",)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is neither hidden nor left by a desktop or server, by name. Raises OSError."""
    with os.scandir(folder) as entries:
        kept = (
            entry for entry in entries if not (entry.name.startswith(".") or is_dropping(entry.name, of_editors=False))
        )
        return sorted(kept, key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Raises OSError when that cannot be told: the disk that a link leads to may be away."""
    try:
        return stat.S_ISDIR(os.stat(entry).st_mode) if entry.is_symlink() else entry.is_dir()
    except OSError:
        if is_video(entry.name):
            return False  # packing will say why
        raise


def _words(error: OSError) -> str:
    return error.strerror or str(error)


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
