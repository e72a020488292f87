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

from sharding.base.text import counted, duration, plain, size
from sharding.format.records import REJECTS
from sharding.show import formatting
from sharding.show.av_clock import OFFSET_LABELS, AvClock, Doubtful, Histogram, OffsetHistogram
from sharding.show.survey import Survey

BAR, HALF_BAR = 20, 13
"""Cells of the longest bar, alone and where two stand side by side."""
EIGHTHS = " ▏▎▍▌▋▊▉"
WORST = "worst sources first"
ACTIONS = 4
"""Largest and smallest actions shown."""
WORDS = ("mostly", "clock")
"""Columns of that table that are no numbers."""
UNLIMITED = 1000
"""Cells: to ask a table what it needs."""
NAME = 24
"""Fewest cells for a source's name, beside other columns."""


def print_screen(survey: Survey, clock: AvClock, console: Console) -> None:
    """All of it."""
    console.print(_head(survey))
    console.print(Columns([_splits(survey, console), _lengths(survey)], padding=(1, 4)))
    console.print(Columns([_actions(survey, console), _rejects(survey, console)], padding=(1, 4)))
    console.print()
    console.print(Rule("A/V clock", align="left", style="dim"))
    console.print(Columns([_offsets(clock.offsets, console), _totals(clock)], padding=(0, 4)))
    bars = [_histogram(one, HALF_BAR) for one in (clock.silence, clock.repeated, clock.stills)]
    console.print(Columns(bars, padding=(1, 4)))
    if clock.worst is not None:
        console.print(_worst(survey, clock.worst, console))
    if clock.chosen:
        console.print(_chosen(survey, clock, console))
    for note in survey.notes:
        console.print(name_text(f"note: {note}", "yellow"), soft_wrap=True)


def name_text(name: str, style: str = "") -> Text:
    """A name from outside, never read as markup."""
    return Text(plain(name), style)


def or_lines(table: Table, lines: Sequence[Text], console: Console) -> RenderableType:
    """The table; where its columns do not find room, its title and lines that may break anywhere."""
    if Measurement.get(console, console.options.update_width(UNLIMITED), table).minimum <= console.width:
        return table
    return Group(*(part for part in (table.title, *lines) if part is not None))


def _head(survey: Survey) -> RenderableType:
    info = survey.info
    counts = (
        f"{counted(survey.clips, 'clip')}, {duration(survey.seconds)}, {size(survey.bytes)}, from "
        f"{counted(info.sources, 'source')}; {counted(info.rejects, 'source')} rejected, "
        f"{counted(info.lost_clips, 'clip')} lost"
    )
    title = Text.assemble((plain(str(survey.folder)), "bold"), f"  {counts}")
    return Group(title, name_text(f"{formatting.form(info)}; {formatting.settings(info)}; {info.written_by}", "dim"))


def _splits(survey: Survey, console: Console) -> RenderableType:
    table = Table(box=None, pad_edge=False)
    for column in formatting.SPLIT_COLUMNS:
        table.add_column(column, justify="left" if column == "split" else "right", no_wrap=True)
    for one in survey.splits:
        table.add_row(*formatting.split_cells(one))
    return or_lines(table, [Text(formatting.split_line(one)) for one in survey.splits], console)


def _lengths(survey: Survey) -> Table:
    bins = formatting.length_bins(survey.frames, survey.info.clock.fps)
    return _bars("clip length", [(Text(one.label), one.clips) for one in bins], BAR)


