"""A long video's heat and score out of many overlapping windows. n frames of the video, T of a window, h w cells.

Memory holds cells, never pictures: an hour at 30 fps takes 85 MB with the 14x14 cells of the refined `paper`;
finer cells take more.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from avsync.models.cam import heat_to_draw


def window_starts(frames: int, window: int, overlap: float) -> list[int]:
    """First frames of windows that cover `frames` frames; each begins while `overlap` of the last is still to come.

    The last one ends with the video. One window when the video is no longer than that.
    """
    hop = max(1, round(window * (1 - overlap)))
    last = max(0, frames - window)
    return [*range(0, last, hop), last]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HeatTrack:
    """What a network says about a video, frame by frame of its own clock."""

    heat: NDArray[np.float32]
    """(n, h, w) in cells, see avsync.models.cam.heat_to_draw."""
    logit: NDArray[np.float32]
    """(n,) as the run's validation found that it is to be read: above 0 means "in sync"."""

    @property
    def in_sync(self) -> NDArray[np.float32]:
        """(n,) probability that the sound belongs to the picture."""
        return (1 / (1 + np.exp(-self.logit.clip(-30, 30)))).astype(np.float32)


class Stitcher:
    """Blends windows by triangular weights: each counts most in its middle, so none begins or ends with a jump."""

    def __init__(self, frames: int, window: int, *, points: bool = False) -> None:
        """points: as avsync.models.cam.heat_to_draw has it."""
        self.frames, self._points = frames, points
        middle = np.arange(window, dtype=np.float32) + 0.5
        self._weight = np.minimum(middle, window - middle)  # (T,), above 0 everywhere: the ends have one window only
        self._total = np.zeros(frames, np.float32)
        self._logit = np.zeros(frames, np.float32)
        self._heat: NDArray[np.float32] | None = None

    def add(self, start: int, logit: float, cam: Tensor) -> None:
        """What the network answered about the window from frame `start` on. cam: (t, h, w)."""
        window = len(self._weight)
        stop = min(self.frames, start + window)
        weight = self._weight[: stop - start]
        heat = heat_to_draw(cam, logit, window, points=self._points)[: stop - start]
        if self._heat is None:
            self._heat = np.zeros((self.frames, *heat.shape[1:]), np.float32)
        self._heat[start:stop] += weight[:, None, None] * heat
        self._logit[start:stop] += weight * logit
        self._total[start:stop] += weight

    def track(self) -> HeatTrack:
        """The blend, once windows have covered every frame."""
        assert self._heat is not None
        assert self._total.all()
        return HeatTrack(heat=self._heat / self._total[:, None, None], logit=self._logit / self._total)
