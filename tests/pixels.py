"""Frames of one known colour in any pixel format, written byte by byte where that can be, else by FFmpeg's scaler.

The numbers follow ITU-R BT.601, 709 and 2020 (their equations are in ITU-T H.273, 8.3): `codes` and `stored`.
"""

import re
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

Rgb = tuple[float, float, float]
"""R'G'B', 0 to 1."""
WEIGHTS = {  # of R' and B' in the luma
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
}
PACKED = {  # format without its byte order -> order of the parts, bits of each, free bits below them
    **{name: (name.upper().replace("0", "A"), 8, 0) for name in "rgba argb abgr bgra rgb0 bgr0 0rgb 0bgr".split()},
    "rgb24": ("RGB", 8, 0),
    "bgr24": ("BGR", 8, 0),
    "rgb48": ("RGB", 16, 0),
    "bgr48": ("BGR", 16, 0),
    "rgba64": ("RGBA", 16, 0),
    "bgra64": ("BGRA", 16, 0),
    "rgbf16": ("RGB", 16, 0),
    "rgbaf16": ("RGBA", 16, 0),
    "rgbf32": ("RGB", 32, 0),
    "uyvy422": ("UYVY", 8, 0),
    "yuyv422": ("YUYV", 8, 0),
    "yvyu422": ("YVYU", 8, 0),
    "uyyvyy411": ("UYYVYY", 8, 0),
    "ayuv": ("AYUV", 8, 0),
    "vuya": ("VUYA", 8, 0),
    "vuyx": ("VUYA", 8, 0),
    "uyva": ("UYVA", 8, 0),
    "vyu444": ("VYU", 8, 0),
    "ayuv64": ("AYUV", 16, 0),
    "y210": ("YUYV", 10, 6),
    "y212": ("YUYV", 12, 4),
    "y216": ("YUYV", 16, 0),
    "xv36": ("UYVA", 12, 4),
    "xv48": ("UYVA", 16, 0),
    "ya8": ("YA", 8, 0),
    "ya16": ("YA", 16, 0),
    "yaf16": ("YA", 16, 0),
}
BITS = {  # format without its byte order -> its parts and the bits of each, from the highest down
    **{
        f"{order}{bits}": tuple(zip(order.upper(), map(int, bits), strict=True))
        for order in ("rgb", "bgr")
        for bits in ("444", "555", "565")
    },
    "rgb8": (("R", 3), ("G", 3), ("B", 2)),
    "bgr8": (("B", 2), ("G", 3), ("R", 3)),
    "rgb4_byte": (("R", 1), ("G", 2), ("B", 1)),
    "bgr4_byte": (("B", 1), ("G", 2), ("R", 1)),
    "x2rgb10": (("R", 10), ("G", 10), ("B", 10)),
    "x2bgr10": (("B", 10), ("G", 10), ("R", 10)),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Where a format keeps its parts."""

    planes: tuple[tuple[str, ...], ...]
    """Of each plane its rows, again and again; of each row its parts, again and again."""
    bits: int
    shift: int = 0
    real: bool = False

    def dtype(self, name: str) -> str:
        kind = "f" if self.real else "u"
        return f"{'>' if name.endswith('be') else '<'}{kind}{(self.bits + self.shift + 7) // 8}"


def layout_of(name: str) -> Layout | None:
    """None: parts share a byte, or there are no pictures of this format."""
    format = av.VideoFormat(name)
    bare = re.sub("(le|be)$", "", name)
    real = bare.endswith(("f16", "f32"))
    if bare in PACKED:
        parts, bits, shift = PACKED[bare]
        return Layout(planes=((parts,),), bits=bits, shift=shift, real=real)
    if format.is_bayer:
        rows = name[6:8].upper(), name[8:10].upper()
        return Layout(planes=(rows,), bits=16 if "16" in name else 8)
    parts, planes = format.components, {part.plane for part in format.components}
    if not parts or parts[0].bits < 8 or format.has_palette:
        return None
    bits = parts[0].bits
    if len(planes) == len(parts):
        order = "GBRA" if format.is_rgb else "YUVA"
        shift = 16 - bits if "msb" in name else 0
        return Layout(planes=tuple((part,) for part in order[: len(parts)]), bits=bits, shift=shift, real=real)
    if len(planes) == 2:
        shift = 16 - bits if name.startswith("p") else 0
        return Layout(planes=(("Y",), ("VU" if name in ("nv21", "nv42") else "UV",)), bits=bits, shift=shift)
    return None


def differences(rgb: Rgb, matrix: str) -> tuple[float, float, float]:
    """Luma, 0 to 1, and the colour differences, -1/2 to 1/2."""
    red, green, blue = rgb
    if matrix == "ycgco":
        return (red + 2 * green + blue) / 4, (2 * green - red - blue) / 4, (red - blue) / 2
    of_red, of_blue = WEIGHTS[matrix]
    luma = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
    return luma, (blue - luma) / (2 - 2 * of_blue), (red - luma) / (2 - 2 * of_red)


def stored(rgb: Rgb, matrix: str) -> NDArray[np.float64]:
    """What a clip must hold: Y, U and V, 8 bits, limited range, not rounded."""
    luma, blue, red = differences(rgb, matrix)
    return np.array([16 + 219 * luma, 128 + 224 * blue, 128 + 224 * red])


def codes(rgb: Rgb, matrix: str, bits: int, *, full: bool, real: bool = False) -> dict[str, float]:
    """The numbers of the parts of a colour."""
    luma, blue, red = differences(rgb, matrix)
    top, unit, middle = 2**bits - 1, 2.0 ** (bits - 8), 2 ** (bits - 1)
    if real:
        top = 1
    colors = dict(zip("RGBA", (top * part for part in (*rgb, 1)), strict=True))
    if full or real:
        return colors | {"Y": top * luma, "U": middle + top * blue, "V": middle + top * red}
    return colors | {"Y": unit * (16 + 219 * luma), "U": unit * (128 + 224 * blue), "V": unit * (128 + 224 * red)}


def make_frame(name: str, rgb: Rgb, matrix: str = "bt709", *, color_range: int = 0, side: int = 32) -> Any:
    """A square frame of one colour; None when neither we nor the scaler can make its format."""
    full = color_range == 2 or name.startswith("yuvj")
    layout = layout_of(name)
    by_hand = name in ("pal8", "monow", "monob") or re.sub("(le|be)$", "", name) in BITS
    if layout is None and not by_hand:
        middle = "gbrp16le" if av.VideoFormat(name).is_rgb else "yuv444p16le"
        source = make_frame(middle, rgb, matrix, color_range=color_range, side=side)
        try:
            return source.reformat(format=name)
        except FFmpegError:
            return None
    frame = av.VideoFrame(side, side, name)
    frame.color_range = color_range
    if layout is None:
        _fill_by_hand(frame, rgb)
        return frame
    numbers = codes(rgb, matrix, layout.bits, full=full, real=layout.real)
    for plane, rows in zip(frame.planes, layout.planes, strict=True):
        pixels = [[numbers[part] for part in row] for row in rows]
        values = np.array(pixels) if layout.real else np.minimum(np.rint(pixels), 2**layout.bits - 1)
        dtype = np.dtype(layout.dtype(name))
        across, down = plane.line_size // dtype.itemsize, plane.buffer_size // plane.line_size
        lines = np.array([np.resize(row, across) for row in values * 2**layout.shift])
        plane.update(np.resize(lines, (down, across)).astype(dtype).tobytes())
    return frame


def _fill_by_hand(frame: Any, rgb: Rgb) -> None:
    """A palette's first entry, or bits."""
    name, plane = frame.format.name, frame.planes[0]
    red, green, blue = (round(255 * part) for part in rgb)
    if frame.format.has_palette:
        plane.update(bytes(plane.buffer_size))
        frame.planes[1].update(bytes((blue, green, red, 255)) * (frame.planes[1].buffer_size // 4))
    elif name.startswith("mono"):
        plane.update(bytes((255 * ((red == 255) != (name == "monow")),)) * plane.buffer_size)
    else:
        number, colors = 0, dict(zip("RGB", rgb, strict=True))
        parts = BITS[re.sub("(le|be)$", "", name)]
        for part, bits in parts:
            number = number << bits | round((2**bits - 1) * colors[part])
        size = (sum(bits for _, bits in parts) + 7) // 8
        plane.update(number.to_bytes(size, "big" if name.endswith("be") else "little") * (plane.buffer_size // size))
