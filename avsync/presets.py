"""Complete settings by name: where a command line starts from. No torch here.

To add one: a function, a line in PRESETS.
"""

from collections.abc import Callable

from avsync.config import AugmentConfig, LowRateConfig, OptimConfig, PairConfig, RuntimeConfig, TrainConfig, ViewConfig


def paper() -> TrainConfig:
    """Owens & Efros 2018: SGD with momentum, 650k steps after 30k at a quarter of the frame rate."""
    return TrainConfig(
        model="paper",
        steps=680_000,
        batch=16,
        optim=OptimConfig(weight_decay=1e-5, schedule="constant"),
        pairs=PairConfig(min_shift_s=2.17, max_shift_s=5.87),
        low_rate=LowRateConfig(steps=30_000),
    )


def thesis() -> TrainConfig:
    """The 2022 thesis: its network, its labels (which leak), its muting."""
    return TrainConfig(
        model="thesis",
        steps=200_000,
        pairs=PairConfig(law="cyclic", mute_samples=10_000, min_shift_s=0.5, max_shift_s=3.5),
    )


def small() -> TrainConfig:
    """A small network for a CPU or a first look."""
    return TrainConfig(
        model="small",
        steps=450,
        batch=16,
        view=ViewConfig(size=48),
        optim=OptimConfig(name="adamw", lr=3e-3, weight_decay=1e-2, warmup_steps=20),
        runtime=RuntimeConfig(checkpoint_every=75),
        validate_every=150,
    )


def covariance() -> TrainConfig:
    """The paper's pairs and eyes with a meeting that leaves the plateau early; its rates were tried on scenes only."""
    return TrainConfig(
        model="covariance",
        steps=100_000,
        batch=16,
        optim=OptimConfig(name="adamw", lr=1e-3, weight_decay=1e-2),
        pairs=PairConfig(min_shift_s=2.17, max_shift_s=5.87),
    )


def faces() -> TrainConfig:
    """Steady crops of mouths at 25 pictures a second (docs/faces.md): a choice among eight sounds, one picture apart or
    a few, of windows so short that clips of a second do; who has seen few people sees them changed in many ways.
    """
    return TrainConfig(
        model="embedding",
        steps=1000,
        batch=32,
        balance=0.5,
        objective="choice",
        pairs=PairConfig(window_s=0.6, min_shift_s=0.04, max_shift_s=0.84, sounds=8),
        view=ViewConfig(size=64, crop=0.75),
        augment=AugmentConfig(zoom=0.15, turn_deg=10, drift=0.1, tremble=0.13, light=0.5, tone_db=6, hiss_db=10),
        optim=OptimConfig(name="adamw", lr=2e-3, weight_decay=0.05, warmup_steps=30),
        runtime=RuntimeConfig(checkpoint_every=250),
        validate_every=250,
    )


def separate() -> TrainConfig:
    """What belongs to the picture, by the features of another run: for its pictures 48 pixels wide, as `small` has
    them; half an hour of one core.
    """
    return TrainConfig(
        model="separate",
        steps=1800,
        batch=8,
        pairs=PairConfig(window_s=3.0),
        view=ViewConfig(size=48),
        optim=OptimConfig(name="adamw", lr=3e-3, weight_decay=1e-2, warmup_steps=20),
        runtime=RuntimeConfig(checkpoint_every=100),
        validate_every=300,
        validate_clips=64,
    )


def separate_gpu() -> TrainConfig:
    """The same by the features of a `paper` run, at its 224 pixels: an hour of a GPU, counted, not measured: tried for
    one step of a CPU.
    """
    return TrainConfig(
        model="separate",
        steps=40_000,
        batch=32,
        precision="bf16",
        optim=OptimConfig(name="adamw", lr=1e-3, weight_decay=1e-2),
        validate_every=2000,
        validate_clips=256,
    )


PRESETS: dict[str, Callable[[], TrainConfig]] = {
    "paper": paper,
    "thesis": thesis,
    "small": small,
    "covariance": covariance,
    "faces": faces,
    "separate": separate,
    "separate-gpu": separate_gpu,
}
