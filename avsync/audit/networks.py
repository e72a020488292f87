"""Two small networks that see one stream each, and guess the label. They learn from half of the sources in seconds.

N examples; C T of a sound's map; P pictures of h w pixels.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from avsync.audit.evidence import folds

STEPS, BATCH = 200, 48
PEAK_RATE, DECAY = 4e-3, 1e-2
WIDTH = 24

Make = Callable[[tuple[int, ...]], nn.Module]
"""Shape of an example -> a network (N, *shape) -> (N,)."""


class SoundNet(nn.Module):
    """Convolutions over time; what stands out anywhere, what is usual, and what is at either end."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(shape[0], WIDTH, 5, padding=2), nn.ReLU(), nn.Conv1d(WIDTH, WIDTH, 5, padding=2), nn.ReLU()
        )
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(4 * WIDTH, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """maps: (N, C, T)"""
        shown = self.body(maps)
        ends = shown[..., :3].mean(2), shown[..., -3:].mean(2)
        return self.head(torch.cat((shown.amax(2), shown.mean(2), *ends), 1))[:, 0]


class PictureNet(nn.Module):
    """Convolutions, then weights that know where in the picture something is: a counter stands in one place."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(shape[0], 12, 5, stride=3, padding=2),
            nn.ReLU(),
            nn.Conv2d(12, WIDTH, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.head = nn.Sequential(nn.Dropout(0.2), nn.LazyLinear(1))
        self.head(self.body(torch.zeros(1, *shape)))  # makes its weights

    def forward(self, pictures: Tensor) -> Tensor:
        """pictures: (N, P, h, w)"""
        return self.head(self.body(pictures))[:, 0]


def guess(
    make: Make, given: NDArray, label: NDArray[np.bool_], group: NDArray[np.int64], seed: int, device: torch.device
) -> NDArray[np.float32]:
    """(N,) logits of each example, by a network that learned from other sources. given: (N, *shape)."""
    logit = np.zeros(len(given), np.float32)
    for number, (learn, ask) in enumerate(folds(group, seed)):
        if learn.any() and ask.any():
            with torch.random.fork_rng([]):
                torch.manual_seed(2 * seed + number)
                logit[ask] = _learned(make, given[learn], label[learn], device)(given[ask])
    return logit


def _learned(
    make: Make, given: NDArray, label: NDArray[np.bool_], device: torch.device
) -> Callable[[NDArray], NDArray]:
    """A trained network, as a function of examples."""
    axes = (0, *range(2, given.ndim))
    mean = torch.from_numpy(given.mean(axes, np.float64, keepdims=True)).float()
    spread = torch.from_numpy(given.std(axes, np.float64, keepdims=True)).float().clamp(min=1e-3)

    def batch(some: NDArray) -> Tensor:
        return ((torch.from_numpy(some).float() - mean) / spread).to(device)

    network = make(given.shape[1:]).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, STEPS)
    for _ in range(STEPS):
        at = torch.randint(len(given), (BATCH,)).numpy()
        loss = functional.binary_cross_entropy_with_logits(
            network(batch(given[at])), torch.from_numpy(label[at]).float().to(device)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval()

    @torch.no_grad()
    def answer(some: NDArray) -> NDArray:
        parts = [network(batch(some[at : at + BATCH])) for at in range(0, len(some), BATCH)]
        return torch.cat(parts).float().cpu().numpy()

    return answer
