"""Faces in a picture, each with its five landmarks: MTCNN, with the weights inside the wheel of `mtcnn`.

Three small networks, each refining what the one before lets through: on a pyramid of the picture, on patches of 24 x 24
pixels, on patches of 48 x 48. They are run here in NumPy: that package runs them in TensorFlow, and packing loads no
framework. Zhang et al., "Joint Face Detection and Alignment Using Multi-task Cascaded Convolutional Networks" (2016).
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import islice, product
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sharding.errors import InputError

Array = NDArray[np.float32]
# N patches, H W rows and columns, C channels; a box is x0, y0, x1, y1 in pixels

CELL, STRIDE = 12, 2
"""Pixels of the smallest face that the first network knows, and of its step."""
STEP = 0.709
"""From one picture of the pyramid to the next, as in the paper: half the area."""
LIKELY = (0.6, 0.7, 0.8)
"""Least score of each network, as in the package."""
GRAY = 127.5
EXTRA = "needs the face detector: pip install 'avsync[faces]'"


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face in a picture, in its pixels."""

    box: Array
    """(4,) x0, y0, x1, y1"""
    points: Array
    """(5, 2) x, y of the eyes, the nose and the mouth's corners, the left one in the picture first."""
    score: float


def check_installed(flag: str) -> None:
    """Raises InputError naming `flag` when the weights, or what reads them, are not installed."""
    if any(find_spec(name) is None for name in ("mtcnn", "joblib", "lz4")):
        raise InputError(f"{flag} {EXTRA}")


@cache
def _weights() -> dict[str, list[Array]]:
    check_installed("looking for faces")
    import joblib  # late: only who looks for faces needs it

    spec: Any = find_spec("mtcnn")  # found, not imported: that would load TensorFlow
    folder = Path(spec.origin).parent / "assets" / "weights"
    return {name: joblib.load(folder / f"{name}.lz4") for name in ("pnet", "rnet", "onet")}


def faces_near(picture: NDArray[np.uint8], boxes: Array) -> list[Face]:
    """The faces that lie about where `boxes`, (N, 4), lay a moment ago: the last two networks alone."""
    near = _refined(picture, _square(boxes))
    return _found(picture, near) if len(near) else []


def faces_in(picture: NDArray[np.uint8], smallest: float) -> list[Face]:
    """All faces at least `smallest` pixels high, the surest first. picture: (H, W, 3) RGB.

    Raises InputError when the detector is not installed.
    """
    boxes = _proposed(picture, smallest)
    if len(boxes):
        boxes = _refined(picture, boxes)
    return _found(picture, boxes) if len(boxes) else []


def _proposed(picture: NDArray[np.uint8], smallest: float) -> Array:
    """(N, 4) boxes that the first network takes for faces."""
    height, width = picture.shape[:2]
    image, scale = Image.fromarray(picture), CELL / smallest
    boxes, scores = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.float32)]
    while min(height, width) * scale >= CELL:
        small = image.resize((ceil(width * scale), ceil(height * scale)), Image.Resampling.BOX, reducing_gap=2)
        moves, likely = _first(_normal(np.asarray(small)[None]))
        rows, columns = np.nonzero(likely > LIKELY[0])
        corner = np.stack((columns, rows), axis=1).astype(np.float32) * STRIDE + 1
        cells = np.concatenate((corner, corner + CELL - 1), axis=1) + moves[rows, columns] * (CELL - 1)
        kept = _apart(cells, likely[rows, columns], 0.5)
        boxes.append(cells[kept] / np.float32(scale))
        scores.append(likely[rows, columns][kept])
        scale *= STEP
    all_boxes = np.concatenate(boxes)
    return _square(all_boxes[_apart(all_boxes, np.concatenate(scores), 0.7)])


def _refined(picture: NDArray[np.uint8], boxes: Array) -> Array:
    moves, scores = _second(_patches(picture, boxes, 24))
    good = scores > LIKELY[1]
    moved = _moved(boxes[good], moves[good])
    return _square(moved[_apart(moved, scores[good], 0.7)])


def _found(picture: NDArray[np.uint8], boxes: Array) -> list[Face]:
    moves, marks, scores = _third(_patches(picture, boxes, 48))
    good = scores > LIKELY[2]
    boxes, moves, marks, scores = boxes[good], moves[good], marks[good], scores[good]
    size = boxes[:, None, 2:] - boxes[:, None, :2] + 1
    points = marks.reshape(-1, 2, 5).transpose(0, 2, 1) * size + boxes[:, None, :2] - 1
    moved = _moved(boxes, moves)
    return [
        Face(box=moved[one], points=points[one], score=float(scores[one]))
        for one in _apart(moved, scores, 0.7, smaller=True)
    ]


def _patches(picture: NDArray[np.uint8], boxes: Array, side: int) -> Array:
    """(N, side, side, 3) of the picture, gray where a box reaches beyond it."""
    height, width = picture.shape[:2]
    low, high = boxes[:, :2].min(), max(boxes[:, 2].max() - width, boxes[:, 3].max() - height)
    margin = max(1, ceil(max(-low, high)) + 1)
    wide = np.full((height + 2 * margin, width + 2 * margin, 3), round(GRAY), np.uint8)
    wide[margin : margin + height, margin : margin + width] = picture
    image = Image.fromarray(wide)
    cut = [
        np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box=(x0, y0, x1, y1)))
        for x0, y0, x1, y1 in (boxes + margin).tolist()
    ]
    return _normal(np.stack(cut))


