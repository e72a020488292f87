"""Settings that train in a second."""

from dataclasses import replace

from avsync.config import OptimConfig, PairConfig, RuntimeConfig, TrainConfig, ViewConfig


def quick_config() -> TrainConfig:
    """Ten steps of the small network, every one of them logged."""
    return TrainConfig(
        model="small",
        steps=10,
        batch=4,
        validate_every=5,
        validate_clips=4,
        pairs=PairConfig(window_s=2, min_shift_s=1, max_shift_s=2.5),
        view=ViewConfig(crop=0.84),
        optim=OptimConfig(name="adamw", lr=1e-3, warmup_steps=2),
        runtime=RuntimeConfig(device="cpu", workers=2, log_every=1, checkpoint_every=3, keep=2),
    )


def one_step() -> TrainConfig:
    """One step of it, without validation."""
    return replace(quick_config(), steps=1, validate_every=0, optim=replace(quick_config().optim, warmup_steps=0))


def quick_separation() -> TrainConfig:
    """Four steps of a network that takes sounds apart."""
    return replace(one_step(), model="separate", steps=4, validate_every=2)
