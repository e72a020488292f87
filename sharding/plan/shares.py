"""DATASET/.parts/shares.json: the missing shards, divided among calls on many machines; beside it a file of each share.

A share's file holds the plans of its shards with all that is known of their sources: no call looks at the others again.
Such a file is data, and believed no further: its names are checked as those of a list are, and a path in it leads to
nothing but what VIDEOS names. shares.json is written last, with the digest of plan.json: one that is there is whole,
and one of another plan is noticed.
"""

import hashlib
import heapq
import os
import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path, PurePath
from posixpath import normpath
from typing import ClassVar
from urllib.parse import quote_from_bytes, unquote_to_bytes

from sharding.base.csv_table import CsvTable
from sharding.base.files import LARGEST_LIST, read_file, read_json, write_json
from sharding.base.guarded import make_folder, remove_folder
from sharding.base.housekeeping import below, delete, delete_file
from sharding.base.share_progress import PACK_PROGRESS
from sharding.base.text import first_few
from sharding.config import PackConfig
from sharding.errors import InputError
from sharding.format.index import PARTS, PLAN, SPLITS, Settings
from sharding.plan.plan import LAST_SHARD, SOFTWARE, ShardPlan, plan_shard
from sharding.sources.find import base_of
from sharding.sources.names import composed
from sharding.sources.source import ID_CHARACTERS, ID_DIGITS, Source

