"""What every network is made of: three parts with typed outputs, the one way they are put together, shared layers.

Models see tensors only: no files, no ranks, no accelerate.

B clips, K sounds per clip, N clips or pairs, C audio channels, T frames, H W pixels, S samples; t h w = T H W after all
strides, for sound t alone; c features.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

PAIRS = 16
"""Of a picture and sounds, that are put together at once where only the answers are wanted: maps are large."""


class SyncOutput(NamedTuple):
    """What a network says about a pair."""

    logit: Tensor
    """(B, K): above 0 means "in sync"."""
    cam: Tensor
    """(B, K, t, h, w): the same linear layer before pooling, w . f, without its bias; its mean is logit - bias."""


class SyncNet(nn.Module):
    """Video part, audio part, fused part. The video part runs once per clip, whatever the number of sounds."""

    def __init__(self, video: nn.Module, audio: nn.Module, fused: nn.Module) -> None:
        super().__init__()
        self.video = video
        self.audio = audio
        self.fused = fused

    def forward(self, frames: Tensor, sounds: Tensor) -> SyncOutput:
        """frames: (B, 3, T, H, W) in [-1, 1]; sounds: (B, K, C, S) in [-1, 1]."""
        return self.fuse(self.video(frames), self.audio(sounds.flatten(0, 1)))

    def fuse(self, seen: Tensor, heard: Tensor) -> SyncOutput:
        """The answer from features that are there: seen (B, c, t, h, w) of the video part, heard (B*K, c, t) of the
        audio part, K sounds for each clip in turn.
        """
        clips = len(seen)
        per_clip = len(heard) // clips
        out: SyncOutput = self.fused(seen.repeat_interleave(per_clip, dim=0), heard)  # (B*K,), (B*K, t, h, w)
        return SyncOutput(out.logit.view(clips, per_clip), out.cam.unflatten(0, (clips, per_clip)))

    def hear(
        self, sound: Tensor, starts: Sequence[int], samples: int, kept: dict[int, Tensor] | None = None, begin: int = 0
    ) -> Tensor:
        """The sound part's features, (K, c, t), of the windows of `samples` that begin at `starts` (ascending) of one
        sound, (C, S).

        kept: what windows of the same sound share, by sample, for who asks piece by piece and forgets what is over;
        this piece begins at sample `begin` of it.
        """
        if isinstance(self.audio, HearsAlong):
            return self.audio.along(sound, starts, samples, {} if kept is None else kept, begin)
        return self.audio(torch.stack([sound[:, start : start + samples] for start in starts]))

    def logits(self, seen: Tensor, heard: Tensor) -> Tensor:
        """What `fuse` answers without its map, which may cost most: one clip, seen (1, c, t, h, w), and its sounds,
        heard (K, c, t) -> (K,).
        """
        if isinstance(self.fused, AnswersAlone):
            return self.fused.logits(seen, heard)
        few = heard.split(PAIRS)
        return torch.cat([self.fuse(seen, some).logit[0] for some in few])


@runtime_checkable
class HearsAlong(Protocol):
    """A sound part that hears windows of one sound that overlap in less than all of them one by one."""

    def along(self, sound: Tensor, starts: Sequence[int], samples: int, kept: dict[int, Tensor], begin: int) -> Tensor:
        """sound: (C, S) -> (K, c, t), those of `forward`. See SyncNet.hear."""
        ...


@runtime_checkable
class AnswersAlone(Protocol):
    """A fused part that finds its logit without its map."""

    def logits(self, seen: Tensor, heard: Tensor) -> Tensor:
        """seen: (1, c, t, h, w); heard: (K, c, t) -> (K,), those of `forward`."""
        ...


class Uncompiled(nn.Module):
    """A module that torch.compile cannot take: avsync.run.network.compile_network leaves it as it is."""


class CamHead(nn.Module):
    """Global average pooling and one linear unit, in the order that also gives the map (Zhou et al. 2016, CAM)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, 1)

    def forward(self, features: Tensor) -> SyncOutput:
        """features: (N, c, t, h, w) -> logit (N,), cam (N, t, h, w)."""
        cam = (features * self.linear.weight.view(1, -1, 1, 1, 1)).sum(dim=1)
        return SyncOutput(cam.mean(dim=(1, 2, 3)) + self.linear.bias, cam)


class PooledShortcut(nn.Module):
    """Average-pool to the target's size, then a 1x1 projection.

    Pooling spans the whole picture whatever borders the convolutions cut off: cell i of n always stands for the i-th
    n-th of the picture, which is what lets a map be drawn over it.
    """

    def __init__(self, inputs: int, outputs: int, dimensions: int) -> None:
        super().__init__()
        convolution = {1: nn.Conv1d, 3: nn.Conv3d}[dimensions]
        self.project = convolution(inputs, outputs, kernel_size=1, bias=False)

    def forward(self, start: Tensor, like: Tensor) -> Tensor:
        """start: (N, c, ...), like: (N, C, t[, h, w]) -> (N, C, t[, h, w])."""
        if like.dim() == 3:
            return self.project(functional.adaptive_avg_pool1d(start, like.shape[2]))
        steps, height, width = like.shape[2:]
        return self.project(functional.adaptive_avg_pool3d(start, (steps, height, width)))


def match_time(heard: Tensor, steps: int) -> Tensor:
    """Sound features (N, c, t') -> (N, c, steps): the strongest answer within each picture step."""
    # fractional max-pooling in the paper, random in training; adaptive here: deterministic, any length
    return heard if heard.shape[2] == steps else functional.adaptive_max_pool1d(heard, steps)


def tile_over(heard: Tensor, seen: Tensor) -> Tensor:
    """heard: (N, c, t), seen: (N, C, t, h, w) -> both as (N, C + c, t, h, w), the sound the same at every place."""
    tiled = heard[:, :, :, None, None].expand(-1, -1, -1, *seen.shape[3:])
    return torch.cat((seen, tiled), dim=1)


def start_weights(net: nn.Module) -> None:
    """Kaiming's normal law for convolutions (He et al. 2015); a head that says "I do not know" at first."""
    for module in net.modules():
        if isinstance(module, nn.Conv1d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, CamHead):  # not zero: then no gradient would pass
            nn.init.normal_(module.linear.weight, std=0.01)
            nn.init.zeros_(module.linear.bias)
