"""index.npz as arrays: which columns there are, how they are written, and what must hold before anyone trusts them.

What the columns mean is the business of sharding/format/index.py and docs/data-format.md.
"""

import re
from array import array
from collections.abc import Sequence
from hashlib import sha256
from io import BufferedReader
from itertools import pairwise
from pathlib import Path
from string import ascii_letters, digits
from typing import Any
from zipfile import ZIP_STORED

import numpy as np
from numpy.typing import NDArray

from sharding.base.files import open_file, publish
from sharding.errors import FormatError, InputError
from sharding.format.clip import KEY_DIGITS
from sharding.format.records import ClipRecord
from sharding.format.tar import BLOCK, Layout
from sharding.format.walk import digest_of

Columns = dict[str, NDArray[Any]]

SOURCES = {"names": np.dtype(np.uint8), "name_end": np.dtype(np.int64)}
"""What there is once for each source."""
CLIPS = {
    "source": np.dtype(np.int32),
    "first_frame": np.dtype(np.int32),
    "frames": np.dtype(np.int32),
    "shard": np.dtype(np.int32),
    "offset": np.dtype(np.int64),
    "json_bytes": np.dtype(np.uint32),
    "video_bytes": np.dtype(np.uint32),
    "audio_bytes": np.dtype(np.uint32),
    "crc32": np.dtype(np.uint32),
    "action": np.dtype(np.int32),
    "group": np.dtype(np.int32),
}
"""What there is once for each clip."""
COLUMNS = SOURCES | CLIPS
WHOLE = 2**21
"""Clips of the largest split that every process reads and checks as a whole; larger ones are mapped (mapped.py)."""
PRINTS = "prints"
"""What an index of more clips says besides: the digests of PRINTED, in that order, for hashing it takes seconds."""
PRINTED = {
    "keys": ("names", "name_end", "source", "first_frame"),
    "frames": ("frames",),
    "shards": ("shard",),
    "content": ("crc32",),
}
"""What tells one split's clips from another's -> the columns that it is the digest of."""
PRINTS_FORM = ((len(PRINTED),), np.dtype("S16"))
LAST_SHARD = 999_999
"""Tars are named by six digits."""
GROUP_BYTES = 16
"""Of the digest that stands for a group's name while groups are numbered."""
_NUMBERED = ("source", "group")
"""Columns whose numbers are known when all names are."""
PAYLOADS = ("json_bytes", "video_bytes", "audio_bytes")
NAME_BYTES = (ascii_letters + digits + "_-").encode()
"""No name of a source holds another byte."""
LONGEST_NAME, TAIL = 80, 16
"""Letters of one, and of the digest at its end."""
NO_ARCHIVE = "it is no archive of the columns of an index"
MIXER = 0x9E3779B97F4A7C15
"""Odd, so that no two halves of a digest weigh the same."""
FRAMES = range(1, 10**KEY_DIGITS + 1)
"""That a clip can have."""
_KEY = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_NAME}}}/\d{{{KEY_DIGITS}}}", re.ASCII)


def save_columns(path: Path, columns: Columns) -> None:
    """Write them as they are: uncompressed, without dates, so that equal columns give equal bytes."""
    arrays: dict[str, Any] = dict(columns)
    if len(columns["source"]) > WHOLE:
        arrays[PRINTS] = np.array([*prints_of(columns).values()], np.bytes_)
    with publish(path) as file:
        np.savez(file, **arrays)


def prints_of(columns: Columns) -> dict[str, str]:
    """The digests of PRINTED, by name."""
    return {part: digest_of(*(columns[name] for name in names)) for part, names in PRINTED.items()}


def largest_index(clips: int) -> int:
    """Bytes that index.npz of so many clips may have: twice what it has when each is of a source of its own."""
    names = LONGEST_NAME + SOURCES["name_end"].itemsize
    return 2 * max(0, clips) * (sum(kind.itemsize for kind in CLIPS.values()) + names) + (1 << 16)


def load_columns(path: Path, clips: int | None = None) -> Columns:
    """Read and check index.npz. Raises InputError when it cannot be read, FormatError when it is damaged.

    clips: how many dataset.json says; no memory is taken for an index of more.
    """
    try:
        columns = _read(path, path.stat().st_size if clips is None else largest_index(clips))
    except FormatError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; run the same avsync pack again") from error
    except Exception as error:  # numpy raises ValueError, KeyError, BadZipFile, EOFError, ... for damaged files,
        # and some of their messages advise to load them unsafely: they are not passed on
        raise damaged(path, NO_ARCHIVE) from error
    stored = columns.pop(PRINTS, None)
    if problem := problem_of(columns):
        raise damaged(path, problem)
    if stored is not None and (
        (stored.shape, stored.dtype) != PRINTS_FORM
        or stored.tolist() != [part.encode() for part in prints_of(columns).values()]
    ):
        raise damaged(path, "its digests are not those of its columns")
    return columns


