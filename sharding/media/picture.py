"""One source picture -> one stored picture: turned upright, fitted, limited range, yuv420p, by FFmpeg's filters.

The filter graph is built once per kind of frame: `VideoFrame.reformat` would build a scaler for each frame, which
doubles the time of decoding. `area` is the exact average when shrinking (60 dB to the ideal), bilinear when enlarging.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.filter
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from numpy.typing import NDArray

from sharding.format.clip import ColorMatrix, Fit
from sharding.format.crop import Region, Taken
from sharding.format.decoded import copy_planes
from sharding.media.colors import FULL, LIMITED, UNSPECIFIED, Family, conversion, detours, family_of, is_full

TURNS = {  # signs of the display matrix (a, b, c, d) -> filters that show the picture as meant
    (1, 0, 0, 1): "",
    (0, 1, -1, 0): "transpose=clock",
    (0, -1, 1, 0): "transpose=cclock",
    (-1, 0, 0, -1): "vflip,hflip",
    (-1, 0, 0, 1): "hflip",
    (1, 0, 0, -1): "vflip,copy",  # vflip alone turns row order by negative strides
    (0, 1, 1, 0): "transpose=cclock_flip",
    (0, -1, -1, 0): "transpose=clock_flip",
}
Edges = tuple[Any, Any]
"""How far something is from an edge of the picture, and from the one across."""
EDGES: dict[str, Callable[[Edges, Edges], tuple[Edges, Edges]]] = {  # a filter -> what it does to both pairs of edges
    "": lambda x, y: (x, y),
    "copy": lambda x, y: (x, y),
    "hflip": lambda x, y: (x[::-1], y),
    "vflip": lambda x, y: (x, y[::-1]),
    "transpose=clock": lambda x, y: (y[::-1], x),
    "transpose=cclock": lambda x, y: (y, x[::-1]),
    "transpose=cclock_flip": lambda x, y: (y, x),
    "transpose=clock_flip": lambda x, y: (y[::-1], x[::-1]),
}
BACK = EDGES | {"transpose=clock": EDGES["transpose=cclock"], "transpose=cclock": EDGES["transpose=clock"]}
SCALER = "area+accurate_rnd+bitexact"
"""Without these flags the bytes depend on what the processor can do, and the rounding is worse; it is no slower."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kind:
    """What a filter graph is built for; frames of another kind need another graph."""

    width: int
    height: int
    format: str
    range: int
    matrix: int
    cut: tuple[int, int] | None = None
    """Width and height of the region that is taken, in stored pixels; None: all of it."""


