"""`avsync pack VIDEOS DATASET`: videos in, a whole dataset out; run again, it does only what is missing or out of date.

What has its final name is whole: the plan first, shards, their side files, the indexes, rejects.csv, dataset.json last.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sharding.base.locks import folder_lock, share_lock
from sharding.base.text import counted
from sharding.config import PackConfig, PackOptions
from sharding.errors import InputError
from sharding.pack.finish import finish
from sharding.pack.pool import make_shards
from sharding.pack.report import PackSummary, print_division, print_estimate, print_plan, print_summary
from sharding.pack.sample import estimate
from sharding.pack.tasks import RESUME
from sharding.plan.shares import Division, check_divided, divided, read_division, read_share, write_division
from sharding.plan.todo import check_folder, find_todo, kept, listed, make_way, outdate
from sharding.sources.find import base_of

NO_WISHES = PackOptions()


def pack(
    videos: Path, dataset: Path, config: PackConfig, console: Console | None = None, wishes: PackOptions = NO_WISHES
) -> PackSummary:
    """Pack a folder or CSV of videos into `dataset`. Both progress and outcome go to `console`, where one is given.

    Raises InputError for wrong input or settings, BusyError when another process packs there.
    """
    progress = console or Console(stderr=True)
    found = listed(videos, config, wishes)
    check_folder(dataset)
    with folder_lock(dataset, "avsync pack"):
        work = find_todo(found, dataset, config, wishes, progress)
        with writing(dataset):
            make_way(work.plans, work.todo, dataset, config)
            if work.todo:
                make_shards(work.todo, dataset, config, progress)
            summary = finish(work.plans, work.duplicates, dataset, config, packed=len(work.todo))
    print_summary(summary, console or Console())
    return summary


def dry_run(
    videos: Path, dataset: Path, config: PackConfig, console: Console | None = None, wishes: PackOptions = NO_WISHES
) -> None:
    """Print what `pack` would do, and what that comes to, judged by a sample of the videos; nothing is written.

    Raises InputError as `pack` does, and when none of the sample can be packed.
    """
    console = console or Console()
    found = listed(videos, config, wishes)
    check_folder(dataset)
    work = find_todo(found, dataset, config, wishes, console)
    print_plan(work, console)
    if work.todo:
        sources = [source for plan in work.todo for source in plan.sources]
        print_estimate(estimate(sources, config), config.processes, console)


@contextmanager
def writing(dataset: Path) -> Iterator[None]:
    """Errors of the disk as what a person can mend. Raises InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write {error.filename or dataset}: {error.strerror}; mend that and {RESUME}"
        ) from error


# `avsync pack` on many machines: `--shares N` divides what is missing, `--share I` packs one share, and a call
# without either packs the rest and finishes.
#
# Shares go on at the same time, in any order. Nobody divides or finishes while one of them does: see files.share_lock.


@dataclass(frozen=True, kw_only=True, slots=True)
class ShareSummary:
    """The outcome of one `avsync pack --share`."""

    packed: int
    """Shards made by this call."""
    kept: int
    """Shards of the share that were there."""


def divide(
    videos: Path, dataset: Path, config: PackConfig, wishes: PackOptions, shares: int, console: Console | None = None
) -> Division:
    """Write the plan, and divide the missing shards into at most `shares`; nothing is packed.

    Raises InputError as `pack` does, BusyError when another process packs there, a share or all of it.
    """
    if shares < 1:
        raise InputError(f"--shares {shares} must be at least 1")
    found = listed(videos, config, wishes)
    check_folder(dataset)
    with folder_lock(dataset, "avsync pack --shares"):
        work = find_todo(found, dataset, config, wishes, console or Console(stderr=True))
        with writing(dataset):
            make_way(work.plans, work.todo, dataset, config)
            parts = divided(work.todo, shares)
            division = write_division(parts, shares, dataset, config, base_of(videos, wishes.root))
    print_division(division, dataset, console or Console())
    return division


def pack_share(
    videos: Path, dataset: Path, config: PackConfig, wishes: PackOptions, share: int, console: Console | None = None
) -> ShareSummary:
    """Pack the missing shards of one share of the division on disk, from 0 on; no index, no dataset.json.

    Of `wishes` only the root counts: what is taken out or tried again is settled when dividing. Raises InputError when
    settings or sources are not those of the division, BusyError when another process has this share or packs it all.
    """
    if share < 0:
        raise InputError(f"--share {share} must not be below 0: shares are counted from 0")
    check_folder(dataset)
    check_divided(dataset)
    with share_lock(dataset, f"avsync pack --share {share}", share):
        check_divided(dataset)  # the call that finishes may just have ended
        division = read_division(dataset, config)
        plans = read_share(share, division, dataset, videos, wishes.root, config)
        todo = [plan for plan in plans if not kept(plan, dataset)]
        with writing(dataset):
            outdate(todo, dataset)
            for split in {plan.split for plan in todo}:
                (dataset / split).mkdir(exist_ok=True)
            if todo:
                make_shards(todo, dataset, config, console or Console(stderr=True))
    summary = ShareSummary(packed=len(todo), kept=len(plans) - len(todo))
    (console or Console()).print(
        f"share {share} of {len(division.shares)} is whole: {counted(summary.packed, 'shard')} packed, "
        f"{summary.kept} kept from before",
        soft_wrap=True,
    )
    return summary
