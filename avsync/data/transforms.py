"""From stored bytes to network input, on the training device: crop, flip, colour conversion, normalisation.

B clips, K sounds, T frames, R = H*3/2 rows of I420, H W stored pixels, h w cropped pixels, S samples, C audio channels.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional

from avsync.data.batch import Batch
from avsync.data.order import View
from sharding.format.clip import ColorMatrix

MATRICES: tuple[ColorMatrix, ...] = get_args(ColorMatrix)
LUMA = 2 / 219
"""What a step of Y is worth in R, G and B alike, in every matrix; the 2 maps [0, 1] to [-1, 1]."""
_LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}  # Kr, Kb


def _yuv_to_rgb(matrix: ColorMatrix) -> list[list[float]]:
    """Rows R G B over (Y, U, V, 1), for limited-range bytes to RGB in [-1, 1]. ITU-R BT.601-7, BT.709-6, BT.2020-2."""
    kr, kb = _LUMA_WEIGHTS[matrix]
    kg = 1 - kr - kb
    chroma = 2 / 224
    red, blue = 2 * (1 - kr) * chroma, 2 * (1 - kb) * chroma
    rows = [
        [LUMA, 0.0, red],
        [LUMA, -blue * kb / kg, -red * kr / kg],
        [LUMA, blue, 0.0],
    ]
    return [[y, u, v, -1 - y * 16 - (u + v) * 128] for y, u, v in rows]


YUV_TO_RGB = torch.tensor([_yuv_to_rgb(matrix) for matrix in MATRICES])  # (3 matrices, 3, 4)


class NetworkInput(NamedTuple):
    """What a SyncNet takes."""

    frames: Tensor
    """(B, 3, T, h, w) in [-1, 1]"""
    sounds: Tensor
    """(B, K, C, S) in [-1, 1]"""


class Planes(NamedTuple):
    """Y (B, T, h, w), U and V (B, T, h/2, w/2), uint8."""

    y: Tensor
    u: Tensor
    v: Tensor


def planes_of(yuv: Tensor) -> Planes:
    """I420 (B, T, R, W) as views of its three planes."""
    height, width = yuv.shape[2] * 2 // 3, yuv.shape[3]
    chroma = yuv[:, :, height:].flatten(2).unflatten(2, (2, height // 2, width // 2))
    return Planes(yuv[:, :, :height], chroma[:, :, 0], chroma[:, :, 1])


def to_rgb(planes: Planes, weights: Tensor, size: tuple[int, int]) -> Tensor:
    """Planes and each clip's rows of YUV_TO_RGB (B, 3, 4) -> RGB (B, 3, T, *size) in [-1, 1].

    Chroma is bilinear and centre-sited. Memory traffic is the cost: what colour adds is worked out on the small
    planes, and luma is added in place.
    """
    clips, frames = planes.y.shape[:2]
    chroma = torch.stack((planes.u, planes.v), dim=1).float()  # (B, 2, T, h/2, w/2)
    colour = torch.baddbmm(weights[..., 3:], weights[..., 1:3], chroma.flatten(2)).view(clips, 3, *chroma.shape[2:])
    rgb = _resized(colour.flatten(1, 2), size).unflatten(1, (3, frames))
    return rgb.add_(_resized(planes.y, size).unsqueeze(1), alpha=LUMA).clamp_(-1, 1)


def _resized(plane: Tensor, size: tuple[int, int]) -> Tensor:
    """Averages where it shrinks, bilinear where it grows. plane: (B, T, h, w) -> (B, T, *size)"""
    if tuple(plane.shape[-2:]) == size:
        return plane
    if plane.shape[-2] > size[0] and plane.shape[-1] > size[1]:
        return functional.interpolate(plane.float(), size, mode="area")
    return functional.interpolate(plane.float(), size, mode="bilinear", align_corners=False)


def _cut(batch: Batch, view: View) -> Planes:
    """Each clip's crop, mirrored where its draw says so: in bytes, an eighth of what the picture will weigh."""
    planes = planes_of(batch.yuv)
    whole = (view.crop_height, view.crop_width) == (view.height, view.width)
    if whole and not any(draw.flip for draw in batch.draws):
        return planes

    def cut(plane: Tensor, scale: int) -> Tensor:
        height, width = view.crop_height // scale, view.crop_width // scale
        pieces = []
        for clip, draw in zip(plane, batch.draws, strict=True):
            top, left = draw.top // scale, draw.left // scale
            piece = clip[:, top : top + height, left : left + width]
            pieces.append(piece.flip(-1) if draw.flip else piece)
        return torch.stack(pieces)

    return Planes(cut(planes.y, 1), cut(planes.u, 2), cut(planes.v, 2))


@lru_cache
def _matrices_on(device: torch.device) -> Tensor:
    """Kept there: copied at every step, it would make the host wait for the device."""
    return YUV_TO_RGB.to(device)


Convert = Callable[[Planes, Tensor, tuple[int, int]], Tensor]
"""`to_rgb`, or the same compiled."""


def prepare(batch: Batch, view: View, mute_samples: int = 0, convert: Convert = to_rgb) -> NetworkInput:
    """A batch, already on its device, as network input. Nothing here makes the host wait for the device."""
    frames = convert(_cut(batch, view), weights_of(batch), (view.out_height, view.out_width))
    return NetworkInput(frames, sounds_of(batch, mute_samples))


def weights_of(batch: Batch) -> Tensor:
    """Each clip's rows of YUV_TO_RGB (B, 3, 4)."""
    return _matrices_on(batch.matrix.device)[batch.matrix]


def sounds_of(batch: Batch, mute_samples: int) -> Tensor:
    """(B, K, C, S) in [-1, 1]"""
    sounds = batch.audio.transpose(2, 3) * (1 / 32768)
    if mute_samples:
        sounds[..., :mute_samples] = 0
    return sounds