def _read(path: Path, most: int) -> Columns:
    with BufferedReader(open_file(path)) as file:
        if (size := file.seek(0, 2)) > most:
            raise damaged(
                path, f"it has {size} bytes, and an index of so many clips as dataset.json says at most {most}"
            )
        file.seek(0)
        return _columns_in(file)


def _columns_in(file: Any) -> Columns:
    with np.load(file, allow_pickle=False) as stored:
        for name in COLUMNS:  # packed small, a column could be of any size: then it takes what the file takes
            if stored.zip.getinfo(f"{name}.npy").compress_type != ZIP_STORED:
                raise ValueError(f"column {name} is compressed")
        return {name: stored[name] for name in [*COLUMNS, *({PRINTS} & {*stored.files})]}


def damaged(path: Path, problem: str) -> FormatError:
    """The error that says so."""
    return FormatError(f"{path} is damaged: {problem}; run the same avsync pack again to rebuild it")


def problem_of(columns: Columns) -> str:
    """What is wrong with these columns, so that nobody who uses them gets lost; empty when nothing is."""
    return problem_of_form(columns) or (
        _problem_of_names(columns) or _problem_of_ranges(columns) or _problem_of_order(columns)
    )


def problem_of_form(columns: Columns) -> str:
    """What is wrong with their types and lengths, for which no row is looked at; empty when nothing is."""
    for name, kind in COLUMNS.items():
        if columns[name].dtype != kind or columns[name].ndim != 1:
            return f"column {name!r} must be {kind} in one dimension, is {columns[name].dtype} {columns[name].shape}"
    lengths = {len(columns[name]) for name in CLIPS}
    if len(lengths) != 1:
        return f"its columns have {min(lengths)} to {max(lengths)} rows"
    return ""


def _problem_of_names(columns: Columns) -> str:
    names, ends = columns["names"], columns["name_end"]
    if not len(ends):
        return "its names of sources do not end where it says" if len(names) else ""
    # compared, for differences of such numbers may be beyond what they can hold
    if ends[0] <= 0 or ends[-1] != len(names) or (ends[1:] <= ends[:-1]).any():
        return "its names of sources do not end where it says"
    data = names.tobytes()
    if data.translate(None, NAME_BYTES):
        return "names of sources hold bytes that none may have"
    if max(ends[0], np.diff(ends).max(initial=0)) > LONGEST_NAME:
        return f"names of sources have more than {LONGEST_NAME} letters"
    return "a name of a source comes twice" if _name_twice(names, ends) else ""


