"""Where a loader finds a split's shards: in the dataset's folder, or on a shelf that is being filled.

The plain one is here; the one with copies on a disk of this machine is in avsync/staging/scratch.py.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


def shard_name(split: str, shard: int) -> str:
    """The tar's name within its dataset: made of our own words and a number, whatever stands in the data."""
    return f"{split}/{shard:06d}.tar"


class Shelf(Protocol):
    """Gives shards as files. May be pickled and forked; may be asked by many threads and processes."""

    def path(self, shard: int, *, again: bool = False) -> Path:
        """The file to open for a clip of `shard`; may wait where there is no other way to have it.

        A copy may be removed at any time: when opening fails because it is not there, ask once more, `again`.
        Raises AvsyncError when the shard cannot be had: then a run must stop, for all its clips would be lost.
        """
        ...

    def distrust(self, shard: int, clip: int) -> bool:
        """The file given last did not hold `clip` as packed. True: ask `again`, there is another; False: it is lost."""
        ...


@dataclass(frozen=True, slots=True)
class DatasetFolder:
    """The shards of a dataset in a folder, as they are."""

    folder: Path
    split: str

    def path(self, shard: int, *, again: bool = False) -> Path:
        return self.folder / shard_name(self.split, shard)

    def distrust(self, shard: int, clip: int) -> bool:
        return False
