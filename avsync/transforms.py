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
    """Rows R G B over (Y, U, V, 1), for limited-range bytes / 255 to RGB in [-1, 1]. ITU-R BT.601-7, 709-6, 2020-2."""
    kr, kb = _LUMA_WEIGHTS[matrix]
    kg = 1 - kr - kb
    luma, chroma = 255 / 219 * 2, 255 / 224 * 2  # the 2 maps [0, 1] to [-1, 1]
    red, blue = 2 * (1 - kr) * chroma, 2 * (1 - kb) * chroma
    rows = [
        [luma, 0.0, red],
        [luma, -blue * kb / kg, -red * kr / kg],
        [luma, blue, 0.0],
    ]
    return [[y, u, v, -1 - y * 16 / 255 - (u + v) * 128 / 255] for y, u, v in rows]


YUV_TO_RGB = torch.tensor([_yuv_to_rgb(matrix) for matrix in MATRICES])  # (3 matrices, 3, 4)


class NetworkInput(NamedTuple):
    """What a SyncNet takes."""

    frames: Tensor
    """(B, 3, T, h, w) in [-1, 1]"""
    sounds: Tensor
    """(B, K, C, S) in [-1, 1]"""


def prepare(batch: Batch, view: View, mute_samples: int = 0) -> NetworkInput:
    """A batch, already on its device, as network input."""
    frames = to_rgb(_cropped(batch, view), batch.matrix)
    flipped = torch.where(batch.flip.view(-1, 1, 1, 1, 1), frames.flip(-1), frames)
    sounds = batch.audio.transpose(2, 3).float() / 32768
    if mute_samples:
        sounds[..., :mute_samples] = 0
    return NetworkInput(flipped, sounds)


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
    height, width = view.crop_height, view.crop_width
    if (height, width) == (view.height, view.width):
        return planes

    def cut(plane: Tensor, scale: int) -> Tensor:
        rows = [
            clip[:, top // scale : (top + height) // scale, left // scale : (left + width) // scale]
            for clip, (top, left) in zip(plane, corners, strict=True)
        ]
        return torch.stack(rows)

    corners = [(draw.top, draw.left) for draw in batch.draws]
    return Planes(cut(planes.y, 1), cut(planes.u, 2), cut(planes.v, 2))


def to_rgb(planes: Planes, matrix: Tensor) -> Tensor:
    """Planes and each clip's colour matrix (B,) -> RGB (B, 3, T, h, w) in [-1, 1]; chroma bilinear, centre-sited."""
    y, u, v = (plane.float() / 255 for plane in planes)
    size = y.shape[-2:]
    u, v = (functional.interpolate(plane, size, mode="bilinear", align_corners=False) for plane in (u, v))
    weights = YUV_TO_RGB.to(y.device)[matrix]  # (B, 3, 4)
    rgb = torch.einsum("boc,bcthw->bothw", weights[..., :3], torch.stack((y, u, v), dim=1))
    return (rgb + weights[..., 3].view(*weights.shape[:2], 1, 1, 1)).clamp(-1, 1)
