"""What is shown: tables that read the same in the terminal and on a page, and the command lines that ask for them."""

import argparse
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.base.runner import Rounds
from sharding.base.files import publish, write_json

Column = Callable[[Rounds[Any, Any], Any], str]
"""A cell from all rounds and the way whose row it is in."""
WANTED = ("wanted", "median", "lowest", "highest", "reached")


@dataclass(slots=True)
class Table:
    """A title, heads, and rows of text; `note` stands under it."""

    title: str
    columns: Sequence[str]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    note: str = ""

    def add(self, *cells: object) -> None:
        """A row."""
        self.rows.append(tuple(map(str, cells)))

    def rich(self) -> RichTable:
        table = RichTable(title=self.title, title_justify="left", caption=self.note, caption_justify="left")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left", no_wrap=not number)
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        marks = ["---:" if number else "---" for number in range(len(self.columns))]
        lines = [f"| {' | '.join(cells)} |" for cells in (self.columns, marks, *self.rows)]
        head, foot = [f"### {self.title}", ""] if self.title else [], ["", self.note] if self.note else []
        return "\n".join([*head, *lines, *foot])


def of_rounds(
    title: str,
    rounds: Rounds[Any, Any],
    columns: Mapping[str, Column],
    ways: Iterable[Any] | None = None,
    label: Callable[[Any], str] = str,
) -> Table:
    """A row for each way, with its label; one that never worked is listed as failed, with the first words of why."""
    table = Table(title, ("way", *columns))
    for way in rounds if ways is None else ways:
        if any(figure is not None for figure in rounds[way]):
            table.add(label(way), *(column(rounds, way) for column in columns.values()))
        else:
            trouble = first_words(rounds.troubles.get(way, "failed"))
            table.add(label(way), trouble, *[""] * (len(columns) - 1))
    return table


def statistic(name: str, form: str, of: Callable[[list[float]], float] = statistics.median, scale: float = 1) -> Column:
    """A column: median, or min, or max, of the attribute `name` of the figures (empty: of the figures themselves)."""
    what = figure_named(name)
    return lambda rounds, way: f"{of(rounds.each(way, what)) * scale:{form}}"


def spread(name: str, form: str) -> Column:
    """A column: median, and from least to most."""
    what = figure_named(name)
    return lambda rounds, way: "{:{f}} ({:{f}}-{:{f}})".format(*three(rounds.each(way, what)), f=form)


def ratio_to(reference: Callable[[Any], Any], name: str = "", form: str = ".2f", *, over: bool = False) -> Column:
    """A column: the way divided by its reference within each round, or the other way round; empty in its own row."""
    what = figure_named(name)

    def cell(rounds: Rounds[Any, Any], way: Any) -> str:
        above, below = (reference(way), way) if over else (way, reference(way))
        ratios = rounds.ratios(above, below, what) if above != below else []
        return f"{statistics.median(ratios):{form}}" if ratios else ""

    return cell


def figure_named(name: str) -> Callable[[Any], float]:
    """An attribute of a figure, or the figure itself."""
    return attrgetter(name) if name else float


def first_words(text: str, most: int = 60) -> str:
    """As many characters as a table has room for."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def three(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, least, most."""
    return statistics.median(values), min(values), max(values)


def yes(reached: bool) -> str:
    """For the last column."""
    return "yes" if reached else "no"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Wanted: a figure of `above`, divided by that of `below` in the same round, on one side of `limit`."""

    above: str
    below: str
    limit: float
    at_least: bool = True
    under: str = ""
    """Circumstances, for its name."""

    def row(self, ratios: Sequence[float]) -> tuple[str, ...]:
        """What, and WANTED of it: reached when the median is on the right side."""
        middle, *_ = found = three(ratios)
        reached = middle >= self.limit if self.at_least else middle <= self.limit
        name = ", ".join(filter(None, (f"{self.above} / {self.below}", self.under)))
        side = ">=" if self.at_least else "<="
        return (name, f"{side} {self.limit}", *(f"{figure:.2f}" for figure in found), yes(reached))


def wide_console() -> Console:
    """For tables; where nobody looks at a window, a line is as long as they need."""
    console = Console()
    return console if console.is_terminal else Console(width=160)


def report(tables: Sequence[Table], about: str, console: Console, options: argparse.Namespace, figures: Any) -> None:
    """Print the tables; write them as a page and the figures as JSON where that is asked for."""
    for table in tables:
        console.print(table.rich())
    console.print(about, markup=False)
    if options.markdown:
        with publish(options.markdown) as file:
            file.write("\n\n".join([about, *(table.markdown() for table in tables), ""]).encode())
    if options.json:
        write_json(options.json, {"about": about, "figures": figures})


def command(name: str, text: str | None, *, outputs: bool = False) -> argparse.ArgumentParser:
    """The command line of `python -m benchmarks.NAME`; `text`: the docstring that explains it; outputs: of `report`."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}", description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if outputs:
        parser.add_argument("--markdown", type=Path, help="write the tables there, too")
        parser.add_argument("--json", type=Path, help="write every figure of every round there")
    return parser
