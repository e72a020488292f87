"""A dataset on one screen of the terminal.

Names from data are printed as Text, never as markup, and without control characters: a file name must not steer the
terminal.
"""

from collections.abc import Sequence

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from sharding.rejects import REJECTS
from sharding.show import words
from sharding.show.av_clock import OFFSET_LABELS, AvClock, Histogram, OffsetHistogram
from sharding.show.survey import Survey
from sharding.words import counted, duration, plain, size

BAR, HALF_BAR = 20, 13
"""Cells of the longest bar, alone and where two stand side by side."""
EIGHTHS = " ▏▎▍▌▋▊▉"
WORST = "worst sources first"
ACTIONS = 4
"""Largest and smallest actions shown."""
EXAMPLE = 52
"""Cells for an example; rejects.csv has all."""
UNLIMITED = 1000
"""Cells: to ask a table what it needs."""
NAME = 24
"""Fewest cells for a source's name."""


def open_console() -> Console:
    """Shows data as it is: nothing in a string is markup."""
    return Console(markup=False, emoji=False, highlight=False)


def print_screen(survey: Survey, clock: AvClock, console: Console) -> None:
    """All of it."""
    console.print(_head(survey))
    console.print(Columns([_splits(survey), _lengths(survey)], padding=(1, 4)))
    console.print(Columns([_actions(survey), _rejects(survey)], padding=(1, 4)))
    console.print()
    console.print(Rule("A/V clock", align="left", style="dim"))
    console.print(Columns([_offsets(clock.offsets), _totals(clock)], padding=(0, 4)))
    bars = [_histogram(one, HALF_BAR) for one in (clock.silence, clock.repeated, clock.stills)]
    console.print(Columns(bars, padding=(1, 4)))
    console.print(_worst(survey, clock, console))
    for note in survey.notes:
        console.print(name_text(f"note: {note}", "yellow"), soft_wrap=True)


def name_text(name: str, style: str = "") -> Text:
    """A name from outside, never read as markup."""
    return Text(plain(name), style)


def _head(survey: Survey) -> RenderableType:
    info = survey.info
    counts = (
        f"{counted(survey.clips, 'clip')}, {duration(survey.seconds)}, {size(survey.bytes)}, from "
        f"{counted(info.sources, 'source')}; {counted(info.rejects, 'source')} rejected, "
        f"{counted(info.lost_clips, 'clip')} lost"
    )
    title = Text.assemble((plain(str(survey.folder)), "bold"), f"  {counts}")
    return Group(title, name_text(f"{words.form(info)}; {words.settings(info)}; {info.written_by}", "dim"))


def _splits(survey: Survey) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in words.SPLIT_COLUMNS:
        table.add_column(column, justify="left" if column == "split" else "right", no_wrap=True)
    for one in survey.splits:
        table.add_row(*words.split_cells(one))
    return table


def _lengths(survey: Survey) -> Table:
    bins = words.length_bins(survey.frames, survey.info.clock.fps)
    return _bars("clip length", [(Text(one.label), one.clips) for one in bins], BAR)


