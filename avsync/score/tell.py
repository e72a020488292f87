"""Scores on the terminal: a sentence for one file, a table with a row each for several."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from avsync.score.score import Scored
from sharding.base.console import open_console
from sharding.base.text import counted, plain
from sharding.errors import InputError

IN_WORDS = ("changes", "can't tell")
"""Verdicts that no row of numbers explains: their sentences follow the table."""
NAMED = 3
"""Files that failed, in the last line; the table has them all."""


def tell(done: Sequence[Scored]) -> str:
    """Print what was found; returns what to say at the end. Raises InputError when files could not be scored."""
    console = open_console()
    if len(done) == 1 and done[0].answer:
        console.print(done[0].answer.sentence, soft_wrap=True)
    elif len(done) > 1:
        console.print(score_table(done))
        for one in done:
            if one.answer and one.answer.verdict in IN_WORDS:
                console.print(one.answer.sentence, soft_wrap=True)
            elif one.error:
                console.print(f"{plain(one.video.name)}: {one.error}", style="yellow", soft_wrap=True)
    for fixed in (
        one.fixed if len(done) == 1 else f"{plain(one.video.name)}: {one.fixed}" for one in done if one.fixed
    ):
        console.print(fixed, soft_wrap=True)
    if bad := [one for one in done if one.error]:
        told = "; ".join(f"{plain(str(one.video))}: {one.error}" for one in bad[:NAMED])
        more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        raise InputError(f"{len(bad)} of {counted(len(done), 'file')} failed: {told}{more}")
    return f"Next: open {_places(done)}"


def score_table(done: Sequence[Scored]) -> Table:
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
        f"{answer.confidence:.0%}",
    )


def _places(done: Sequence[Scored]) -> str:
    pictures = [one.picture for one in done if one.picture]
    return shlex.quote(plain(str(pictures[0] if len(pictures) == 1 else _folder(pictures))))


def _folder(pictures: Sequence[Path]) -> Path:
    return pictures[0].parent
