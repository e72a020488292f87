"""The networks that are compared: the same one, from learned and from random weights, trained in the same way.

Each is a sync network without its head: features, pooled over space and time, and a linear layer over a task's classes.
B clips, C audio channels, T frames, H W pixels, S samples; c features; t h w cells.
"""

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_

from avsync.data.transforms import NetworkInput
from avsync.finetune.config import ArmName, FinetuneConfig
from avsync.models import build_model
from avsync.models.embedding import FEATURES, CosineFusion
from avsync.models.parts import CamHead, SyncNet
from avsync.run.network import LoadedNetwork
from avsync.run.optimizer_state import restore_optimizer
from avsync.train.step import build_optimizer, learning_rate
from sharding.errors import FormatError


class PooledFeatures(nn.Module):
    """In the place of a CamHead: the same pooling, all features of it."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, c, t, h, w) -> (B, c)."""
        return features.mean(dim=(2, 3, 4))


class MomentFeatures(nn.Module):
    """In the place of a fusion that ends in cosines: what it compares, pooled."""

    def __init__(self, fusion: CosineFusion) -> None:
        super().__init__()
        self.fusion = fusion
        self.pool = PooledFeatures()

    def forward(self, seen: Tensor, heard: Tensor) -> Tensor:
        """(B, c, T, h, w), (B, c, t') -> (B, 3c)."""
        return self.pool(self.fusion.features(seen, heard))


def _without_head(network: SyncNet) -> int:
    """Have its fused part give features instead of an answer. Returns how many."""
    if isinstance(network.fused, CosineFusion):
        network.fused = MomentFeatures(network.fused)
        return 3 * FEATURES
    head = network.fused.head
    assert isinstance(head, CamHead)
    network.fused.head = PooledFeatures()
    return head.linear.in_features


class TaskNet(nn.Module):
    """A sync network's three parts, which it takes over and changes, and a new last layer."""

    def __init__(self, network: SyncNet, classes: int, *, frozen: bool) -> None:
        """frozen: only the last layer learns; batch norm keeps the statistics it has."""
        super().__init__()
        features = _without_head(network)
        self.trunk, self.frozen = network, frozen
        # features of other training may be tiny or huge: on one scale, one learning rate suits all arms
        self.norm: nn.Module = nn.BatchNorm1d(features, affine=False)
        self.linear = nn.Linear(features, classes)
        network.requires_grad_(not frozen)

    def train(self, mode: bool = True) -> "TaskNet":
        super().train(mode)
        if self.frozen:
            self.trunk.eval()
        return self

    def forward(self, frames: Tensor, sounds: Tensor) -> Tensor:
        """frames: (B, 3, T, H, W); sounds: (B, 1, C, S), in sync with them -> logits (B, classes)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            features = self.trunk.fused(self.trunk.video(frames), self.trunk.audio(sounds.flatten(0, 1)))
        return self.linear(self.norm(features))


@dataclass(slots=True, eq=False)
class Arm:
    """One network with its optimiser, and what it was at its best."""

    name: ArmName
    network: TaskNet
    optimizer: torch.optim.Optimizer
    best: dict[str, Tensor] = field(default_factory=dict)
    """Its weights at the best validation so far; empty before the first."""

    @property
    def device(self) -> torch.device:
        return self.network.linear.weight.device

    def step(self, given: NetworkInput, labels: Tensor, valid: Tensor, rate: float, config: FinetuneConfig) -> Tensor:
        """One update. labels (B,), valid (B,): what counts. Returns sums (3,): loss, right answers, clips."""
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            logits = self.network(given.frames, given.sounds)
        weight = valid.float()
        losses = functional.cross_entropy(logits.float(), labels, reduction="none") * weight
        (losses.sum() / weight.sum().clamp(min=1)).backward()
        if config.optim.clip_norm:
            clip_grad_norm_(self.network.parameters(), config.optim.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        right = (logits.argmax(dim=1) == labels) * weight
        return torch.stack((losses.detach().sum(), right.sum(), weight.sum()))

    def remember(self) -> None:
        """These are the best weights so far."""
        self.best = {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}

    def recall(self) -> None:
        """Go back to the best weights."""
        if self.best:
            self.network.load_state_dict(self.best)


def build_arms(config: FinetuneConfig, loaded: LoadedNetwork, classes: int, device: torch.device) -> list[Arm]:
    """All arms; every last layer begins with the same weights."""
    arms = list[Arm]()
    for name in config.arms:
        torch.manual_seed(config.seed)
        fresh = build_model(loaded.config.model, loaded.spec)
        trunk = fresh if name == "scratch" else copy.deepcopy(loaded.model)
        torch.manual_seed(config.seed)
        network = TaskNet(trunk, classes, frozen=name == "frozen").to(device)
        learning = [weight for weight in network.parameters() if weight.requires_grad]
        arms.append(Arm(name, network, build_optimizer(learning, config.optim)))
    return arms


def rate_at(step: int, config: FinetuneConfig) -> float:
    """Learning rate of step `step`, the same for all arms."""
    return learning_rate(step, config.steps, config.optim)


def weights_of(arms: list[Arm]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Networks and optimisers of all arms, as a checkpoint keeps them."""
    model = {arm.name: {"now": arm.network.state_dict(), "best": arm.best} for arm in arms}
    return model, {arm.name: arm.optimizer.state_dict() for arm in arms}


def put_back(arms: list[Arm], model: dict[str, Any], optimizer: dict[str, Any], source: object) -> None:
    """Put a checkpoint into the arms. Raises FormatError when it belongs to other networks."""
    try:
        for arm in arms:
            arm.best = model[arm.name]["best"]
            arm.recall()  # now, or it would fail at the end
            arm.network.load_state_dict(model[arm.name]["now"])
            restore_optimizer(arm.optimizer, optimizer[arm.name], source)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        detail = str(error).splitlines()[-1].strip()
        raise FormatError(f"{source} holds other networks than these: {detail}; delete it to go on without") from error
