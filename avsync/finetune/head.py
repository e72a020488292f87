"""A sync network without its head: features, pooled over place and time, and a linear layer over a task's classes.

B clips, C audio channels, T frames, H W pixels, S samples; c features; t h w cells.
"""

import torch
from torch import Tensor, nn

from avsync.models.parts import CamHead, SyncNet


class PooledFeatures(nn.Module):
    """In the place of a CamHead: the same pooling, all features of it."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, c, t, h, w) -> (B, c)."""
        return features.mean(dim=(2, 3, 4))


class TaskNet(nn.Module):
    """A sync network's three parts, which it takes over and changes, and a new last layer."""

    def __init__(self, network: SyncNet, classes: int, *, frozen: bool) -> None:
        """frozen: only the last layer learns; batch norm keeps the statistics it has."""
        super().__init__()
        head = network.fused.head
        assert isinstance(head, CamHead)
        network.fused.head = PooledFeatures()
        self.trunk, self.frozen = network, frozen
        # features of other training may be tiny or huge: on one scale, one learning rate suits all arms
        self.norm: nn.Module = nn.BatchNorm1d(head.linear.in_features, affine=False)
        self.linear = nn.Linear(head.linear.in_features, classes)
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
