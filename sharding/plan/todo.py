"""The folder a dataset goes to: whether it may be written, what it holds already, and what must make way."""

import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sharding.base.environment import JOBS
from sharding.base.files import open_file, read_json, write_json
from sharding.base.locks import LOCK_NAME
from sharding.base.text import counted, first_few
from sharding.config import PackConfig, PackOptions
from sharding.errors import FAILURES, AvsyncError, FormatError, InputError, RejectReason
from sharding.format.index import INDEX, INFO, PARTS, PLAN, SPLITS, read_info
from sharding.format.records import REJECTS, Reject, ShardRecord
from sharding.plan.plan import SOFTWARE, PlanFile, ShardPlan, placed, plan_file, plan_shards
from sharding.sources.duplicates import find_duplicates
from sharding.sources.find import find_sources
from sharding.sources.source import Source, SourceList

RUN = "run.json"  # what a training run is known by
_OURS_ABOVE = re.compile(
    rf"{re.escape(LOCK_NAME)}|{re.escape(PARTS)}|{JOBS}|\.nfs.*|\.DS_Store|"
    rf"({'|'.join((*SPLITS, INFO, PLAN, REJECTS))})(\.part)?"
)
_PARTS = re.compile(r"[0-9a-f]{16}")
_OURS = re.compile(rf"(\d{{6}}\.(tar|json)|{re.escape(INDEX)})(\.part)?")


def check_folder(dataset: Path) -> None:
    """A folder that is not ours is never written to. Raises InputError, FormatError."""
    try:
        if not dataset.exists():
            return
        names = sorted(path.name for path in dataset.iterdir())
    except OSError as error:
        raise InputError(f"cannot use {dataset}: {error.strerror}; name a new or empty folder") from error
    if RUN in names:
        raise InputError(f"{dataset} is a training run; name a new or empty folder for the dataset")
    foreign = [name for name in names if not _OURS_ABOVE.fullmatch(name)]
    if foreign and not {INFO, PLAN} & set(names):
        raise InputError(
            f"{dataset} is not a dataset and not empty (it holds {foreign[0]}); name a new or empty folder"
        )
    if (dataset / PARTS).is_symlink():
        raise InputError(f"{dataset / PARTS} is a link, and what it leads to would be deleted; delete the link")
    if INFO in names:
        read_info(dataset)


def old_plan(dataset: Path) -> PlanFile | None:
    """The plan of an earlier call of which a shard or more is finished; what was only begun makes way.

    A plan that was lost is put together again from the side files. Raises FormatError, InputError.
    """
    shards = sorted(path for split in SPLITS for path in (dataset / split).glob("*.json") if _OURS.fullmatch(path.name))
    if not shards and not (dataset / INFO).exists():
        return None
    if (dataset / PLAN).exists():
        try:
            return read_json(dataset / PLAN, PlanFile)
        except FormatError as error:
            raise FormatError(f"{error}; delete it and run the same command again: it is made anew") from error
    if not (dataset / INFO).exists():
        raise InputError(
            f"{dataset} has shards, but lost {PLAN} and {INFO}, which say what they are; name another folder, "
            "or delete this one"
        )
    info = read_info(dataset)
    records = ((f"{path.parent.name}/{path.stem}", read_json(path, ShardRecord)) for path in shards)
    return PlanFile(
        format_version=info.format_version,
        written_by=info.written_by,
        settings=info.settings,
        shards={name: record.ids for name, record in records},
    )


def check_settings(dataset: Path, old: PlanFile | None, config: PackConfig) -> None:
    """Sources may come and go; what all clips share stays, for a dataset of two kinds is none. Raises InputError."""
    if old is None:
        return
    was, now = old.settings, config.decides_dataset()
    changed = [
        f"{name} was {_told(was.get(name))}, is {_told(now.get(name))}"
        for name in {**was, **now}
        if was.get(name) != now.get(name)
    ]
    if changed:
        raise InputError(
            f"{dataset} was packed with other settings ({', '.join(changed)}); name another folder, use the same "
            "settings, or delete this one"
        )


def _told(value: object) -> str:
    return "not set" if value is None else str(value)


def check_none_lost(dataset: Path, old: PlanFile | None, sources: Sequence[Source], *, remove: bool) -> list[str]:
    """Ids of sources that `remove` takes out of the dataset.

    Whoever names another folder of videos means to add to the dataset, not to empty it. Raises InputError.
    """
    known = placed(old)
    gone = sorted(known - {source.id for source in sources})
    if known and len(gone) == len(known):
        raise InputError(
            f"your videos are none of those that {dataset} was made of ({first_few(gone)}): name the right folder of "
            "videos, or another one for a new dataset"
        )
    if gone and not remove:
        raise InputError(
            f"{dataset} has {counted(len(gone), 'source')} that your videos do not ({first_few(gone)}): to add videos, "
            "name all of them, old and new; --remove takes the missing ones out; or name another folder"
        )
    return gone


