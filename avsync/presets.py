"""Complete settings by name: where a command line starts from. No torch here.

To add one: a function, a line in PRESETS.
"""

from collections.abc import Callable

from avsync.config import LowRateConfig, OptimConfig, PairConfig, RuntimeConfig, TrainConfig, ViewConfig


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


PRESETS: dict[str, Callable[[], TrainConfig]] = {
    "paper": paper,
    "thesis": thesis,
    "small": small,
    "covariance": covariance,
}
