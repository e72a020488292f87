"""The index of a split against the side files it was joined from."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sharding.base.files import open_file
from sharding.errors import AvsyncError, FormatError
from sharding.format.columns import CLIPS, largest_index
from sharding.format.index import INDEX, Index
from sharding.verify.findings import Finding, FindingKind, shortened
from sharding.verify.shard import read_side

_COMPARED = [name for name in CLIPS if name not in ("source", "group")]
"""Columns whose numbers mean the same in any index."""


def check_index(
    split: str, folder: Path, whole: Sequence[int], known: Sequence[int], clips: int, actions: Sequence[str]
) -> list[Finding]:
    """Findings about `folder`/`split`/index.npz.

    `whole`: numbers of the shards whose side files can be used, ascending; `known`: of all that the split has;
    `clips`: how many it has by dataset.json.
    """
    file = f"{split}/{INDEX}"

    def one(kind: FindingKind, wanted: str, found: str) -> list[Finding]:
        return [Finding(kind=kind, file=file, wanted=wanted, found=found)]

    path = folder / split / INDEX
    try:
        with open_file(path) as opened:
            if (size := opened.seek(0, 2)) > largest_index(clips):
                return one(FindingKind.DAMAGED, f"an index of {clips} clips", f"{size} bytes")
        found = Index.load(path)
    except FileNotFoundError:
        return one(FindingKind.MISSING, "an index", "no such file")
    except OSError as error:
        return one(FindingKind.UNREADABLE, "an index", str(error.strerror))
    except AvsyncError as error:
        return one(FindingKind.DAMAGED, "an index", str(error).removeprefix(f"{path} is damaged: ").partition(";")[0])
    if len(found) != clips:
        return one(FindingKind.DISAGREES, f"{clips} clips as dataset.json says", f"{len(found)}")
    try:
        wanted = Index.build(((number, read_side(folder / split / f"{number:06d}.json")) for number in whole), actions)
    except (OSError, FormatError) as error:
        return one(FindingKind.DISAGREES, "what the side files say", f"that they make none: {error}")
    return shortened([*_shards(file, found, wanted, whole, known)] or [*_rows(file, found, wanted, whole)])


def _shards(file: str, found: Index, wanted: Index, whole: Sequence[int], known: Sequence[int]) -> Iterator[Finding]:
    """Shards that have more or fewer clips than their side files say, and shards that nobody knows."""
    mine, theirs = _counts(found.shard), _counts(wanted.shard)
    for number in sorted({*whole, *(mine.keys() - {*known})}):
        if mine.get(number, 0) != theirs.get(number, 0):
            yield Finding(
                kind=FindingKind.DISAGREES,
                file=file,
                wanted=f"{theirs.get(number, 0)} clips of shard {number:06d}",
                found=str(mine.get(number, 0)),
            )


def _counts(shard: NDArray[np.int32]) -> dict[int, int]:
    numbers, counts = np.unique(shard, return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def _rows(file: str, found: Index, wanted: Index, whole: Sequence[int]) -> Iterator[Finding]:
    """Clips of which the index says something else. Both have the same shards and clips in them, in one order."""
    rows = np.flatnonzero(np.isin(found.shard, whole))

    def about(row: int, wanted: str, found: str) -> Finding:
        return Finding(
            kind=FindingKind.DISAGREES, file=file, clip=key(row), wanted=f"{wanted} of its side file", found=found
        )

    key = wanted.key
    for row, at in enumerate(rows.tolist()) if _names_differ(found, wanted) else ():
        if found.key(at) != key(row):
            yield about(row, "the key", found.key(at))
    for name in _COMPARED:
        mine, theirs = getattr(found, name)[rows], getattr(wanted, name)
        for row in np.flatnonzero(mine != theirs).tolist():
            yield about(row, f"{name} {theirs[row]}", str(mine[row]))
    if not _same_groups(found.group[rows], wanted.group):
        yield Finding(kind=FindingKind.DISAGREES, file=file, wanted="the groups of the side files", found="others")


def _names_differ(found: Index, wanted: Index) -> bool:
    """Whether keys may differ: where all of this is equal, none does."""
    return not all(
        np.array_equal(getattr(found, name), getattr(wanted, name)) for name in ("names", "name_end", "source")
    )


def _same_groups(found: NDArray[np.int32], wanted: NDArray[np.int32]) -> bool:
    """Two numberings of the same groups: each number of one goes with one of the other."""
    pairs = len(np.unique(np.stack((found, wanted)), axis=1).T)
    return pairs == len(np.unique(found)) == len(np.unique(wanted))