class PictureFitter:
    """Writes source frames into I420 rows of the stored size, limited range, in `matrix`.

    With `tagged`, the source says its matrix: frames that say another one are converted.
    """

    def __init__(
        self,
        *,
        width: int,
        height: int,
        fit: Fit,
        pixel_shape: Fraction,
        matrix: ColorMatrix,
        tagged: bool = False,
    ) -> None:
        self.width, self.height = width, height
        self.fit: Fit = fit
        self.pixel_shape = pixel_shape
        self.matrix: ColorMatrix = matrix
        self.tagged = tagged
        self._kind: _Kind | None = None
        self._graph: av.filter.Graph | None = None
        self._crop: Any = None

    def write(self, frame: av.VideoFrame, out: NDArray[np.uint8], region: Region | None = None) -> Taken:
        """Fit `frame`, or a region of it, into `out`, uint8 (H*3/2, W). Returns the part that was taken.

        Raises RejectError: its colours cannot be converted.
        """
        turn = turn_of(frame)
        cut = None if region is None else _cut(frame, turn, self._inside(frame, turn, region))
        kind = _Kind(
            width=frame.width,
            height=frame.height,
            format=frame.format.name,
            range=int(frame.color_range),
            matrix=int(frame.colorspace),
            cut=cut and cut[2:],
        )
        if kind != self._kind:
            filters = ",".join(self._filters(kind, turn))
            self._kind, self._graph, self._crop = kind, *(_graph(kind, filters) if filters else (None, None))
        if cut is not None and self._crop is not None:
            self._crop.process_command("x", str(cut[0]))
            self._crop.process_command("y", str(cut[1]))
        self._fit(frame, out)
        return _taken(frame, turn, cut or (0, 0, frame.width, frame.height))

    def _inside(self, frame: av.VideoFrame, turn: str, region: Region) -> Region:
        """With fit "crop", the middle of the region that has the stored shape."""
        if self.fit != "crop":
            return region
        (x, y, width, height), whole = region, upright_shape(frame, self.pixel_shape)
        shape = Fraction(self.width, self.height) * whole[1] / whole[0]
        inner = (min(width, height * shape), min(height, width / shape))
        return x + (width - inner[0]) / 2, y + (height - inner[1]) / 2, *inner

    def _fit(self, frame: av.VideoFrame, out: NDArray[np.uint8]) -> None:
        if self._graph is None:
            copy_planes(frame, out)
            return
        matrix, frame.colorspace = frame.colorspace, UNSPECIFIED  # the scaler may not convert: it rounds and clips more
        self._graph.push(frame)
        fitted: Any = self._graph.pull()
        frame.colorspace = matrix  # it may be shown again
        copy_planes(fitted, out)

    def _filters(self, kind: _Kind, turn: str) -> list[str]:
        """The steps from source to stored picture; none when they are the same already."""
        size = (self.height, self.width) if "transpose" in turn else (self.width, self.height)
        format = av.VideoFormat(kind.format)
        family, full = family_of(format), is_full(format, kind.range)
        recolor = conversion(kind.matrix, self.matrix, tagged=self.tagged) if family is Family.YUV else ""
        if (
            not (turn or kind.cut)
            and size == (kind.width, kind.height)
            and kind.format == "yuv420p"
            and not full
            and not recolor
        ):
            if self.fit == "squash" or self.pixel_shape == 1:
                return []
        width, height = kind.cut or (kind.width, kind.height)
        display = Fraction(width) * self.pixel_shape, Fraction(height)
        steps = [f"format={name}" for name in detours(format)]
        inner = size
        if kind.cut:
            steps.append(f"crop={width}:{height}:0:0:exact=1")
        elif self.fit == "crop":
            steps.append("crop={}:{}:{}:{}:exact=1".format(*_middle(kind, display, Fraction(*size))))
        if self.fit == "pad":
            inner = _inside(size, display[0] / display[1])
        steps.append(f"scale={inner[0]}:{inner[1]}:flags={SCALER}{self._colors(family, full)}")
        steps.append("format=yuv420p")
        if family is Family.GRAY and not full:
            steps.append("setrange=tv")
        if recolor:
            steps.append(recolor)
        if inner != size:
            steps.append(f"pad={size[0]}:{size[1]}:{(size[0] - inner[0]) // 4 * 2}:{(size[1] - inner[1]) // 4 * 2}")
        return [*steps, turn] if turn else steps

    def _colors(self, family: Family, full: bool) -> str:
        """The scaler's options that make limited range of what is given, in the clip's matrix."""
        if family in (Family.RGB, Family.XYZ):
            return f":out_range=tv:out_color_matrix={self.matrix}"
        if family is Family.GRAY and not full:
            return ":in_range=pc:out_range=pc"  # it takes all gray for full; so, as it is
        return f":in_range={'pc' if full or family is Family.MONO else 'tv'}:out_range=tv"


def turn_of(frame: av.VideoFrame) -> str:
    """The filters that turn a frame upright by its display matrix; an odd angle is left as it is."""
    # not frame.side_data: that the frame keeps, and it the frame; such a ring waits, with its picture, for a collector
    beside = SideDataContainer(frame)  # pyright: ignore[reportCallIssue]: its stub lacks __init__
    matrix = beside.get("DISPLAYMATRIX") if len(beside) else None  # asking an empty one takes 10 us
    if matrix is None:
        return ""
    values = np.frombuffer(memoryview(matrix), np.int32)[[0, 1, 3, 4]].astype(np.int64)
    largest = int(np.abs(values).max()) or 1
    a, b, c, d = (round(int(value) / largest) for value in values)
    return TURNS.get((a, b, c, d), "")


