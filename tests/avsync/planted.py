"""Datasets with a planted leak: generated scenes whose film is changed before it is packed, by the real pack."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sharding.config import PackConfig
from sharding.pack.pack import pack
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import film
from sharding.scenes.scene import draw_scene

FPS, RATE, SIZE, SECONDS = 10, 8000, 48, 7
SCENES = 80
DIGITS = ("757", "222", "717", "747", "447", "717", "757", "711", "777", "747")
"""Any shapes that differ will do: three rows of three bits each."""

Pictures = NDArray[np.uint8]
Sound = NDArray[np.int16]
Change = Callable[[Pictures, Sound, np.random.Generator], tuple[Pictures, Sound]]
"""Pictures (T, H, W, 3) and sound (S,) of a scene -> the same with something planted."""


def nothing(pictures: Pictures, sound: Sound, rng: np.random.Generator) -> tuple[Pictures, Sound]:
    return pictures, sound


def marker_tone(pictures: Pictures, sound: Sound, rng: np.random.Generator) -> tuple[Pictures, Sound]:
    """A soft tone of 1 kHz in the file's first 1.5 seconds."""
    length = RATE * 3 // 2
    tone = 600 * np.sin(2 * np.pi * 1000 * np.arange(length) / RATE)
    changed = sound.astype(np.float64)
    changed[:length] += tone
    return pictures, changed.clip(-32768, 32767).astype(np.int16)


def falling_level(pictures: Pictures, sound: Sound, rng: np.random.Generator) -> tuple[Pictures, Sound]:
    """The sound falls by 12 dB from the start of the file to its end."""
    gain = 10 ** (-12 / 20 * np.linspace(0, 1, len(sound)))
    return pictures, (sound * gain).astype(np.int16)


def silent_start(pictures: Pictures, sound: Sound, rng: np.random.Generator) -> tuple[Pictures, Sound]:
    """Digital silence in the file's first 0.5 seconds."""
    changed = sound.copy()
    changed[: RATE // 2] = 0
    return pictures, changed


def frame_counter(pictures: Pictures, sound: Sound, rng: np.random.Generator) -> tuple[Pictures, Sound]:
    """The picture's number in three digits, white on black, in the lower left corner."""
    changed = pictures.copy()
    for number, picture in enumerate(changed):
        picture[-9:-1, 1:25] = 0
        for place, digit in enumerate(f"{number:03d}"):
            rows = [[int(bit) for bit in f"{int(row):03b}"] for row in DIGITS[int(digit)]]
            shape = np.kron(np.array(rows, np.uint8) * 255, np.ones((2, 2), np.uint8))
            picture[-8:-2, 2 + 8 * place : 8 + 8 * place] = shape[..., None]
    return changed, sound


def counter_and_tone(pictures: Pictures, sound: Sound, rng: np.random.Generator) -> tuple[Pictures, Sound]:
    """Both streams tell their place: the picture by its counter, the sound by a tone that rises all along the file."""
    pictures, sound = frame_counter(pictures, sound, rng)
    pitch = np.linspace(1200, 2800, len(sound))
    tone = 900 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
    return pictures, (sound + tone).clip(-32768, 32767).astype(np.int16)


def make(
    folder: Path, change: Change, *, seed: int = 0, count: int = SCENES, trim_s: str = "0.25", hum: float = 0
) -> Path:
    """A packed dataset, all of it in `train`, of so many scenes that were changed."""
    config = SceneConfig(count=count, seconds=SECONDS, size=SIZE, fps=FPS, sample_rate=RATE, seed=seed, hum=hum)
    videos = folder / "videos"
    videos.mkdir(parents=True)
    for number in range(count):
        scene = draw_scene(config, number)
        pictures, sound = change(scene.pictures(), scene.sound(), np.random.default_rng((seed, number)))
        (videos / f"{number:03d}.mp4").write_bytes(film(pictures, sound, FPS, RATE))
    settings = PackConfig(
        fps=str(FPS), size=SIZE, sample_rate=RATE, min_clip_s="5", clip_s="10", trim_s=trim_s, sources_per_shard=20,
        val_percent=0, test_percent=0, workers=2,
    )  # fmt: skip
    pack(videos, folder / "dataset", settings)
    return folder / "dataset"
