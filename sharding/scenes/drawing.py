"""What a scene looks like: a textured backdrop, shaded objects, camera shake and grain.

T pictures, H W pixels; P side of the small patch around an object.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sharding.format.crop import Box, Polygon
from sharding.scenes.motion import Curve, Motion

Pictures = NDArray[np.uint8]
Color = tuple[int, int, int]

PALETTE: tuple[Color, ...] = (
    (235, 94, 85),
    (250, 189, 60),
    (90, 190, 120),
    (80, 160, 235),
    (190, 120, 220),
    (245, 245, 235),
    (250, 140, 60),
    (90, 215, 215),
)
SHAPES = ("ball", "cube", "gem")
CORNERS = 16
"""Of a ball's outline, of a cube's that is rounded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """An object's appearance."""

    shape: str
    """One of SHAPES."""
    color: Color
    radius: float
    """Share of the picture's width."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Shake:
    """Where the camera has moved to, picture by picture."""

    x: Curve
    """(T,) fraction of the picture; what stands still in the world is seen this far to the right."""
    y: Curve
    """(T,)"""


def draw_shake(rng: np.random.Generator, frames: int, typical: float) -> Shake:
    """A stationary random walk that is pulled back to the centre (Ornstein-Uhlenbeck), bounded at 2.5 times typical."""
    keep = 0.8
    steps = rng.standard_normal((2, frames)) * np.sqrt(1 - keep**2)
    walk = np.empty((2, frames))
    now = rng.standard_normal(2)
    for frame in range(frames):
        now = keep * now + steps[:, frame]
        walk[:, frame] = now
    walk = typical * np.clip(walk, -2.5, 2.5)
    return Shake(x=walk[0], y=walk[1])


def draw_backdrop(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """(side, side, 3) dark, smooth blotches over a gradient with a fine weave, 0 to 255."""
    base = rng.uniform(25, 75, 3)
    tilt = rng.uniform(-18, 18, (2, 3))
    v, u = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing="ij")
    picture = base + v[..., None] * tilt[0] + u[..., None] * tilt[1]
    for cells, depth in ((4, 14.0), (12, 8.0)):
        picture += depth * _blotches(rng, cells, side)[..., None] * rng.uniform(0.6, 1.0, 3)
    return np.clip(picture + rng.normal(0, 3, (side, side, 1)), 8, 120).astype(np.float32)


def _blotches(rng: np.random.Generator, cells: int, side: int) -> Curve:
    """(side, side) smooth random field, bilinear between cells x cells values in [-1, 1]."""
    values = rng.uniform(-1, 1, (cells + 1, cells + 1))
    at = np.linspace(0, cells - 1e-6, side)
    cell, rest = at.astype(int), at % 1
    rest = rest * rest * (3 - 2 * rest)
    rows = values[cell] * (1 - rest)[:, None] + values[cell + 1] * rest[:, None]
    return rows[:, cell] * (1 - rest) + rows[:, cell + 1] * rest


def draw_pictures(
    rng: np.random.Generator,
    objects: list[tuple[Motion, Look]],
    shake: Shake,
    *,
    size: int,
    fps: int,
    grain: float,
) -> Pictures:
    """(T, H, W, 3) RGB. Picture k shows the instant k / fps."""
    frames = len(shake.x)
    margin = size // 2  # room to paint objects that stick out of the picture
    canvas = np.zeros((frames, size + 2 * margin, size + 2 * margin, 3), np.uint8)
    inside = canvas[:, margin : margin + size, margin : margin + size]
    _pan(draw_backdrop(rng, size + 2 * (size // 8) + 1), shake, size // 8, inside)
    for motion, look in objects:
        _paint(canvas, motion, look, shake, fps, size, margin)
    _add_grain(rng, inside, grain)
    return inside


def _pan(backdrop: NDArray[np.float32], shake: Shake, border: int, out: Pictures) -> None:
    """The camera's view of the backdrop, moved by parts of a pixel, into `out` (T, H, W, 3)."""
    size = out.shape[1]
    for frame, (x, y) in enumerate(zip(border - shake.x * size, border - shake.y * size, strict=True)):
        column, row = int(x), int(y)
        view = backdrop[row : row + size + 1, column : column + size + 1]
        rows = view[:-1] + np.float32(y - row) * (view[1:] - view[:-1])
        out[frame] = rows[:, :-1] + np.float32(x - column) * (rows[:, 1:] - rows[:, :-1])


def _add_grain(rng: np.random.Generator, pictures: Pictures, grain: float) -> None:
    """Fresh noise for each picture: windows at random places of one noise field."""
    size = pictures.shape[1]
    field = np.rint(rng.normal(0, grain, (3 * size, 3 * size, 1))).astype(np.int16)
    for picture, (row, column) in zip(pictures, rng.integers(0, 2 * size, (len(pictures), 2)), strict=True):
        noisy = picture + field[row : row + size, column : column + size]
        np.clip(noisy, 0, 255, out=noisy)
        picture[:] = noisy


