"""The folder a dataset goes to: whether it may be written, what it holds already, and what must make way."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from sharding.config import PackConfig
from sharding.errors import AvsyncError, InputError, first_few
from sharding.files import LOCK_NAME, read_json, write_json
from sharding.index import INFO, SPLITS, ShardRecord, read_info
from sharding.part import PARTS
from sharding.plan import PLAN, SOFTWARE, PlanFile, ShardPlan, placed, plan_file
from sharding.report import REJECTS, counted
from sharding.sources import Source

RUN = "run.json"  # what a training run is known by
_OURS_ABOVE = re.compile(
    rf"{re.escape(LOCK_NAME)}|{re.escape(PARTS)}|\.nfs.*|\.DS_Store|"
    rf"({'|'.join((*SPLITS, INFO, PLAN, REJECTS))})(\.part)?"
)
_OURS = re.compile(r"(\d{6}\.(tar|json)|index\.npz)(\.part)?")


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
    if foreign and INFO not in names:
        raise InputError(
            f"{dataset} is not a dataset and not empty (it holds {foreign[0]}); name a new or empty folder"
        )
    if INFO in names:
        read_info(dataset)


def check_settings(dataset: Path, old: PlanFile | None, config: PackConfig) -> None:
    """Sources may come and go; what all clips share stays, for a dataset of two kinds is none. Raises InputError."""
    if old is None or not _begun(dataset):
        return
    now = config.decides_dataset()
    changed = [f"{name} was {was}, is {now.get(name)}" for name, was in old.settings.items() if now.get(name) != was]
    if changed:
        raise InputError(
            f"{dataset} was packed with other settings ({', '.join(changed)}); name another folder, use the same "
            "settings, or delete this one"
        )


def check_none_lost(dataset: Path, old: PlanFile | None, sources: Sequence[Source]) -> None:
    """Whoever names another folder of videos means to add to the dataset, not to empty it. Raises InputError."""
    gone = sorted(placed(old) - {source.id for source in sources})
    if gone and _begun(dataset):
        raise InputError(
            f"{dataset} has {counted(len(gone), 'source')} that your videos do not ({first_few(gone)}): to add videos, "
            "name all of them, old and new; --remove takes the missing ones out; or name another folder"
        )


def _begun(dataset: Path) -> bool:
    """A shard or more is finished; before that, what was begun makes way."""
    return (dataset / INFO).exists() or any(dataset.glob("*/*.tar"))


def check_software(dataset: Path, old: PlanFile | None) -> None:
    """Another decoder may give other pixels. Raises InputError."""
    if old is not None and old.written_by != SOFTWARE:
        raise InputError(
            f"{dataset} was packed with {old.written_by}, here is {SOFTWARE}: one dataset must come from one decoder; "
            "install that version again, name another folder, or delete this one"
        )


def kept(plan: ShardPlan, dataset: Path) -> bool:
    """A shard is already there, whole and made by the same plan."""
    tar = dataset / f"{plan.name}.tar"
    try:
        record = read_json(tar.with_suffix(".json"), ShardRecord)
        return record.plan == plan.digest and record.tar_bytes == tar.stat().st_size
    except (AvsyncError, OSError):
        return False


def make_way(plans: Sequence[ShardPlan], todo: Sequence[ShardPlan], dataset: Path, config: PackConfig) -> None:
    """Keep the plan, and delete what does not belong to it: shards, left-overs, parts. Raises OSError."""
    wanted = plan_file(plans, config)
    stale = _stale(plans, dataset)
    if stale or todo:
        (dataset / INFO).unlink(missing_ok=True)  # until the end it is no dataset
    if not (dataset / PLAN).exists() or read_json(dataset / PLAN, PlanFile) != wanted:
        write_json(dataset / PLAN, wanted)
    for path in stale:
        path.unlink()
    parts = {plan.digest[:16] for plan in todo}
    for path in (dataset / PARTS).glob("*"):
        if path.name not in parts:
            shutil.rmtree(path)
    for split in {plan.split for plan in todo}:
        (dataset / split).mkdir(exist_ok=True)


def _stale(plans: Sequence[ShardPlan], dataset: Path) -> list[Path]:
    """Files of an earlier, larger or interrupted plan."""
    wanted = {f"{plan.name}.{suffix}" for plan in plans for suffix in ("tar", "json")}
    wanted |= {f"{plan.split}/index.npz" for plan in plans}
    return [
        path
        for split in SPLITS
        for path in sorted((dataset / split).glob("*"))
        if _OURS.fullmatch(path.name) and f"{split}/{path.name}" not in wanted
    ]
