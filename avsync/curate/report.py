"""Verdicts at the terminal: rows, hours and shares of each, and the reasons of what is left out."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from avsync.curate.rows import AnsweredSource, rows_of
from sharding.base.text import counted, duration, percent, plain
from sharding.sources.curated import CuratedRow, Verdict
from sharding.sources.source import Source

MOST_REASONS = 12
MOST_NAMED = 5


def print_plan(sources: Sequence[Source], todo: Sequence[Source], console: Console) -> None:
    """What a call would do."""
    console.print(
        f"{counted(len(sources), 'source')}: {len(todo):,} to look at, {len(sources) - len(todo):,} answered before",
        soft_wrap=True,
    )
    for source in todo[:MOST_NAMED]:
        console.print(Text(f"  {plain(source.rel)}"), soft_wrap=True)
    if len(todo) > MOST_NAMED:
        console.print(f"  and {len(todo) - MOST_NAMED:,} more")


def hours_by_verdict(found: Sequence[AnsweredSource]) -> dict[Verdict, tuple[int, float]]:
    """Verdict -> rows, and seconds of them; of what could not be looked at the length is not known."""
    rows, seconds = Counter[Verdict](), dict.fromkeys(Verdict, 0.0)
    for one in found:
        for row in rows_of(one):
            rows[row.verdict] += 1
            seconds[row.verdict] += _seconds(row)
    return {verdict: (rows[verdict], seconds[verdict]) for verdict in Verdict}


def _seconds(row: CuratedRow) -> float:
    """0 where the end is not known."""
    return float(row.end_s - row.start_s) if row.end_s is not None else 0.0


def reasons(found: Sequence[AnsweredSource]) -> list[tuple[Verdict, str, int, float]]:
    """Verdict, reason, rows and seconds of what is left out, the longest first."""
    rows, seconds = Counter[tuple[Verdict, str]](), dict[tuple[Verdict, str], float]()
    for one in found:
        for row in rows_of(one):
            if not row.verdict.keeps:
                key = row.verdict, row.reason
                rows[key] += 1
                seconds[key] = seconds.get(key, 0.0) + _seconds(row)
    return sorted(((*key, rows[key], seconds[key]) for key in rows), key=lambda one: (-one[3], -one[2], one[1]))


def print_verdicts(found: Sequence[AnsweredSource], console: Console) -> None:
    """The final table."""
    by_verdict = hours_by_verdict(found)
    total = sum(seconds for _, seconds in by_verdict.values())
    table = Table("verdict", title_justify="left")
    for column in ("rows", "length", "share"):
        table.add_column(column, justify="right")
    for verdict, (rows, seconds) in by_verdict.items():
        share = percent(seconds / total, 0) if total else ""
        table.add_row(str(verdict), f"{rows:,}", duration(seconds), share)
    console.print(table)
    left_out = reasons(found)
    for verdict, reason, rows, seconds in left_out[:MOST_REASONS]:
        console.print(Text(f"{verdict}: {plain(reason)} ({counted(rows, 'row')}, {duration(seconds)})"), soft_wrap=True)
    if len(left_out) > MOST_REASONS:
        console.print(f"and {len(left_out) - MOST_REASONS} more reasons, in the table")
    unread = [one for one in found if one.answer.reject]
    for one in unread[:MOST_NAMED]:
        line = f"{plain(one.source.rel)}: {one.answer.reject}: {plain(one.answer.detail)}"
        console.print(Text(line), style="yellow", soft_wrap=True)
    if len(unread) > MOST_NAMED:
        console.print(f"and {len(unread) - MOST_NAMED:,} more files that could not be looked at", style="yellow")
