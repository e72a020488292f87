"""Scores on the terminal: a sentence for one file, a table with a row each for several, figures for a set."""

import shlex
from collections.abc import Iterator, Sequence

from rich.table import Table

from avsync.score.result import ScoreResult
from avsync.score.score import Scored
from avsync.score.score_set import ScoredSet
from avsync.score.set_summary import SetDifference, SetFigure, SetSummary
from sharding.base.console import open_console
from sharding.base.text import counted, percent, plain
from sharding.errors import InputError

IN_WORDS = ("changes", "can't tell")
"""Verdicts that no row of numbers explains: their sentences follow the table."""
NAMED = 3
"""Files that failed, in the last line; the table has them all."""


def tell(answer: ScoreResult) -> None:
    """Print the sentence of a single file, at once."""
    open_console().print(answer.sentence, soft_wrap=True)


def report(done: Sequence[Scored]) -> str:
    """Print what was found, but for the sentence of a single file; returns what to say at the end.

    Raises InputError when files could not be scored.
    """
    console = open_console()
    if len(done) > 1:
        console.print(_table(done))
        for one in done:
            if one.answer and one.answer.verdict in IN_WORDS:
                console.print(one.answer.sentence, soft_wrap=True)
            elif one.error:
                console.print(f"{plain(one.video.name)}: {one.error}", style="yellow", soft_wrap=True)
    for one in done:
        if one.fixed:
            name = f"{plain(one.video.name)}: " if len(done) > 1 else ""
            console.print(f"{name}{one.fixed}", soft_wrap=True)
    if bad := [one for one in done if one.error]:
        named = "; ".join(f"{plain(str(one.video))}: {one.error}" for one in bad[:NAMED])
        more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        raise InputError(f"{len(bad)} of {counted(len(done), 'file')} failed: {named}{more}")
    pictures = [one.picture for one in done if one.picture]
    return f"Next: open {shlex.quote(plain(str(pictures[0] if len(pictures) == 1 else pictures[0].parent)))}"


def _table(done: Sequence[Scored]) -> Table:
    """A row for each file."""
    table = Table(box=None, pad_edge=False)
    table.add_column("file", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    for name in ("offset ms", "90 % within", "sure"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in done:
        table.add_row(plain(one.video.name), *_cells(one))
    return table


def _cells(one: Scored) -> tuple[str, ...]:
    answer = one.answer
    if answer is None:
        return "failed", "", "", ""
    if answer.offset_ms is None or answer.interval_ms is None or answer.verdict in IN_WORDS:
        return answer.verdict, "", "", ""
    low, high = answer.interval_ms
    return (
        answer.verdict,
        f"{round(answer.offset_ms):+}",
        f"{round(low):+} to {round(high):+}",
        percent(answer.confidence, digits=0),
    )


def report_set(found: ScoredSet) -> str:
    """Print the figures of a set, or of two and their difference; returns what to say at the end.

    Raises InputError when not one file could be scored.
    """
    console = open_console()
    sets = [one for one in (found.a, found.b) if one is not None]
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for head in ("", "95 % of draws") if len(sets) == 1 else ("A", "95 %", "B", "95 %"):
        table.add_column(head, justify="right", no_wrap=True)
    for rows in zip(*map(_set_rows, sets), strict=True):
        table.add_row(rows[0][0], *(cell for row in rows for cell in row[1:]))
    console.print(table)
    if found.comparison:
        compared = found.comparison
        console.print(f"A less B, over {counted(compared.pairs, 'pair')} of the same name:", soft_wrap=True)
        differences = (
            ("absolute offset", compared.absolute_ms, " ms", 1),
            *((f"in sync to {most}", one, " points", 100) for most, one in compared.in_sync.items()),
            ("DeSync", compared.desync_s, " s", 1),
        )
        for name, one, unit, scale in differences:
            console.print(f"  {name}: {_difference(one, unit, scale)}", soft_wrap=True)
    if failed := sum(one.failed for one in sets):
        total = sum(one.files for one in sets)
        words = (
            f"{failed} of {counted(total, 'file')} could not be scored; their lines in {found.lines} say why, and the "
            "same command tries them again"
        )
        if failed == total:
            raise InputError(words)
        console.print(words, style="yellow", soft_wrap=True)
    return f"Lines: {shlex.quote(plain(str(found.lines)))}; figures: {found.lines.with_suffix('.summary.json').name}"


def _set_rows(one: SetSummary) -> Iterator[tuple[str, str, str]]:
    """Name, value and interval."""
    yield "files", f"{one.files - one.failed:,}", ""
    yield "can't tell", *_figure(one.cant_tell, "%", 100)
    yield "mean absolute offset, where known", *_figure(one.mean_absolute_ms, "ms", 1)
    for most, share in one.in_sync.items():
        yield f"known to be in sync to {most}", *_figure(share, "%", 100)
    yield "probability of in sync, mean", *_figure(one.in_sync_probability, "%", 100)
    yield "DeSync, all of each file", *_figure(one.desync_s, "s", 1)


def _figure(one: SetFigure | None, unit: str, scale: int) -> tuple[str, str]:
    if one is None:
        return "-", ""
    digits = 2 if unit == "s" else 0 if unit == "ms" else 1
    low, value, high = (f"{scale * number:.{digits}f}" for number in (one.low, one.value, one.high))
    return f"{value} {unit}", f"{low} to {high}"


def _difference(one: SetDifference | None, unit: str, scale: int) -> str:
    if one is None:
        return "no pair where both are known"
    digits = 2 if unit == " s" else 1
    low, mean, high = (f"{scale * number:+.{digits}f}" for number in (one.low, one.mean, one.high))
    return f"{mean}{unit} ({low} to {high}; p {one.p:.3f} by flipped signs, {counted(one.pairs, 'pair')})"
