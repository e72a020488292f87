"""What will be packed: the spans of each source that become clips, and the sources that share a shard.

Pure functions; no file is opened but to ask for its size and date.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil

import av
import msgspec

from sharding.clip import FORMAT_VERSION
from sharding.config import PackConfig
from sharding.errors import RejectError, RejectReason
from sharding.sources import Source, assign_splits

SOFTWARE = f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}"
"""Part of every plan: another decoder may give other pixels, so its shards are packed again."""
SHORT_PIECE = Fraction(3, 5)
"""A pair needs its window and room for the shift, 6 s of 10 by default: one long clip serves, two short ones do not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardPlan:
    """One unit of work: a tar and the sources that go into it."""

    split: str
    number: int
    sources: tuple[Source, ...]
    digest: str
    """Of all that decides the shard's bytes."""

    @property
    def name(self) -> str:
        return f"{self.split}/{self.number:06d}"


def cut(span: tuple[Fraction, Fraction], config: PackConfig) -> list[range]:
    """The clips of a source whose usable time is `span`, as ranges of frame numbers.

    The fewest equal pieces of at most `clip_s` (they differ by a frame at most); if those were shorter than
    `min_clip_s` or SHORT_PIECE of `clip_s`, as many of `clip_s` as fit. Raises RejectError when none fits.
    """
    fps = config.clock.fps
    first, stop = ceil((span[0] + config.trim) * fps), int((span[1] - config.trim) * fps)
    total = stop - first
    if total < config.min_clip_frames:
        raise RejectError(
            RejectReason.TOO_SHORT,
            f"picture and sound overlap for {max(0.0, float(span[1] - span[0])):.2f} s; trimmed by {config.trim_s} s "
            f"at both ends they give less than a clip of {config.min_clip_s} s",
        )
    count = ceil(total / config.clip_frames)
    if count > 1 and total // count < max(config.min_clip_frames, SHORT_PIECE * config.clip_frames):
        count = total // config.clip_frames
        total = count * config.clip_frames
    edges = [first + number * total // count for number in range(count + 1)]
    pieces = [range(start, end) for start, end in pairwise(edges)]
    return _spread(pieces, config.max_clips_per_source)


def _spread(pieces: list[range], most: int | None) -> list[range]:
    if most is None or len(pieces) <= most:
        return pieces
    return [pieces[(2 * number + 1) * len(pieces) // (2 * most)] for number in range(most)]


def plan_shards(sources: Sequence[Source], config: PackConfig) -> list[ShardPlan]:
    """All shards of all splits: every `sources_per_shard` sources of a split in their order."""
    size = config.sources_per_shard
    return [
        _shard_plan(split, number, tuple(members[start : start + size]), config)
        for split, members in assign_splits(tuple(sources), config).items()
        for number, start in enumerate(range(0, len(members), size))
    ]


def _shard_plan(split: str, number: int, sources: tuple[Source, ...], config: PackConfig) -> ShardPlan:
    facts = [FORMAT_VERSION, SOFTWARE, config.decides_bytes(), [_source_facts(source) for source in sources]]
    digest = hashlib.sha256(msgspec.json.encode(facts, order="deterministic")).hexdigest()
    return ShardPlan(split=split, number=number, sources=sources, digest=digest)


def _source_facts(source: Source) -> list[object]:
    span = None if source.span is None else [None if edge is None else str(edge) for edge in source.span]
    files = [_file_facts(path) for path in (source.path, source.boxes) if path is not None]
    return [source.id, source.rel, source.action, source.group, span, files]


def _file_facts(path: os.PathLike[str]) -> list[int]:
    try:
        stat = os.stat(path)
    except OSError:
        return []
    return [stat.st_size, stat.st_mtime_ns]
