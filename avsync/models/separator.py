"""A U-net that divides a mixture's spectrogram by what a sync network sees (Owens & Efros 2018, section 6).

What is theirs: the features of a network that was trained to tell whether sound and picture belong together, joined to
a U-net over the spectrogram at every level. What is ours: places are weighed before they are joined, by where the sync
network finds the sound; where picture and sound meet, they are multiplied, moment by moment and, as in network `small`,
summed over the window, so that a frequency that moves with the picture stands out from the first step on; and one mask
is drawn, so that what is taken from one side is left to the other.

B pictures, M mixtures (B a multiple of M: picture b goes with mixture b * M // B), C audio channels, T frames, H W
pixels, S samples, F frequencies, f of a level, n moments of the spectrogram, m of a level; t h w of the sync network.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from avsync.config import SeparateConfig
from avsync.models.parts import SyncNet
from avsync.models.spectrum import Spectrum
from avsync.spec import InputSpec

CHANNELS = (12, 20, 32, 48, 64)
"""Of each level of the U-net, from the finest."""
SLOWER = (1, 1, 2, 2, 1)
"""Stride over moments by which a level is reached; over frequencies it is 2."""
HEADS = 4
"""Ways to weigh the places of a picture."""
SEEN = 64
"""Features of a moment's picture, when its places are weighed."""
QUIET = 1e-4
"""Added to a magnitude before its logarithm."""


class Separator(nn.Module):
    """Which share of the mixture belongs to the picture; without a sync network, to one of two sources."""

    def __init__(self, spec: InputSpec, config: SeparateConfig, features: SyncNet | None) -> None:
        super().__init__()
        self.spectrum, self._trained_along = self.spectrum_of(spec), config.along
        self.features, self._complex = features, config.mask == "complex"
        self.eyes = Eyes(features, spec) if features else None
        sizes = (1, *CHANNELS)
        self.down = nn.ModuleList(
            _conv(before, after, (2, slower)) for (before, after), slower in zip(pairwise(sizes), SLOWER, strict=True)
        )
        self.meet = (
            nn.ModuleList(SeenHeard(size, moments=size >= CHANNELS[2]) for size in CHANNELS) if features else None
        )
        self.up = nn.ModuleList(_conv(low + high, high) for high, low in pairwise(CHANNELS))
        self.mask = nn.Conv2d(CHANNELS[0] + 1, 2 if self._complex else 1, 3, padding=1)
        nn.init.zeros_(self.mask.weight)
        assert self.mask.bias is not None
        nn.init.zeros_(self.mask.bias)
        if features and not config.along:
            features.requires_grad_(requires_grad=False)

    @staticmethod
    def spectrum_of(spec: InputSpec) -> Spectrum:
        """What masks are drawn over."""
        return Spectrum.of(spec.clock.sample_rate)

    def train(self, mode: bool = True) -> "Separator":
        """Features that are not trained stay as they were, batch norm's statistics among them."""
        super().train(mode)
        if self.features and not self._trained_along:
            self.features.eval()
        return self

    def forward(self, frames: Tensor, mixtures: Tensor) -> Tensor:
        """frames: (B, 3, T, H, W) in [-1, 1]; mixtures: (M, C, S) in [-1, 1] -> masks (B, F, n), complex.

        The part of picture b is its mask times the mixture's spectrogram, the other part what is left.
        """
        loud = self.loudness(self.spectrum.of_sound(mixtures))
        levels = [loud]
        for level in self.down:
            levels.append(level(levels[-1]))
        if self.eyes and self.meet:
            pictures = len(frames) // len(mixtures)
            seen = self.eyes(frames, mixtures.repeat_interleave(pictures, dim=0))
            levels = [level.repeat_interleave(pictures, dim=0) for level in levels]
            levels[1:] = [meet(level, seen) for meet, level in zip(self.meet, levels[1:], strict=True)]
        return self._masks(levels)

    @staticmethod
    def loudness(spectrogram: Tensor) -> Tensor:
        """(M, C, F, n) -> (M, 1, F, n): logarithms, about 0 on average and 1 apart, however loud it is recorded."""
        power = spectrogram.abs().square().mean(dim=1, keepdim=True)
        loud = (power.sqrt() + QUIET).log()
        return (loud - loud.mean(dim=(2, 3), keepdim=True)) / (loud.std(dim=(2, 3), keepdim=True) + 0.1)

    def _masks(self, levels: Sequence[Tensor]) -> Tensor:
        *finer, x = levels
        for up, skip in zip(reversed(self.up), reversed(finer[1:]), strict=True):
            x = up(torch.cat((_to_size(x, skip), skip), dim=1))
        drawn = self.mask(torch.cat((_to_size(x, finer[0]), finer[0]), dim=1)).float()
        if not self._complex:
            share = drawn[:, 0].sigmoid()
            return torch.complex(share, torch.zeros_like(share))
        return torch.complex(0.5 + drawn[:, 0].tanh(), drawn[:, 1].tanh())


