"""What the network of each preset is shown, in full and at toy size. No torch here."""

from dataclasses import dataclass

from avsync.config import ModelName, TrainConfig
from avsync.presets import PRESETS

CROPPED = 224
"""Side of what training cuts out of pictures of 256 pixels."""
FPS = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How much of everything."""

    presets: tuple[str, ...]
    side: int
    """No picture is larger; those that are streamed have this one."""
    frames: int
    """No window is longer."""
    batch: int
    """No step has more clips."""
    more: int
    """So many times the batch of a preset, to see whether that fills the GPU."""
    seconds: float
    """Timed, of each setting."""
    scenes: int
    learn_s: float
    """Seconds in which a network may leave ln 2."""


PRESETS_OF_SYNC = tuple(name for name, preset in PRESETS.items() if not preset().separates)
"""All but the one that takes sounds apart, which has a step of its own."""
FULL = Scale(presets=PRESETS_OF_SYNC, side=224, frames=120, batch=32, more=4, seconds=1.5, scenes=160, learn_s=30)
TOY = Scale(presets=("small", "faces"), side=32, frames=30, batch=2, more=2, seconds=0.1, scenes=4, learn_s=1)
"""For a CPU: proves that everything runs, and measures nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """To a preset's network, in a step."""

    network: ModelName
    side: int
    frames: int
    sounds: int
    """Of each clip."""
    batch: int


def shown(preset: str, scale: Scale) -> Shown:
    """As training by the preset shows it, as far as the scale allows."""
    config = PRESETS[preset]()
    return Shown(
        network=network_of(config),
        side=min(config.view.size or CROPPED, scale.side),
        frames=min(round(config.pairs.window_s * FPS), scale.frames),
        sounds=config.pairs.sounds if config.pairs.law == "symmetric" else 1,
        batch=min(config.batch, scale.batch),
    )


def network_of(config: TrainConfig) -> ModelName:
    """The sync network that is trained."""
    assert config.model != "separate"
    return config.model
