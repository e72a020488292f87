"""One clip as a picture: moments of it in a row, and its sound beneath on the same time axis.

Each moment stands in the middle of its share of the time, so the line from it meets the sound that is heard with it.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import matplotlib
import numpy as np
from av.video.reformatter import Colorspace
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from sharding.format.clip import ClipMeta, ColorMatrix
from sharding.format.dataset import Dataset

MOMENTS = 4
"""Pictures of a clip."""
CELL, TALLEST = 160, 240
"""Pixels: width of a picture, and its greatest height."""
SOUND, AXIS = 68, 22
"""Pixels: heights of the waveform, and of the times below it."""
WIDTH = MOMENTS * CELL
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
    """Read one clip. Raises SkipClip when it cannot be read or decoded, FormatError when its json is damaged."""
    stored, codec = dataset.read(clip), dataset.codec
    meta = stored.meta()
    frames = tuple((2 * moment + 1) * meta.frames // (2 * MOMENTS) for moment in range(MOMENTS))
    pictures = []
    for frame in frames:
        planes = np.empty((1, meta.height * 3 // 2, meta.width), np.uint8)
        codec.decode_video(stored.video, range(frame, frame + 1), planes)
        pictures.append(_rgb(planes[0], meta.matrix))
    samples = np.empty((meta.samples, meta.channels), np.int16)
    codec.decode_audio(stored.audio, 0, samples)
    starts = np.arange(WIDTH) * len(samples) // WIDTH
    low, high = (reach.reduceat(samples, starts) for reach in (np.minimum, np.maximum))
    return ClipView(
        meta=meta,
        frames=frames,
        pictures=tuple(pictures),
        low=(low.min(axis=1) / 32768).astype(np.float32),
        high=(high.max(axis=1) / 32768).astype(np.float32),
    )


def _rgb(planes: NDArray[np.uint8], matrix: ColorMatrix) -> NDArray[np.uint8]:
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