def check_none_vanished(dataset: Path, todo: Sequence[ShardPlan]) -> None:
    """A file that is gone is no reason to throw its clips away. Raises InputError."""
    lost: list[str] = []
    for plan in todo:
        vanished = {source.id: source.rel for source in plan.sources if not source.size}
        if not vanished:
            continue
        with suppress(AvsyncError):
            record = read_json(dataset / f"{plan.name}.json", ShardRecord)
            packed = {clip.key.rpartition("/")[0] for clip in record.clips}
            lost += [rel for id, rel in vanished.items() if id in packed]
    if lost:
        raise InputError(
            f"{counted(len(lost), 'source')} of {dataset} cannot be found any more ({first_few(lost)}): bring the "
            "files back; or --remove takes their clips out"
        )


def check_software(dataset: Path, old: PlanFile | None) -> None:
    """Another decoder may give other pixels. Raises InputError."""
    if old is not None and old.written_by != SOFTWARE:
        raise InputError(
            f"{dataset} was packed with {old.written_by}, here is {SOFTWARE}: one dataset must come from one decoder; "
            "install that version again, name another folder, or delete this one"
        )


@dataclass(frozen=True, slots=True)
class _Side:
    """What a side file says of its shard as a whole."""

    plan: str
    tar_bytes: int
    rejects: tuple[tuple[str, str, str], ...] = ()


def kept(plan: ShardPlan, dataset: Path, *, retry: bool = False) -> bool:
    """A shard is already there, whole and made by the same plan, and there is no use in trying any source again.

    What could not be read and can be now is tried again; with `retry`, what was corrupt, too.
    """
    tar = dataset / f"{plan.name}.tar"
    try:
        told = read_json(tar.with_suffix(".json"), _Side)
        if told.plan != plan.digest or told.tar_bytes != tar.stat().st_size:
            return False
    except (AvsyncError, OSError):
        return False
    again = {name for name, reason, _ in told.rejects if reason == RejectReason.UNREADABLE}
    if any(source.rel in again and _readable(source.path) for source in plan.sources):
        return False
    return not (retry and any(reason in FAILURES for _, reason, _ in told.rejects))


def _readable(path: Path) -> bool:
    try:
        with open_file(path) as file:
            return len(file.read(1)) == 1
    except (OSError, ValueError):
        return False


def outdate(todo: Sequence[ShardPlan], dataset: Path) -> None:
    """Delete the side files of what is made again: they speak of other tars than those to come. Raises OSError."""
    outdated = [path for plan in todo if (path := dataset / f"{plan.name}.json").exists()]
    if outdated:
        (dataset / INFO).unlink(missing_ok=True)
    for path in outdated:
        path.unlink()


def make_way(plans: Sequence[ShardPlan], todo: Sequence[ShardPlan], dataset: Path, config: PackConfig) -> None:
    """Keep the plan, and delete what does not belong to it: shards, left-overs, parts. Raises OSError."""
    wanted = plan_file(plans, config)
    stale = _stale(plans, dataset)
    if stale:
        (dataset / INFO).unlink(missing_ok=True)  # until the end it is no dataset; what only grows stays one
    outdate(todo, dataset)
    if not (dataset / PLAN).exists() or read_json(dataset / PLAN, PlanFile) != wanted:
        write_json(dataset / PLAN, wanted)
    for path in stale:
        path.unlink()
    folders = {plan.parts_folder for plan in todo}
    for path in (dataset / PARTS).glob("*"):
        if path.name not in folders and _PARTS.fullmatch(path.name) and not path.is_symlink():
            shutil.rmtree(path)
    for split in SPLITS:
        if any(plan.split == split for plan in plans):
            (dataset / split).mkdir(exist_ok=True)
        else:
            with suppress(OSError):  # there is none, or a person keeps something in it
                (dataset / split).rmdir()


def _stale(plans: Sequence[ShardPlan], dataset: Path) -> list[Path]:
    """Files of an earlier, larger or interrupted plan."""
    wanted = {f"{plan.name}.{suffix}" for plan in plans for suffix in ("tar", "json")}
    wanted |= {f"{plan.split}/{INDEX}" for plan in plans}
    return [
        path
        for split in SPLITS
        for path in sorted((dataset / split).glob("*"))
        if _OURS.fullmatch(path.name) and f"{split}/{path.name}" not in wanted
    ]


# What a call of `avsync pack` is to do: which sources go into which shards, and which of these are missing.
#
# Nothing is written here. What would throw away clips that nobody asked to lose is refused.


@dataclass(frozen=True, kw_only=True, slots=True)
class Todo:
    """All that is to be in the dataset, and what of it is missing."""

    ignored: int
    """Files that are no videos, by their names."""
    duplicates: tuple[Reject, ...]
    plans: tuple[ShardPlan, ...]
    todo: tuple[ShardPlan, ...]
    remade: int
    """Of `todo`: shards that were there in another form."""


def listed(videos: Path, config: PackConfig, wishes: PackOptions) -> SourceList:
    """The sources a call names, before it touches any folder. Raises InputError."""
    found = find_sources(videos, wishes.root)
    _check_boxes(videos, found.sources, config)
    return found


def find_todo(found: SourceList, dataset: Path, config: PackConfig, wishes: PackOptions, console: Console) -> Todo:
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
    return Todo(
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
