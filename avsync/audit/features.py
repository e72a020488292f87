"""What is kept of a window while it passes: a map of its sound, three small pictures, and one number for each rule.

N windows, S samples, T = moments of the map, C = its rows; h w pixels.
"""

import torch
from torch import Tensor
from torch.nn import functional

from avsync.audit.rules import RULES, SOFTEST, bend, levels, outstanding, surprise

MOMENT_S = 0.02
"""Seconds between two columns of a map."""
BANDS = 24
LOWEST_HZ = 60.0
SIDE = 112
"""Pixels of a kept picture's sides, at most: digits of a counter in it can still be read."""
PICTURES = 3
"""First, middle and last."""


def sound_map(sound: Tensor, rate: int) -> Tensor:
    """(N, C, T) of sounds (N, S) in [-1, 1]: bands, levels, the quietest 2 ms and two kinds of clicks; logarithms."""
    moments = max(1, int(sound.shape[1] / rate / MOMENT_S))
    fine = levels(sound, rate, 0.002)
    rows = (
        functional.adaptive_avg_pool1d(fine, moments),
        -functional.adaptive_max_pool1d(-fine, moments),
        functional.adaptive_max_pool1d(outstanding(bend(sound), rate), moments),
        functional.adaptive_max_pool1d(outstanding(surprise(sound, rate), rate), moments),
    )
    return torch.cat((_bands(sound, rate, moments), torch.stack(rows, 1)), 1)


def _bands(sound: Tensor, rate: int, moments: int) -> Tensor:
    """(N, BANDS, moments) power in bands that are evenly spaced in pitch, natural logarithm."""
    hop = sound.shape[1] // moments
    length = 2 * hop
    padded = functional.pad(sound, (hop // 2, length))
    shown = torch.fft.rfft(padded.unfold(1, length, hop)[:, :moments] * torch.hann_window(length, device=sound.device))
    edges = torch.logspace(0, 1, BANDS + 1, base=max(2.0, rate / 2 / LOWEST_HZ), device=sound.device) * LOWEST_HZ
    middle = torch.fft.rfftfreq(length, 1 / rate, device=sound.device)
    inside = (middle >= edges[:-1, None]) & (middle < edges[1:, None])
    nearest = functional.one_hot((middle - (edges[:-1] * edges[1:])[:, None].sqrt()).abs().argmin(1), len(middle)) > 0
    weight = (inside | nearest).float()  # a narrow band takes the nearest line
    power = shown.abs().square() @ (weight / weight.sum(1, keepdim=True)).T
    return power.clamp(min=SOFTEST**2).log().transpose(1, 2)


def rule_values(sound: Tensor, rate: int) -> Tensor:
    """(N, rules), in the order of RULES."""
    return torch.stack([listed.rule(sound, rate) for listed in RULES.values()], dim=1)


def every_for(window: int) -> int:
    """Every how many frames of a window a picture must be decoded to have its first, middle and last one."""
    return max(1, (window - 1) // (PICTURES - 1))


def small_pictures(yuv: Tensor) -> Tensor:
    """(N, PICTURES, h, w) uint8 luma of pictures (N, T, H*3/2, W); a short window repeats its last."""
    at = torch.arange(PICTURES, device=yuv.device).clamp(max=yuv.shape[1] - 1)
    luma = yuv[:, at, : yuv.shape[2] * 2 // 3]
    size = min(SIDE, luma.shape[2]), min(SIDE, luma.shape[3])
    if size == tuple(luma.shape[2:]):
        return luma.clone()
    return functional.interpolate(luma.float(), size, mode="area").round().to(torch.uint8)


def texture(pictures: Tensor) -> Tensor:
    """(N, F) of small pictures: brightness, contrast and sharpness of their parts, which pixels alone do not tell."""
    luma = pictures.float()
    parts = functional.adaptive_avg_pool2d(luma, 4).flatten(1) / 16
    edges = luma.diff(dim=2)[..., :-1].square() + luma.diff(dim=3)[:, :, :-1].square()
    bends = luma.diff(n=2, dim=2)[..., :-2].square() + luma.diff(n=2, dim=3)[:, :, :-2].square()
    fine = [functional.adaptive_avg_pool2d(one, 4).add(1).log().flatten(1) for one in (edges, bends)]
    moved = luma.diff(dim=1).square().mean((2, 3)).add(1).log()
    whole = torch.stack((luma.mean((2, 3)) / 16, luma.std((2, 3)).add(1).log()), 2).flatten(1)
    return torch.cat((parts, *fine, moved, whole), 1)
