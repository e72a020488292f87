"""What the generated scenes are like."""

from dataclasses import dataclass
from typing import Literal, cast, get_args

from sharding.errors import InputError

AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000)  # Hz


Case = Literal["single", "several", "alike", "off-screen"]
"""What AVATAR tells apart (Choi et al. 2025, arXiv 2507.04667)."""
CASES: tuple[Case, ...] = get_args(Case)
MOST_OBJECTS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneConfig:
    """Settings of the scene generator. Scene number i depends on these and on nothing else."""

    count: int = 1200
    """Scenes to make."""
    seconds: float = 10.0
    """Length of each."""
    size: int = 96
    """Width and height of the picture in pixels; even."""
    fps: int = 15
    """Pictures a second."""
    sample_rate: int = 16_000
    """Audio samples a second (Hz); one that AAC knows."""
    seed: int = 0
    """Another seed gives other scenes of the same kind."""
    workers: int = 0
    """Processes; 0 takes one per core. The result does not depend on it."""
    sources: int = 1
    """Objects a scene that sound."""
    lookalikes: int = 2
    """Objects that look and move by the same law, and are silent."""
    val_share: float = 0.08
    """Share of scenes for validation."""
    test_share: float = 0.12
    """Share of scenes for the final test."""
    jitter: float = 0.015
    """Camera shake: typical shift, as a fraction of the picture."""
    picture_noise: float = 5.0
    """Standard deviation of the grain, in steps of 0 to 255."""
    sound_noise: float = 0.01
    """Root mean square of the background noise; full scale is 1."""
    hum: float = 0.0
    """Root mean square of a steady hum, as rooms have one: a tone near 110 Hz with overtones. 0: none."""
    cases: str = "single"
    """Kinds of scenes, in turn, with commas between; one that is named twice comes twice as often. single: `sources`
    sound, beside lookalikes of other colours. several: at least two sound, each of its own kind. alike: one sounds, and
    all look the same. off-screen: what sounds is not in the picture."""

    def __post_init__(self) -> None:
        if self.count < 1 or self.seconds * self.fps < 1:
            raise InputError(f"count={self.count}, seconds={self.seconds} and fps={self.fps} leave no pictures to draw")
        if self.size < 32 or self.size % 2:
            raise InputError(f"size={self.size} must be even and at least 32 pixels, or the objects cannot be seen")
        if self.sample_rate not in AAC_RATES:
            rates = ", ".join(str(rate) for rate in AAC_RATES)
            raise InputError(f"sample_rate={self.sample_rate} is no rate of AAC; choose one of {rates}")
        if self.sources < 0 or self.lookalikes < 0 or not 1 <= self.sources + self.lookalikes <= MOST_OBJECTS:
            raise InputError(
                f"sources={self.sources} and lookalikes={self.lookalikes} must be 1 to {MOST_OBJECTS} objects together"
            )
        if strange := [one for one in self.cases.split(",") if one not in CASES]:
            raise InputError(
                f"cases={self.cases}: {strange[0]!r} is no kind of scene; write some of {','.join(CASES)}, with commas"
            )
        if self.val_share < 0 or self.test_share < 0 or self.val_share + self.test_share > 1:
            raise InputError(f"val_share={self.val_share} and test_share={self.test_share} must be shares of one whole")
        if min(self.jitter, self.picture_noise, self.sound_noise, self.hum, self.workers) < 0 or self.jitter > 0.05:
            raise InputError("jitter (at most 0.05), picture_noise, sound_noise, hum and workers must not be negative")

    @property
    def turns(self) -> tuple[Case, ...]:
        """The cases, in the order in which scenes take turns."""
        return tuple(cast(Case, one) for one in self.cases.split(","))

    @property
    def varied(self) -> bool:
        """Whether there are other scenes than those that always were: then each says of which case it is."""
        return set(self.turns) != {"single"}

    @property
    def frames(self) -> int:
        """T, pictures of a scene."""
        return int(self.seconds * self.fps)
