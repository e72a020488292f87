"""A decoded picture's planes, copied to where they are wanted."""

import av
import numpy as np
from numpy.typing import NDArray


def copy_planes(frame: av.VideoFrame, out: NDArray[np.uint8]) -> None:
    """Copy one yuv420p frame into I420 layout, `out` uint8 (H*3/2, W), H and W even."""
    rows, width = out.shape
    height = rows * 2 // 3
    chroma = out[height:].reshape(2, height // 2, width // 2)
    for plane, target in zip(frame.planes, (out[:height], chroma[0], chroma[1]), strict=True):
        view = np.frombuffer(memoryview(plane), np.uint8)  # pyright: ignore[reportArgumentType]
        view = view.reshape(-1, plane.line_size)
        target[:] = view[: target.shape[0], : target.shape[1]]
