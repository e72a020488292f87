"""What FFmpeg's decoders hand out of a clip, looked at and copied: planes and samples of the one kind that we store."""

from typing import Any, Protocol

import av
import numpy as np
from numpy.typing import NDArray

from sharding.errors import WrongClip
from sharding.format.claims import ClipShape
from sharding.format.clip import Member

PIXELS, SAMPLES = "yuv420p", "s16"
"""What is stored, and nothing else; planes of limited range."""
NO_CONCEALMENT = {"err_detect": "crccheck+explode"}
"""A frame that is damaged in itself is an error, not a guess."""
DECODER_EDGE = 256
"""Pixels that a decoder may add to a side of each picture."""
UNTAGGED = 2
MATRIX_TAG = {"bt709": 1, "bt601": 6, "bt2020": 9}  # ISO/IEC 23091-2 matrix coefficients


class Decoder(Protocol):
    """How windows of clips are read back."""

    def decode_video(
        self, member: Member, frames: range, out: NDArray[np.uint8], shape: ClipShape | None = None
    ) -> None:
        """Write the pictures numbered `frames` into `out`, uint8 (len(frames), H*3/2, W). Raises SkipClip.

        shape: of the whole clip, which the member then has to be, too; None where nothing is known but the window.
        """
        ...

    def decode_audio(self, member: Member, start: int, out: NDArray[np.int16], shape: ClipShape | None = None) -> None:
        """Write the samples from `start` on into `out`, int16 (S, C). Raises SkipClip. `shape`: as for pictures."""
        ...


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


class PlaneWriter:
    """Where the planes of pictures go, laid out as I420: uint8 (T, H*3/2, W), H and W even."""

    def __init__(self, out: NDArray[np.uint8]) -> None:
        count, rows, width = out.shape
        height = rows * 2 // 3
        self._luma, chroma = out[:, :height], out[:, height:].reshape(count, 2, height // 2, width // 2)
        self._blue, self._red = chroma[:, 0], chroma[:, 1]

    def put(self, frame: av.VideoFrame, row: int) -> None:
        """Copy a yuv420p frame. Raises ValueError for one that is smaller."""
        luma, blue, red = frame.planes
        _copy(luma, self._luma[row])
        _copy(blue, self._blue[row])
        _copy(red, self._red[row])


def copy_planes(frame: av.VideoFrame, out: NDArray[np.uint8]) -> None:
    """Copy one frame to `out`, (H*3/2, W)."""
    PlaneWriter(out[None]).put(frame, 0)


def _copy(plane: Any, out: NDArray[np.uint8]) -> None:
    out[:] = np.ndarray(out.shape, np.uint8, plane, 0, (plane.line_size, 1))


def samples_of(frame: av.AudioFrame, position: int, rate: int, channels: int) -> NDArray[np.int16]:
    """Those of a frame that begins at sample `position`, (S, C). Raises WrongClip for another kind of sound."""
    kind = (frame.format.name, frame.layout.nb_channels, frame.sample_rate)
    if kind != (SAMPLES, channels, rate):
        raise WrongClip(f"its sound is {kind} from sample {position} on; wanted {(SAMPLES, channels, rate)}")
    plane: Any = frame.planes[0]
    return np.ndarray((frame.samples, channels), np.int16, plane)  # to_ndarray takes twice as long
