"""One sound out of overlapping windows, and a mask drawn at one sample rate, used at another.

S samples, C audio channels, F frequencies, n moments.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avsync.models.spectrum import Spectrum

ABOVE = 4
"""Above the highest frequency that a mask was drawn for, the mean of its highest quarter is used."""

Samples = NDArray[np.float32]
"""(S, C)"""


class CrossFade:
    """Each window fades in over what the ones before have of its stretch: the weights of any sample sum to 1."""

    def __init__(self, channels: int) -> None:
        self._at, self._held = 0, np.empty((0, channels), np.float32)

    def add(self, position: int, window: Samples) -> Samples:
        """The next window, from sample `position` on; positions ascend, without gaps. Returns what is finished."""
        if not len(self._held):
            self._at = position
        finished, rest = np.split(self._held, [position - self._at])
        both = min(len(rest), len(window))
        rise = ((np.arange(both, dtype=np.float32) + 0.5) / max(1, both))[:, None]
        blended = rest[:both] * (1 - rise) + window[:both] * rise
        longer = window[both:] if len(window) >= len(rest) else rest[both:]
        self._at, self._held = position, np.concatenate((blended, longer))
        return finished

    def rest(self) -> Samples:
        """What is left, when no window comes any more."""
        finished, self._held = self._held, self._held[:0]
        return finished


def mask_at(mask: Tensor, drawn: Spectrum, drawn_rate: int, wanted: Spectrum, rate: int, moments: int) -> Tensor:
    """mask: (F, n) of `drawn` at one rate -> (F', moments) of `wanted` at another; linear between its points."""
    step = (rate / wanted.size) / (drawn_rate / drawn.size)
    rows = torch.arange(wanted.frequencies, device=mask.device) * step
    columns = torch.arange(moments, device=mask.device) * ((wanted.hop / rate) / (drawn.hop / drawn_rate))
    top = mask[-max(1, len(mask) // ABOVE) :].mean(dim=0, keepdim=True)
    known = rows <= len(mask) - 1
    inside = _between(_between(mask, rows.clamp(max=len(mask) - 1)).T, columns.clamp(max=mask.shape[1] - 1)).T
    above = _between(top.T, columns.clamp(max=mask.shape[1] - 1)).T
    return torch.where(known[:, None], inside, above.expand_as(inside))


def _between(table: Tensor, rows: Tensor) -> Tensor:
    """Rows of a table, (R, ...), at places that are no whole numbers."""
    low = rows.floor().long()
    high = (low + 1).clamp(max=len(table) - 1)
    part = (rows - low)[:, None]
    return table[low] * (1 - part) + table[high] * part
