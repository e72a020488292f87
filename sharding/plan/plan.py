"""Which sources share a shard. The plan is kept in the dataset, so that sources may come and go later.

Who stands in a shard stays there, who is new gets a new shard, and shards that nothing changed in are left alone.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import av
import msgspec

from sharding.base.files import LARGEST_LIST, to_json
from sharding.config import PackConfig
from sharding.errors import InputError
from sharding.format.clip import FORMAT_VERSION, Clock
from sharding.format.codec import codec_named
from sharding.format.index import Settings
from sharding.sources.source import Source, assign_splits

SOFTWARE = f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}"
"""Part of every plan: another decoder may give other pixels."""
SHARD_SOURCE_BYTES = 4 * 2**30
"""Sources of one shard are not larger together, but for a single one that is: films make large shards."""
SHARD_NAME = re.compile(r"[a-z]+/\d{6}", re.ASCII)
LAST_SHARD = 999_999


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanFile:
    """plan.json: what a dataset is made of, known before its first shard is."""

    LARGEST_FILE: ClassVar[int] = LARGEST_LIST

    format_version: int
    written_by: str
    settings: Settings
    shards: dict[str, tuple[str, ...]]
    """`<split>/NNNNNN` -> ids of its sources, in the order of the tar."""

    def __post_init__(self) -> None:
        wrong = next((name for name in self.shards if not SHARD_NAME.fullmatch(name)), None)
        if wrong is not None:
            raise ValueError(f"{wrong!r} is no name of a shard")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardPlan:
    """A tar and the sources that go into it."""

    split: str
    number: int
    digest: str
    """Of all that decides the shard's bytes."""
    sources: tuple[Source, ...]

    @property
    def name(self) -> str:
        return f"{self.split}/{self.number:06d}"

    @property
    def parts_folder(self) -> str:
        """Name of the folder of its parts: those of another plan are not taken for its own."""
        return self.digest[:16]

    @property
    def bytes(self) -> int:
        """Of its sources."""
        return sum(source.size for source in self.sources)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of a source without opening it."""

    source: Source
    stamps: tuple[tuple[int, int], ...]
    """Size and date (ns) of its files; one that is missing has none."""


def plan_shards(sources: Sequence[Source], config: PackConfig, old: PlanFile | None = None) -> list[ShardPlan]:
    """All shards of all splits.

    Raises InputError when two rows want one group on two sides, or when there would be too many shards.
    """
    before = old.shards if old else {}
    return [
        _shard_plan(split, number, members, config)
        for split, sides in assign_splits(tuple(sources), config).items()
        for number, members in _shared_out([_facts(source) for source in sides], _of_split(before, split), config)
    ]


def plan_shard(split: str, number: int, sources: Sequence[Source], config: PackConfig) -> ShardPlan:
    """One shard, of sources that are known to share it. Raises InputError as plan_shards."""
    return _shard_plan(split, number, [_facts(source) for source in sources], config)


def plan_file(plans: Sequence[ShardPlan], config: PackConfig) -> PlanFile:
    """What to keep of `plans` for the next call."""
    return PlanFile(
        format_version=FORMAT_VERSION,
        written_by=SOFTWARE,
        settings=config.decides_dataset(),
        shards={plan.name: tuple(source.id for source in plan.sources) for plan in plans},
    )


def _of_split(shards: dict[str, tuple[str, ...]], split: str) -> dict[int, tuple[str, ...]]:
    named = ((name.rpartition("/"), ids) for name, ids in shards.items())
    return {int(number): ids for (side, _, number), ids in named if side == split}


def _shared_out(
    members: list[_Facts], before: dict[int, tuple[str, ...]], config: PackConfig
) -> Iterator[tuple[int, list[_Facts]]]:
    """Shard numbers of one split and their sources: those that stand in one first, then the new ones in their order."""
    waiting = {one.source.id: one for one in members}
    for number, ids in sorted(before.items()):
        if kept := [waiting.pop(id) for id in ids if id in waiting]:
            yield number, kept
    number, shard, size = max(before, default=-1), list[_Facts](), 0
    for one in waiting.values():
        if shard and (len(shard) >= config.sources_per_shard or size + one.source.size > SHARD_SOURCE_BYTES):
            yield (number := number + 1), shard
            shard, size = [], 0
        shard.append(one)
        size += one.source.size
    if shard:
        yield number + 1, shard


def _shard_plan(split: str, number: int, members: list[_Facts], config: PackConfig) -> ShardPlan:
    if number > LAST_SHARD:
        raise InputError(f"{split} would have more than {LAST_SHARD + 1:,} shards; raise --sources-per-shard")
    common = (FORMAT_VERSION, SOFTWARE, repr(codec_named(config.codec)), config.decides_bytes())
    facts = [common, [_lasting(one, config.clock) for one in members]]
    digest = hashlib.sha256(msgspec.json.encode(facts, order="deterministic")).hexdigest()
    return ShardPlan(split=split, number=number, digest=digest, sources=tuple(one.source for one in members))


def _lasting(one: _Facts, clock: Clock) -> list[object]:
    source = one.source
    span = None if source.span is None else [None if edge is None else str(edge) for edge in source.span]
    facts: list[object] = [source.id, source.rel, source.action, source.group, span, one.stamps]
    if source.video_stream is not None or source.audio_stream is not None:  # else as before there was such a choice
        facts += [source.video_stream, source.audio_stream]
    if moved := source.moved_sound(clock):  # else as where nobody has judged it: the same bytes
        facts.append(["sound late, ms", str(moved.offset_ms)])
    if source.piece[1] > 1:  # else as before parts of a file were told apart
        facts.append(["piece", *source.piece])
    if source.crops is not None:
        facts.append(hashlib.sha256(to_json([source.crops, source.crop_fault])).hexdigest())
    return facts


def _facts(source: Source) -> _Facts:
    stamps = tuple(_stamp(path) for path in (source.path, source.boxes) if path is not None)
    size = stamps[0][0] if stamps[0] else 0
    return _Facts(replace(source, size=size), stamps=tuple(stamp for stamp in stamps if stamp))


def _stamp(path: Path) -> tuple[int, int] | tuple[()]:
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return ()
    return stat.st_size, stat.st_mtime_ns
