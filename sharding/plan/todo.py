"""What a call of `avsync pack` is to do: which sources go into which shards, and which of these are missing.

The folder of a dataset is one object: whether it may be written, what earlier calls left there, what must make way.
Each check is made before anything is written; what would throw away clips that nobody asked to lose is refused.
"""

import re
from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from rich.console import Console

from sharding.base.environment import JOBS
from sharding.base.files import (
    LARGEST_SIDE_FILE,
    broken_link,
    holds,
    is_dropping,
    open_file,
    read_json,
    to_json,
    write_json,
)
from sharding.base.guarded import make_folder, remove, remove_folder, through_link
from sharding.base.housekeeping import below, delete
from sharding.base.locks import LOCK_NAME
from sharding.base.text import counted, first_few
from sharding.config import PackConfig, PackOptions
from sharding.errors import FAILURES, AvsyncError, FormatError, InputError, RejectReason, UsageError
from sharding.format.index import BOXES, CARD, INDEX, INFO, PARTS, PLAN, RUN, SPLITS, read_info
from sharding.format.records import REJECTS, Reject, ShardRecord
from sharding.plan.blocked import SAME_BYTES, earlier_copies, hidden_sources, kept_shards
from sharding.plan.plan import SOFTWARE, PlanFile, ShardPlan, plan_file, plan_shards
from sharding.sources.duplicates import find_duplicates
from sharding.sources.find import find_sources, settled
from sharding.sources.source import LeftOut, OtherFiles, Source, SourceList

_OURS_ABOVE = re.compile(
    rf"{re.escape(LOCK_NAME)}|{re.escape(PARTS)}|{JOBS}|"
    rf"({'|'.join((*SPLITS, INFO, PLAN, REJECTS, BOXES, CARD))})(\.part)?"
)
_PARTS = re.compile(r"[0-9a-f]{16}")
_OURS = re.compile(rf"(\d{{6}}\.(tar|json)|{re.escape(INDEX)})(\.part)?")


@dataclass(frozen=True, slots=True)
class _Side:
    """What a side file says of its shard as a whole."""

    LARGEST_FILE: ClassVar[int] = LARGEST_SIDE_FILE

    plan: str
    tar_bytes: int
    rejects: tuple[tuple[str, str, str], ...] = ()


