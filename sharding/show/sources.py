"""How the sources of a dataset fared in packing: the source records of its side files, as columns.

Columns, because a collection has a million sources, and every figure about them is then one line of NumPy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sharding.format.records import SourceRecord

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sources:
    """One row per source record, in the order of splits and shards. Frames and samples are those of the clips."""

    name: list[str]
    damage: list[str]
    """What was found at the first lost clip; empty when none is lost."""
    split: NDArray[np.int8]
    """Position in SPLITS."""
    clips: Counts
    frames: Counts
    lost_clips: Counts
    offset_s: NDArray[np.float64]
    """First audio timestamp minus first video timestamp, seconds."""
    frames_repeated: Counts
    frames_dropped: Counts
    longest_still: Counts
    silence_samples: Counts
    samples_dropped: Counts
    audio_breaks: Counts
    decode_errors: Counts

    def __len__(self) -> int:
        return len(self.name)

    @classmethod
    def gather(cls, records: Sequence[SourceRecord], split: int) -> Self:
        """The columns of some records of one split."""

        def count(field: str) -> Counts:
            return np.fromiter(map(attrgetter(field), records), np.int64, len(records))

        return cls(
            name=[record.source for record in records],
            damage=[record.damage for record in records],
            split=np.full(len(records), split, np.int8),
            clips=count("clips"),
            frames=count("frames"),
            lost_clips=count("lost_clips"),
            offset_s=np.fromiter((record.stream_offset_s for record in records), np.float64, len(records)),
            frames_repeated=count("repairs.frames_repeated"),
            frames_dropped=count("repairs.frames_dropped"),
            longest_still=count("repairs.longest_still"),
            silence_samples=count("repairs.silence_samples"),
            samples_dropped=count("repairs.samples_dropped"),
            audio_breaks=count("repairs.audio_breaks"),
            decode_errors=count("repairs.decode_errors"),
        )

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Several tables as one; of none, an empty one."""
        parts = parts or [cls.gather([], 0)]
        columns: dict[str, Any] = {}
        for name in cls.__dataclass_fields__:
            pieces = [getattr(part, name) for part in parts]
            whole = [text for piece in pieces for text in piece] if name in _TEXTS else np.concatenate(pieces)
            columns[name] = whole
        return cls(**columns)


_TEXTS = ("name", "damage")
