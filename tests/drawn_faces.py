"""Faces drawn from ellipses, which the detector takes for faces: where each mouth is, and how far open, is known."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

needs_detector = pytest.mark.skipif(find_spec("mtcnn") is None, reason="needs pip install 'avsync[faces]'")
FINE = 3
"""Drawn so much larger, then shrunk: edges are soft."""
MOUTH_Y = 0.55
"""Of the mouth below the middle of the face, in its half height."""
SKIN, HAIR, LIPS = (224, 172, 140), (60, 40, 30), (180, 80, 80)


class Head(NamedTuple):
    """A face: its middle and half its height in pixels, and how far its mouth is open, 0 to 1."""

    x: float
    y: float
    size: float
    open: float = 0.0

    @property
    def mouth(self) -> tuple[float, float]:
        return self.x, self.y + MOUTH_Y * self.size


def draw_heads(width: int, height: int, heads: Sequence[Head], ground: tuple[int, int, int]) -> NDArray[np.uint8]:
    """(height, width, 3) RGB."""
    image = Image.new("RGB", (width * FINE, height * FINE), ground)
    for head in heads:
        _draw(ImageDraw.Draw(image), head)
    small = image.resize((width, height), Image.Resampling.BOX)
    return np.asarray(small.filter(ImageFilter.GaussianBlur(1)))


def _draw(draw: ImageDraw.ImageDraw, head: Head) -> None:
    def ellipse(x: float, y: float, wide: float, high: float, color: tuple[int, int, int]) -> None:
        corners = (x - wide, y - high), (x + wide, y + high)
        places = [((head.x + a * head.size) * FINE, (head.y + b * head.size) * FINE) for a, b in corners]
        draw.ellipse((*places[0], *places[1]), fill=color)

    ellipse(0, -0.25, 0.92, 1.2, HAIR)
    ellipse(0, 0, 0.78, 1.05, SKIN)
    for side in (-0.33, 0.33):
        ellipse(side, -0.4, 0.2, 0.06, HAIR)
        ellipse(side, -0.18, 0.19, 0.13, (150, 105, 85))
        ellipse(side, -0.17, 0.15, 0.08, (245, 240, 235))
        ellipse(side, -0.17, 0.07, 0.08, (40, 25, 20))
    ellipse(0, 0.05, 0.09, 0.22, (232, 182, 150))
    ellipse(0, 0.18, 0.12, 0.1, (200, 145, 115))
    for side in (-0.08, 0.08):
        ellipse(side, 0.24, 0.04, 0.03, (120, 70, 60))
    ellipse(0, MOUTH_Y, 0.32, 0.09 + 0.12 * head.open, LIPS)
    ellipse(0, MOUTH_Y + 0.01, 0.24, 0.02 + 0.1 * head.open, (70, 20, 25))
