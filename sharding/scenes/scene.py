"""One scene: who moves where, who sounds, and the pictures, sound and true boxes that follow."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sharding.format.clip import Box
from sharding.scenes.config import SceneConfig
from sharding.scenes.drawing import PALETTE, SHAPES, Look, Pictures, Shake, boxes_of, draw_pictures, draw_shake
from sharding.scenes.motion import MOTIONS, Motion, ObjectTrack, times
from sharding.scenes.sound import background, draw_voice, hum, sound_of, to_pcm


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scene:
    """A scene before it is filmed. Objects that sound come first."""

    action: str
    objects: list[tuple[Motion, Look]]
    sources: int
    shake: Shake
    config: SceneConfig
    number: int

    def pictures(self) -> Pictures:
        """(T, H, W, 3) RGB."""
        config = self.config
        rng = _random(config, self.number, "picture")
        objects = [self.objects[at] for at in rng.permutation(len(self.objects))]
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
        """For each picture, the boxes of the objects that sound."""
        each = [boxes_of(motion, look, self.shake, self.config.fps) for motion, look in self.objects[: self.sources]]
        return [list(boxes) for boxes in zip(*each, strict=True)] or [[] for _ in range(self.config.frames)]


def draw_scene(config: SceneConfig, number: int) -> Scene:
    """Scene `number`: depends on the seed and the number alone."""
    rng = _random(config, number, "scene")
    action = action_of(config, number)
    count = config.sources + config.lookalikes
    shape = SHAPES[rng.integers(len(SHAPES))]
    radius = float(rng.uniform(0.085, 0.105)) * min(1.0, 3.5 / count)
    tracks = _draw_tracks(rng, count, radius)
    colors = rng.permutation(len(PALETTE))
    time = times(config.seconds)
    objects = [
        (MOTIONS[action](rng, track, time), Look(shape=shape, color=PALETTE[color], radius=radius))
        for track, color in zip(tracks, colors[:count], strict=True)
    ]
    shake = draw_shake(rng, config.frames, config.jitter)
    return Scene(action=action, objects=objects, sources=config.sources, shake=shake, config=config, number=number)


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
