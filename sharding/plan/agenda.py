"""What a call of `avsync pack` is to do: which sources go into which shards, and which of these are missing.

Nothing is written here. What would throw away clips that nobody asked to lose is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sharding.base.text import counted, first_few
from sharding.config import PackConfig, Wishes
from sharding.errors import InputError, RejectReason
from sharding.format.rejects import Reject
from sharding.plan.plan import (
    PlanFile,
    ShardPlan,
    placed,
    plan_shards,
)
from sharding.plan.todo import (
    check_none_lost,
    check_none_vanished,
    check_settings,
    check_software,
    kept,
    old_plan,
)
from sharding.sources.duplicates import find_duplicates
from sharding.sources.find import find_sources
from sharding.sources.source import Source, SourceList


@dataclass(frozen=True, kw_only=True, slots=True)
class Agenda:
    """All that is to be in the dataset, and what of it is missing."""

    ignored: int
    """Files that are no videos, by their names."""
    duplicates: tuple[Reject, ...]
    plans: tuple[ShardPlan, ...]
    todo: tuple[ShardPlan, ...]
    remade: int
    """Of `todo`: shards that were there in another form."""


def listed(videos: Path, config: PackConfig, wishes: Wishes) -> SourceList:
    """The sources a call names, before it touches any folder. Raises InputError."""
    found = find_sources(videos, wishes.root)
    _check_boxes(videos, found.sources, config)
    return found


def agenda(found: SourceList, dataset: Path, config: PackConfig, wishes: Wishes, console: Console) -> Agenda:
    """Compare what there is with what there should be. Raises InputError, FormatError."""
    old = old_plan(dataset)
    check_settings(dataset, old, config)
    gone = check_none_lost(dataset, old, found.sources, remove=wishes.remove)
    duplicates, plans = _plans(found, config, old, console)
    todo = tuple(plan for plan in plans if not kept(plan, dataset, retry=wishes.retry))
    if todo:
        check_software(dataset, old)
    if not wishes.remove:
        check_none_vanished(dataset, todo)
    for note in (*found.notes, *_removals(gone)):
        console.print(note, markup=False, soft_wrap=True)
    return Agenda(
        ignored=found.ignored,
        duplicates=duplicates,
        plans=tuple(plans),
        todo=todo,
        remade=sum(plan.name in old.shards for plan in todo) if old else 0,
    )


def _plans(
    found: SourceList, config: PackConfig, old: PlanFile | None, console: Console
) -> tuple[tuple[Reject, ...], list[ShardPlan]]:
    with console.status("looking for copies"):
        repeats = find_duplicates(found.sources, first=placed(old))
    rejects = tuple(
        Reject(source.rel, RejectReason.DUPLICATE, f"the same bytes as {repeats[source.id].rel}")
        for source in found.sources
        if source.id in repeats
    )
    return rejects, plan_shards([source for source in found.sources if source.id not in repeats], config, old)


def _removals(gone: Sequence[str]) -> list[str]:
    return [f"{counted(len(gone), 'source')} taken out: {first_few(gone)}"] if gone else []


def _check_boxes(videos: Path, sources: Sequence[Source], config: PackConfig) -> None:
    for source in sources:
        if source.boxes is None:
            continue
        if config.fit != "squash":
            raise InputError(f"--fit {config.fit} would move the boxes of {source.rel}; use --fit squash with boxes")
        if not source.boxes.is_file():
            raise InputError(
                f"{videos}, line {source.line}: boxes file {source.boxes} does not exist; name it, or leave it empty"
            )
