"""What the numbers of a picture stand for: the family of its pixel format, its range, and its matrix of luma weights.

A pixel format is judged by its own facts, not by its name: FFmpeg has 267, and packed ones are called by byte order.
Tags are numbers of ITU-T H.273 (ISO/IEC 23091-2); what they leave open is read as mpv does, but for HD_HEIGHT.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from sharding.errors import RejectError, RejectReason
from sharding.format.clip import ColorMatrix

LIMITED = 1  # AVCOL_RANGE_MPEG
FULL = 2  # AVCOL_RANGE_JPEG
UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
HD_HEIGHT = 720
"""Untagged video is taken as bt709 from this height on."""


class Family(Enum):
    """How a picture's numbers make colours."""

    YUV = "luma and two colour differences: a matrix, and a range"
    GRAY = "luma alone: a range"
    RGB = "full range by nature, whatever its tag says; palettes and sensors' mosaics too"
    XYZ = "light itself, as digital cinema has it"
    MONO = "one bit: black or white"


NAMED: dict[int, ColorMatrix] = {1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020", 10: "bt2020"}
"""Matrix coefficients -> what clips call them. 10, of constant luminance, is near bt2020 and nearly always meant so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Foreign:
    """A matrix that clips have no name for, but FFmpeg converts from."""

    name: str
    """In FFmpeg's filter `colorspace`."""
    nearest: ColorMatrix | None
    """What it becomes; None: as if untagged."""


FOREIGN = {
    4: Foreign(name="fcc", nearest="bt601"),
    7: Foreign(name="smpte240m", nearest="bt709"),
    8: Foreign(name="ycgco", nearest=None),
}
UNKNOWN = {
    11: "SMPTE ST 2085",
    12: "chromaticity-derived",
    13: "chromaticity-derived of constant luminance",
    14: "ICtCp",
    15: "IPT-PQ-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
"""What neither clips name nor FFmpeg converts. Tags of none of these tables say nothing (0 is RGB's, 3 is reserved)."""
TAGLESS = ("vp8", "mjpeg")
"""Decoders that call every picture bt601: the file's own tag knows better."""
_SPACES: dict[ColorMatrix, str] = {"bt601": "smpte170m", "bt709": "bt709", "bt2020": "bt2020ncl"}
_SAME = "iprimaries=bt709:primaries=bt709:itrc=bt709:trc=bt709:irange=tv:range=tv"
"""Of the filter `colorspace`: nothing but the matrix changes."""


def family_of(format: Any) -> Family:
    """The family of a PyAV VideoFormat."""
    parts = format.components
    if format.is_rgb or format.has_palette or format.is_bayer:
        return Family.RGB
    if format.name.startswith("xyz"):  # the one flag of FFmpeg's that PyAV does not hand on
        return Family.XYZ
    if len(parts) > 2:
        return Family.YUV
    return Family.MONO if parts[0].bits == 1 else Family.GRAY


def is_full(format: Any, color_range: int) -> bool:
    """A picture's numbers go from 0 to the highest; video that says nothing is limited.

    Formats with a J are full by definition.
    """
    return color_range == FULL or format.name.startswith("yuvj")


def detours(format: Any) -> list[str]:
    """Formats that pictures must become, one after the other, before they are scaled.

    FFmpeg's scaler makes 0 and 255 of black and white bits whatever the range, takes few bits too dark (5 bits of white
    for 248), and makes bt601 of sensors' mosaics; but it is right on each of these steps. Raises RejectError.
    """
    family, bits = family_of(format), min(part.bits for part in format.components)
    if family is Family.MONO:
        return ["gray"]
    if family is Family.GRAY and ("f16" in format.name or "f32" in format.name):
        raise RejectError(RejectReason.CORRUPT, f"its pictures are {format.name}, which FFmpeg cannot convert rightly")
    if family is not Family.RGB or bits >= 8:
        return []
    if format.is_bayer:
        return ["rgb24"]
    native = [f"{format.name[:-2]}le"] if format.is_big_endian else []
    return [*native, f"{format.name[:3]}555le", "rgb24"] if bits == 4 else [*native, "rgb24"]


def matrix_of(tag: int, format: Any, height: int) -> ColorMatrix:
    """What the clips of a source call its matrix; `format` is its VideoFormat, None when the file does not say it.

    Raises RejectError, corrupt: it is coded by a matrix that cannot be converted to one with a name.
    """
    by_size: ColorMatrix = "bt709" if height >= HD_HEIGHT else "bt601"
    if format is None or family_of(format) is Family.YUV:
        _check(tag)
    return NAMED.get(tag) or (FOREIGN[tag].nearest if tag in FOREIGN else None) or by_size


def is_tagged(tag: int, codec: str) -> bool:
    """The source says its matrix, and so may each picture: another one there is another one indeed."""
    return (tag in NAMED or tag in FOREIGN) and codec not in TAGLESS


def conversion(tag: int, matrix: ColorMatrix, *, tagged: bool) -> str:
    """The filter that takes limited yuv420p from a picture's own matrix to the clip's; empty when they are the same.

    Where the source is not tagged, a picture's tag counts only if clips have no name for it. Raises RejectError.
    """
    _check(tag)
    if tag in FOREIGN:
        name = FOREIGN[tag].name
    elif tagged and NAMED.get(tag, matrix) != matrix:
        name = _SPACES[NAMED[tag]]
    else:
        return ""
    return f"colorspace=ispace={name}:space={_SPACES[matrix]}:{_SAME}"


def _check(tag: int) -> None:
    if tag in UNKNOWN:
        raise RejectError(
            RejectReason.CORRUPT,
            f"its colours are coded as {UNKNOWN[tag]} (matrix {tag} of H.273), which cannot be converted; "
            "bt601, bt709, bt2020, fcc, smpte240m and YCgCo can: convert it, or correct its tag",
        )
