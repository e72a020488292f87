"""What tells one split's clips from another's: kept in run.json, so that a run never goes on with other data unnoticed.

Kept in parts, so that a person hears what has changed. Knows no torch.
"""

import hashlib
from dataclasses import dataclass
from typing import Self

from sharding.format.index import Index


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitPrint:
    """One split. Each part is 16 hexadecimal digits; of a million clips all take some 60 ms, and a larger
    split's index holds them.
    """

    clips: int
    keys: str
    """Which clips, in which order."""
    frames: str
    """How long each is."""
    shards: str
    """Which tar each lies in."""
    content: str
    """Checksums of their bytes."""

    @classmethod
    def of(cls, index: Index) -> Self:
        return cls(clips=len(index), **index.prints())

    def joined(self) -> str:
        """All of it in 16 hexadecimal digits."""
        return hashlib.blake2b(repr(self).encode(), digest_size=8).hexdigest()


CHANGES = {
    "keys": "other clips, or in another order",
    "frames": "clips of other lengths",
    "shards": "the same clips in other shards",
    "content": "the same clips with other bytes: packed again from changed videos, or by other software",
}
"""Part that differs -> what a person reads; of several the first says it all."""


def difference(split: str, old: SplitPrint, new: SplitPrint) -> str:
    """In plain words, what has become of a split since; empty when nothing has."""
    if old.clips != new.clips:
        kind = "more" if new.clips > old.clips else "fewer"
        return f"its {split} split has {kind} clips: {old.clips:,} then, {new.clips:,} now"
    part = next((name for name in CHANGES if getattr(old, name) != getattr(new, name)), "")
    return part and f"its {split} split has {CHANGES[part]}"
