"""Sound as a spectrogram and back, exactly; and masks that divide it among two sources.

N sounds, C audio channels, S samples, F frequencies from 0 Hz to half the sample rate, n moments, HOP_S apart.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

HOP_S = 0.016
"""From moment to moment, as in Owens & Efros 2018, section 6."""
HOPS = 2
"""A moment's window in hops: 32 ms hold three periods of a deep voice, and half of a clap's ringing."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Short-time Fourier transform of sound of one sample rate: frequencies 1 / (HOPS * hop) s apart."""

    hop: int

    @classmethod
    def of(cls, sample_rate: int) -> Self:
        """The moments of two sample rates are as far apart as whole samples let them be."""
        return cls(max(1, round(HOP_S * sample_rate)))

    @property
    def size(self) -> int:
        """Samples of a window."""
        return HOPS * self.hop

    @property
    def frequencies(self) -> int:
        return self.size // 2 + 1

    def moments(self, samples: int) -> int:
        """N of so many samples: the first in the middle of sample 0, the last at their end or behind it."""
        return -(-samples // self.hop) + 1

    def of_sound(self, sound: Tensor) -> Tensor:
        """(N, C, S) -> (N, C, F, n), complex. Beyond its ends is silence."""
        missing = (self.moments(sound.shape[-1]) - 1) * self.hop - sound.shape[-1]
        flat = functional.pad(sound.float().flatten(0, 1), (0, missing))
        window = self._window(sound)
        found = torch.stft(flat, self.size, self.hop, window=window, pad_mode="constant", return_complex=True)
        return found.unflatten(0, sound.shape[:2])

    def to_sound(self, spectrogram: Tensor, samples: int) -> Tensor:
        """(N, C, F, n), complex -> (N, C, S): what `of_sound` was given, if nothing was changed."""
        flat = spectrogram.flatten(0, 1)
        found = torch.istft(flat, self.size, self.hop, window=self._window(spectrogram), length=samples)
        return found.unflatten(0, spectrogram.shape[:2])

    def _window(self, like: Tensor) -> Tensor:
        """The root of Hann's: once before and once after a mask, overlapping ones sum to 1."""
        return torch.hann_window(self.size, device=like.device).sqrt()
