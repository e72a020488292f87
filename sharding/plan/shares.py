"""DATASET/.parts/shares.json: the missing shards, divided among calls on many machines; beside it a file of each share.

Written last of these, with the digest of plan.json: one that is there is whole, and one of another plan is noticed.
"""

import hashlib
import heapq
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sharding.base.files import read_json, write_json
from sharding.base.text import first_few
from sharding.config import PackConfig
from sharding.errors import InputError
from sharding.format.index import PARTS, PLAN
from sharding.plan.plan import (
    SOFTWARE,
    Settings,
    ShardPlan,
    plan_shard,
)
from sharding.plan.share_file import (
    ShardRow,
    ShareFile,
    named_in,
    share_file,
    sources_of,
)
from sharding.sources.find import base_of

SHARES = "shares.json"
AGAIN = "divide them again: avsync pack VIDEOS DATASET ... --shares N; or pack all that is missing in one call, without"


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
                bytes=sum(sum(plan.sizes) for plan in share),
            )
            for share in shares
        ),
    )
    if shares:
        (dataset / PARTS).mkdir(exist_ok=True)
        for number, share in enumerate(shares):
            write_json(_file(dataset, number), share_file(share, base))
        write_json(dataset / PARTS / SHARES, division)
    return division


def forget_division(dataset: Path) -> None:
    """Delete what an earlier one left."""
    (dataset / PARTS / SHARES).unlink(missing_ok=True)
    for path in (dataset / PARTS).glob("share*.json*"):
        path.unlink()
    with suppress(OSError):
        (dataset / PARTS).rmdir()  # there is none, or it holds parts


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
    changed = [f"{name} was {was.get(name)}, is {now[name]}" for name in now if was.get(name) != now[name]]
    if division.written_by != SOFTWARE:
        changed.append(f"software was {division.written_by}, is {SOFTWARE}")
    if changed:
        raise InputError(
            f"the shares of {dataset} were made with other settings ({', '.join(changed)}): use those, or "
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
    """The plans of one share, made anew from its sources. `root` is that of Wishes.

    Raises InputError when a source has changed since, or there is no such share; FormatError for a damaged file.
    """
    if number >= division.wanted:
        raise InputError(f"--share {number} is not there: {dataset} was divided into {division.wanted}, from 0 on")
    if number >= len(division.shares):
        return []
    path, named = _file(dataset, number), cache(lambda: named_in(videos))
    rows = read_json(path, ShareFile).shards
    if tuple(f"{row.split}/{row.number:06d}" for row in rows) != division.shares[number].shards:
        raise InputError(f"{path} holds other shards than {SHARES} says: {AGAIN} --share")
    base = base_of(videos, root)
    plans = [plan_shard(row.split, row.number, sources_of(row, base, named), config) for row in rows]
    changed = [_changed(*pair) for pair in zip(rows, plans, strict=True) if pair[0].digest != pair[1].digest]
    if changed:
        raise InputError(
            f"videos have changed, or are not where they were, since they were divided ({first_few(changed)}): "
            f"name the same ones, or {AGAIN} --share"
        )
    return plans


def _changed(row: ShardRow, plan: ShardPlan) -> str:
    """The first source that has another size now, else the shard."""
    pairs = zip(row.sources, plan.sizes, strict=True)
    return next((source.rel for source, size in pairs if source.size != size), plan.name)


def _weight(plan: ShardPlan) -> int:
    """Bytes, and something for opening each file."""
    return sum(plan.sizes) + len(plan.sources)


def _settings(config: PackConfig) -> Settings:
    return {**config.decides_dataset(), "sources_per_shard": config.sources_per_shard}


def _digest(dataset: Path) -> str:
    return hashlib.sha256((dataset / PLAN).read_bytes()).hexdigest()


def _file(dataset: Path, number: int) -> Path:
    return dataset / PARTS / f"share-{number:05d}.json"