def _conv(inputs: int, outputs: int, stride: tuple[int, int] = (1, 1)) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, inplace=True))


def _to_size(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, tuple(like.shape[-2:]), mode="nearest")


class Eyes(nn.Module):
    """A sync network's features of a picture, where and when it finds that the mixture belongs to it."""

    def __init__(self, features: SyncNet, spec: InputSpec) -> None:
        super().__init__()
        self._features = (features,)  # in a tuple: it is Separator's own part
        channels = _seen_channels(features, spec)
        self.weigh = nn.Conv3d(channels + 1, HEADS, 1)
        nn.init.zeros_(self.weigh.weight)
        with torch.no_grad():  # at first by the sync network's map alone, more or less sharply
            self.weigh.weight[:, -1, 0, 0, 0] = torch.arange(HEADS, dtype=torch.float32)
        self.moments = nn.Sequential(
            nn.Conv1d(HEADS * (channels + 1), SEEN, 3, padding=1, bias=False),
            nn.BatchNorm1d(SEEN),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv1d(SEEN, SEEN, 3, padding=1),
        )

    def forward(self, frames: Tensor, mixtures: Tensor) -> Tensor:
        """frames: (B, 3, T, H, W); mixtures: (B, C, S) -> (B, SEEN, t)."""
        (features,) = self._features
        seen = features.video(frames)
        cam = features.fuse(seen, features.audio(mixtures)).cam  # (B, 1, t, h, w)
        cam = functional.interpolate(cam, tuple(seen.shape[2:])) if cam.shape[2:] != seen.shape[2:] else cam
        here = torch.cat((_even(seen, (2, 3, 4)), _even(cam, (2, 3, 4))), dim=1).float()
        weights = self.weigh(here).flatten(3).softmax(dim=3)  # (B, HEADS, t, h*w)
        weighed = torch.einsum("bktp,bctp->bkct", weights, here.flatten(3))
        return self.moments(weighed.flatten(1, 2))


def _seen_channels(features: SyncNet, spec: InputSpec) -> int:
    device = next(features.parameters()).device
    with torch.no_grad():
        was, _ = features.training, features.eval()
        frames = torch.zeros(1, 3, spec.frames, spec.height, spec.width, device=device)
        channels = features.video(frames).shape[1]
        features.train(was)
    return channels


def _even(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Mean 0 and standard deviation 1 over these axes; what never changes is 0."""
    return (x - x.mean(dim=axes, keepdim=True)) / (x.std(dim=axes, keepdim=True) + 1e-3)


class SeenHeard(nn.Module):
    """Where a level of the U-net meets the picture: their product, summed over the window; with `moments` at each, too.

    Moment by moment it costs most where there are most frequencies, and coarser levels tell the finer ones.
    """

    def __init__(self, channels: int, *, moments: bool) -> None:
        super().__init__()
        self.seen = nn.Conv1d(SEEN, channels, 1)
        self.whole = nn.Conv1d(channels, channels, 1)
        self.product = _conv(channels, channels) if moments else None

    def forward(self, heard: Tensor, seen: Tensor) -> Tensor:
        """heard: (B, c, f, m); seen: (B, SEEN, t) -> (B, c, f, m)."""
        seen = functional.interpolate(self.seen(seen), heard.shape[3], mode="linear", align_corners=False)
        seen = _even(seen, (2,))  # so that what a frequency is on average falls out of the sum
        whole = torch.einsum("bcfm,bcm->bcf", heard, seen) / heard.shape[3]
        met = heard + self.whole(whole).unsqueeze(3)
        return met + self.product(heard * seen.unsqueeze(2)) if self.product else met