class OnDisk:
    """What earlier calls left in the folder a dataset goes to: read once, under its lock, when first asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self) -> None:
        """A folder that is not ours is never written to. Raises InputError, FormatError."""
        try:
            if not self.path.exists():
                return
            names = sorted(path.name for path in self.path.iterdir())
        except OSError as error:
            raise InputError(f"cannot use {self.path}: {error.strerror}; name a new or empty folder") from error
        if RUN in names:
            raise UsageError(f"{self.path} is a training run; name a new or empty folder for the dataset")
        foreign = [name for name in names if not _OURS_ABOVE.fullmatch(name) and not is_dropping(name)]
        if foreign and not {INFO, PLAN} & set(names):
            raise UsageError(
                f"{self.path} is not a dataset and not empty (it holds {foreign[0]}); name a new or empty folder"
            )
        if why := next(filter(None, (broken_link(self.path / split) for split in SPLITS)), ""):
            raise InputError(f"{why}; mend the link, or delete it")
        if link := next((self.path / name for name in (PARTS, *SPLITS) if (self.path / name).is_symlink()), None):
            raise InputError(f"{link} {through_link(self.path)}")
        if INFO in names:
            read_info(self.path)

    @cached_property
    def plan(self) -> PlanFile | None:
        """Of an earlier call of which a shard or more is finished; what was only begun makes way.

        A plan that was lost is put together again from the side files. Raises FormatError, InputError.
        """
        shards = [path for path in self._files if path.suffix == ".json"]
        if not shards and not (self.path / INFO).exists():
            return None
        if (self.path / PLAN).exists():
            try:
                return read_json(self.path / PLAN, PlanFile)
            except FormatError as error:
                raise FormatError(f"{error}; delete it and run the same command again: it is made anew") from error
        if not (self.path / INFO).exists():
            raise InputError(
                f"{self.path} has shards, but lost {PLAN} and {INFO}, which say what they are; name another folder, "
                "or delete this one"
            )
        info = read_info(self.path)
        records = ((f"{path.parent.name}/{path.stem}", read_json(path, ShardRecord)) for path in shards)
        return PlanFile(
            format_version=info.format_version,
            written_by=info.written_by,
            settings=info.settings,
            shards={name: record.ids for name, record in records},
        )

    @cached_property
    def _files(self) -> list[Path]:
        """Shards, side files and indexes; whole or left half-written."""
        there = (path for split in SPLITS for path in below(self.path / split, "*", links=True))
        return [path for path in there if _OURS.fullmatch(path.name)]

    @cached_property
    def ids(self) -> frozenset[str]:
        """Of the sources that stand in a shard already."""
        return frozenset(id for ids in self.plan.shards.values() for id in ids) if self.plan else frozenset()

    def check_settings(self, config: PackConfig) -> None:
        """Sources may come and go; what all clips share stays: a dataset of two kinds is none. Raises InputError."""
        if self.plan is None:
            return
        was, now = self.plan.settings, config.decides_dataset()
        changed = [
            f"{name} was {_setting(was.get(name))}, is {_setting(now.get(name))}"
            for name in {**was, **now}
            if was.get(name) != now.get(name)
        ]
        if changed:
            raise UsageError(
                f"{self.path} was packed with other settings ({first_few(changed, 8)}); name another folder, use the "
                "same settings, or delete this one"
            )

    def check_none_lost(self, sources: Sequence[Source], hidden: Set[str], *, remove: bool) -> list[str]:
        """Ids of sources that `remove` takes out of the dataset; those that are merely `hidden` are none.

        Whoever names another folder of videos means to add to the dataset, not to empty it. Raises InputError.
        """
        gone = sorted(self.ids - {source.id for source in sources} - hidden)
        if self.ids and len(gone) == len(self.ids):
            raise InputError(
                f"your videos are none of those that {self.path} was made of ({first_few(gone)}): name the right "
                "folder of videos, or another one for a new dataset"
            )
        if gone and not remove:
            raise InputError(
                f"{self.path} has {counted(len(gone), 'source')} that your videos do not ({first_few(gone)}): to add "
                "videos, name all of them, old and new; --remove takes the missing ones out; or name another folder"
            )
        return gone

    def check_none_vanished(self, todo: Sequence[ShardPlan]) -> None:
        """A file that is gone is no reason to throw its clips away. Raises InputError."""
        lost: list[str] = []
        for plan in todo:
            vanished = {source.id: source.rel for source in plan.sources if not source.size}
            if not vanished:
                continue
            with suppress(AvsyncError):
                record = read_json(self.path / f"{plan.name}.json", ShardRecord)
                lost += [vanished[id] for id in record.packed if id in vanished]
        if lost:
            raise InputError(
                f"{counted(len(lost), 'source')} of {self.path} cannot be found any more ({first_few(lost)}): bring "
                "the files back; or --remove takes their clips out"
            )

    def check_software(self) -> None:
        """Another decoder may give other pixels. Raises InputError."""
        if self.plan is not None and self.plan.written_by != SOFTWARE:
            raise InputError(
                f"{self.path} was packed with {self.plan.written_by}, here is {SOFTWARE}: one dataset must come from "
                "one decoder; install that version again, name another folder, or delete this one"
            )

    def holds(self, plan: ShardPlan, *, retry: bool = False) -> bool:
        """A shard is there, whole and made by the same plan, and there is no use in trying any of its sources again.

        What could not be read and can be now is tried again; with `retry`, what was corrupt, too.
        """
        tar = self.path / f"{plan.name}.tar"
        try:
            side = read_json(tar.with_suffix(".json"), _Side)
            if side.plan != plan.digest or side.tar_bytes != tar.stat().st_size:
                return False
        except (AvsyncError, OSError):
            return False
        again = {name for name, reason, _ in side.rejects if reason == RejectReason.UNREADABLE}
        if any(source.rel in again and _readable(source.path) for source in plan.sources):
            return False
        return not (retry and any(reason in FAILURES for _, reason, _ in side.rejects))

    def outdate(self, todo: Sequence[ShardPlan]) -> None:
        """Delete the side files of what is made again: they speak of other tars than those to come. Raises OSError."""
        outdated = [path for plan in todo if (path := self.path / f"{plan.name}.json").exists()]
        if outdated:
            remove(self.path / INFO)
        for path in outdated:
            remove(path)

    def make_way(self, plans: Sequence[ShardPlan], todo: Sequence[ShardPlan], config: PackConfig) -> None:
        """Keep the plan, and delete what does not belong to it: shards, left-overs, parts. Raises OSError."""
        kept = {f"{plan.name}.{suffix}" for plan in plans for suffix in ("tar", "json")}
        kept |= {f"{plan.split}/{INDEX}" for plan in plans}
        stale = [path for path in self._files if f"{path.parent.name}/{path.name}" not in kept]
        if stale:
            remove(self.path / INFO)  # until the end it is no dataset; what only grows stays one
        self.outdate(todo)
        wanted, path = plan_file(plans, config), self.path / PLAN
        if not holds(path, to_json(wanted)):
            write_json(path, wanted)
        for path in stale:
            delete(path)
        folders = {plan.parts_folder for plan in todo}
        for path in below(self.path / PARTS, "*"):
            if path.name not in folders and _PARTS.fullmatch(path.name):
                delete(path)
        for split in SPLITS:
            if any(plan.split == split for plan in plans):
                make_folder(self.path / split)
            else:
                remove_folder(self.path / split)  # if there is one, and a person keeps nothing in it


def _setting(value: object) -> str:
    return "not set" if value is None else str(value)


def _readable(path: Path) -> bool:
    try:
        with open_file(path) as file:
            return len(file.read(1)) == 1
    except (OSError, ValueError):
        return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Todo:
    """All that is to be in the dataset, and what of it is missing."""

    ignored: OtherFiles
    duplicates: tuple[Reject, ...]
    unlisted: tuple[Reject, ...]
    """Folders that could not be listed."""
    left_out: tuple[LeftOut, ...] = ()
    """Rows of a curated table that are not to be packed."""
    plans: tuple[ShardPlan, ...]
    todo: tuple[ShardPlan, ...]
    remade: int
    """Of `todo`: shards that were there in another form."""


def listed(videos: Path, config: PackConfig, options: PackOptions) -> tuple[SourceList, PackConfig]:
    """The sources a call names, before it touches any folder, and the settings as they settle them. Raises InputError.

    Whoever packs a share of them has no need of all: `settled` alone.
    """
    config = settled(videos, config)
    found = find_sources(videos, options.root, config)
    _check_boxes(videos, found.sources, config)
    return found, config


def find_todo(found: SourceList, folder: OnDisk, config: PackConfig, options: PackOptions, console: Console) -> Todo:
    """Compare what there is with what there should be. Raises InputError, FormatError."""
    folder.check_settings(config)
    hidden = hidden_sources(folder.plan, folder.path, found)
    gone = folder.check_none_lost(found.sources, hidden, remove=options.remove)
    with console.status("looking for copies"):
        repeats = find_duplicates(found.sources, first=folder.ids)
    copies = {id: f"{SAME_BYTES}{source.rel}" for id, source in repeats.items()}
    copies |= earlier_copies(folder.path, found, hidden, folder.ids | repeats.keys())
    plans = plan_shards([source for source in found.sources if source.id not in copies], config, folder.plan)
    todo = [plan for plan in plans if not folder.holds(plan, retry=options.retry)]
    kept = kept_shards(todo, folder.plan, folder.path, found, hidden)
    plans, todo = kept.among(plans), [plan for plan in todo if plan.name not in kept.plans]
    if todo:
        folder.check_software()
    if not options.remove:
        folder.check_none_vanished(todo)
    removed = [id for id in gone if id not in kept.ids]
    removals = [f"{counted(len(removed), 'source')} taken out: {first_few(removed)}"] if removed else []
    for note in (*found.notes, *kept.notes, *removals):
        console.print(note, markup=False, soft_wrap=True)
    return Todo(
        ignored=found.ignored,
        duplicates=tuple(
            Reject(source.rel, RejectReason.DUPLICATE, copies[source.id])
            for source in found.sources
            if source.id in copies and source.id not in kept.ids
        ),
        unlisted=found.unlisted,
        left_out=found.left_out,
        plans=tuple(plans),
        todo=tuple(todo),
        remade=sum(plan.name in folder.plan.shards for plan in todo) if folder.plan else 0,
    )


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
