"""StableSyncNet's recipe (LatentSync, arXiv 2412.09262; channels and sizes of its published configuration for 16
pictures): the pictures as channels of one image and the mel spectrogram of their 0.64 s, each through residual blocks
with group norm, each block halving the sides, to one feature vector; binary cross-entropy of the vectors' cosine.

Scaled down so that two cores can train it: pictures of 64x64, ours, for 128x256, so six blocks for eight; a quarter of
the channels, which makes 256 features for 2048; batches of 32 clips with both labels of each for 256 to 1024 pairs. At
the paper's rate of 1e-5, for millions of steps, nothing would move here: it is larger. What the last block leaves of an
odd side is averaged. The aligned faces, which are half of the paper's advice, are the dataset's: mouth crops.

N stretches, n pictures.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from avsync.config import OptimConfig, TrainConfig, ViewConfig
from avsync.data.order import View
from benchmarks.faces.candidate import WANTED, Recipe, pairs_for
from benchmarks.faces.stretches import TwoStreams
from sharding.format.clip import Clock

PICTURES = 16
BANDS, BANDS_HZ = 80, (55.0, 7600.0)
HOPS_S = 80
"""Steps of the spectrogram a second."""
SEEN = (16, 32, 64, 64, 128, 256)
HEARD = (8, 16, 32, 64, 128, 256)
"""Channels after each block."""
GROUPS = 8
QUIETEST = 1e-4
LN2 = math.log(2)


class Block(nn.Module):
    """Two convolutions beside a shortcut, then a third one that halves the sides."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.GroupNorm(GROUPS, inputs),
            nn.SiLU(),
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.GroupNorm(GROUPS, outputs),
            nn.SiLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.smaller = nn.Conv2d(outputs, outputs, 3, stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.smaller(self.inner(x) + self.shortcut(x))


def encoder(inputs: int, channels: tuple[int, ...], first: tuple[int, int]) -> nn.Sequential:
    """(N, inputs, height, width) -> (N, channels[-1], 1, 1), none below 0. first: the stride of the first block."""
    strides = [first] + [(2, 2)] * (len(channels) - 1)
    entries = (channels[0], *channels[:-1])
    blocks = [Block(*each) for each in zip(entries, channels, strides, strict=True)]
    last = (nn.GroupNorm(GROUPS, channels[-1]), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(nn.Conv2d(inputs, channels[0], 3, padding=1), *blocks, *last)


class StableSync(TwoStreams):
    """Both encoders."""

    level = LN2
    """Who gives every pair the same cosine, with as many in sync as not, does best with one half."""

    def __init__(self, view: View, clock: Clock = WANTED) -> None:
        super().__init__(view, PICTURES, clock.sample_at(1))
        self.eye, self.ear = encoder(3 * PICTURES, SEEN, (2, 2)), encoder(1, HEARD, (2, 1))
        self.mel = _mel(clock.sample_rate)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster on a CPU

    def see(self, frames: Tensor) -> Tensor:
        image = frames.flatten(1, 2).contiguous(memory_format=torch.channels_last)
        return functional.normalize(self.eye(image).flatten(1), dim=1)

    def hear(self, sounds: Tensor) -> Tensor:
        bands = torch.log(self.mel(sounds) + QUIETEST).unsqueeze(1)
        return functional.normalize(self.ear(bands).flatten(1), dim=1)

    def alike(self, seen: Tensor, heard: Tensor) -> Tensor:
        return (seen * heard).sum(dim=-1).clamp(0, 1)  # no feature is below 0; rounding goes beyond 1

    def loss(self, alike: Tensor, in_sync: Tensor) -> Tensor:
        return functional.binary_cross_entropy(alike, in_sync)


def _mel(rate: int) -> nn.Module:
    from torchaudio.transforms import MelSpectrogram  # late: beside some builds of torch it does not import

    low, high = BANDS_HZ
    return MelSpectrogram(
        rate, n_fft=rate // 20, hop_length=rate // HOPS_S, f_min=low, f_max=high, n_mels=BANDS, power=1
    )


RECIPE = Recipe(
    title="StableSyncNet, scaled",
    config=TrainConfig(
        batch=32,
        pairs=pairs_for(PICTURES / float(WANTED.fps)),
        view=ViewConfig(size=64, crop=0.75),
        optim=OptimConfig(name="adamw", lr=3e-4, weight_decay=1e-2, warmup_steps=30, clip_norm=1.0),
    ),
    build=lambda _, feed: StableSync(feed.view, feed.dataset.info.clock),
)
