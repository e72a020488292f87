"""SyncNet (Chung & Zisserman 2016, "Out of time: automated lip sync in the wild"), written from the paper, section 2.

Five grey pictures of 111x111 as channels of one image, in a network like VGG-M (Chatfield et al. 2014); 13 MFCC over
20 steps of 10 ms as another one; features of both compared by their Euclidean distance, which a contrastive loss makes
small in sync and larger than a margin otherwise. Negatives are another moment of the same clip.

Chosen here, where the paper leaves it open or time is short: batch norm and ReLU after each layer, fc7 included, and as
many channels as the authors' published weights have; strides and padding with which 111 pixels come to the 6x6 of their
fc6, and 13x20 numbers to its 5x4; a margin of 20, where untrained features lie 13 apart; batches of 16 and AdamW, for a
step is dear on a CPU; batch norm on the coefficients, whose first one is far larger than the others. Crop and mirroring
are our loader's; the paper's changes of colour and volume are left out.

N stretches.
"""

import torch
from torch import Tensor, nn

from avsync.config import OptimConfig, TrainConfig, ViewConfig
from avsync.data.order import View
from avsync.models.embedding import LUMA
from benchmarks.faces.candidate import WANTED, Recipe, pairs_for
from benchmarks.faces.stretches import TwoStreams
from sharding.format.clip import Clock

PICTURES, SIDE = 5, 111
COEFFICIENTS, STEP_S, STEPS = 13, 0.01, 20
FEATURES = 256
"""Of fc7."""
MARGIN = 20.0


def contrastive(distance: Tensor, in_sync: Tensor, margin: float = MARGIN) -> Tensor:
    """Half the mean of d^2 in sync, and of what is missing to the margin, squared, otherwise. distance: (N,)"""
    missing = (margin - distance).clamp(min=0)
    return (in_sync * distance.square() + (1 - in_sync) * missing.square()).mean() / 2


class SyncNet2016(TwoStreams):
    """Both streams."""

    level = MARGIN**2 / 8
    """Who gives every pair the same distance, with as many in sync as not, does best with half the margin."""
    luma: Tensor

    def __init__(self, view: View, clock: Clock = WANTED) -> None:
        super().__init__(view, PICTURES, clock.sample_at(1))
        self.register_buffer("luma", torch.tensor(LUMA), persistent=False)
        self.mfcc, self.even = _mfcc(clock.sample_rate), nn.BatchNorm1d(COEFFICIENTS)
        self.lip = nn.Sequential(
            _layer(PICTURES, 96, 3),
            nn.MaxPool2d(3, 2),
            _layer(96, 256, 5, stride=2, padding=1),
            nn.MaxPool2d(3, 2, padding=1),
            _layer(256, 512, 3, padding=1),
            _layer(512, 512, 3, padding=1),
            _layer(512, 512, 3, padding=1),
            nn.MaxPool2d(3, 2),
            _layer(512, 512, 6),
            _layer(512, FEATURES, 1),
        )
        self.ear = nn.Sequential(
            _layer(1, 64, 3, padding=1),
            _layer(64, 128, 3, padding=1),
            nn.MaxPool2d(3, (1, 2)),
            _layer(128, 256, 3, padding=1),
            _layer(256, 256, 3, padding=1),
            _layer(256, 256, 3, padding=1),
            nn.MaxPool2d(3, 2),
            _layer(256, 512, (5, 4)),
            _layer(512, FEATURES, 1),
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a quarter faster on a CPU

    def see(self, frames: Tensor) -> Tensor:
        grey = torch.einsum("bcthw,c->bthw", frames, self.luma)
        return self.lip(grey.contiguous(memory_format=torch.channels_last)).flatten(1)

    def hear(self, sounds: Tensor) -> Tensor:
        return self.ear(self.even(self.mfcc(sounds)[..., :STEPS]).unsqueeze(1)).flatten(1)

    def alike(self, seen: Tensor, heard: Tensor) -> Tensor:
        return -(seen - heard).square().sum(dim=-1).clamp(min=1e-6).sqrt()  # the root of 0 has no gradient

    def loss(self, alike: Tensor, in_sync: Tensor) -> Tensor:
        return contrastive(-alike, in_sync)


def _layer(
    inputs: int, outputs: int, kernel: int | tuple[int, int], *, stride: int = 1, padding: int = 0
) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _mfcc(rate: int) -> nn.Module:
    from torchaudio.transforms import MFCC  # late: beside some builds of torch it does not import

    # logarithms, not decibels: those are cut off below the loudest of a whole batch
    mel = {"n_fft": 512, "win_length": round(0.025 * rate), "hop_length": round(STEP_S * rate), "n_mels": 40}
    return MFCC(rate, COEFFICIENTS, log_mels=True, melkwargs=mel)


RECIPE = Recipe(
    title="SyncNet 2016",
    config=TrainConfig(
        batch=16,
        pairs=pairs_for(PICTURES / float(WANTED.fps)),
        view=ViewConfig(size=SIDE, crop=0.75),
        optim=OptimConfig(name="adamw", lr=1e-3, weight_decay=5e-4, warmup_steps=10),
    ),
    build=lambda _, feed: SyncNet2016(feed.view, feed.dataset.info.clock),
)
