"""Owens & Efros 2018, "Audio-Visual Scene Analysis with Self-Supervised Multisensory Features", after its release.

Convolutions keep the size (or ceil(size / stride)). Where this differs from the release, and why: docs/networks.md.

N clips or pairs, C audio channels, T frames, H W pixels, S samples; t h w after the strides.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from avsync.models.parts import CamHead, SyncNet, SyncOutput, match_time, start_weights, tile_over
from avsync.spec import InputSpec

# 0.9997 a step in the release, right for 680,000 steps and useless before 10,000; this remembers some 100 steps
NORM_MOMENTUM = 0.01
NORM_EPSILON = 1e-3
SEEN = 64
"""Features of the pictures' part."""
Stride = tuple[int, int, int]


def _norm(channels: int, dimensions: int) -> nn.Module:
    return {1: nn.BatchNorm1d, 3: nn.BatchNorm3d}[dimensions](channels, eps=NORM_EPSILON, momentum=NORM_MOMENTUM)


class Block1d(nn.Module):
    """Residual block over sound: ceil(t / stride) steps."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.norm1 = _norm(outputs, 1)
        self.conv2 = nn.Conv1d(outputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm2 = _norm(outputs, 1)
        self.shortcut = (
            nn.MaxPool1d(1, stride)  # pooling over one step: every stride-th
            if inputs == outputs
            else nn.Sequential(nn.Conv1d(inputs, outputs, 1, stride, bias=False), _norm(outputs, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, c, t) -> (N, c', ceil(t / stride))."""
        y = self.conv2(functional.relu(self.norm1(self.conv1(x))))
        return functional.relu(self.norm2(y + self.shortcut(x)))


class Block3d(nn.Module):
    """Residual block over space and time, 3x3x3: ceil(size / stride) cells on each axis.

    Halving an even axis, a kernel of 3 cannot sit in the middle of two cells: it sits on the first of them, or with
    `late` on the second. One late block after several early ones brings the map's cells back over what they show.
    """

    def __init__(self, inputs: int, outputs: int, stride: Stride = (1, 1, 1), *, late: bool = False) -> None:
        super().__init__()
        self.late = late
        self.conv1 = nn.Conv3d(inputs, outputs, 3, stride, padding=0 if late else 1, bias=False)
        self.norm1 = _norm(outputs, 3)
        self.conv2 = nn.Conv3d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = _norm(outputs, 3)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), _norm(outputs, 3))
        elif stride != (1, 1, 1):
            self.shortcut = nn.MaxPool3d(1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, c, t, h, w) -> (N, c', ceil(t / stride), ...)."""
        around, centre = self._late_views(x) if self.late else (x, x)
        y = self.conv2(functional.relu(self.norm1(self.conv1(around))))
        return functional.relu(self.norm2(y + self.shortcut(centre)))

    @staticmethod
    def _late_views(x: Tensor) -> tuple[Tensor, Tensor]:
        """What the 3x3x3 and the 1x1x1 kernels of a late block slide over, (N, c, t', h', w') each."""
        pads, shifts = [], []
        for size in reversed(x.shape[2:]):  # torch pads the last axis first
            even = size % 2 == 0
            pads += [0, 1] if even else [1, 1]
            shifts += [-1, 0] if even else [0, 0]
        return functional.pad(x, pads), functional.pad(x, shifts)


class Audio(nn.Module):
    """Waveform to 256 features, one per 1024 samples."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, 64, kernel_size=65, stride=4, padding=32, bias=False)
        self.norm1 = _norm(64, 1)
        self.pool1 = nn.MaxPool1d(4, ceil_mode=True)
        self.block1 = Block1d(64, 128, kernel=15, stride=4)
        self.block2 = Block1d(128, 128, kernel=15, stride=4)
        self.block3 = Block1d(128, 256, kernel=15, stride=4)

    def forward(self, sound: Tensor) -> Tensor:
        """sound: (N, C, S) -> (N, 256, t)."""
        loud = sound.sign() * torch.log1p(255 * sound.abs()) / math.log(256)  # mu-law: quiet sounds count too
        x = self.pool1(functional.relu(self.norm1(self.conv1(loud))))
        return self.block3(self.block2(self.block1(x)))


class Video(nn.Module):
    """Pictures to 64 features on a grid of 8 pixels and 4 frames."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, SEEN, kernel_size=(5, 7, 7), stride=2, padding=(2, 3, 3), bias=False)
        self.norm1 = _norm(SEEN, 3)
        self.pool1 = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        self.block1 = Block3d(SEEN, SEEN)
        self.block2 = Block3d(SEEN, SEEN, stride=(2, 2, 2))

    def forward(self, frames: Tensor) -> Tensor:
        """frames: (N, 3, T, H, W) -> (N, 64, t, h, w)."""
        return self.block2(self.block1(self.pool1(functional.relu(self.norm1(self.conv1(frames))))))


class Fused(nn.Module):
    """Both together, to one number and its map."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = nn.Conv1d(256, 128, kernel_size=3, padding=1, bias=False)
        self.norm_heard = _norm(128, 1)
        self.merge1 = nn.Conv3d(192, 512, kernel_size=1, bias=False)
        self.norm1 = _norm(512, 3)
        self.merge2 = nn.Conv3d(512, 128, kernel_size=1, bias=False)
        self.norm2 = _norm(128, 3)
        self.block1 = Block3d(128, 128)
        self.block2 = Block3d(128, 128)
        self.block3 = Block3d(128, 256, stride=(2, 2, 2), late=True)
        self.block4 = Block3d(256, 256)
        self.block5 = Block3d(256, 512, stride=(1, 2, 2))
        self.block6 = Block3d(512, 512)
        self.head = CamHead(512)

    def forward(self, seen: Tensor, heard: Tensor) -> SyncOutput:
        """seen: (N, 64, t, h, w), heard: (N, 256, t') -> logit (N,), cam (N, t/2, h/4, w/4)."""
        heard = functional.relu(self.norm_heard(self.heard(match_time(heard, seen.shape[2]))))
        both = tile_over(heard, seen)
        short = torch.cat((both[:, :64], both[:, -64:]), dim=1)
        x = self.merge2(functional.relu(self.norm1(self.merge1(both))))
        x = functional.relu(self.norm2(x + short))
        x = self.block4(self.block3(self.block2(self.block1(x))))
        return self.head(self.block6(self.block5(x)))


def build(spec: InputSpec) -> SyncNet:
    """The network for inputs like `spec`."""
    net = SyncNet(Video(), Audio(spec.channels), Fused())
    start_weights(net)
    return net


def refine(net: SyncNet) -> None:
    """Give a trained network's map twice the height and width, in place; every second cell keeps its exact value.

    Owens & Efros took the stride out of the 512 block and trained on. Spreading the kernels behind it to twice the
    distance as well (Holschneider 1990, "a trous") makes further training needless: each new cell is what the same
    network says of a picture moved by half a cell.
    """
    fused = net.fused
    assert isinstance(fused, Fused)
    first, second = fused.block5, fused.block6
    project = first.shortcut.get_submodule("0")
    assert isinstance(project, nn.Conv3d)
    first.conv1.stride = project.stride = (1, 1, 1)
    for conv in (first.conv2, second.conv1, second.conv2):
        conv.dilation = conv.padding = (1, 2, 2)
