"""The first convolution over pictures, worked out another way: the same numbers, faster where cuDNN is slow.

A strided convolution over 3 colours leaves a GPU's matrix units idle: they want many channels. Moving the pixels of a
stride's cell into channels (space to depth) gives 3 x 8 of them for a stride of 2, a smaller kernel, and stride 1. The
weights keep their names and shapes and are rearranged on the way, so checkpoints stay what they are.

N clips, c C channels in and out, T H W before, t h w after; k kernel, s stride, m = ceil(k / s) cells of a kernel.
"""

import math
from typing import Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from avsync.models.parts import SyncNet

PICTURE_CHANNELS = 3
Sides = tuple[int, int, int]


class SpaceToDepthConv3d(nn.Conv3d):
    """What nn.Conv3d of the same settings computes, by a convolution of stride 1 over the stride's cells.

    Zeros fill the kernel up to whole cells, so it multiplies more: for 5x7x7 at stride 2, 384 instead of 245 numbers.
    On a CPU it is slower (docs/networks.md).
    """

    @classmethod
    def like(cls, conv: nn.Conv3d) -> Self:
        """Shares the parameters of `conv`, which must have no dilation, no groups, and pad with zeros."""
        assert conv.dilation == (1, 1, 1)
        assert conv.groups == 1
        assert conv.padding_mode == "zeros"
        kernel, stride, padding = (cast(Sides, sides) for sides in (conv.kernel_size, conv.stride, conv.padding))
        with torch.device("meta"):
            new = cls(conv.in_channels, conv.out_channels, kernel, stride, padding, bias=conv.bias is not None)
        new.weight, new.bias = conv.weight, conv.bias
        return new.train(conv.training)

    def forward(self, input: Tensor) -> Tensor:
        """input: (N, c, T, H, W) -> (N, C, t, h, w)."""
        device = input.device.type
        if device != "meta" and torch.is_autocast_enabled(device):  # before it is moved about: half the bytes
            input = input.to(torch.get_autocast_dtype(device))
        channels_last = self.weight.is_contiguous(memory_format=torch.channels_last_3d)
        picture = self._cells(functional.pad(input, self._padding(input)), channels_last)
        return functional.conv3d(picture, self._cells(self._filled(), channels_last), self.bias)

    def _padding(self, input: Tensor) -> list[int]:
        """The convolution's own zeros, and on the far side as many pixels as the last cell lacks (or has too many)."""
        pads = list[int]()
        for size, k, s, p in zip(input.shape[2:], self.kernel_size, self.stride, self.padding, strict=True):
            near = int(p)
            outputs = (size + 2 * near - k) // s + 1
            needed = s * (outputs - 1 + math.ceil(k / s))
            pads = [near, needed - size - near, *pads]  # torch pads the last axis first
        return pads

    def _filled(self) -> Tensor:
        """The weights (C, c, *k), filled up with zeros to whole cells: (C, c, *(m * s))."""
        pads = list[int]()
        for k, s in zip(self.kernel_size, self.stride, strict=True):
            pads = [0, -k % s, *pads]
        return functional.pad(self.weight, pads)

    def _cells(self, x: Tensor, channels_last: bool) -> Tensor:
        """(N, c, T, H, W), sides that the stride divides -> (N, c * product of s, T/s, H/s, W/s), in one copy."""
        n, c = x.shape[:2]
        st, sh, sw = self.stride
        t, h, w = (side // s for side, s in zip(x.shape[2:], self.stride, strict=True))
        split = x.reshape(n, c, t, st, h, sh, w, sw)
        if not channels_last:
            return split.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(n, c * st * sh * sw, t, h, w)
        return split.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(n, t, h, w, c * st * sh * sw).permute(0, 4, 1, 2, 3)


def use_fast_stem(net: SyncNet) -> int:
    """Replace the strided convolutions over pictures, in place; how many there were. Weights and their names stay."""
    slow = {name: module for name, module in net.video.named_modules() if _is_slow(module)}
    for name, conv in slow.items():
        assert isinstance(conv, nn.Conv3d)
        net.video.set_submodule(name, SpaceToDepthConv3d.like(conv))
    return len(slow)


def _is_slow(module: nn.Module) -> bool:
    if not isinstance(module, nn.Conv3d) or isinstance(module, SpaceToDepthConv3d):
        return False
    return module.in_channels == PICTURE_CHANNELS and math.prod(module.stride) > 1