def _paint(canvas: Pictures, motion: Motion, look: Look, shake: Shake, fps: int, size: int, margin: int) -> None:
    x, y, wide, high = (part * size for part in _ellipse(motion, look, shake, fps))
    x, y = x + margin, y + margin
    _paint_support(canvas, motion, look, shake, (x, y), size, margin)
    side = int(3 * look.radius * size) + 4
    left, top = np.rint(x - side / 2).astype(int), np.rint(y - side / 2).astype(int)
    left, top = np.clip(left, 0, canvas.shape[2] - side), np.clip(top, 0, canvas.shape[1] - side)
    grid = np.arange(side)
    columns, rows = left[:, None, None] + grid, top[:, None, None] + grid[:, None]  # (T, 1, P), (T, P, 1)
    u = ((columns - x[:, None, None]) / wide[:, None, None]).astype(np.float32)
    v = ((rows - y[:, None, None]) / high[:, None, None]).astype(np.float32)
    cover = np.clip((1 - _distance(look.shape, u, v)) * np.float32(look.radius * size) + 0.5, 0, 1)[..., None]
    light = np.clip(0.92 - 0.28 * u - 0.38 * v, 0.4, 1.35)[..., None]
    frames = np.arange(len(x))[:, None, None]
    behind = canvas[frames, rows, columns].astype(np.float32)
    color = np.minimum(np.array(look.color, np.float32) * light, 255)
    canvas[frames, rows, columns] = behind + cover * (color - behind)


def _distance(shape: str, u: NDArray[np.float32], v: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 on the outline, less inside; u, v are 1 at the object's sides."""
    if shape == "ball":
        return np.hypot(u, v)
    if shape == "cube":
        return np.power((u / 0.95) ** 8 + (v / 0.95) ** 8, np.float32(1 / 8), dtype=np.float32)
    return np.abs(u) * np.float32(0.9) + np.abs(v) * np.float32(0.9) + np.float32(0.1)


def _paint_support(
    canvas: Pictures, motion: Motion, look: Look, shake: Shake, center: tuple[Curve, Curve], size: int, margin: int
) -> None:
    """The rod it hangs on, or the ledge it lands on; both stand still in the world."""
    if motion.pivot is not None:
        x, y = motion.pivot
        _paint_line(canvas, ((shake.x + x) * size + margin, (shake.y + y) * size + margin), center, size)
    if motion.ground is not None:
        track, half = motion.ground, motion.ground.reach + look.radius
        y = (shake.y + track.floor + look.radius + 0.008) * size + margin
        left, right = ((shake.x + track.x + side * half) * size + margin for side in (-1, 1))
        _paint_line(canvas, (left, y), (right, y), size)


def _paint_line(canvas: Pictures, start: tuple[Curve, Curve], end: tuple[Curve, Curve], size: int) -> None:
    """A thin line between two points, x and y in pixels, each (T,)."""
    (x0, y0), (x1, y1) = start, end
    along = np.linspace(0, 1, int(np.hypot(x1 - x0, y1 - y0).max()) + 2)
    columns = np.rint(x0[:, None] + (x1 - x0)[:, None] * along).astype(int)
    rows = np.rint(y0[:, None] + (y1 - y0)[:, None] * along).astype(int)
    frames = np.arange(len(x0))[:, None]
    for thick in range(max(1, size // 96)):
        canvas[frames, rows + thick, columns] = 110


def _ellipse(motion: Motion, look: Look, shake: Shake, fps: int) -> tuple[Curve, Curve, Curve, Curve]:
    """Centre x, y and half width, half height of the object in each picture, (T,) each, fractions of the picture."""
    time = np.arange(len(shake.x)) / fps
    squash = 0.35 * np.interp(time, motion.time, motion.squash)
    high = look.radius * (1 - squash)
    wide = look.radius * (1 + 0.6 * squash)
    x = np.interp(time, motion.time, motion.x) + shake.x
    y = np.interp(time, motion.time, motion.y) + shake.y + (look.radius - high)  # the lower edge stays on the floor
    return x, y, wide, high


def boxes_of(motion: Motion, look: Look, shake: Shake, fps: int) -> list[Box]:
    """Where the object is seen in each picture, cut at the picture's edge."""
    x, y, wide, high = _ellipse(motion, look, shake, fps)
    corners = np.clip(np.stack([x - wide, y - high, x + wide, y + high], axis=1), 0, 1)
    return [(float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in corners.round(4)]


def outlines_of(motion: Motion, look: Look, shake: Shake, fps: int) -> list[Polygon]:
    """What the object covers in each picture, as a polygon, cut at the picture's edge."""
    x, y, wide, high = _ellipse(motion, look, shake, fps)
    u, v = _corners(look.shape)
    across, down = x[:, None] + wide[:, None] * u, y[:, None] + high[:, None] * v  # (T, corners)
    polygons = np.clip(np.stack([across, down], axis=2), 0, 1).round(4).reshape(len(x), -1)
    return [tuple(polygon) for polygon in polygons.tolist()]


def _corners(shape: str) -> tuple[Curve, Curve]:
    """Of the line on which _distance is 1."""
    turn = np.arange(CORNERS) * 2 * np.pi / CORNERS
    u, v = np.cos(turn), np.sin(turn)
    if shape == "ball":
        step = turn[1]
        return u * np.sqrt(step / np.sin(step)), v * np.sqrt(step / np.sin(step))  # of the circle's area
    if shape == "cube":
        square = 0.95 * np.sign((u, v)) * np.abs((u, v)) ** (1 / 4)  # (u / 0.95)^8 + (v / 0.95)^8 = 1
        return square[0], square[1]
    return u[:: CORNERS // 4], v[:: CORNERS // 4]
