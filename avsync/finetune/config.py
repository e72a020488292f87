"""Settings of `avsync finetune`. No torch here: help must come at once. The line under a field is its help text."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from avsync.config import OptimConfig
from sharding.errors import InputError

ArmName = Literal["learned", "scratch", "frozen"]
TASK_NAMES = ("action",)
"""Those of TASKS in avsync/finetune/task.py."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneConfig:
    """One comparison of learned features with none. The same command again goes on with it."""

    task: str = "action"
    """What is learned. action: which of the dataset's actions a clip shows."""
    frozen: bool = False
    """Train a linear layer on the learned features, which stay as they are, as well (linear probe)."""
    checkpoint: Literal["best", "last"] = "best"
    """Of RUN. best: highest audited accuracy in validation; last: newest."""
    steps: int = 5000
    """Optimiser steps of each arm."""
    batch: int = 16
    """Clips per step; all arms see the same ones."""
    train_clips: int = 0
    """Clips of the train split that are learned from, always the same ones: what are the features worth where few
    clips have a label? 0: all."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: mixed precision through autocast."""
    seed: int = 0
    """Of the order of clips, the crops, and the weights that are drawn at random."""
    validate_every: int = 250
    """Steps between validations; the best one's weights are judged on the test split."""
    validate_clips: int = 512
    """Clips of the val split used each time, always the same ones."""
    test_windows: int = 2
    """Windows of each test clip whose answers are averaged."""
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(name="adam", lr=1e-4, weight_decay=1e-5))
    device: Literal["auto", "cpu"] = "auto"
    """auto: the GPU when there is one."""
    workers: int = 0
    """Processes that read and decode; 0: one per core that may be used."""
    log_every: int = 10
    """Steps between points of the training curves."""
    checkpoint_every: int = 250
    """Steps between checkpoints; what a crash can cost."""
    keep: int = 1
    """Newest checkpoints kept; each holds the best weights, too."""

    def __post_init__(self) -> None:
        if self.task not in TASK_NAMES:
            raise InputError(f"--task {self.task} is not known; choose one of {', '.join(TASK_NAMES)}")
        least = {
            "steps": self.steps,
            "batch": self.batch,
            "validate-every": self.validate_every,
            "validate-clips": self.validate_clips,
            "test-windows": self.test_windows,
            "log-every": self.log_every,
            "checkpoint-every": self.checkpoint_every,
            "keep": self.keep,
        }
        if wrong := [f"--{name} {value}" for name, value in least.items() if value < 1]:
            raise InputError(f"{' and '.join(wrong)} must be at least 1")
        if self.batch < 2:
            raise InputError(f"--batch {self.batch} must be at least 2: batch norm compares the clips of a step")
        if self.workers < 0 or self.train_clips < 0 or not 0 <= self.seed < 2**32:
            raise InputError(
                f"--workers {self.workers} and --train-clips {self.train_clips} must not be negative, "
                f"--seed {self.seed} must lie in 0 to 2**32 - 1"
            )
        if self.optim.warmup_steps >= self.steps:
            raise InputError(
                f"--optim.warmup-steps {self.optim.warmup_steps} must be below --steps {self.steps}: "
                "the learning rate would never reach its peak"
            )

    @property
    def arms(self) -> tuple[ArmName, ...]:
        """What is compared."""
        return ("learned", "scratch", "frozen") if self.frozen else ("learned", "scratch")


MAY_CHANGE = ("device", "workers", "log_every", "checkpoint_every", "keep")
"""Fields that a call which goes on may give other values: the clips of a step, and how they are cut, stay."""


def paper() -> FinetuneConfig:
    """For the paper's and the thesis's network on a GPU. The test is that of Owens & Efros 2018, section 5, the
    settings are ours.
    """
    return FinetuneConfig()


def small() -> FinetuneConfig:
    """For the small network on a CPU."""
    return FinetuneConfig(
        steps=120,
        validate_every=20,
        checkpoint_every=40,
        log_every=5,
        optim=OptimConfig(name="adamw", lr=2e-3, weight_decay=1e-2, warmup_steps=10),
    )


FINETUNE_PRESETS: dict[str, Callable[[], FinetuneConfig]] = {"paper": paper, "small": small}
