"""What several networks share: shortcuts that keep to the picture, and how weights start.

N clips or pairs, c channels, t h w cells; the same for sound with t alone.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from avsync.models.parts import CamHead


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
