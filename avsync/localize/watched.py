"""Which parts of a video's picture a network looks at, and when: all of it, or the faces in it, as it was trained.

A network of mouth crops sees each face of a video for itself, cut as packing cuts; what it says is drawn there.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import ceil, floor
from typing import Literal

from avsync.localize.windows import ShownAsTrained, frames_of, seen_box
from sharding.base.console import Bar
from sharding.errors import InputError
from sharding.faces.follow import QUICK
from sharding.faces.steady import find_faces
from sharding.format.clip import Box
from sharding.format.crop import BoxPath, Size, Where
from sharding.media.probe import Probe
from sharding.media.video import upright_size


class NoFaceError(InputError):
    """A video without a face that the network could look at."""


Crop = Literal["auto", "faces", "all"]
LEAST_CROP = 32
"""Pixels of a mouth's box, where the network's dataset does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """A part of the picture through some frames of the network's clock."""

    frames: range
    network: ShownAsTrained
    path: BoxPath | None = None
    """None: all of the picture."""
    picture: Size = (Fraction(1), Fraction(1))
    """That the path is measured on."""

    @property
    def where(self) -> Where | None:
        return None if self.path is None else partial(self.path.region, picture=self.picture)

    def box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 of the path halfway, as fractions of the picture."""
        if self.path is None:
            return 0.0, 0.0, 1.0, 1.0
        halfway = Fraction(self.frames.start + self.frames.stop, 2) / self.network.dataset.clock.fps
        x, y, wide, high = map(float, self.path.region(halfway, self.picture))
        return round(x, 4), round(y, 4), round(x + wide, 4), round(y + high, 4)

    def has(self, moment: Fraction) -> bool:
        """Whether it is there at a moment; all of the picture always is."""
        if self.path is None:
            return True
        return self.frames.start <= floor(moment * self.network.dataset.clock.fps + Fraction(1, 2)) < self.frames.stop

    def seen(self, moment: Fraction, width: int, height: int) -> Box:
        """What of a picture of that size the network sees, in fractions of it."""
        if self.path is None:
            return seen_box(self.network, width, height)
        x, y, wide, high = map(float, self.path.region(moment, self.picture))
        x0, y0, x1, y1 = seen_box(self.network, round(wide * width), round(high * height))
        return x + x0 * wide, y + y0 * high, x + x1 * wide, y + y1 * high


def watched(source: Probe, network: ShownAsTrained, crop: Crop) -> tuple[Watched, ...]:
    """What the network looks at in a video. Raises RejectError; InputError: there is no face, or no detector."""
    if not looks_at_faces(network, crop):
        return (Watched(frames=frames_of(source, network.dataset.clock), network=network),)
    with Bar("looking for faces", float(source.video.end), unit="share", passing=True) as bar:
        faces, size = find_faces(source, source.shown, bar.advance, QUICK), upright_size(source)
    least = network.dataset.settings.get("min_crop")
    large = [face for face in faces if face.width >= (LEAST_CROP if least is None else int(least))]
    clock, need = network.dataset.clock, network.spec.frames
    parts = [(face, _frames(face, clock.fps)) for face in large]
    long = [(face, frames) for face, frames in parts if len(frames) >= need]
    if not long or size is None:
        longest = max((len(frames) for _, frames in parts), default=0)
        fact = (
            f"its longest face is there for {float(longest / clock.fps):.1f} s" if parts else "it shows no large face"
        )
        raise NoFaceError(
            f"{source.path}: {fact}, and the network looks at {float(need / clock.fps):.1f} s of one; --crop all looks "
            "at all of the picture"
        )
    return tuple(Watched(frames=frames, network=network, path=face, picture=size) for face, frames in long)


def looks_at_faces(network: ShownAsTrained, crop: Crop) -> bool:
    """Whether the network is to be shown faces: as asked, or as its dataset was packed."""
    return crop == "faces" or (crop == "auto" and bool(network.dataset.settings.get("crop")))


def _frames(face: BoxPath, fps: Fraction) -> range:
    start, stop = face.knots[0].time, face.knots[-1].time
    return range(ceil(start * fps), floor(stop * fps))
