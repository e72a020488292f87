"""Optimisers by name, and the learning rate as a pure function of the step: no scheduler state to save."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn

from avsync.config import OptimConfig, OptimizerName

Build = Callable[[Iterable[nn.Parameter], OptimConfig], torch.optim.Optimizer]

OPTIMIZERS: dict[OptimizerName, Build] = {
    "sgd": lambda weights, c: torch.optim.SGD(weights, c.lr, weight_decay=c.weight_decay),
    "momentum": lambda weights, c: torch.optim.SGD(weights, c.lr, momentum=0.9, weight_decay=c.weight_decay),
    "adam": lambda weights, c: torch.optim.Adam(weights, c.lr, weight_decay=c.weight_decay),
    "adamw": lambda weights, c: torch.optim.AdamW(weights, c.lr, weight_decay=c.weight_decay),
}


def build_optimizer(weights: Iterable[nn.Parameter], config: OptimConfig) -> torch.optim.Optimizer:
    """The optimiser a configuration names."""
    return OPTIMIZERS[config.name](weights, config)


def learning_rate(step: int, steps: int, config: OptimConfig) -> float:
    """Rate of global step `step`, counted from 0, of `steps`: linear warm-up, then cosine to 0 or constant."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.lr
    done = (step - config.warmup_steps) / (steps - config.warmup_steps)
    return config.lr * 0.5 * (1 + math.cos(math.pi * done))
