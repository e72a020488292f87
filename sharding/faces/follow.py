"""Faces followed through a video: where its shots end, and where each face of a shot is until it goes.

Pictures are taken on a clock of this module's own, whatever rate a dataset has: a video's faces are facts of the video.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, sqrt
from typing import Any, cast

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from sharding.base.ahead import ahead
from sharding.containers.container import decoding
from sharding.containers.stretches import Stretch
from sharding.faces.mtcnn import Array, Face, check_installed, faces_in, faces_near
from sharding.format.crop import Size
from sharding.media.probe import Probe
from sharding.media.video import Pictures, VideoTimeline, upright_size

LONGER_SIDE = 640
"""Pixels of the picture that is looked at: a larger one is shrunk."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceLooks:
    """How often a video is looked at, in slots of a clock of its own."""

    fps: Fraction
    """Slots a second."""
    every: int
    """Slots from one look at the faces that are followed to the next."""
    all_every: int
    """And from one look for new ones to the next."""
    alone_every: int
    """The same while nobody is followed; `all_every` is a multiple of it."""
    again: int
    """And once more, so soon after a shot began: a face may look away in its first picture."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Of the decoder."""
    ahead: int = 0
    """Seconds that are decoded, and looked through for new faces, ahead, by cores that would be idle."""
    pixels: int = LONGER_SIDE**2
    """Of the picture that is looked at, at most."""

    @property
    def patience(self) -> int:
        """Slots that a face may be out of sight."""
        return int(self.fps / 2)

    def decoder(self, source: Probe) -> Mapping[str, str]:
        """Its options for a source: where times are those of decoding, each picture counts."""
        return {} if source.video.decode_order else self.options


THOROUGH = FaceLooks(fps=Fraction(30), every=3, all_every=15, alone_every=15, again=15)
"""For datasets: boxes of the same file stay what they are from version to version, so these numbers do, too."""
QUICK = FaceLooks(
    fps=Fraction(10),
    every=2,
    all_every=20,
    alone_every=10,
    again=2,
    ahead=2,
    pixels=640 * 360,
    options={"skip_frame": "noref", "skip_loop_filter": "all"},
)
"""For an answer at once: a path is smoothed over a third of a second, so a look every fifth says as much. Pictures
that no other one needs are not decoded, edges of blocks not smoothed; shots are told apart as well. A picture that is
nearly square is shrunk more: a face that is then too small to be found has too small a mouth."""
SMALLEST = 32
"""Pixels of the smallest face in it: its mouth is about 12 wide, and nobody reads lips from less."""
SURE = 0.9
"""Score that a new face needs; one that is followed may look away."""
SAME = 0.3
"""Least overlap, of both boxes together, of a face and itself a moment before."""
CELLS, BINS = 16, 32
"""A picture is compared with the one before in so many cells a side, and in so many classes of luma."""
FINE = 2
"""Of so many rows and columns one is looked at for that."""
CHANGE, MOVED, SUDDEN, RECENT = 10.0, 0.08, 2.0, 8
"""A shot ends where the cells change by more than this, of 255, and more than this share of all pixels is of another
class, and the change is SUDDEN times that of any of the RECENT pictures: a shaking camera changes every picture. At the
cuts of twelve films and talks the first two are 13 and 0.13 at least; a nodding head in close-up reaches 16 and 0.07.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A face in one slot, in fractions of the upright picture's width and height."""

    slot: int
    box: Array
    """(4,) x0, y0, x1, y1"""
    points: Array
    """(5, 2) x, y of eyes, nose, corners of the mouth."""


@dataclass(slots=True, eq=False)
class Following:
    """A face through its shot."""

    sightings: list[Sighting] = field(default_factory=list)
    until: int = 0
    """No slot of its shot from here on is known to show it."""

    @property
    def last(self) -> Sighting:
        return self.sightings[-1]


