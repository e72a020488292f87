"""The index of a split too large for every process to hold: its columns stay in the file, and are mapped.

A whole look at a hundred million rows takes half a minute and gigabytes. So what is asked of all rows at the start is
only what the order of clips follows from, shards and lengths; every other row is checked, as a small index is, with the
page of rows it lies in, before anything is believed of it. `avsync verify` looks at all of them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from math import prod
from mmap import ACCESS_READ, mmap
from os import SEEK_END
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from numpy.lib import format as npy

from sharding.base.files import open_file
from sharding.errors import FormatError, InputError
from sharding.format.columns import (
    CLIPS,
    COLUMNS,
    FRAMES,
    LAST_SHARD,
    LONGEST_NAME,
    NO_ARCHIVE,
    PRINTED,
    PRINTS,
    PRINTS_FORM,
    Columns,
    damaged,
    largest_index,
    outside,
    problem_of,
    problem_of_form,
)
from sharding.format.walk import ShardRuns, give_back

PAGE = 1024
"""Rows that are read and checked together."""
KEPT_PAGES = 512
"""Of those last asked for: 30 MB, more than the shards of two blocks touch."""
_LOCAL_HEADER = 30
"""Bytes of a zip member's own header, before its name."""
_READERS: dict[tuple[int, int], Callable[[BinaryIO], tuple[tuple[int, ...], bool, Any]]] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}


@contextmanager
def _read(path: Path) -> Iterator[BinaryIO]:
    """The file, whose faults are errors of ours."""
    try:
        with BufferedReader(open_file(path)) as file:
            yield file
    except FormatError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; run the same avsync pack again") from error
    except Exception as error:  # what zipfile and numpy raise for damaged files, as in load_columns
        raise damaged(path, NO_ARCHIVE) from error


def checksums(path: Path) -> list[tuple[str, int, int]]:
    """Name, bytes and checksum of what index.npz holds, as it says itself: nothing else is read.

    Raises InputError, FormatError.
    """
    with _read(path) as file, ZipFile(file) as stored:
        return [(one.filename, one.file_size, one.CRC) for one in stored.infolist()]


def check_bytes(path: Path) -> None:
    """Hold all bytes of index.npz against its checksums. Raises InputError, FormatError."""
    with _read(path) as file, ZipFile(file) as stored:
        if any(one.compress_type != ZIP_STORED for one in stored.infolist()) or stored.testzip() is not None:
            raise damaged(path, NO_ARCHIVE)


def map_columns(path: Path, clips: int) -> tuple[Columns, dict[str, str] | None]:
    """The columns of index.npz, of `clips` clips by dataset.json, and the digests that it holds, if any.

    Their types and lengths are checked, and nothing else. Raises InputError when it cannot be read, FormatError when it
    is not one.
    """
    with _read(path) as file:
        if (size := file.seek(0, SEEK_END)) > (most := largest_index(clips)):
            raise damaged(path, f"it has {size} bytes, and an index of {clips} clips has at most {most}")
        columns, prints = _mapped(file)
    if problem := problem_of_form(columns):
        raise damaged(path, problem)
    return columns, prints


def _mapped(file: BinaryIO) -> tuple[Columns, dict[str, str] | None]:
    whole, columns = mmap(file.fileno(), 0, access=ACCESS_READ), Columns()
    with ZipFile(file) as stored:
        for name in COLUMNS:
            columns[name] = np.ndarray(buffer=whole, **_place(file, stored, name))
        if f"{PRINTS}.npy" not in stored.namelist():
            return columns, None
        said = np.ndarray(buffer=whole, **_place(file, stored, PRINTS))
    if (said.shape, said.dtype) != PRINTS_FORM:
        raise ValueError("it has other digests")
    return columns, dict(zip(PRINTED, (f"{int(part, 16):016x}" for part in said.tolist()), strict=True))


def _place(file: BinaryIO, stored: ZipFile, name: str) -> dict[str, Any]:
    """Shape, type and first byte of a column in the file. Raises ValueError where it is not stored as it is."""
    member = stored.getinfo(f"{name}.npy")
    file.seek(member.header_offset)
    local = file.read(_LOCAL_HEADER)
    file.seek(
        member.header_offset + _LOCAL_HEADER + sum(int.from_bytes(local[at : at + 2], "little") for at in (26, 28))
    )
    begin = file.tell()
    shape, _, kind = _READERS[npy.read_magic(file)](file)
    if member.compress_type != ZIP_STORED or kind.hasobject:
        raise ValueError(f"column {name} is not stored as it is")
    if file.tell() - begin + prod(shape) * kind.itemsize != member.file_size:
        raise ValueError(f"column {name} is cut off")
    return {"shape": shape, "dtype": kind, "offset": file.tell()}


def check_order(path: Path, runs: ShardRuns, lengths: tuple[int, int]) -> None:
    """What the order of clips follows from: their shards, and the shortest and the longest. Raises FormatError."""
    if len(runs.number) > LAST_SHARD + 1 or (runs.number[1:] <= runs.number[:-1]).any():
        raise damaged(path, "its shards are not in order")
    if len(runs.number) and not 0 <= runs.number[0] <= runs.number[-1] <= LAST_SHARD:
        raise damaged(path, outside("shard", range(LAST_SHARD + 1)))
    if not FRAMES.start <= lengths[0] <= lengths[1] < FRAMES.stop:
        raise damaged(path, outside("frames", FRAMES))


def read_page(path: Path, columns: Columns, number: int, actions: int) -> Columns:
    """An index of its own of one page of rows, whose sources and groups are numbered anew.

    Raises FormatError when no dataset of ours, with so many actions, has these rows.
    """
    rows = len(columns["source"])
    first, last = number * PAGE, min(rows, (number + 1) * PAGE)
    wide = slice(first, last + 1)  # with the next one, upon which the last must not lie
    page: Columns = {name: np.array(columns[name][wide]) for name in CLIPS}
    for name, count in (("source", len(columns["name_end"])), ("action", actions), ("group", rows)):
        if not (0 <= page[name].min() and page[name].max() < count):
            raise damaged(path, f"{outside(name, range(count))} in rows {first:,} to {last - 1:,}")
    page["group"] = np.unique(page["group"], return_inverse=True)[1].astype(np.int32)
    problem = _take_names(page, columns) or problem_of(page)
    give_back(columns["source"])
    if problem:
        raise damaged(path, f"{problem} in rows {first:,} to {last - 1:,}")
    return page | {name: page[name][: last - first] for name in CLIPS}


def _take_names(page: Columns, columns: Columns) -> str:
    """Give the page the names of its own sources. What is wrong with where they end; empty when nothing is."""
    names, name_end = columns["names"], columns["name_end"]
    numbers, source = np.unique(page["source"], return_inverse=True)
    ends = np.array(name_end[numbers])
    starts = np.where(numbers > 0, name_end[np.maximum(numbers, 1) - 1], 0)
    if not ((0 <= starts) & (starts < ends) & (ends <= len(names))).all():
        return "its names of sources do not end where it says"
    sizes = ends - starts
    if sizes.max() > LONGEST_NAME:
        return f"names of sources have more than {LONGEST_NAME} letters"
    page["source"], page["name_end"] = source.astype(np.int32), np.cumsum(sizes)
    page["names"] = names[np.arange(page["name_end"][-1]) + np.repeat(ends - page["name_end"], sizes)]
    return ""