def _name_twice(names: NDArray[np.uint8], ends: NDArray[np.int64]) -> bool:
    """Names end in a digest of 16 letters: where all of these differ, which is told at once, so do the names."""
    if ends[0] >= TAIL and np.diff(ends).min(initial=TAIL) >= TAIL:
        words = np.ndarray((len(names) - 7,), np.uint64, np.ascontiguousarray(names), strides=(1,))
        tails = words[ends - TAIL] * np.uint64(MIXER) + words[ends - TAIL // 2]
        tails.sort()
        if (tails[1:] != tails[:-1]).all():
            return False
    data = names.tobytes()
    ids = {data[start:end] for start, end in pairwise([0, *ends.tolist()])}
    return len(ids) < len(ends)


def _problem_of_ranges(columns: Columns) -> str:
    most = np.iinfo(np.int32).max + 1
    ranges = {
        "source": range(len(columns["name_end"])),
        "first_frame": range(10**KEY_DIGITS),
        "frames": FRAMES,
        "shard": range(LAST_SHARD + 1),
        "action": range(most),
        "group": range(len(columns["group"])),
    }
    for name, allowed in ranges.items():
        if not _inside(columns[name], allowed):
            return outside(name, allowed)
    clips = columns["source"].astype(np.int64) * 10**KEY_DIGITS + columns["first_frame"]
    clips.sort()
    return "a clip comes twice" if (clips[1:] == clips[:-1]).any() else ""


def outside(name: str, allowed: range) -> str:
    """What is wrong with a column that holds other numbers."""
    return f"column {name!r} holds numbers outside {allowed.start} to {allowed.stop - 1}"


def _inside(column: NDArray[Any], allowed: range) -> bool:
    return not len(column) or (column.min() >= allowed.start and column.max() < allowed.stop)


def _problem_of_order(columns: Columns) -> str:
    """Clips stand in the order of their shards, and in a shard one after the other."""
    shard, offset = columns["shard"], columns["offset"]
    same = shard[1:] == shard[:-1]
    # each payload fills whole blocks, and one more block, a header, comes before the next
    blocks = np.zeros(len(offset), np.int64)
    for name in PAYLOADS:
        blocks += -(-columns[name].astype(np.int64) // BLOCK) + 1
    if (shard[1:] < shard[:-1]).any():
        return "its shards are not in order"
    if not _inside(offset, range(BLOCK, 2**62)) or (offset % BLOCK).any():
        return "a clip starts where no payload can"
    if (same & (offset[1:] - offset[:-1] < BLOCK * blocks[:-1])).any():
        return "clips lie upon each other"
    return ""


class Rows:
    """Collects the clips of one split in the order of their shards. Sources and groups get their numbers at the end.

    A clip takes a few dozen bytes, however many side files pass by: clips of one source come in a row, and a name is
    kept once for each such row, not for each clip.
    """

    def __init__(self, actions: Sequence[str]) -> None:
        self._actions = {action: number for number, action in enumerate(actions)}
        self._columns = {name: array(kind.char) for name, kind in CLIPS.items()}
        self._names: list[bytes] = []
        self._groups = bytearray()
        self._last = ("", "")

    def add(self, shard: int, clip: ClipRecord) -> None:
        """Append a clip of the tar numbered `shard`. Raises FormatError when no tar of ours can have it."""
        if problem := problem_of_clip(clip):
            raise FormatError(problem)
        if clip.action not in self._actions:
            raise FormatError(f"clip {clip.key}: action {clip.action!r} is not listed in dataset.json")
        name, _, frame = clip.key.rpartition("/")
        if (name, clip.group) != self._last:
            self._last = (name, clip.group)
            self._names.append(name.encode())
            self._groups += sha256(clip.group.encode()).digest()[:GROUP_BYTES]
        self._append(shard, int(frame), clip)

    def _append(self, shard: int, first_frame: int, clip: ClipRecord) -> None:
        number = len(self._names) - 1
        values = {
            "source": number,
            "first_frame": first_frame,
            "frames": clip.frames,
            "shard": shard,
            "offset": clip.offset,
            "json_bytes": clip.json_bytes,
            "video_bytes": clip.video[1],
            "audio_bytes": clip.audio[1],
            "crc32": clip.crc32,
            "action": self._actions[clip.action],
            "group": number,
        }
        for name, value in values.items():
            self._columns[name].append(value)

    def columns(self) -> Columns:
        """All of an index. Raises FormatError when the clips cannot stand in one."""
        columns: Columns = {name: np.array(column) for name, column in self._columns.items()}
        names, source = np.unique(np.array(self._names, np.bytes_), return_inverse=True)
        groups = np.unique(np.frombuffer(bytes(self._groups), f"S{GROUP_BYTES}"), return_inverse=True)[1]
        for name, numbers in zip(_NUMBERED, (source, groups), strict=True):
            columns[name] = numbers.astype(CLIPS[name])[columns[name]]
        columns["names"], columns["name_end"] = _joined(names)
        if problem := problem_of(columns):
            raise FormatError(f"the side files do not make an index: {problem}")
        return columns


def _joined(names: NDArray[np.bytes_]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Names of fixed width, filled up with zeros: without the zeros, and where each ends."""
    letters = names.view(np.uint8).reshape(len(names), -1) if len(names) else np.zeros((0, 1), np.uint8)
    real = letters != 0
    return letters[real], real.sum(axis=1, dtype=np.int64).cumsum()


def problem_of_clip(clip: ClipRecord) -> str:
    """What no clip of a tar of ours has; empty when it can be one."""
    if _KEY.fullmatch(clip.key) is None:
        return f"{clip.key!r} is no key of a clip"
    numbers = (clip.json_bytes, clip.video[1], clip.audio[1], clip.crc32)
    if not (0 < clip.frames < 2**31 and 0 <= clip.offset < 2**62 and all(0 <= number < 2**32 for number in numbers)):
        return f"clip {clip.key}: a number of it is impossible"
    layout = Layout.of(clip.json_bytes, clip.video[1], clip.audio[1])
    if (clip.video, clip.audio, clip.size) != (layout.video, layout.audio, layout.size):
        return f"clip {clip.key}: its members cannot lie in a tar as it says"
    return ""
