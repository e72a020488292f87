"""A film's map, asked: does it change when the sound does? Its own sound backwards, and silence, over each window.

Backwards is as loud and has the same spectrum, and no event stays at its moment.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from avsync.data.transforms import NetworkInput
from avsync.honesty.maps import listened, spatial
from avsync.models.parts import SyncNet, SyncOutput


class MapScores(NamedTuple):
    """Of one map, or the mean of several. See avsync.honesty.maps."""

    listened: float
    """0: the same map whatever is heard; 1: another one."""
    spatial: float
    """0: whole frames are lit; 1: one cell is."""


@dataclass(slots=True)
class MapScorer:
    """Asks a network window by window, and keeps the scores."""

    network: SyncNet
    scores: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def ask(self, given: NetworkInput) -> SyncOutput:
        """The network's answer to one window; frames (1, 3, T, h, w), sounds (1, 1, C, S). The video part runs once."""
        own = given.sounds
        said = self.network(given.frames, torch.cat((own, own.flip(-1), torch.zeros_like(own)), dim=1))
        maps = said.cam[0]  # (3, t, h, w)
        self.scores.append((listened(maps[:1].expand_as(maps[1:]), maps[1:]).mean(), spatial(maps[:1])[0]))
        return SyncOutput(said.logit[:, :1], said.cam[:, :1])

    def mean(self) -> MapScores:
        """Over all windows asked; at least one."""
        heard, dark = (torch.stack(column).mean() for column in zip(*self.scores, strict=True))
        return MapScores(float(heard), float(dark))
