"""Scores on the terminal: a sentence for one file, a table with a row each for several."""

import shlex
from collections.abc import Sequence

from rich.table import Table

from avsync.score.score import Scored
from sharding.base.console import open_console
from sharding.base.text import counted, percent, plain
from sharding.errors import InputError

IN_WORDS = ("changes", "can't tell")
"""Verdicts that no row of numbers explains: their sentences follow the table."""
NAMED = 3
"""Files that failed, in the last line; the table has them all."""


def report(done: Sequence[Scored]) -> str:
    """Print what was found; returns what to say at the end. Raises InputError when files could not be scored."""
    console = open_console()
    if len(done) == 1 and done[0].answer:
        console.print(done[0].answer.sentence, soft_wrap=True)
    elif len(done) > 1:
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
