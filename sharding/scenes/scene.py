"""One scene: who moves where, who sounds, and the pictures, sound and true boxes that follow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sharding.format.crop import Box, Polygon
from sharding.scenes.config import Case, SceneConfig
from sharding.scenes.drawing import (
    PALETTE,
    SHAPES,
    Look,
    Pictures,
    Shake,
    boxes_of,
    draw_pictures,
    draw_shake,
    outlines_of,
)
from sharding.scenes.motion import MOTIONS, Motion, ObjectTrack, times
from sharding.scenes.sound import background, draw_voice, hum, sound_of, to_pcm

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scene:
    """A scene before it is filmed. Objects that sound come first, and of these the hidden ones."""

    action: str
    objects: list[tuple[Motion, Look]]
    sources: int
    shake: Shake
    config: SceneConfig
    number: int
    case: Case = "single"
    hidden: int = 0
    """Objects that sound and are not in the picture."""

    def pictures(self) -> Pictures:
        """(T, H, W, 3) RGB."""
        config = self.config
        rng = _random(config, self.number, "picture")
        seen = self.objects[self.hidden :]
        objects = [seen[at] for at in rng.permutation(len(seen))]
        grain = config.picture_noise
        return draw_pictures(rng, objects, self.shake, size=config.size, fps=config.fps, grain=grain)

    def sound(self) -> NDArray[np.int16]:
        """(S,) mono PCM."""
        config = self.config
        rng = _random(config, self.number, "sound")
        samples = round(config.frames * config.sample_rate / config.fps)
        total = background(rng, samples, config.sound_noise)
        if config.hum:
            total += hum(_random(config, self.number, "hum"), samples, config.sample_rate, config.hum)
        for motion, _ in self.objects[: self.sources]:
            total += 0.6 * sound_of(motion, draw_voice(rng), samples, config.sample_rate)
        return to_pcm(total)

    def boxes(self) -> list[list[Box]]:
        """For each picture, the boxes of the objects that sound and are in it."""
        return self._of_sounding(boxes_of)

    def masks(self) -> list[list[Polygon]]:
        """For each picture, the outlines of the same objects."""
        return self._of_sounding(outlines_of)

    def _of_sounding(self, shapes_of: Callable[[Motion, Look, Shake, int], list[T]]) -> list[list[T]]:
        seen = self.objects[self.hidden : self.sources]
        each = [shapes_of(motion, look, self.shake, self.config.fps) for motion, look in seen]
        return [list(shapes) for shapes in zip(*each, strict=True)] or [[] for _ in range(self.config.frames)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cast:
    """Who is in a scene."""

    sources: int
    silent: int
    hidden: int = 0
    """Sources that are not in the picture."""
    alike: bool = False
    """All have one colour."""
    own_kinds: bool = False
    """Each has a shape and an action of its own."""

    @property
    def seen(self) -> int:
        """Objects in the picture."""
        return self.sources - self.hidden + self.silent


def _several(sources: int, lookalikes: int) -> Cast:
    sounding = max(2, sources)
    return Cast(sources=sounding, silent=max(0, sources + lookalikes - sounding), own_kinds=True)


CASTS: Mapping[Case, Callable[[int, int], Cast]] = {
    "single": lambda sources, lookalikes: Cast(sources=sources, silent=lookalikes),
    "several": _several,
    "alike": lambda sources, lookalikes: Cast(sources=1, silent=max(1, sources + lookalikes - 1), alike=True),
    "off-screen": lambda sources, lookalikes: Cast(sources=1, silent=sources + lookalikes, hidden=1),
}
"""As many objects in the picture in every case: with more of them each has less room, and moves less."""


def draw_scene(config: SceneConfig, number: int) -> Scene:
    """Scene `number`: depends on the seed and the number alone."""
    rng = _random(config, number, "scene")
    case = case_of(config, number)
    cast = CASTS[case](config.sources, config.lookalikes)
    count = cast.seen
    shape = SHAPES[rng.integers(len(SHAPES))]
    radius = float(rng.uniform(0.085, 0.105)) * min(1.0, 3.5 / count)
    tracks = _draw_tracks(rng, count, radius)
    colors = rng.permutation(len(PALETTE))[:count]
    if cast.alike:
        colors = colors[:1].repeat(count)
    time = times(config.seconds)
    kinds = _draw_kinds(config, number, shape, cast)
    objects = [
        (MOTIONS[action](rng, track, time), Look(shape=shape, color=PALETTE[color], radius=radius))
        for track, color, (action, shape) in zip(tracks, colors, kinds, strict=True)
    ]
    shake = draw_shake(rng, config.frames, config.jitter)
    return Scene(
        action=kinds[0][0],
        objects=_draw_hidden(config, number, cast.hidden, kinds[0][0], objects[0][1]) + objects,
        sources=cast.sources,
        shake=shake,
        config=config,
        number=number,
        case=case,
        hidden=cast.hidden,
    )


def _draw_kinds(config: SceneConfig, number: int, shape: str, cast: Cast) -> list[tuple[str, str]]:
    """Action and shape of each object in the picture: the scene's own, where each has none of its own."""
    action = action_of(config, number)
    if not cast.own_kinds:
        return [(action, shape)] * cast.seen
    rng = _random(config, number, "kinds")
    actions, shapes = rng.integers(len(MOTIONS), size=cast.seen), rng.integers(len(SHAPES), size=cast.seen)
    rest = [(sorted(MOTIONS)[one], SHAPES[other]) for one, other in zip(actions, shapes, strict=True)]
    return [(action, shape), *rest[1:]]


def _draw_hidden(config: SceneConfig, number: int, count: int, action: str, look: Look) -> list[tuple[Motion, Look]]:
    """What is heard and not seen: it moves by the same law, so that nothing in the sound says so."""
    rng = _random(config, number, "hidden")
    tracks = _draw_tracks(rng, count, look.radius) if count else []
    return [(MOTIONS[action](rng, track, times(config.seconds)), look) for track in tracks]


def case_of(config: SceneConfig, number: int) -> Case:
    """Of scene `number`: in turn, so that every split has its part of each."""
    return config.turns[number % len(config.turns)]


def action_of(config: SceneConfig, number: int) -> str:
    """The kind of scene `number`."""
    return sorted(MOTIONS)[_random(config, number, "action").integers(len(MOTIONS))]


def _random(config: SceneConfig, number: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng([config.seed, number, *purpose.encode()])


def _draw_tracks(rng: np.random.Generator, count: int, radius: float) -> list[ObjectTrack]:
    """Side by side in random order, each at its own height, so that objects never hide each other."""
    width = 1 / count
    tracks = []
    for position in rng.permutation(count):
        room = rng.uniform(0.26, 0.36)  # from top to floor
        top = rng.uniform(radius + 0.05, 0.95 - radius - room)
        reach = max(0.02, width / 2 - radius * 1.3)
        tracks.append(ObjectTrack(x=(position + 0.5) * width, reach=reach, top=top, floor=top + room))
    return tracks