def _bars(title: str, lines: Sequence[tuple[Text, int]], width: int, room: int = UNLIMITED) -> Table:
    """Label, number, and a bar that is longest for the greatest number; a title of more than `room` cells is broken."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0), title_justify="left")
    table.title, table.min_width = Text(title, "bold"), min(len(title), room)
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(width=width)
    most = max((count for _, count in lines), default=0)
    for label, count in lines:
        table.add_row(label, f"{count:,}", bar(count, most, width))
    return table


def bar(count: int, most: int, width: int, style: str = "cyan") -> Text:
    """`width` cells for `most`; something, however little, for anything above 0."""
    eighths = max(1, round(8 * width * count / most)) if count else 0
    return Text("█" * (eighths // 8) + EIGHTHS[eighths % 8].strip(), style)


def _actions(survey: Survey, console: Console) -> Table:
    actions = formatting.actions_by_clips(survey)
    lines = [(name_text(name), count) for name, count in actions]
    if len(lines) > 2 * ACTIONS:
        table = _bars(formatting.balance(actions), lines[:ACTIONS], BAR, console.width)
        table.add_row(Text("...", "dim"))
        for label, count in lines[-ACTIONS:]:
            table.add_row(label, f"{count:,}", bar(count, lines[0][1], BAR))
        return table
    return _bars(formatting.balance(actions), lines, BAR, console.width)


def _rejects(survey: Survey, console: Console) -> RenderableType:
    reasons = formatting.reject_reasons(survey)
    if not reasons:
        return Text("no source was rejected")
    table = Table(box=None, pad_edge=False, title_justify="left", padding=(0, 1, 0, 0))
    table.title = Text(f"{counted(len(survey.rejects), 'source')} rejected, all in {REJECTS}", "bold")
    table.add_column("reason", no_wrap=True, min_width=min(20, max(len(one.reason) for one in reasons)))
    table.add_column("sources", justify="right", no_wrap=True, min_width=len("sources"))
    table.add_column("for example", overflow="fold", min_width=NAME)
    lines = list[Text]()
    for one in reasons:
        example = name_text(f"{one.example.path}: {one.example.detail}")
        table.add_row(name_text(one.reason), f"{one.sources:,}", example)
        lines.append(Text.assemble(name_text(one.reason), f" {one.sources:,}, for example ", example))
    return or_lines(table, lines, console)


def _offsets(offsets: OffsetHistogram, console: Console) -> Table:
    """Bars to both sides: sound that starts before the picture, and after it."""
    width = min(HALF_BAR, max(len("picture"), (console.width - HALF_BAR) // 3))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), title_justify="left")
    table.title = Text("stream offset", "bold")
    table.add_column("sound first", justify="right", width=width)
    table.add_column("", justify="right")
    table.add_column("", justify="center", overflow="fold")
    table.add_column("", justify="right")
    table.add_column("picture first", width=width)
    most = max(offsets.together, *offsets.sound_first, *offsets.sound_late)
    together = bar(offsets.together, most, width, "green")
    table.add_row("", "", Text(OFFSET_LABELS[0], "green"), f"{offsets.together:,}", together)
    for label, first, late in zip(OFFSET_LABELS[1:], offsets.sound_first, offsets.sound_late, strict=True):
        before, after = _bar_leftwards(first, most, width), bar(late, most, width)
        table.add_row(before, f"{first:,}", Text(label), f"{late:,}", after)
    return table


def _bar_leftwards(count: int, most: int, width: int) -> Text:
    """Like `bar`, in half cells: no finer blocks are right-aligned."""
    halves = max(1, round(2 * width * count / most)) if count else 0
    return Text("▐" * (halves % 2) + "█" * (halves // 2), "cyan")


def _totals(clock: AvClock) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, title_justify="left", padding=(0, 2, 0, 0))
    table.title = Text("mended in all clips together", "bold")
    for what, much in formatting.totals(clock.totals):
        table.add_row(Text(what), Text(much))
    return table


def _histogram(one: Histogram, width: int) -> Table:
    return _bars(one.title, [(Text(label), count) for label, count in zip(one.labels, one.counts, strict=True)], width)


def _worst(survey: Survey, doubtful: tuple[Doubtful, ...], console: Console) -> RenderableType:
    if not doubtful:
        return Text(f"{formatting.UNTROUBLED}." if len(survey.sources) else "")
    worst = formatting.worst_table(survey, doubtful)
    return Padding(or_lines(_worst_table(worst), _worst_lines(worst), console), (1, 0, 0, 0))


def _names(worst: formatting.WorstTable) -> list[Text]:
    both = zip(worst.names, worst.remarks, strict=True)
    return [name_text(f"{name} ({remark})" if remark else name) for name, remark in both]


def _worst_table(worst: formatting.WorstTable) -> Table:
    table = Table(title=Text(WORST, "bold"), title_justify="left", box=None, pad_edge=False)
    table.add_column("source", overflow="fold", min_width=NAME)
    for number, column in enumerate(worst.columns):
        widest = max(len(column), *(len(cells[number]) for cells in worst.rows))
        table.add_column(column, justify="left" if column in WORDS else "right", no_wrap=True, min_width=widest)
    for name, cells in zip(_names(worst), worst.rows, strict=True):
        table.add_row(name, *(Text(cell or "·", "" if cell else "dim") for cell in cells))
    return table


def _worst_lines(worst: formatting.WorstTable) -> list[Text]:
    """The same for a terminal in which not all columns find room."""
    lines = list[Text]()
    for name, cells in zip(_names(worst), worst.rows, strict=True):
        named = zip(worst.columns, cells, strict=True)
        why = (f"{column} {cell}" for column, cell in named if cell and column != "mostly")
        lines.append(Text.assemble(name, (f": {', '.join(why)}", "dim")))
    return lines


def _chosen(survey: Survey, clock: AvClock, console: Console) -> RenderableType:
    """What was used among what."""
    table = Table(title=Text(formatting.chosen_title(clock), "bold"), title_justify="left", box=None, pad_edge=False)
    for column in formatting.STREAM_COLUMNS:
        table.add_column(column, overflow="fold", min_width=NAME)
    lines = list[Text]()
    for name, streams in formatting.chosen_cells(survey, clock):
        table.add_row(name_text(name), name_text(streams))
        lines.append(Text.assemble(name_text(name), ": ", name_text(streams)))
    return Padding(or_lines(table, lines, console), (1, 0, 0, 0))
