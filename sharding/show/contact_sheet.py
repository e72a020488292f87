"""Contact sheet of a dataset: some clips of each split, picture above sound, as one PNG or clip by clip for the page.

A clip is moments of it in a row, and its sound beneath on the same time axis. Each moment stands in the middle of its
span of time, so the line from it meets the sound that is heard with it.
"""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import matplotlib
import numpy as np
from av.video.reformatter import Colorspace
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from sharding.base.environment import available_cores
from sharding.base.text import counted, duration, plain, size
from sharding.errors import SkipClip, WrongClip
from sharding.format.clip import ClipMeta, ColorMatrix
from sharding.format.dataset import Dataset, open_dataset
from sharding.show import formatting
from sharding.show.survey import Survey

MOMENTS = 4
"""Pictures of a clip."""
CELL, TALLEST = 160, 240
"""Pixels: width of a picture, and its greatest height."""
SOUND, AXIS = 68, 22
"""Pixels: heights of the waveform, and of the times below it."""
WIDTH = MOMENTS * CELL
MOST_SOUND = 2**30
"""Bytes of a clip's sound, which is held as a whole: an hour and a half of stereo at 48 kHz."""
INK, PALE, ACCENT, PAPER = "#22223b", "#9a9ab0", "#c8553d", "#ffffff"