def upright_shape(frame: av.VideoFrame, pixel_shape: Fraction) -> tuple[Fraction, Fraction]:
    """Width and height of a frame as it is shown: square pixels of the stored height, turned."""
    shape = frame.width * pixel_shape, Fraction(frame.height)
    return (shape[1], shape[0]) if "transpose" in turn_of(frame) else shape


def _cut(frame: av.VideoFrame, turn: str, region: Region) -> tuple[int, int, int, int]:
    """Left, top, width and height of a region of the upright picture, in stored pixels."""
    x, y, *shares = region
    across, down = (x, 1 - x - shares[0]), (y, 1 - y - shares[1])
    for step in reversed(turn.split(",")):
        across, down = BACK[step](across, down)
    if "transpose" in turn:
        shares.reverse()
    sides = frame.width, frame.height
    # the size from the region's own alone: it must not change while the region moves
    width, height = (min(side, max(2, round(share * side))) for share, side in zip(shares, sides, strict=True))
    left, top = (
        min(max(0, round((edges[0] + share / 2) * side - Fraction(length, 2))), side - length)
        for edges, share, side, length in zip((across, down), shares, sides, (width, height), strict=True)
    )
    step = _cut_step(frame.format)
    return left // step * step, top, width, height


def _taken(frame: av.VideoFrame, turn: str, cut: tuple[int, int, int, int]) -> Taken:
    """Stored pixels as a part of the upright picture."""
    left, top, width, height = cut
    x, y = (left, frame.width - left - width), (top, frame.height - top - height)  # from the edge, and the other one
    for step in turn.split(","):
        x, y = EDGES[step](x, y)
    if "transpose" in turn:
        return Taken(x[0], y[0], height, width, (frame.height, frame.width))
    return Taken(x[0], y[0], width, height, (frame.width, frame.height))


def _middle(kind: _Kind, display: tuple[Fraction, Fraction], shape: Fraction) -> tuple[int, int, int, int]:
    """Width, height, left and top, in stored pixels, of the middle part that has the wanted shape."""
    width, height = kind.width, kind.height
    if display[0] / display[1] > shape:
        width = max(2, round(kind.width * shape * display[1] / display[0]))
    else:
        height = max(2, round(kind.height * display[0] / display[1] / shape))
    step = _cut_step(av.VideoFormat(kind.format))
    return width, height, (kind.width - width) // 2 // step * step, (kind.height - height) // 2


def _cut_step(format: av.VideoFormat) -> int:
    """FFmpeg cuts pictures off at multiples of so many columns.

    Elsewhere it halves the chroma's offset in bytes, not in columns: right where a column is one byte, else it begins
    between the bytes of a number, or at V instead of U.
    """
    parts = format.components
    if all(part.bits == 8 for part in parts) and len({part.plane for part in parts}) == len(parts):
        return 1
    return 4 // format.chroma_width(4)


def _inside(size: tuple[int, int], shape: Fraction) -> tuple[int, int]:
    """The largest even size of the given shape that fits into `size`."""
    width, height = size
    if Fraction(width, height) > shape:
        width = max(2, round(height * shape / 2) * 2)
    else:
        height = max(2, round(width / shape / 2) * 2)
    return width, height


def _graph(kind: _Kind, filters: str) -> tuple[av.filter.Graph, Any]:
    """And its filter that takes a region, which is told where for each frame; None where there is no such region."""
    graph = av.filter.Graph()
    graph.threads = 1
    colors = ":range=pc" if kind.range == FULL else ":range=tv" if kind.range == LIMITED else ""
    crop, last = (
        None,
        graph.add("buffer", f"video_size={kind.width}x{kind.height}:pix_fmt={kind.format}:time_base=1/1000{colors}"),
    )
    for step in filters.split(","):
        name, _, arguments = step.partition("=")
        link = graph.add(name, arguments)
        crop = link if name == "crop" and kind.cut else crop
        last.link_to(link)
        last = link
    last.link_to(graph.add("buffersink"))
    graph.configure()
    return graph, crop