SHARES = "shares.json"
AGAIN = "divide them again: avsync pack VIDEOS DATASET ... --shares N; or pack all that is missing in one call, without"
_ID = re.compile(rf"([A-Za-z0-9_-]{{1,{ID_CHARACTERS}}}-)?[0-9a-f]{{{ID_DIGITS}}}", re.ASCII)
_PATH = re.compile(r"[!-~]+")
Named = Callable[[], Set[str]]
"""The paths that a list names, composed, read only where they are needed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShareFile:
    """A share: its shards, in order. Paths are relative to what VIDEOS names, their bytes written as in a URL."""

    LARGEST_FILE: ClassVar[int] = LARGEST_LIST

    shards: tuple[ShardPlan, ...]

    def __post_init__(self) -> None:
        for shard in self.shards:
            if shard.split not in SPLITS or not 0 <= shard.number <= LAST_SHARD:
                raise ValueError(f"{shard.name} is no shard")
            for source in shard.sources:
                _check(source)


def _check(source: Source) -> None:
    if not _ID.fullmatch(source.id):
        raise ValueError(f"{source.id!r} is no id of a source")
    if source.split is not None and source.split not in SPLITS:
        raise ValueError(f"{source.split!r} is no split")
    if source.span is not None and not 0 <= source.span[0] < (source.span[1] or source.span[0] + 1):
        raise ValueError(f"{source.id} would begin after its end")
    if not 0 <= source.piece[0] < source.piece[1]:
        raise ValueError(f"{source.id} would be part {source.piece[0]} of {source.piece[1]}")
    if min(source.video_stream or 0, source.audio_stream or 0) < 0:
        raise ValueError(f"{source.id} would have a stream below 0")


def _write_path(path: Path, base: Path) -> str:
    if path.is_relative_to(base):
        path = path.relative_to(base)
    return quote_from_bytes(os.fsencode(path))


def _read_path(text: str) -> Path:
    path = os.fsdecode(unquote_to_bytes(text))
    if not _PATH.fullmatch(text) or "\0" in path:
        raise ValueError(f"{text!r} is no path")
    return Path(path)


def _located(source: Source, base: Path, named: Named) -> Source:
    """Its paths from `base` on. Raises InputError when one lies outside of what VIDEOS names."""
    path = _below(source.path, base, named)
    return replace(source, path=path, boxes=source.boxes and _below(source.boxes, base, named))


def _below(path: Path, base: Path, named: Named) -> Path:
    if (path.is_absolute() or ".." in path.parts) and composed(str(path)) not in named():
        raise InputError(f"{str(path)!r} is none of your videos; divide them again: avsync pack ... --shares N")
    return base / path


def named_in(videos: Path) -> Set[str]:
    """All paths that a list names, composed; a folder or a list of Kinetics names none: their files lie below a folder.

    Raises InputError.
    """
    if videos.is_dir():
        return frozenset()
    try:
        rows = [row for _, row in CsvTable(videos).rows()]
    except OSError as error:
        raise InputError(f"cannot read {error.filename or videos}: {error.strerror}") from error
    paths = {composed(normpath(row["path"])) for row in rows if row.get("path")}
    return paths | {composed(str(PurePath(row["boxes"]))) for row in rows if row.get("boxes")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What one call has to do."""

    shards: tuple[str, ...]
    """`<split>/NNNNNN`"""
    sources: int
    bytes: int
    """Of the sources."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Division:
    """shares.json. No shares: nothing was missing."""

    LARGEST_FILE: ClassVar[int] = LARGEST_LIST

    plan: str
    """SHA-256 of plan.json."""
    written_by: str
    settings: Settings
    wanted: int
    """Shares that were asked for; there may be fewer."""
    shares: tuple[Share, ...]

    @property
    def missing(self) -> int:
        """Shards to pack, all shares together."""
        return sum(len(share.shards) for share in self.shares)


def divided(plans: Sequence[ShardPlan], count: int) -> list[list[ShardPlan]]:
    """Up to `count` shares, about equal by bytes of source: the largest shard first, to whom has least so far."""
    shares: list[list[ShardPlan]] = [[] for _ in range(min(count, len(plans)))]
    least = [(0, number) for number in range(len(shares))]
    for at in sorted(range(len(plans)), key=lambda at: (-_weight(plans[at]), at)):
        weight, number = heapq.heappop(least)
        shares[number].append(plans[at])
        heapq.heappush(least, (weight + _weight(plans[at]), number))
    order = {plan.name: at for at, plan in enumerate(plans)}
    return [sorted(share, key=lambda plan: order[plan.name]) for share in shares]


def write_division(
    shares: Sequence[Sequence[ShardPlan]], wanted: int, dataset: Path, config: PackConfig, base: Path
) -> Division:
    """Keep `shares`, instead of an older division; plan.json is there already. Raises OSError."""
    forget_division(dataset)
    division = Division(
        plan=_digest(dataset),
        written_by=SOFTWARE,
        settings=_settings(config),
        wanted=wanted,
        shares=tuple(
            Share(
                shards=tuple(plan.name for plan in share),
                sources=sum(len(plan.sources) for plan in share),
                bytes=sum(plan.bytes for plan in share),
            )
            for share in shares
        ),
    )
    if shares:
        make_folder(dataset / PARTS)
        for number, share in enumerate(shares):
            write_json(_file(dataset, number), ShareFile(shards=tuple(share)), partial(_write_path, base=base))
        write_json(dataset / PARTS / SHARES, division)
    return division


def forget_division(dataset: Path) -> None:
    """Delete what an earlier one left, and how far it was."""
    for path in (dataset / PARTS / SHARES, *below(dataset / PARTS, "share*.json*", links=True)):
        delete_file(path)
    delete(dataset / PACK_PROGRESS)
    remove_folder(dataset / PARTS)  # if it holds no parts


def check_divided(dataset: Path) -> None:
    """Raises InputError when nobody has divided the work."""
    if not (dataset / PARTS / SHARES).is_file():
        raise InputError(
            f"{dataset} is not divided into shares: it is whole, or its last pack is done, or nobody has begun; "
            f"{AGAIN} --share"
        )


def read_division(dataset: Path, config: PackConfig) -> Division:
    """The division of this very plan, settings and software. Raises InputError, FormatError."""
    division = read_json(dataset / PARTS / SHARES, Division)
    was, now = division.settings, _settings(config)
    names = {**was, **now}
    changed = [f"{name} was {was.get(name)}, is {now.get(name)}" for name in names if was.get(name) != now.get(name)]
    if division.written_by != SOFTWARE:
        changed.append(f"software was {division.written_by}, is {SOFTWARE}")
    if changed:
        raise InputError(
            f"the shares of {dataset} were made with other settings ({first_few(changed, 8)}): use those, or "
            f"{AGAIN} --share"
        )
    try:
        stale = division.plan != _digest(dataset)
    except OSError:
        stale = True
    if stale:
        raise InputError(f"the shares of {dataset} are of another plan than its {PLAN}: {AGAIN} --share")
    return division


def read_share(
    number: int, division: Division, dataset: Path, videos: Path, root: Path | None, config: PackConfig
) -> list[ShardPlan]:
    """The plans of one share, made anew from its sources. `root` is that of PackOptions.

    Raises InputError when a source has changed since, or there is no such share; FormatError for a damaged file.
    """
    if number >= division.wanted:
        raise InputError(f"--share {number} is not there: {dataset} was divided into {division.wanted}, from 0 on")
    if number >= len(division.shares):
        return []
    path, named = _file(dataset, number), cache(lambda: named_in(videos))
    written = read_json(path, ShareFile, _read_path).shards
    if tuple(shard.name for shard in written) != division.shares[number].shards:
        raise InputError(f"{path} holds other shards than {SHARES} says: {AGAIN} --share")
    base = base_of(videos, root)
    plans = [
        plan_shard(shard.split, shard.number, [_located(source, base, named) for source in shard.sources], config)
        for shard in written
    ]
    changed = [_changed(*pair) for pair in zip(written, plans, strict=True) if pair[0].digest != pair[1].digest]
    if changed:
        raise InputError(
            f"videos have changed, or are not where they were, since they were divided ({first_few(changed)}): "
            f"name the same ones, or {AGAIN} --share"
        )
    return plans


def _changed(written: ShardPlan, plan: ShardPlan) -> str:
    """The first source that has another size now, else the shard."""
    pairs = zip(written.sources, plan.sources, strict=True)
    return next((before.rel for before, now in pairs if before.size != now.size), plan.name)


def _weight(plan: ShardPlan) -> int:
    """Bytes, and something for opening each file."""
    return plan.bytes + len(plan.sources)


def _settings(config: PackConfig) -> Settings:
    return {**config.decides_dataset(), "sources_per_shard": config.sources_per_shard}


def _digest(dataset: Path) -> str:
    return hashlib.sha256(read_file(dataset / PLAN, LARGEST_LIST)).hexdigest()


def _file(dataset: Path, number: int) -> Path:
    return dataset / PARTS / f"share-{number:05d}.json"
