"""`avsync show VIDEO`: the streams of one file, its stretches, and what packing would cut of it, on the terminal.

What the file says of itself is printed as Text, without control characters.
"""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sharding.base.console import open_console
from sharding.base.text import counted, duration, size
from sharding.config import PackConfig
from sharding.containers.choice import StreamWish
from sharding.format.records import Certainty
from sharding.show.formatting import offset
from sharding.show.screen import name_text, or_lines
from sharding.show.video_facts import StreamLine, VideoFacts, read_facts

ROWS, STREAMS = 20, 200
"""Of stretches and of clips, and of streams, at most; a multiplex of a whole channel has dozens of those."""
WIDEST = 40
"""Cells that a column may insist on."""
STREAM_COLUMNS = ("stream", "kind", "codec", "form", "language", "title", "default", "used")
STRETCH_COLUMNS = ("start s", "end s", "seconds")
CLIP_COLUMNS = ("first frame", "frames", *STRETCH_COLUMNS)


def show_video(path: Path, wish: StreamWish, console: Console | None = None) -> VideoFacts:
    """Print what `path` holds and what packing would make of it. Raises InputError when there is no such file."""
    config = PackConfig()
    facts = read_facts(path, wish, config)
    print_facts(facts, config, console or open_console(wide=True))
    return facts


def print_facts(facts: VideoFacts, config: PackConfig, console: Console) -> None:
    """All of it."""
    about = ", ".join(filter(None, (facts.container, size(facts.bytes))))
    console.print(Text.assemble(name_text(str(facts.path), "bold"), f"  {about}"))
    if facts.streams:
        console.print(_streams(facts.streams, console))
    if facts.found is not None:
        _print_clock(facts, console)
    if facts.reject is not None:
        console.print(name_text(f"avsync pack would reject it as {facts.reject}"), soft_wrap=True)
        return
    _print_clips(facts, config, console)


def _streams(streams: Sequence[StreamLine], console: Console) -> RenderableType:
    rows = [
        (
            str(one.index),
            one.kind,
            one.codec,
            one.form,
            one.language,
            one.title,
            "default" if one.default else "",
            "yes" if one.used else f"no: {one.why}" if one.why else "",
        )
        for one in streams
    ]
    return _table("streams", STREAM_COLUMNS, rows, console, STREAMS)


def _print_clock(facts: VideoFacts, console: Console) -> None:
    found = facts.found
    assert found is not None
    console.print(_table("picture and sound are both there", STRETCH_COLUMNS, _seconds(facts), console))
    if found.missing is not None:
        start, end = (f"{float(edge):.3f}" for edge in found.missing)
        console.print(f"it breaks off: what belongs from {start} to {end} s is missing", soft_wrap=True)
    start = offset(found.stream_offset_s)
    console.print(f"sound first heard after the picture is first seen: {start}", soft_wrap=True)
    words = f": {facts.clock}" if str(facts.clock) else ""
    strict = "; --strict would leave it out" if facts.clock.certainty is not Certainty.SURE else ""
    console.print(f"by its packets its clock is {facts.clock.certainty}{words}{strict}", soft_wrap=True)


def _seconds(facts: VideoFacts) -> list[tuple[str, ...]]:
    return [tuple(f"{float(value):.3f}" for value in (start, end, end - start)) for start, end in facts.stretches]


def _print_clips(facts: VideoFacts, config: PackConfig, console: Console) -> None:
    fps, total = config.clock.fps, sum(map(len, facts.pieces))
    title = f"avsync pack would cut {counted(len(facts.pieces), 'clip')}, {duration(total / fps)}, by its defaults"
    rows = [
        (
            f"{piece.start:,}",
            f"{len(piece):,}",
            *(f"{float(frames / fps):.3f}" for frames in (piece.start, piece.stop, len(piece))),
        )
        for piece in facts.pieces
    ]
    console.print(_table(title, CLIP_COLUMNS, rows, console))
    if facts.lost:
        console.print(f"{counted(facts.lost, 'clip')} would be lost with what is missing", soft_wrap=True)
    console.print(
        "Packing decodes it, too, and only that tells whether it can be heard and moves, whether a time is stray, and "
        "whether the rate of its sound changes",
        soft_wrap=True,
    )


def _table(
    title: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]], console: Console, most: int = ROWS
) -> RenderableType:
    """Columns in which nothing stands are left out, and rows in the middle where there are more than `most`."""
    kept = [at for at in range(len(columns)) if not rows or any(row[at] for row in rows)]
    few = list(rows) if len(rows) <= most else [*rows[: most - 2], ("...",) * len(columns), rows[-1]]
    table = Table(title=Text(title, "bold"), title_justify="left", box=None, pad_edge=False)
    table.min_width = min(len(title), console.width)
    words = columns is STREAM_COLUMNS
    for at in kept:
        widest = max([len(columns[at]), *(len(row[at]) for row in few)])
        table.add_column(
            columns[at], justify="left" if words else "right", overflow="fold", min_width=min(widest, WIDEST)
        )
    lines = list[Text]()
    for row in few:
        table.add_row(*(name_text(row[at]) for at in kept))
        named = (f"{columns[at]} {row[at]}" for at in kept if row[at])
        lines.append(name_text(", ".join(named)))
    return Padding(or_lines(table, lines, console), (1, 0, 0, 0))
