"""How columns of any length are walked: a piece at a time, and by the shards whose clips stand in them.

A column may lie in memory or be mapped from index.npz (mapped.py). Of a mapped one, pages that were looked at are given
back, so that what a process holds does not grow with what it has read; the file's pages stay in the system's cache.
"""

import hashlib
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNK = 2**21
"""Rows that are looked at together."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ShardRuns:
    """Which rows of a column each shard has: one run of rows a shard."""

    number: NDArray[np.int32]
    """Of the shards, in the order of their rows."""
    first: NDArray[np.int64]
    """First row of each."""
    rows: int
    """Of all of them."""

    @property
    def size(self) -> NDArray[np.int64]:
        return np.diff(self.first, append=self.rows)


def chunks(column: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The column from its beginning to its end, in memory."""
    for start in range(0, len(column), CHUNK):
        yield np.array(column[start : start + CHUNK])  # a copy: a mapped column is not aligned
        give_back(column)


def give_back(column: NDArray[Any]) -> None:
    """Forget the pages of its file that this process has looked at; they come again when they are asked for."""
    whole: Any = column
    while isinstance(whole, np.ndarray):
        whole = whole.base
    if isinstance(whole, mmap.mmap):
        whole.madvise(mmap.MADV_DONTNEED)


def shard_runs(shard: NDArray[np.int32], most: int | None = None) -> ShardRuns:
    """Runs of equal numbers, `shard` being the shard of each row. Of `most` at most: beyond them none is looked for."""
    number, first, row, before, found = list[NDArray[np.int32]](), list[NDArray[np.int64]](), 0, -1, 0
    for chunk in chunks(shard):
        begins = np.flatnonzero(np.concatenate(([chunk[0] != before], chunk[1:] != chunk[:-1])))
        number.append(chunk[begins])
        first.append(begins + row)
        row, before, found = row + len(chunk), int(chunk[-1]), found + len(begins)
        if most is not None and found > most:
            break
    return ShardRuns(
        number=np.concatenate([np.zeros(0, np.int32), *number]),
        first=np.concatenate([np.zeros(0, np.int64), *first]),
        rows=len(shard),
    )


def span(column: NDArray[Any]) -> tuple[int, int]:
    """Its smallest number and its largest; 0 and -1 where it has none."""
    found = [(int(chunk.min()), int(chunk.max())) for chunk in chunks(column)]
    return min((low for low, _ in found), default=0), max((high for _, high in found), default=-1)


def digest_of(*columns: NDArray[Any]) -> str:
    """16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)  # as fast on processors that have no instructions for SHA
    for column in columns:
        digest.update(len(column).to_bytes(8, "little"))
        for chunk in chunks(column):
            digest.update(chunk.data)
    return digest.hexdigest()