_SPACES: dict[ColorMatrix, Colorspace] = {
    "bt601": Colorspace.ITU601,
    "bt709": Colorspace.ITU709,
    "bt2020": Colorspace.BT2020,
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClipView:
    """What is drawn of a clip."""

    meta: ClipMeta
    frames: tuple[int, ...]
    """Which pictures, counted from the clip's first."""
    pictures: tuple[NDArray[np.uint8], ...]
    """Each (H, W, 3) RGB."""
    low: NDArray[np.float32]
    """(WIDTH,) lowest sample of each column of pixels, -1 to 1."""
    high: NDArray[np.float32]


def read_view(dataset: Dataset, clip: int) -> ClipView:
    """Read one clip. Raises SkipClip when it cannot be read or decoded, or is not what its dataset says of it."""
    stored, codec, form = dataset.read(clip), dataset.codec, dataset.info.form
    at = dataset.location(clip)
    meta = form.read_json(stored.json, key=at.key, action=at.action, frames=at.frames)
    shape = form.shape(meta.frames, meta.matrix)
    if shape.sound_bytes > MOST_SOUND:
        raise WrongClip(f"its sound is {size(shape.sound_bytes)}, more than is drawn")
    frames = tuple((2 * moment + 1) * meta.frames // (2 * MOMENTS) for moment in range(MOMENTS))
    pictures = []
    for frame in frames:
        planes = np.empty((1, meta.height * 3 // 2, meta.width), np.uint8)
        codec.decode_video(stored.video, range(frame, frame + 1), planes, shape)
        pictures.append(rgb_of(planes[0], meta.matrix))
    samples = np.empty((meta.samples, meta.channels), np.int16)
    codec.decode_audio(stored.audio, 0, samples, shape)
    starts = np.arange(WIDTH) * len(samples) // WIDTH
    low, high = (reach.reduceat(samples, starts) for reach in (np.minimum, np.maximum))
    return ClipView(
        meta=meta,
        frames=frames,
        pictures=tuple(pictures),
        low=(low.min(axis=1) / 32768).astype(np.float32),
        high=(high.max(axis=1) / 32768).astype(np.float32),
    )


def rgb_of(planes: NDArray[np.uint8], matrix: ColorMatrix) -> NDArray[np.uint8]:
    """I420 planes (H*3/2, W) as (H, W, 3)."""
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    return frame.reformat(format="rgb24", src_colorspace=_SPACES[matrix]).to_ndarray().astype(np.uint8, copy=False)


def cell_height(width: int, height: int) -> int:
    """Pixels that a stored picture of that shape is high on the strip."""
    return max(1, min(TALLEST, round(CELL * height / width)))


def draw_strip(view: ClipView) -> Image.Image:
    """RGB, WIDTH wide."""
    top = cell_height(view.meta.width, view.meta.height)
    strip = Image.new("RGB", (WIDTH, top + SOUND + AXIS), PAPER)
    draw = ImageDraw.Draw(strip)
    for number, (frame, picture) in enumerate(zip(view.frames, view.pictures, strict=True)):
        small = ImageOps.contain(Image.fromarray(picture), (CELL - 4, top), Image.Resampling.LANCZOS)
        middle = (2 * number + 1) * CELL // 2
        strip.paste(small, (middle - small.width // 2, (top - small.height) // 2))
        draw.text((middle, top + SOUND + 4), _when(view.meta, frame), INK, font(14), anchor="mt")
    _draw_sound(draw, view, top + SOUND // 2)
    for middle in range(CELL // 2, WIDTH, CELL):
        draw.line((middle, top, middle, top + SOUND + 2), fill=ACCENT, width=2)
    return strip


def _when(meta: ClipMeta, frame: int) -> str:
    """On the source's timeline, as a player shows it."""
    minutes, seconds = divmod(float((meta.first_frame + frame) / meta.clock.fps), 60)
    return f"{minutes:.0f}:{seconds:05.2f}" if minutes else f"{seconds:.2f} s"


def _draw_sound(draw: ImageDraw.ImageDraw, view: ClipView, middle: int) -> None:
    """As loud as the strip is high; where every sample is 0, as in a filled gap, a line in another colour."""
    loudest = max(float(np.abs(view.low).max()), float(np.abs(view.high).max()), 1e-3)
    reach = (SOUND // 2 - 3) / loudest
    for column, (low, high) in enumerate(zip(view.low.tolist(), view.high.tolist(), strict=True)):
        if low == high == 0:
            draw.line((column, middle - 1, column, middle + 1), fill=ACCENT)
        else:
            draw.line((column, middle - round(high * reach), column, middle - round(low * reach)), fill=INK)


@cache
def font(pixels: int, weight: str = "") -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and knows most alphabets. `weight` is empty or -Bold."""
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", f"DejaVuSans{weight}.ttf"), pixels)


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
        except SkipClip as error:
            why = str(error)
            return why if dataset.key(clip) in why else f"clip {dataset.key(clip)}: {why}"

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
    clock = [
        f"track {meta.crop.track}{f', {meta.crop.faces} at once' * (meta.crop.faces > 1)}" if meta.crop else "",
        f"offset {formatting.offset(meta.stream_offset_s)}",
        f"sound moved by {float(-meta.moved_sound.offset_ms):+.0f} ms" if meta.moved_sound else "",
        f"silence {repairs.silence_samples / meta.clock.sample_rate:.2f} s" if repairs.silence_samples else "",
        f"repeats {formatting.fraction(repairs.frames_repeated / meta.frames)}" if repairs.frames_repeated else "",
        counted(repairs.decode_errors, "decode error") if repairs.decode_errors else "",
    ]
    return plain(meta.action), ", ".join(filter(None, clock))


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
    _line(draw, (MARGIN, MARGIN + 30), f"{formatting.form(survey.info)}. {LEGEND}", PALE, 14, width - 2 * MARGIN)
    top = MARGIN + TITLE
    for sheet, row, height in zip(sheets, strips, heights, strict=True):
        _draw_split(page, draw, sheet, row, top, columns, row_height)
        top += height
    sink = io.BytesIO()
    page.save(sink, "PNG")
    return sink.getvalue()


def _draw_split(
    page: Image.Image,
    draw: ImageDraw.ImageDraw,
    sheet: SplitSheet,
    strips: list[Image.Image],
    top: int,
    columns: int,
    row_height: int,
) -> None:
    room = page.width - 2 * MARGIN
    _line(draw, (MARGIN, top + 12), heading(sheet), INK, 17, room, "-Bold")
    for number, note in enumerate(sheet.notes):
        _line(draw, (MARGIN, top + HEADING - 6 + 18 * number), plain(note), PALE, 12, room)
    top += HEADING + 18 * len(sheet.notes)
    for number, (view, strip) in enumerate(zip(sheet.views, strips, strict=True)):
        left = MARGIN + number % columns * (WIDTH + GAP)
        upper = top + number // columns * row_height
        action, clock = caption(view)
        wide = draw.textlength(clock, font(12))
        draw.text((left + WIDTH - 2, upper + 14), clock, INK, font(12), anchor="rs")
        _line(draw, (left, upper), action, INK, 14, WIDTH - round(wide) - 16, "-Bold")
        _line(draw, (left, upper + 19), view.meta.key, PALE, 11, WIDTH)
        page.paste(strip, (left, upper + CAPTION))


def _line(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, color: str, pixels: int, room: int, weight: str = ""
) -> None:
    """One line of text, cut where the room ends."""
    face = font(pixels, weight)
    if draw.textlength(text, face) > room:
        text = text[:400]  # longer than any room, so that cutting is quick
        while text and draw.textlength(text + "…", face) > room:
            text = text[:-1]
        text += "…"
    draw.text(corner, text, color, face)
