"""What FFmpeg's decoders hand out of a clip, looked at and copied: planes and samples of the one kind that we store."""

from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from sharding.errors import WrongClip

PIXELS, SAMPLES = "yuv420p", "s16"
"""What is stored, and nothing else; planes of limited range."""
NO_CONCEALMENT = {"err_detect": "crccheck+explode"}
"""A frame that is damaged in itself is an error, not a guess."""
DECODER_EDGE = 256
"""Pixels that a decoder may add to a side of each picture."""
UNTAGGED = 2
MATRIX_TAG = {"bt709": 1, "bt601": 6, "bt2020": 9}  # ISO/IEC 23091-2 matrix coefficients


def picture_options(out: NDArray[np.uint8]) -> dict[str, str]:
    """Of a decoder for pictures like these, (T, H*3/2, W): it takes no memory for larger ones, and guesses nothing."""
    height, width = out.shape[1] * 2 // 3, out.shape[2]
    return {"max_pixels": str((width + DECODER_EDGE) * (height + DECODER_EDGE))} | NO_CONCEALMENT


def check_picture(frame: av.VideoFrame, number: int, out: NDArray[np.uint8]) -> None:
    """Whether it is whole, and one like those in `out`. Raises WrongClip."""
    height, width = out.shape[1] * 2 // 3, out.shape[2]
    if frame.is_corrupt:
        raise WrongClip(f"frame {number} is damaged")
    if (frame.height, frame.width) != (height, width) or frame.format.name != PIXELS or frame.rotation:
        raise WrongClip(
            f"frame {number} is {frame.width}x{frame.height} {frame.format.name}, turned by {frame.rotation}; "
            f"wanted {width}x{height} {PIXELS}, upright"
        )


def copy_planes(frame: av.VideoFrame, out: NDArray[np.uint8]) -> None:
    """Copy one yuv420p frame into I420 layout, `out` uint8 (H*3/2, W), H and W even."""
    rows, width = out.shape
    height = rows * 2 // 3
    chroma = out[height:].reshape(2, height // 2, width // 2)
    for plane, part in zip(frame.planes, (out[:height], chroma[0], chroma[1]), strict=True):
        buffer: Any = plane
        part[:] = np.ndarray(part.shape, np.uint8, buffer, 0, (plane.line_size, 1))


def samples_of(frame: av.AudioFrame, position: int, rate: int, channels: int) -> NDArray[np.int16]:
    """Those of a frame that begins at sample `position`, (S, C). Raises WrongClip for another kind of sound."""
    kind = (frame.format.name, frame.layout.nb_channels, frame.sample_rate)
    if kind != (SAMPLES, channels, rate):
        raise WrongClip(f"its sound is {kind} from sample {position} on; wanted {(SAMPLES, channels, rate)}")
    samples: Any = frame.to_ndarray()
    return samples.reshape(-1, channels)
