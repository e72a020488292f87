"""The end of packing: rejects.csv, the index of each split, and dataset.json, which makes the folder a dataset."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sharding.base.files import holds, read_json, to_json, write_json
from sharding.base.guarded import remove
from sharding.base.housekeeping import delete
from sharding.config import PackConfig
from sharding.errors import InputError
from sharding.format.clip import FORMAT_VERSION
from sharding.format.crop import BoxPath
from sharding.format.index import BOXES, INDEX, INFO, PARTS, SPLITS, DatasetInfo, Index
from sharding.format.records import REJECTS, ClockSums, Reject, ShardRecord, reasons, write_rejects
from sharding.pack.report import PackSummary
from sharding.plan.plan import SOFTWARE, ShardPlan
from sharding.plan.todo import Todo
from sharding.sources.crops import write_boxes


@dataclass(kw_only=True, slots=True)
class _Totals:
    """Of all side files, read one after the other."""

    clips: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    shards: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    rejects: list[Reject] = field(default_factory=list[Reject])
    actions: set[str] = field(default_factory=set[str])
    sources: int = 0
    frames: int = 0
    bytes: int = 0
    lost_clips: int = 0
    clocks: ClockSums = field(default_factory=ClockSums)
    tracks: int = 0
    moved: int = 0

    def add(self, split: str, record: ShardRecord) -> None:
        self.clips[split] += len(record.clips)
        self.shards[split] += 1
        self.rejects += [Reject(path=path, reason=why, detail=detail) for path, why, detail in record.rejects]
        self.actions |= {source.action for source in record.sources}
        self.sources += len(record.sources)
        self.frames += sum(source.frames for source in record.sources)
        self.bytes += record.tar_bytes
        self.lost_clips += sum(source.lost_clips for source in record.sources)
        self.clocks += ClockSums.of(source.clock for source in record.sources)
        self.tracks += sum(len(source.tracks or ()) for source in record.sources)
        self.moved += sum(bool(source.moved_sound) for source in record.sources)


def finish(work: Todo, dataset: Path, config: PackConfig) -> PackSummary:
    """Join the side files of all plans, of which those to do are done by now.

    Raises OSError, and InputError when there is no clip at all.
    """
    plans, packed = work.plans, len(work.todo)
    totals = _Totals(rejects=[*work.duplicates, *work.unlisted])
    for plan in plans:
        totals.add(plan.split, _record(plan, dataset))
    rejects = tuple(sorted(totals.rejects))
    write_rejects(dataset, rejects)
    if config.crop:
        write_boxes(dataset / BOXES, _boxes(plans, dataset))
    if not totals.sources:
        raise InputError(
            f"none of {len(rejects)} sources could be packed ({reasons(rejects)}); each is listed with its reason in "
            f"{dataset / REJECTS}"
        )
    actions = tuple(sorted(totals.actions))
    info = _info(totals, actions, len(rejects), config)
    if packed or not holds(dataset / INFO, to_json(info)):  # shards of shares are not packed by the call that finishes
        remove(dataset / INFO)  # indexes and dataset.json are of one piece, or none
    for split in SPLITS:
        if totals.shards[split]:
            Index.build(_records(plans, split, dataset), actions).save(dataset / split / INDEX)
    delete(dataset / PARTS)
    write_json(dataset / INFO, info)
    return PackSummary(
        dataset=dataset,
        clips=totals.clips,
        seconds=float(totals.frames / config.clock.fps),
        bytes=totals.bytes,
        sources=totals.sources + len(rejects),
        rejects=rejects,
        unlisted=work.unlisted,
        left_out=work.left_out,
        moved=totals.moved,
        lost_clips=totals.lost_clips,
        clocks=totals.clocks,
        tracks=totals.tracks,
        shards_packed=packed,
        shards_kept=len(plans) - packed,
    )


def _info(totals: _Totals, actions: tuple[str, ...], rejects: int, config: PackConfig) -> DatasetInfo:
    width, height = config.picture
    return DatasetInfo(
        format_version=FORMAT_VERSION,
        codec=config.codec,
        clock=config.clock,
        width=width,
        height=height,
        channels=config.channels,
        fit=config.fit,
        actions=actions,
        clips=totals.clips,
        shards=totals.shards,
        sources=totals.sources,
        lost_clips=totals.lost_clips,
        rejects=rejects,
        settings=config.decides_dataset(),
        written_by=SOFTWARE,
    )


def _records(plans: Sequence[ShardPlan], split: str, dataset: Path) -> Iterator[tuple[int, ShardRecord]]:
    return ((plan.number, _record(plan, dataset)) for plan in plans if plan.split == split)


def _boxes(plans: Sequence[ShardPlan], dataset: Path) -> Iterator[tuple[str, tuple[BoxPath, ...]]]:
    """Of all sources that were cut by boxes, one side file held at a time; each path once, whatever pieces share it."""
    written = set[int]()
    for plan in plans:
        for source in _record(plan, dataset).sources:
            paths = {hash((source.source, path)): path for path in source.tracks or ()}
            yield source.source, tuple(path for number, path in paths.items() if number not in written)
            written |= paths.keys()


def _record(plan: ShardPlan, dataset: Path) -> ShardRecord:
    return read_json(dataset / f"{plan.name}.json", ShardRecord)
