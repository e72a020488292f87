"""From stored bytes to network input, on the training device: crop, flip, colour conversion, normalisation.

B clips, K sounds, T frames, R = H*3/2 rows of I420, H W stored pixels, h w cropped pixels, S samples, C audio channels.
"""

from typing import NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional

from avsync.batch import Batch
from avsync.draw import View
from sharding.clip import ColorMatrix

MATRICES: tuple[ColorMatrix, ...] = get_args(ColorMatrix)
_LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}  # Kr, Kb


def _yuv_to_rgb(matrix: ColorMatrix) -> list[list[float]]:
    """Rows R G B over (Y, U, V, 1), for limited-range bytes to RGB in [-1, 1]. ITU-R BT.601-7, BT.709-6, BT.2020-2."""
    kr, kb = _LUMA_WEIGHTS[matrix]
    kg = 1 - kr - kb
    luma, chroma = 2 / 219, 2 / 224  # the 2 maps [0, 1] to [-1, 1]
    red, blue = 2 * (1 - kr) * chroma, 2 * (1 - kb) * chroma
    rows = [
        [luma, 0.0, red],
        [luma, -blue * kb / kg, -red * kr / kg],
        [luma, blue, 0.0],
    ]
    return [[y, u, v, -1 - y * 16 - (u + v) * 128] for y, u, v in rows]


YUV_TO_RGB = torch.tensor([_yuv_to_rgb(matrix) for matrix in MATRICES])  # (3 matrices, 3, 4)


class NetworkInput(NamedTuple):
    """What a SyncNet takes."""

    frames: Tensor
    """(B, 3, T, h, w) in [-1, 1]"""
    sounds: Tensor
    """(B, K, C, S) in [-1, 1]"""


def prepare(batch: Batch, view: View, mute_samples: int = 0) -> NetworkInput:
    """A batch, already on its device, as network input."""
    frames = to_rgb(_cropped(batch, view), batch.matrix, (view.out_height, view.out_width))
    mirrored = [row for row, draw in enumerate(batch.draws) if draw.flip]
    frames[mirrored] = frames[mirrored].flip(-1)
    sounds = batch.audio.transpose(2, 3) * (1 / 32768)
    if mute_samples:
        sounds[..., :mute_samples] = 0
    return NetworkInput(frames, sounds)


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


def _cropped(batch: Batch, view: View) -> Planes:
    planes = planes_of(batch.yuv)
    if (view.crop_height, view.crop_width) == (view.height, view.width):
        return planes

    def cut(plane: Tensor, scale: int) -> Tensor:
        height, width = view.crop_height // scale, view.crop_width // scale
        corners = [(draw.top // scale, draw.left // scale) for draw in batch.draws]
        return torch.stack(
            [clip[:, top : top + height, left : left + width] for clip, (top, left) in zip(plane, corners, strict=True)]
        )

    return Planes(cut(planes.y, 1), cut(planes.u, 2), cut(planes.v, 2))


def to_rgb(planes: Planes, matrix: Tensor, size: tuple[int, int]) -> Tensor:
    """Planes and each clip's colour matrix (B,) -> RGB (B, 3, T, *size) in [-1, 1]; chroma bilinear, centre-sited."""
    clips, frames = planes.y.shape[:2]
    yuv = torch.empty((clips, 3, frames, *size), device=matrix.device)  # filled in place: memory traffic is the cost
    for place, plane in enumerate(planes):
        yuv[:, place] = _resized(plane, size)
    weights = YUV_TO_RGB.to(matrix.device)[matrix]  # (B, 3, 4)
    rgb = torch.baddbmm(weights[..., 3:], weights[..., :3], yuv.flatten(2))
    return rgb.clamp_(-1, 1).view(yuv.shape)


def _resized(plane: Tensor, size: tuple[int, int]) -> Tensor:
    """Averages where it shrinks, bilinear where it grows. plane: (B, T, h, w) -> (B, T, *size)"""
    if tuple(plane.shape[-2:]) == size:
        return plane
    if plane.shape[-2] > size[0] and plane.shape[-1] > size[1]:
        return functional.interpolate(plane.float(), size, mode="area")
    return functional.interpolate(plane.float(), size, mode="bilinear", align_corners=False)
