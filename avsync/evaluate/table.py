"""Actions at the terminal: the easiest and the hardest of many, and how many cannot be told. Prints nothing itself."""

from collections.abc import Sequence
from typing import TypeVar

from rich.table import Table
from rich.text import Text

from avsync.evaluate.actions import (
    MEANS,
    RATE,
    UNKNOWN,
    ActionRow,
    counts,
)
from sharding.base.text import counted

T = TypeVar("T")
SHOWN = 24
"""Of more actions, so many are shown: half of them the easiest, half the hardest."""
STYLES = {"easy": "green", "learned": "green", "hard": "yellow", "chance": "red", UNKNOWN: "dim"}


def easiest_and_hardest(rows: Sequence[T], shown: int = SHOWN) -> tuple[list[T], list[T]]:
    """The first and the last rows; all in the first list where there are no more than `shown`."""
    if len(rows) <= shown:
        return list(rows), []
    return list(rows[: shown // 2]), list(rows[-(shown // 2) :])


def action_table(rows: Sequence[ActionRow]) -> Table:
    """Highest estimate first."""
    table = Table("action", title="by action")
    for name in ("accuracy", "95 % interval", "estimate", "sources"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    first, last = easiest_and_hardest(rows)
    for row in first:
        table.add_row(*_cells(row))
    if last:
        table.add_section()
        table.add_row(f"... {counted(len(rows) - len(first) - len(last), 'action')}: by_action.csv", style="dim")
        table.add_section()
    for row in last:
        table.add_row(*_cells(row))
    return table


def _cells(row: ActionRow) -> tuple[Text | str, ...]:
    share = row.accuracy
    more = f"; about {counted(row.more_sources, 'more source')} to tell" if row.more_sources else ""
    return (
        Text(row.name), f"{share.value:.1%}", f"{share.low:.1%} to {share.high:.1%}", f"{row.estimate:.1%}",
        str(row.sources), Text(row.verdict + more, STYLES[row.verdict]),
    )  # fmt: skip


def action_words(rows: Sequence[ActionRow]) -> str:
    """How many actions got each verdict, and what the verdicts mean."""
    found = counts(rows)
    told = "; ".join(f"{number} {verdict} ({MEANS[verdict]})" for verdict, number in found.items() if number)
    told = told.replace(f"{UNKNOWN} ({MEANS[UNKNOWN]})", UNKNOWN)
    return (
        f"of {counted(len(rows), 'action')}: {told}; of what is told, about {RATE:.0%} may be false. "
        "estimate: accuracy, drawn towards that of all actions as far as sources are few"
    )
