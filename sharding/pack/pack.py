"""`avsync pack VIDEOS DATASET`: videos in, a whole dataset out; run again, it does only what is missing or out of date.

What has its final name is whole: the plan first, shards, their side files, the indexes, rejects.csv, dataset.json last.
On many machines `--shares N` divides what is missing, `--share I` packs one share, and a call without either packs the
rest and finishes. Shares go on at the same time, in any order; nobody divides or finishes while one of them does (see
share_lock in base/locks.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sharding.base.console import open_console
from sharding.base.guarded import make_folder
from sharding.base.locks import folder_lock, share_lock
from sharding.base.share_progress import PACK_PROGRESS, ShareProgress, ShareTeller
from sharding.base.text import counted
from sharding.config import PackConfig, PackOptions
from sharding.errors import InputError
from sharding.faces.mtcnn import check_installed
from sharding.pack.card import write_card
from sharding.pack.finish import finish
from sharding.pack.pool import make_shards
from sharding.pack.report import PackSummary, print_division, print_estimate, print_plan, print_summary
from sharding.pack.sample import estimate
from sharding.pack.schedule import writing
from sharding.plan.plan import ShardPlan
from sharding.plan.shares import Division, check_divided, divided, read_division, read_share, write_division
from sharding.plan.todo import OnDisk, find_todo, listed
from sharding.sources.find import base_of, settled

NO_OPTIONS = PackOptions()


def pack(
    videos: Path, dataset: Path, config: PackConfig, console: Console | None = None, options: PackOptions = NO_OPTIONS
) -> PackSummary:
    """Pack a folder or CSV of videos into `dataset`. Both progress and outcome go to `console`, where one is given.

    Raises InputError for wrong input or settings, BusyError when another process packs there.
    """
    progress = console or open_console(stderr=True)
    _check_detector(config)
    (found, config), folder = listed(videos, config, options), OnDisk(dataset)
    folder.check()
    with folder_lock(dataset, "avsync pack"):
        work = find_todo(found, folder, config, options, progress)
        with writing(dataset):
            folder.make_way(work.plans, work.todo, config)
            if work.todo:
                teller = _teller(dataset, work.plans, work.todo)
                make_shards(work.todo, dataset, config, progress, teller)
            summary = finish(work, dataset, config)
            note = write_card(dataset) if options.card else ""
    print_summary(summary, console or open_console())
    if note:
        progress.print(note, markup=False, soft_wrap=True)
    return summary


def _teller(
    dataset: Path,
    plans: Sequence[ShardPlan],
    todo: Sequence[ShardPlan],
    share: int | None = None,
    division: Division | None = None,
) -> ShareTeller:
    """Tells how many sources are done: of a share, or of all `plans`."""
    count, left = (sum(len(plan.sources) for plan in some) for some in (plans, todo))
    begun = ShareProgress(
        asked=division.plan if division else "",
        shares=division.wanted if division else 1,
        all_sources=sum(one.sources for one in division.shares) if division else count,
        sources=count,
        done=count - left,
    )
    return ShareTeller(dataset / PACK_PROGRESS, share, begun)


def _check_detector(config: PackConfig) -> None:
    """Before anything is read. Raises InputError."""
    if config.finds_faces:
        check_installed(f"--crop {config.crop}")


def dry_run(
    videos: Path, dataset: Path, config: PackConfig, console: Console | None = None, options: PackOptions = NO_OPTIONS
) -> None:
    """Print what `pack` would do, and what that comes to, judged by a sample of the videos; nothing is written.

    Raises InputError as `pack` does, and when none of the sample can be packed.
    """
    console = console or open_console()
    _check_detector(config)
    (found, config), folder = listed(videos, config, options), OnDisk(dataset)
    folder.check()
    work = find_todo(found, folder, config, options, console)
    print_plan(work, console)
    if work.todo:
        sources = [source for plan in work.todo for source in plan.sources]
        print_estimate(estimate(sources, config), config.processes, console)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShareSummary:
    """The outcome of one `avsync pack --share`."""

    packed: int
    """Shards made by this call."""
    kept: int
    """Shards of the share that were there."""


def divide(
    videos: Path, dataset: Path, config: PackConfig, options: PackOptions, shares: int, console: Console | None = None
) -> Division:
    """Write the plan, and divide the missing shards into at most `shares`; nothing is packed.

    Raises InputError as `pack` does, BusyError when another process packs there, a share or all of it.
    """
    if shares < 1:
        raise InputError(f"--shares {shares} must be at least 1")
    (found, config), folder = listed(videos, config, options), OnDisk(dataset)
    folder.check()
    with folder_lock(dataset, "avsync pack --shares"):
        work = find_todo(found, folder, config, options, console or open_console(stderr=True))
        with writing(dataset):
            folder.make_way(work.plans, work.todo, config)
            parts = divided(work.todo, shares)
            division = write_division(parts, shares, dataset, config, base_of(videos, options.root))
    print_division(division, dataset, console or open_console())
    return division


def pack_share(
    videos: Path, dataset: Path, config: PackConfig, options: PackOptions, share: int, console: Console | None = None
) -> ShareSummary:
    """Pack the missing shards of one share of the division on disk, from 0 on; no index, no dataset.json.

    Of `options` only the root counts: what is taken out or tried again is settled when dividing. Raises InputError when
    settings or sources are not those of the division, BusyError when another process has this share or packs it all.
    """
    config = settled(videos, config)
    _check_detector(config)
    if share < 0:
        raise InputError(f"--share {share} must not be below 0: shares are counted from 0")
    folder = OnDisk(dataset)
    folder.check()
    check_divided(dataset)
    with share_lock(dataset, f"avsync pack --share {share}", share):
        check_divided(dataset)  # the call that finishes may just have ended
        division = read_division(dataset, config)
        plans = read_share(share, division, dataset, videos, options.root, config)
        todo = [plan for plan in plans if not folder.holds(plan)]
        with writing(dataset):
            folder.outdate(todo)
            for split in {plan.split for plan in todo}:
                make_folder(dataset / split)
            teller = _teller(dataset, plans, todo, share, division)
            if todo:
                make_shards(todo, dataset, config, console or open_console(stderr=True), teller)
    summary = ShareSummary(packed=len(todo), kept=len(plans) - len(todo))
    (console or open_console()).print(
        f"share {share} of {len(division.shares)} is whole: {counted(summary.packed, 'shard')} packed, "
        f"{summary.kept} kept from before",
        soft_wrap=True,
    )
    return summary
