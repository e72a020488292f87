"""What packing did, and would do, as tables for people.

Names from outside are printed as Text: "[dQw4w9WgXcQ]" in a plain string would be taken for markup.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sharding.base.text import counted, duration, first_few, plain, shown, size
from sharding.format.index import BOXES, SPLITS
from sharding.format.records import REJECTS, ClockSums, Reject
from sharding.pack.sample import Estimate
from sharding.plan.shares import Division
from sharding.plan.todo import Todo
from sharding.sources.source import LeftOut, tell_unlisted

LONGEST_TABLE = 20
"""Rows of a table of shares, or of reasons: they are much alike."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackSummary:
    """The outcome of one `avsync pack`."""

    dataset: Path
    clips: dict[str, int]
    """Split -> clips."""
    seconds: float
    """Length of all clips together."""
    bytes: int
    """Of all tars."""
    sources: int
    rejects: tuple[Reject, ...]
    unlisted: tuple[Reject, ...]
    """Those of them that are folders: nobody knows what is in there."""
    lost_clips: int
    """Clips that damaged places of packed sources cost."""
    clocks: ClockSums
    """What was mended of the clocks of packed sources."""
    tracks: int
    """Moving boxes that packed sources were cut by; 0 where all of the picture was packed."""
    moved: int = 0
    """Packed sources whose sound was moved."""
    left_out: tuple[LeftOut, ...] = ()
    """Rows of a curated table that were not to be packed."""
    shards_packed: int
    shards_kept: int
    """Shards of an earlier call that were whole and up to date."""