class ShotChanges:
    """Tells, one picture after the other, whether a new shot begins."""

    def __init__(self) -> None:
        self._cells: NDArray[np.float32] | None = None
        self._bins: NDArray[np.float64] | None = None
        self._recent: list[float] = []

    def begins(self, luma: NDArray[np.uint8]) -> bool:
        """luma: (H, W), always of one size."""
        luma = np.ascontiguousarray(luma[::FINE, ::FINE])
        height, width = (size // CELLS for size in luma.shape)
        # sums of whole numbers, so the same in any order: down whole rows first is twice as fast
        rows = np.add.reduce(luma[: height * CELLS].reshape(CELLS, height, -1), axis=1, dtype=np.uint32)
        sums = rows[:, : width * CELLS].reshape(CELLS, CELLS, width).sum(axis=2, dtype=np.uint32)
        cells = sums.astype(np.float32) / np.float32(height * width)
        bins = np.bincount(luma.reshape(-1), minlength=256).reshape(BINS, -1).sum(axis=1) / luma.size
        before, classes = self._cells, self._bins
        self._cells, self._bins = cells, bins
        if before is None or classes is None:
            return True
        change, moved = float(np.abs(cells - before).mean()), float(np.abs(bins - classes).sum()) / 2
        usual = max(self._recent, default=0.0)
        if change > CHANGE and moved > MOVED and change > SUDDEN * usual:
            self._recent.clear()
            return True
        if change > 0:  # a picture that stays says nothing
            self._recent = [*self._recent[1 - RECENT :], change]
        return False


def follow(
    source: Probe, stretch: Stretch, report: Callable[[], None] = lambda: None, looks: FaceLooks = THOROUGH
) -> list[Following]:
    """The faces in a stretch of `source`, as they come. `report` is called every second of it.

    Raises RejectError, InputError (the detector is not installed), MemoryError.
    """
    check_installed("looking for faces")
    first, stop = ceil(stretch[0] * looks.fps), int(stretch[1] * looks.fps)
    size = upright_size(source)
    if size is None or stop <= first:
        return []
    small = small_size(size, looks.pixels)
    watcher = _Watcher(small, looks)
    decoded = ahead(_seconds(source, looks, range(first, stop), small), looks.ahead)
    with closing(ahead(_glances(decoded, looks, small), looks.ahead)) as seconds:
        for glances in seconds:
            for glance in glances:
                watcher.see(glance)
            report()
    return watcher.followed


def small_size(size: Size, pixels: int = LONGER_SIDE**2) -> tuple[int, int]:
    """Width and height, even, in which pictures of an upright size are looked at; about `pixels` at most."""
    shrink = min(Fraction(1), LONGER_SIDE / max(size))
    shrink *= Fraction(sqrt(min(1, pixels / (size[0] * size[1] * shrink**2))))
    width, height = (max(FINE * CELLS, round(side * shrink / 2) * 2) for side in size)
    return width, height


def _seconds(source: Probe, looks: FaceLooks, slots: range, size: tuple[int, int]) -> Generator[tuple[int, Pictures]]:
    """The first slot and the pictures of each second."""
    timeline = VideoTimeline(
        source,
        fps=looks.fps,
        width=size[0],
        height=size[1],
        fit="squash",
        first_slot=slots.start,
        options=looks.decoder(source),
    )
    with decoding(), closing(timeline) as video:
        for start in slots[:: int(looks.fps)]:
            yield start, video.read(start, min(int(looks.fps), slots.stop - start))


@dataclass(frozen=True, slots=True, eq=False)
class _Glance:
    """A slot's picture, and what it shows whoever is followed."""

    slot: int
    at: int
    """Slots since its shot began."""
    rgb: NDArray[np.uint8] | None
    """None: no face is looked at in this slot."""
    new: list[Face] | None
    """Those that may be new ones; None: they were not looked for."""


def _glances(
    decoded: Generator[tuple[int, Pictures]], looks: FaceLooks, size: tuple[int, int]
) -> Generator[list[_Glance]]:
    """Of each second."""
    shots, begin = ShotChanges(), 0
    to_rgb = VideoReformatter()  # kept: to build a scaler for each picture takes longer than to use it
    with closing(decoded) as seconds:
        for start, pictures in seconds:
            glances = list[_Glance]()
            for slot, yuv in enumerate(pictures.yuv if pictures.longest_still else (), start):
                begin = slot if shots.begins(yuv[: size[1]]) else begin
                at, rgb = slot - begin, None
                if at % looks.every == 0:
                    frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
                    rgb = cast(Any, to_rgb.reformat(frame, format="rgb24")).to_ndarray()
                new = _sure_faces(rgb) if rgb is not None and at % looks.all_every == 0 else None
                glances.append(_Glance(slot, at, rgb, new))
            yield glances


def _sure_faces(rgb: NDArray[np.uint8]) -> list[Face]:
    return [face for face in faces_in(rgb, SMALLEST) if face.score > SURE]


class _Watcher:
    """Who is followed so far."""

    def __init__(self, size: tuple[int, int], looks: FaceLooks) -> None:
        self._scale, self._looks = np.array(size, np.float32), looks
        self._active: list[Following] = []
        self.followed: list[Following] = []

    def see(self, glance: _Glance) -> None:
        """The next slot."""
        slot, at = glance.slot, glance.at
        if at == 0:
            self._active = []
        for one in self._active:
            one.until = min(slot + 1, one.last.slot + self._looks.every)
        if glance.rgb is None:
            return
        near = np.array([one.last.box for one in self._active], np.float32).reshape(-1, 4)
        faces = faces_near(glance.rgb, near * np.tile(self._scale, 2)) if len(near) else []
        self._match(slot, faces)
        new = glance.new
        if new is None and not self._active and (at % self._looks.alone_every == 0 or at == self._looks.again):
            new = _sure_faces(glance.rgb)
        self._match(slot, new or [], begin=True)
        self._active = [one for one in self._active if slot - one.last.slot <= self._looks.patience]

    def _match(self, slot: int, faces: Sequence[Face], *, begin: bool = False) -> None:
        """Each face goes to the one it lies on most; what lies on none may begin."""
        waiting = [one for one in self._active if one.last.slot != slot]
        seen = [one for one in self._active if one.last.slot == slot]
        for face in faces:
            sighting = Sighting(slot, face.box / np.tile(self._scale, 2), face.points / self._scale)
            mouth = sighting.points[3:].mean(axis=0)
            if not (0 <= mouth.min() and mouth.max() <= 1):
                continue  # a face that the picture's edge cuts off above its mouth
            best = max(waiting, key=lambda one: overlap(one.last.box, sighting.box), default=None)
            if best is not None and overlap(best.last.box, sighting.box) > SAME:
                best.sightings.append(sighting)
                best.until = slot + 1
                waiting.remove(best)
                seen.append(best)
            elif begin and all(overlap(one.last.box, sighting.box) <= SAME for one in seen):
                one = Following([sighting], slot + 1)
                self._active.append(one)
                self.followed.append(one)
                seen.append(one)


def overlap(one: Array, other: Array) -> float:
    """Of two boxes, as a share of both together."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = float(np.clip(high - low, 0, None).prod())
    both = float((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod()) - shared
    return shared / both if both > 0 else 0.0
