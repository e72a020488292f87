"""Shards that stay as they are, because a source of theirs cannot be looked at now: locked, or its disk is away.

Such a source is not gone. Its clips are neither thrown away nor made again, nor does it stop the others: the shard it
stands in waits, with all its sources, for a call that can look at them. `--remove` does not change that.
"""

import errno
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from sharding.base.files import LARGEST_SIDE_FILE, open_file, read_file, read_json
from sharding.base.text import counted, first_few, plain
from sharding.errors import AvsyncError, InputError, RejectReason
from sharding.format.index import SPLITS
from sharding.format.records import REJECTS, ShardRecord, parse_rejects
from sharding.plan.plan import PlanFile, ShardPlan
from sharding.sources.source import Source, SourceList

SAME_BYTES = "the same bytes as "
"""What the detail of a copy begins with; then comes the source it repeats."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """Shards that wait."""

    plans: Mapping[str, ShardPlan]
    """`<split>/NNNNNN` -> its plan as it lies there."""
    blocked: tuple[str, ...]
    """Why: sources that cannot be looked at."""

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(source.id for plan in self.plans.values() for source in plan.sources)

    @property
    def notes(self) -> tuple[str, ...]:
        """What to say of them."""
        if not self.plans:
            return ()
        names = first_few([plain(name) for name in self.blocked])
        return (f"{counted(len(self.plans), 'shard')} kept as before, for sources cannot be read now: {names}",)

    def among(self, plans: Sequence[ShardPlan]) -> list[ShardPlan]:
        """All plans, those of the shards that wait in the place of others. Raises InputError when these overlap."""
        others = [plan for plan in plans if plan.name not in self.plans]
        ids = self.ids
        moved = [source.rel for plan in others for source in plan.sources if source.id in ids]
        if moved:
            raise InputError(
                f"{counted(len(moved), 'source')} would change the split ({first_few(moved)}), but other sources of "
                f"their shards cannot be read now ({first_few(self.blocked)}): make these readable first"
            )
        return sorted((*others, *self.plans.values()), key=lambda plan: (SPLITS.index(plan.split), plan.number))


def hidden_sources(old: PlanFile | None, dataset: Path, found: SourceList) -> frozenset[str]:
    """Ids of sources of the dataset that lie, as far as can be told, in a folder that cannot be listed now."""
    if old is None or not found.unlisted:
        return frozenset()
    there = {source.id for source in found.sources}
    hidden = set[str]()
    for name, ids in old.shards.items():
        if lost := [id for id in ids if id not in there]:
            record = _record(dataset, name)
            names = record.names if record else {}
            hidden |= {id for id in lost if id not in names or _is_below(names[id], found)}
    return frozenset(hidden)


def earlier_copies(dataset: Path, found: SourceList, hidden: Set[str], known: Set[str]) -> dict[str, str]:
    """Id -> detail of the sources that an earlier call left out as copies, where one of the two cannot be read now.

    `known`: ids of those that are settled without.
    """
    try:
        rejects = parse_rejects(read_file(dataset / REJECTS, LARGEST_SIDE_FILE))
    except (OSError, AvsyncError):
        return {}
    details = {one.path: one.detail for one in rejects if one.reason == RejectReason.DUPLICATE}
    if not details:
        return {}
    there = defaultdict[str, list[Source]](list)
    """By name: pieces of one file share theirs, and are copies together."""
    for source in found.sources:
        there[source.rel].append(source)
    copies = dict[str, str]()
    for name, detail in details.items():
        mine, originals = there.get(name, []), there.get(detail.removeprefix(SAME_BYTES), [])
        if all(copy.id in known for copy in mine):
            continue
        if _is_blocked(mine[0], found) or (_is_blocked(originals[0], found) if originals else hidden):
            copies |= {copy.id: detail for copy in mine if copy.id not in known}
    return copies


def kept_shards(
    todo: Sequence[ShardPlan], old: PlanFile | None, dataset: Path, found: SourceList, hidden: Set[str]
) -> Kept:
    """Those of `todo`, and those with `hidden` sources, that must wait.

    Raises InputError for one that is damaged, too: neither can it be kept, nor made again.
    """
    plans, blocked = dict[str, ShardPlan](), list[str]()
    known = {source.id: source for source in found.sources}
    wanted = {plan.name for plan in todo}
    for name, ids in old.shards.items() if old else ():
        if name not in wanted and hidden.isdisjoint(ids):
            continue
        record = _record(dataset, name)
        if record is None:
            continue  # nothing is lost
        names, packed = record.names, record.packed
        why = [names.get(id, id) for id in ids if id in hidden]
        why += [known[id].rel for id in packed if id in known and _is_blocked(known[id], found)]
        if not why:
            continue
        if not _is_whole(dataset / f"{name}.tar", record):
            raise InputError(
                f"{dataset / name}.tar is damaged, and cannot be made again while sources of it cannot be read "
                f"({first_few(why)}): make these readable first"
            )
        plans[name] = _plan(name, record, [known.get(id) or _stub(id, record) for id in ids])
        blocked += why
    return Kept(plans=plans, blocked=tuple(blocked))


def _record(dataset: Path, name: str) -> ShardRecord | None:
    try:
        return read_json(dataset / f"{name}.json", ShardRecord)
    except AvsyncError:
        return None


def _is_below(rel: str, found: SourceList) -> bool:
    return any(rel.startswith(f"{folder.path}/") for folder in found.unlisted)


def _is_blocked(source: Source, found: SourceList) -> bool:
    """It is listed, but there is no telling whether its file is there, or what is in it."""
    if source.absent:
        return bool(found.unlisted)  # it may be in there
    try:
        with open_file(source.path) as file:
            file.read(1)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError as error:
        return error.errno != errno.EINVAL  # that is no file any more
    return False


def _is_whole(tar: Path, record: ShardRecord) -> bool:
    try:
        return tar.stat().st_size == record.tar_bytes
    except OSError:
        return False


def _plan(name: str, record: ShardRecord, sources: Sequence[Source]) -> ShardPlan:
    split, _, number = name.rpartition("/")
    return ShardPlan(split=split, number=int(number), digest=record.plan, sources=tuple(sources))


def _stub(id: str, record: ShardRecord) -> Source:
    """What the side file knows of a source."""
    rel = record.names.get(id, id)
    action = next((source.action for source in record.sources if source.source == rel), "")
    return Source(id=id, path=Path(rel), rel=rel, action=action, group=rel)