def _table(*columns: str, title: str | None = None) -> Table:
    """Of numbers, but for the names of splits."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if column == "split" else "right")
    return table


def print_summary(summary: PackSummary, console: Console) -> None:
    """The outcome as tables."""
    total = sum(summary.clips.values())
    table = _table("split", "clips")
    for split, count in summary.clips.items():
        table.add_row(split, f"{count:,}")
    console.print(Text(f"{summary.dataset}: {counted(total, 'clip')}"))
    console.print(table)
    console.print(
        f"{summary.sources - len(summary.rejects)} of {counted(summary.sources, 'source')} packed, "
        f"{duration(summary.seconds)} of clips, {size(summary.bytes)}; "
        f"{counted(summary.shards_packed, 'shard')} written, {summary.shards_kept} kept from before"
    )
    if summary.tracks:
        tracks = f"cut by {counted(summary.tracks, 'moving box', 'moving boxes')}"
        console.print(
            Text(f"{tracks}: {summary.dataset / BOXES} has them, to look at, edit and pack by"), soft_wrap=True
        )
    if summary.moved:
        console.print(f"the sound of {counted(summary.moved, 'source')} was moved to its picture by the curated table")
    if summary.lost_clips:
        lost = f"{counted(summary.lost_clips, 'clip')} lost to damaged places of their sources"
        console.print(Text(f"{lost}: avsync show {summary.dataset} tells which"), soft_wrap=True)
    if summary.clocks.mended:
        which = f"avsync show {summary.dataset} tells which, --strict leaves them out"
        console.print(Text(f"{summary.clocks}: {which}"), soft_wrap=True)
    for note in tell_unlisted(summary.unlisted):
        console.print(Text(f"{note}; once they can be, run the same command again"), soft_wrap=True)
    if hint := empty_splits(summary):
        console.print(hint, soft_wrap=True)
    if summary.rejects:
        console.print(rejects_table(summary))
    if summary.left_out:
        console.print(left_out_table(summary.left_out))


def empty_splits(summary: PackSummary) -> str:
    """What to do when a split got nothing: a line of text, empty when all have clips."""
    empty = [split for split in SPLITS if not summary.clips[split]]
    if not empty:
        return ""
    if "train" in empty:
        return "no video fell into train: name the splits in a CSV, or lower --val-percent and --test-percent"
    flags = " and ".join(f"--{split}-percent" for split in empty)
    instead = next(split for split in ("val", "train") if summary.clips[split])
    evaluate = f"; evaluate with --split {instead}" if "test" in empty else ""
    return (
        f"no video fell into {' or '.join(empty)}: with few videos name the splits in a CSV, or raise {flags}{evaluate}"
    )


def rejects_table(summary: PackSummary) -> Table:
    """Reason, how many, and one example of each."""
    title = f"{counted(len(summary.rejects), 'source')} rejected, all in {summary.dataset / REJECTS}"
    table = Table(title=Text(title), title_justify="left", min_width=len(title))
    table.add_column("reason")
    table.add_column("sources", justify="right")
    table.add_column("for example", overflow="fold")
    for reason, count in Counter(reject.reason for reject in summary.rejects).most_common():
        example = next(reject for reject in summary.rejects if reject.reason == reason)
        table.add_row(reason, str(count), Text(f"{example.path}: {example.detail}"))
    return table


def left_out_table(left_out: Sequence[LeftOut]) -> Table:
    """Verdict, reason, and how many rows; the most frequent first."""
    title = f"{counted(sum(one.rows for one in left_out), 'row')} of the curated table left out"
    table = Table(title=Text(title), title_justify="left", min_width=len(title))
    table.add_column("verdict")
    table.add_column("reason", overflow="fold")
    table.add_column("rows", justify="right")
    most = left_out if len(left_out) <= LONGEST_TABLE else left_out[: LONGEST_TABLE - 1]
    for one in most:
        table.add_row(one.verdict, Text(shown(one.reason)), f"{one.rows:,}")
    if rest := left_out[len(most) :]:
        table.add_row("...", f"{len(rest):,} further reasons", f"{sum(one.rows for one in rest):,}")
    return table


def print_plan(work: Todo, console: Console) -> None:
    """What a real call would do."""
    table = _table("split", "shards", "sources", "actions", "groups", title="avsync pack would make")
    for split in SPLITS:
        mine = [plan for plan in work.plans if plan.split == split]
        sources = [source for plan in mine for source in plan.sources]
        counts = (len(mine), len(sources), len({s.action for s in sources}), len({s.group for s in sources}))
        table.add_row(split, *(f"{count:,}" for count in counts))
    console.print(table)
    done = len(work.plans) - len(work.todo)
    copies = [plain(reject.path) for reject in work.duplicates]
    console.print(
        f"{counted(done, 'shard')} up to date already, {len(work.todo) - work.remade} new, {work.remade} made again "
        f"because their sources changed; left out as no videos: {work.ignored}; left out because their bytes were "
        f"seen before: {counted(len(copies), 'video')}{f' ({first_few(copies)})' if copies else ''}",
        soft_wrap=True,
    )
    if work.left_out:
        console.print(left_out_table(work.left_out))


def print_division(division: Division, dataset: Path, console: Console) -> None:
    """Who would have what to do."""
    if not division.shares:
        console.print(Text(f"{dataset}: no shard is missing"), soft_wrap=True)
        return
    table = _table("share", "shards", "videos", "GB")
    rows = [
        (str(number), str(len(share.shards)), f"{share.sources:,}", f"{share.bytes / 1e9:,.3f}")
        for number, share in enumerate(division.shares)
    ]
    for row in rows if len(rows) <= LONGEST_TABLE else (*rows[: LONGEST_TABLE - 2], ("...",) * 4, rows[-1]):
        table.add_row(*row)
    shares = counted(len(division.shares), "share")
    console.print(Text(f"{dataset}: {counted(division.missing, 'missing shard')} in {shares}"), soft_wrap=True)
    console.print(table)


def print_estimate(guess: Estimate, processes: int, console: Console) -> None:
    """What the work would come to."""
    rejected = f", {guess.rejected} of them rejected" if guess.rejected else ""
    console.print(
        f"About {counted(guess.clips, 'clip')}, {duration(guess.seconds)} together, {size(guess.bytes)}, in "
        f"{duration(60 * guess.minutes(processes))} with {counted(processes, 'worker')}: judged by "
        f"{counted(guess.looked_at, 'video')}{rejected}",
        soft_wrap=True,
    )
