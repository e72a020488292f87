"""`avsync pack` on many machines: `--shares N` divides what is missing, `--share I` packs one share, and a call
without either packs the rest and finishes.

Shares go on at the same time, in any order. Nobody divides or finishes while one of them does: see files.share_lock.
"""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sharding.base.files import folder_lock, share_lock
from sharding.base.text import counted
from sharding.config import PackConfig, Wishes
from sharding.errors import InputError
from sharding.pack.pack import writing
from sharding.pack.pool import make_shards
from sharding.pack.report import print_division
from sharding.plan.agenda import agenda, listed
from sharding.plan.shares import (
    Division,
    check_divided,
    divided,
    read_division,
    read_share,
    write_division,
)
from sharding.plan.todo import (
    check_folder,
    kept,
    make_way,
    outdate,
)
from sharding.sources.find import base_of


@dataclass(frozen=True, kw_only=True, slots=True)
class ShareSummary:
    """The outcome of one `avsync pack --share`."""

    packed: int
    """Shards made by this call."""
    kept: int
    """Shards of the share that were there."""


def divide(
    videos: Path, dataset: Path, config: PackConfig, wishes: Wishes, shares: int, console: Console | None = None
) -> Division:
    """Write the plan, and divide the missing shards into at most `shares`; nothing is packed.

    Raises InputError as `pack` does, BusyError when another process packs there, a share or all of it.
    """
    if shares < 1:
        raise InputError(f"--shares {shares} must be at least 1")
    found = listed(videos, config, wishes)
    check_folder(dataset)
    with folder_lock(dataset, "avsync pack --shares"):
        work = agenda(found, dataset, config, wishes, console or Console(stderr=True))
        with writing(dataset):
            make_way(work.plans, work.todo, dataset, config)
            parts = divided(work.todo, shares)
            division = write_division(parts, shares, dataset, config, base_of(videos, wishes.root))
    print_division(division, dataset, console or Console())
    return division


def pack_share(
    videos: Path, dataset: Path, config: PackConfig, wishes: Wishes, share: int, console: Console | None = None
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
