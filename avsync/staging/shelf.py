"""Where a loader finds a split's shards: in the dataset's folder, or on a shelf that is being filled.

The plain one is here; the one with copies on a disk of this machine is in avsync/staging/scratch.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Waiting = Callable[[str], None]
"""Called again and again while somebody waits for a copy, with what for. What it raises ends the wait."""


def in_silence(what: str) -> None:
    """Waits on."""


def shard_name(split: str, shard: int) -> str:
    """The tar's name within its dataset: made of our own words and a number, whatever stands in the data."""
    return f"{split}/{shard:06d}.tar"


@dataclass(slots=True)
class Counts:
    """What one process has done; for TensorBoard."""

    shards: int = 0
    """Copies made."""
    bytes: int = 0
    tries_more: int = 0
    """Fetches that had to be made again."""
    damaged_clips: int = 0
    """Clips that the origin itself holds damaged."""
    from_origin: int = 0
    """Clips read from the origin, because no copy was there."""
    distrusted: int = 0
    """Copies thrown away because they did not stay as they came."""


class Shelf(Protocol):
    """Gives shards as files, to one process. Others, and threads that make copies, may have the same files at hand."""

    @property
    def counts(self) -> Counts | None:
        """None where no copies are made."""
        ...

    def path(self, shard: int, waiting: Waiting = in_silence) -> Path:
        """The file to read a clip of `shard` from; waits where there is no other way to have it.

        Raises AvsyncError when the shard cannot be had: then a run must stop, for all its clips would be lost; and
        what `waiting` raises.
        """
        ...

    def instead(self, path: Path, shard: int, clip: int, waiting: Waiting = in_silence) -> Path | None:
        """`path`, as given for `shard`, was gone or did not hold `clip` as packed: where to read it from instead.

        None when there is no other place. Copies may go at any time, also the next one: ask a few times, not for ever.
        """
        ...


@dataclass(frozen=True, slots=True)
class DatasetFolder:
    """The shards of a dataset in a folder, as they are."""

    folder: Path
    split: str

    @property
    def counts(self) -> None:
        return None

    def path(self, shard: int, waiting: Waiting = in_silence) -> Path:
        return self.folder / shard_name(self.split, shard)

    def instead(self, path: Path, shard: int, clip: int, waiting: Waiting = in_silence) -> Path | None:
        return None
