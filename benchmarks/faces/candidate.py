"""What takes part: settings, a network with its own loss, and what it answers about a window of any length.

B clips, K sounds, C audio channels, T pictures, H W pixels, S samples.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from torch import Tensor, nn

from avsync.config import PairConfig, TrainConfig
from avsync.data.batch import Batch
from avsync.loading.feed import Feed
from avsync.presets import faces
from sharding.errors import UsageError
from sharding.format.clip import Clock

WANTED = Clock(fps=Fraction(25), sample_rate=16_000)
"""Both papers give their sizes for it."""


class Losses(NamedTuple):
    """Of a batch."""

    trained: Tensor
    """() with gradient"""
    watched: Tensor
    """() what says that something was learned: it is compared with `Candidate.level`"""


class Candidate(nn.Module, ABC):
    """A network and how it is trained and asked."""

    level: float
    """Of `Losses.watched` where nothing is known of the label."""

    @abstractmethod
    def losses(self, batch: Batch, step: int) -> Losses:
        """Of a batch as the loader gives it; at least one of its rows could be read."""

    @abstractmethod
    def score(self, frames: Tensor, sounds: Tensor) -> Tensor:
        """frames: (B, 3, T, H, W), sounds: (B, K, C, S), both in [-1, 1] -> (B, K): higher is more in sync."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A row of the table."""

    title: str
    config: TrainConfig
    """Of it pairs, view, augmentation, batch, seed and optimiser are used; how many steps, the time decides."""
    build: Callable[[TrainConfig, Feed], Candidate]
    """With its first weights, for the feed's windows."""


def pairs_for(window_s: float) -> PairConfig:
    """The law of our preset, one picture to 0.84 s apart, for who compares two sounds of a picture at a time."""
    ours = faces().pairs
    return PairConfig(window_s=window_s, min_shift_s=ours.min_shift_s, max_shift_s=ours.max_shift_s)


def check_clock(clock: Clock, dataset: str) -> None:
    """Raises UsageError for clips that the papers' networks have no sizes for."""
    if clock != WANTED:
        raise UsageError(
            f"{dataset} has {float(clock.fps):g} pictures a second and {clock.sample_rate} Hz, the benchmark needs "
            f"{float(WANTED.fps):g} and {WANTED.sample_rate}: pack it with --fps {float(WANTED.fps):g} "
            f"--sample-rate {WANTED.sample_rate}"
        )