def _bars(title: str, lines: Sequence[tuple[Text, int]], width: int) -> Table:
    """Label, number, and a bar that is longest for the greatest number."""
    table = Table(
        title=Text(title, "bold"), title_justify="left", min_width=len(title),
        box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    table.add_column(overflow="ellipsis", no_wrap=True, max_width=40)
    table.add_column(justify="right")
    table.add_column(width=width)
    most = max((count for _, count in lines), default=0)
    for label, count in lines:
        table.add_row(label, f"{count:,}", bar(count, most, width))
    return table


def bar(count: int, most: int, width: int, style: str = "cyan") -> Text:
    """`width` cells for `most`; something, however little, for anything above 0."""
    eighths = max(1, round(8 * width * count / most)) if count else 0
    return Text("█" * (eighths // 8) + EIGHTHS[eighths % 8].strip(), style)


def _actions(survey: Survey) -> Table:
    actions = words.actions_by_clips(survey)
    lines = [(name_text(name), count) for name, count in actions]
    if len(lines) > 2 * ACTIONS:
        table = _bars(words.balance(actions), lines[:ACTIONS], BAR)
        table.add_row(Text("...", "dim"))
        for label, count in lines[-ACTIONS:]:
            table.add_row(label, f"{count:,}", bar(count, lines[0][1], BAR))
        return table
    return _bars(words.balance(actions), lines, BAR)


def _rejects(survey: Survey) -> RenderableType:
    reasons = words.reject_reasons(survey)
    if not reasons:
        return Text("no source was rejected")
    table = Table(box=None, pad_edge=False, title_justify="left", padding=(0, 1, 0, 0))
    table.title = Text(f"{counted(len(survey.rejects), 'source')} rejected, all in {REJECTS}", "bold")
    table.add_column("reason", no_wrap=True, min_width=min(20, max(len(one.reason) for one in reasons)))
    table.add_column("sources", justify="right", no_wrap=True, min_width=len("sources"))
    table.add_column("for example", overflow="ellipsis", no_wrap=True, max_width=EXAMPLE)
    for one in reasons:
        table.add_row(name_text(one.reason), f"{one.sources:,}", name_text(f"{one.example.path}: {one.example.detail}"))
    return table


def _offsets(offsets: OffsetHistogram) -> Table:
    """Bars to both sides: sound that starts before the picture, and after it."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), title_justify="left")
    table.title = Text("stream offset", "bold")
    table.add_column("sound first", justify="right", width=HALF_BAR)
    table.add_column("", justify="right")
    table.add_column("", justify="center")
    table.add_column("", justify="right")
    table.add_column("picture first", width=HALF_BAR)
    most = max(offsets.together, *offsets.sound_first, *offsets.sound_late)
    together = bar(offsets.together, most, HALF_BAR, "green")
    table.add_row("", "", Text(OFFSET_LABELS[0], "green"), f"{offsets.together:,}", together)
    for label, first, late in zip(OFFSET_LABELS[1:], offsets.sound_first, offsets.sound_late, strict=True):
        table.add_row(_bar_leftwards(first, most), f"{first:,}", Text(label), f"{late:,}", bar(late, most, HALF_BAR))
    return table


def _bar_leftwards(count: int, most: int) -> Text:
    """Like `bar`, in half cells: no finer blocks are right-aligned."""
    halves = max(1, round(2 * HALF_BAR * count / most)) if count else 0
    return Text("▐" * (halves % 2) + "█" * (halves // 2), "cyan")


def _totals(clock: AvClock) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, title_justify="left", padding=(0, 2, 0, 0))
    table.title = Text("mended in all clips together", "bold")
    for what, much in words.totals(clock.totals):
        table.add_row(Text(what), Text(much))
    return table


def _histogram(one: Histogram, width: int) -> Table:
    return _bars(one.title, [(Text(label), count) for label, count in zip(one.labels, one.counts, strict=True)], width)


def _worst(survey: Survey, clock: AvClock, console: Console) -> RenderableType:
    if not clock.worst:
        return Text("no source had any trouble" if len(survey.sources) else "")
    worst = words.worst_table(survey, clock.worst)
    table = _wide_worst(worst)
    need = Measurement.get(console, console.options.update_width(UNLIMITED), table).minimum
    return Padding(table if need <= console.width else _narrow_worst(worst), (1, 0, 0, 0))


def _names(worst: words.WorstTable) -> list[Text]:
    both = zip(worst.names, worst.damage, strict=True)
    return [name_text(f"{name} ({damage})" if damage else name) for name, damage in both]


def _wide_worst(worst: words.WorstTable) -> Table:
    table = Table(title=Text(WORST, "bold"), title_justify="left", box=None, pad_edge=False)
    table.add_column("source", overflow="fold", min_width=NAME)
    for place, column in enumerate(worst.columns):
        widest = max(len(column), *(len(cells[place]) for cells in worst.rows))
        table.add_column(column, justify="left" if column == "mostly" else "right", no_wrap=True, min_width=widest)
    for name, cells in zip(_names(worst), worst.rows, strict=True):
        table.add_row(name, *(Text(cell or "·", "" if cell else "dim") for cell in cells))
    return table


def _narrow_worst(worst: words.WorstTable) -> Table:
    """For a terminal in which not all columns find room: what there is of them in one."""
    table = Table(title=Text(WORST, "bold"), title_justify="left", box=None, pad_edge=False)
    table.add_column("source", overflow="fold", min_width=NAME)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("why")
    for name, cells in zip(_names(worst), worst.rows, strict=True):
        told = zip(worst.columns, cells, strict=True)
        why = (f"{column} {cell}" for column, cell in told if cell and column not in ("score", "mostly"))
        table.add_row(name, cells[0], Text(", ".join(why)))
    return table
