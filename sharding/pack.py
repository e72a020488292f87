"""`avsync pack VIDEOS DATASET`: videos in, a whole dataset out; run again, it does only what is missing or out of date.

What has its final name is whole: shards first, then their side files, the indexes, rejects.csv, and dataset.json last.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from sharding.clip import FORMAT_VERSION
from sharding.config import PackConfig
from sharding.errors import AvsyncError, InputError
from sharding.files import LOCK_NAME, folder_lock, read_json, write_json
from sharding.find import find_sources
from sharding.index import INFO, SPLITS, DatasetInfo, Index, ShardRecord, read_info
from sharding.plan import SOFTWARE, ShardPlan, plan_shards
from sharding.pool import RESUME, make_shards
from sharding.report import REJECTS, PackSummary, print_plan, print_summary, reasons, reject_list, write_rejects
from sharding.sources import Source

RUN = "run.json"  # what a training run is known by
_OURS_ABOVE = re.compile(rf"{re.escape(LOCK_NAME)}|\.nfs.*|\.DS_Store|({'|'.join((*SPLITS, INFO, REJECTS))})(\.part)?")
_OURS = re.compile(r"(\d{6}\.(tar|json)|index\.npz)(\.part)?")


def pack(videos: Path, dataset: Path, config: PackConfig, console: Console | None = None) -> PackSummary:
    """Pack a folder or CSV of videos into `dataset`; progress and outcome go to `console`.

    Raises InputError for wrong input or settings, BusyError when another process packs there.
    """
    console = console or Console(stderr=True)
    sources = find_sources(videos).sources
    _check_boxes(sources, config)
    plans = plan_shards(sources, config)
    _check_target(dataset, config)
    with folder_lock(dataset, "avsync pack"):
        with _writing(dataset):
            todo = _clear(plans, dataset)
        if todo:
            make_shards(todo, dataset, config, console)
        with _writing(dataset):
            summary = _finish(plans, dataset, config, packed=len(todo))
    print_summary(summary, console)
    return summary


def dry_run(videos: Path, dataset: Path, config: PackConfig, console: Console | None = None) -> None:
    """Print what `pack` would do; nothing is written."""
    found = find_sources(videos)
    _check_boxes(found.sources, config)
    plans = plan_shards(found.sources, config)
    _check_target(dataset, config)
    kept = sum(_kept(plan, dataset) is not None for plan in plans)
    print_plan(plans, found.ignored, kept, console or Console())


def _check_boxes(sources: Sequence[Source], config: PackConfig) -> None:
    for source in sources:
        if source.boxes is None:
            continue
        if config.fit != "squash":
            raise InputError(f"--fit {config.fit} would move the boxes of {source.rel}; use --fit squash with boxes")
        if not source.boxes.is_file():
            raise InputError(
                f"line {source.line}: boxes file {source.boxes} does not exist; name it, or leave it empty"
            )


def _check_target(dataset: Path, config: PackConfig) -> None:
    """A folder that is not ours is never written to, and a dataset of another form is never replaced."""
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
        _check_form(dataset, config)


def _check_form(dataset: Path, config: PackConfig) -> None:
    """Sources may be added to a finished dataset; the form that all its clips share stays."""
    old, (width, height) = read_info(dataset), config.picture
    pairs = {
        "codec": (old.codec, config.codec),
        "fps": (old.clock.fps, config.clock.fps),
        "sample rate": (old.clock.sample_rate, config.sample_rate),
        "width": (old.width, width),
        "height": (old.height, height),
        "channels": (old.channels, config.channels),
        "fit": (old.fit, config.fit),
    }
    changed = ", ".join(f"{name} was {was}, is {now}" for name, (was, now) in pairs.items() if was != now)
    if changed:
        raise InputError(
            f"{dataset} was packed with other settings ({changed}); name another folder, use the same settings, "
            "or delete this one"
        )


@contextmanager
def _writing(dataset: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write {error.filename or dataset}: {error.strerror}; mend that and {RESUME}"
        ) from error


def _clear(plans: Sequence[ShardPlan], dataset: Path) -> list[ShardPlan]:
    """Make way for the shards that are missing or out of date, and list them."""
    todo = [plan for plan in plans if _kept(plan, dataset) is None]
    stale = _stale(plans, dataset)
    if stale or todo:
        (dataset / INFO).unlink(missing_ok=True)  # until the end it is no dataset
    for path in stale:
        path.unlink()
    for split in {plan.split for plan in todo}:
        (dataset / split).mkdir(exist_ok=True)
    return todo


def _kept(plan: ShardPlan, dataset: Path) -> ShardRecord | None:
    """The record of a shard that is already there, whole and made by the same plan."""
    tar = dataset / f"{plan.name}.tar"
    try:
        record = read_json(tar.with_suffix(".json"), ShardRecord)
        same = record.plan == plan.digest and record.tar_bytes == tar.stat().st_size
    except (AvsyncError, OSError):
        return None
    return record if same else None


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


def _finish(plans: Sequence[ShardPlan], dataset: Path, config: PackConfig, packed: int) -> PackSummary:
    """Rejects, indexes, and dataset.json last."""
    records = {split: [_record(plan, dataset) for plan in plans if plan.split == split] for split in SPLITS}
    everything = [record for split in SPLITS for record in records[split]]
    rejects = reject_list(everything)
    write_rejects(dataset, rejects)
    clips = {split: sum(len(record.clips) for record in records[split]) for split in SPLITS}
    sources = sum(len(plan.sources) for plan in plans)
    if not any(clips.values()):
        raise InputError(
            f"none of {sources} sources could be packed ({reasons(rejects)}); each is listed with its reason in "
            f"{dataset / REJECTS}"
        )
    actions = tuple(sorted({clip.action for record in everything for clip in record.clips}))
    for split in SPLITS:
        if records[split]:
            Index.build(records[split], actions).save(dataset / split / "index.npz")
    width, height = config.picture
    info = DatasetInfo(
        format_version=FORMAT_VERSION,
        codec=config.codec,
        clock=config.clock,
        width=width,
        height=height,
        channels=config.channels,
        fit=config.fit,
        actions=actions,
        clips=clips,
        shards={split: len(records[split]) for split in SPLITS},
        sources=sources - len(rejects),
        lost_clips=sum(source.lost_clips for record in everything for source in record.sources),
        rejects=len(rejects),
        settings=config.decides_bytes(),
        written_by=SOFTWARE,
    )
    write_json(dataset / INFO, info)
    return PackSummary(
        dataset=dataset,
        clips=clips,
        seconds=float(sum(clip.frames for record in everything for clip in record.clips) / config.clock.fps),
        bytes=sum(record.tar_bytes for record in everything),
        sources=sources,
        rejects=rejects,
        shards_packed=packed,
        shards_kept=len(plans) - packed,
    )


def _record(plan: ShardPlan, dataset: Path) -> ShardRecord:
    return read_json(dataset / f"{plan.name}.json", ShardRecord)
