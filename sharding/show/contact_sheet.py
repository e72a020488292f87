"""Contact sheet of a dataset: some clips of each split, picture above sound, as one PNG or as pieces for the page."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image, ImageDraw

from sharding.base.cores import available_cores
from sharding.base.text import counted, duration, plain
from sharding.errors import FormatError, SkipClip
from sharding.format.dataset import Dataset, open_dataset
from sharding.show import words
from sharding.show.strip import INK, PALE, PAPER, WIDTH, ClipView, draw_strip, font, read_view
from sharding.show.survey import Survey

COLUMNS, GAP, MARGIN = 3, 28, 32
LEGEND = "A line joins each picture to the sound heard with it; where every sample is 0, the sound is drawn red."
TITLE, HEADING, CAPTION = 56, 44, 40
"""Pixels: heights of the title, of a split's heading, and of the two lines above a strip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSheet:
    """Some clips of one split."""

    split: str
    of: int
    """Clips that the split has."""
    views: tuple[ClipView, ...]
    notes: tuple[str, ...]
    """What cannot be shown, and why."""


def read_sheets(survey: Survey, clips: int) -> tuple[SplitSheet, ...]:
    """At most `clips` of each split that has any, spread evenly over it. Unreadable ones become notes."""
    filled = [one.split for one in survey.splits if one.clips]
    return tuple(_read_sheet(open_dataset(survey.folder, split), clips) for split in filled)


def _read_sheet(dataset: Dataset, clips: int) -> SplitSheet:
    count = len(dataset.index)
    wanted = min(clips, count)
    chosen = [(2 * number + 1) * count // (2 * wanted) for number in range(wanted)]

    def read(clip: int) -> ClipView | str:
        try:
            return read_view(dataset, clip)
        except (SkipClip, FormatError) as error:
            told = str(error)
            return told if dataset.key(clip) in told else f"clip {dataset.key(clip)}: {told}"

    with ThreadPoolExecutor(available_cores()) as pool:
        read_ones = list(pool.map(read, chosen))
    return SplitSheet(
        split=dataset.split,
        of=count,
        views=tuple(one for one in read_ones if isinstance(one, ClipView)),
        notes=tuple(f"not shown: {one}" for one in read_ones if isinstance(one, str)),
    )


def heading(sheet: SplitSheet) -> str:
    """`train: 6 of 182 clips`."""
    return f"{sheet.split}: {len(sheet.views)} of {counted(sheet.of, 'clip')}"


def caption(view: ClipView) -> tuple[str, str]:
    """Action, and what its clock says."""
    repairs, meta = view.meta.repairs, view.meta
    told = [
        f"offset {words.offset(meta.stream_offset_s)}",
        f"silence {repairs.silence_samples / meta.clock.sample_rate:.2f} s" if repairs.silence_samples else "",
        f"repeats {words.share(repairs.frames_repeated / meta.frames)}" if repairs.frames_repeated else "",
        counted(repairs.decode_errors, "decode error") if repairs.decode_errors else "",
    ]
    return plain(meta.action), ", ".join(filter(None, told))


def sheet_png(survey: Survey, sheets: Sequence[SplitSheet]) -> bytes:
    """The whole sheet; a PNG file's bytes."""
    strips = [[draw_strip(view) for view in sheet.views] for sheet in sheets]
    strip_height = max((strip.height for row in strips for strip in row), default=0)
    row_height = CAPTION + strip_height + GAP
    columns = min(COLUMNS, max((len(row) for row in strips), default=1) or 1)
    heights = [HEADING + 18 * len(one.notes) + row_height * -(-len(one.views) // columns) for one in sheets]
    width = 2 * MARGIN + columns * WIDTH + (columns - 1) * GAP
    page = Image.new("RGB", (width, MARGIN + TITLE + sum(heights) + MARGIN // 2), PAPER)
    draw = ImageDraw.Draw(page)
    title = f"{plain(survey.folder.name)}: {counted(survey.clips, 'clip')}, {duration(survey.seconds)}"
    _line(draw, (MARGIN, MARGIN), title, INK, 24, width - 2 * MARGIN, "-Bold")
    _line(draw, (MARGIN, MARGIN + 30), f"{words.form(survey.info)}. {LEGEND}", PALE, 14, width - 2 * MARGIN)
    top = MARGIN + TITLE
    for sheet, row, height in zip(sheets, strips, heights, strict=True):
        _draw_split(page, draw, sheet, row, top, columns, row_height)
        top += height
    sink = io.BytesIO()
    page.save(sink, "PNG")
    return sink.getvalue()


def _draw_split(
    page: Image.Image, draw: ImageDraw.ImageDraw, sheet: SplitSheet, strips: list[Image.Image], top: int, columns: int,
    row_height: int,
) -> None:  # fmt: skip
    room = page.width - 2 * MARGIN
    _line(draw, (MARGIN, top + 12), heading(sheet), INK, 17, room, "-Bold")
    for number, note in enumerate(sheet.notes):
        _line(draw, (MARGIN, top + HEADING - 6 + 18 * number), plain(note), PALE, 12, room)
    top += HEADING + 18 * len(sheet.notes)
    for number, (view, strip) in enumerate(zip(sheet.views, strips, strict=True)):
        left = MARGIN + number % columns * (WIDTH + GAP)
        place = top + number // columns * row_height
        action, clock = caption(view)
        told = draw.textlength(clock, font(12))
        draw.text((left + WIDTH - 2, place + 14), clock, INK, font(12), anchor="rs")
        _line(draw, (left, place), action, INK, 14, WIDTH - round(told) - 16, "-Bold")
        _line(draw, (left, place + 19), view.meta.key, PALE, 11, WIDTH)
        page.paste(strip, (left, place + CAPTION))


def _line(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, color: str, pixels: int, room: int, weight: str = ""
) -> None:
    """One line of text, cut where the room ends."""
    face = font(pixels, weight)
    if draw.textlength(text, face) > room:
        text = text[:400]  # longer than any room, so that cutting is quick
        while text and draw.textlength(text + "…", face) > room:
            text = text[:-1]
        text += "…"
    draw.text(place, text, color, face)
