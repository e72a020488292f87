"""Two streams that embed a stretch of pictures and the sound of the same length; how they are trained and asked.

They see 0.2 or 0.64 s at once. A longer window is all its stretches, from picture to picture, and their mean: the
"confidence" of Chung & Zisserman 2016 is made of such means.

N stretches, n pictures in one, s samples in one, f features; others as in candidate.py.
"""

from abc import abstractmethod

import torch
from torch import Tensor

from avsync.data.batch import Batch
from avsync.data.order import View
from avsync.data.transforms import prepare
from benchmarks.faces.candidate import Candidate, Losses


class TwoStreams(Candidate):
    """What both published networks have in common."""

    def __init__(self, view: View, pictures: int, samples: int) -> None:
        """samples: of a picture's time."""
        super().__init__()
        self.view, self.pictures, self.samples = view, pictures, samples

    @abstractmethod
    def see(self, frames: Tensor) -> Tensor:
        """(N, 3, n, H, W) -> (N, f)"""

    @abstractmethod
    def hear(self, sounds: Tensor) -> Tensor:
        """(N, s) -> (N, f)"""

    @abstractmethod
    def alike(self, seen: Tensor, heard: Tensor) -> Tensor:
        """(..., f) twice -> (...): higher is more in sync."""

    @abstractmethod
    def loss(self, alike: Tensor, in_sync: Tensor) -> Tensor:
        """(N,) twice -> ()"""

    def losses(self, batch: Batch, step: int) -> Losses:
        """Each picture with its own sound, and with that of another moment."""
        frames, sounds = prepare(batch, self.view)
        frames, sounds, in_sync = frames[batch.valid], sounds[batch.valid], batch.in_sync[batch.valid]
        seen = self.see(frames).repeat_interleave(sounds.shape[1], dim=0)
        alike = self.alike(seen, self.hear(sounds.mean(dim=2).flatten(0, 1)))
        loss = self.loss(alike, in_sync.flatten())
        return Losses(loss, loss.detach())

    def score(self, frames: Tensor, sounds: Tensor) -> Tensor:
        """Clip by clip: the stretches of one are a batch as it is."""
        return torch.stack([self._score(*clip) for clip in zip(frames, sounds, strict=True)])

    def _score(self, frames: Tensor, sounds: Tensor) -> Tensor:
        """frames: (3, T, H, W), sounds: (K, C, S) -> (K,)"""
        seen = self.see(frames.unfold(1, self.pictures, 1).permute(1, 0, 4, 2, 3))
        cut = sounds.mean(dim=1).unfold(-1, self.pictures * self.samples, self.samples)  # (K, N, s)
        # sounds of one clip overlap: what several of them hold is listened to once
        once, which = torch.unique(cut.flatten(0, 1), dim=0, return_inverse=True)
        heard = self.hear(once)[which].unflatten(0, cut.shape[:2])
        return self.alike(seen, heard).mean(dim=1)