def _normal(pictures: NDArray[np.uint8]) -> Array:
    return np.asarray((pictures.astype(np.float32) - GRAY) / 128, np.float32)


def _square(boxes: Array) -> Array:
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate((middle - half, middle + half), axis=1, dtype=np.float32)


def _moved(boxes: Array, moves: Array) -> Array:
    size = boxes[:, 2:] - boxes[:, :2] + 1
    return np.asarray(boxes + moves * np.concatenate((size, size), axis=1), np.float32)


def _apart(boxes: Array, scores: Array, most: float, *, smaller: bool = False) -> list[int]:
    """Which boxes stay when of those that lie on each other only the surest does.

    Overlap is a share of both together, or, with `smaller`, of the smaller one.
    """
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    waiting, kept = np.argsort(-scores, kind="stable"), list[int]()
    while len(waiting):
        first, rest = waiting[0], waiting[1:]
        kept.append(int(first))
        low = np.maximum(boxes[first, :2], boxes[rest, :2])
        shared = np.clip(np.minimum(boxes[first, 2:], boxes[rest, 2:]) - low, 0, None).prod(axis=1)
        whole = np.minimum(areas[first], areas[rest]) if smaller else areas[first] + areas[rest] - shared
        waiting = rest[shared <= most * whole]
    return kept


def _first(x: Array) -> tuple[Array, Array]:
    """(1, H, W, 3) -> moves of each cell's box, (h, w, 4); its score, (h, w)"""
    one, two, three, moves, likely = _grouped(_weights()["pnet"], (3, 3, 3, 2, 2))
    x = _pooled(_conv(x, *one), 2, 2)
    x = _conv(_conv(x, *two), *three)
    return (x @ moves[0][0, 0] + moves[1])[0], _softmax(x @ likely[0][0, 0] + likely[1])[0]


def _second(x: Array) -> tuple[Array, Array]:
    """(N, 24, 24, 3) -> moves of the boxes, (N, 4); scores, (N,)"""
    one, two, three, four, moves, likely = _grouped(_weights()["rnet"], (3, 3, 3, 3, 2, 2))
    x = _pooled(_conv(x, *one), 3, 2)
    x = _conv(_pooled(_conv(x, *two), 3, 2), *three)
    x = _dense(x, *four)
    return x @ moves[0] + moves[1], _softmax(x @ likely[0] + likely[1])


def _third(x: Array) -> tuple[Array, Array, Array]:
    """(N, 48, 48, 3) -> moves of the boxes, (N, 4); x of five points, then y, (N, 10) of the box; scores, (N,)"""
    one, two, three, four, five, moves, marks, likely = _grouped(_weights()["onet"], (3, 3, 3, 3, 3, 2, 2, 2))
    x = _pooled(_conv(x, *one), 3, 2)
    x = _pooled(_conv(x, *two), 3, 2)
    x = _conv(_pooled(_conv(x, *three), 2, 2), *four)
    x = _dense(x, *five)
    return x @ moves[0] + moves[1], x @ marks[0] + marks[1], _softmax(x @ likely[0] + likely[1])


def _grouped(weights: list[Array], counts: tuple[int, ...]) -> list[list[Array]]:
    """By layer, as they follow one another."""
    rest = iter(weights)
    return [list(islice(rest, count)) for count in counts]


def _conv(x: Array, kernel: Array, bias: Array, slope: Array) -> Array:
    """(N, H, W, C) without padding, then PReLU."""
    side, x = kernel.shape[0], np.ascontiguousarray(x)
    count, rows, columns, channels = len(x), x.shape[1] - side + 1, x.shape[2] - side + 1, x.shape[3]
    # neighbours in a row lie one behind the other, all their channels: copied at once, four times as fast
    shape, strides = (count, rows, columns, side, side * channels), (*x.strides[:3], x.strides[1], x.itemsize)
    windows = np.ndarray(shape, x.dtype, x, strides=strides)  # as_strided takes longer than the rest for one patch
    out = windows.reshape(-1, side * side * channels) @ kernel.reshape(-1, kernel.shape[3])
    out = out.reshape(count * rows, -1)
    return _prelu(out, np.tile(bias, columns), np.tile(slope.reshape(-1), columns)).reshape(count, rows, columns, -1)


def _dense(x: Array, kernel: Array, bias: Array, slope: Array) -> Array:
    """(N, H, W, C) -> (N, out): the weights were learned with columns before rows."""
    return _prelu(x.transpose(0, 2, 1, 3).reshape(len(x), -1) @ kernel, bias, slope)


def _prelu(x: Array, bias: Array, slope: Array) -> Array:
    """(rows, C), in place; with few channels NumPy is slow unless whole rows of pixels are C."""
    x += bias
    low = np.minimum(x, 0)
    low *= slope - 1
    x += low
    return x


def _pooled(x: Array, side: int, step: int) -> Array:
    """Maxima of (N, H, W, C); what sticks out at the end counts, too."""
    rows, columns = (ceil((size - side) / step) + 1 for size in x.shape[1:3])
    most = x[:, : step * rows : step, : step * columns : step].copy()
    for top, left in product(range(side), repeat=2):
        part = x[:, top : top + step * rows : step, left : left + step * columns : step]
        there = most[:, : part.shape[1], : part.shape[2]]
        np.maximum(there, part, out=there)
    return most


def _softmax(x: Array) -> Array:
    """Of two: that of the second."""
    return np.asarray(1 / (1 + np.exp(x[..., 0] - x[..., 1])), np.float32)
