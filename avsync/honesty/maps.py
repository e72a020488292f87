"""Does a map listen, and does it point? Two scores without a threshold and without knowing where the truth is.

`listened`: how much the map changes when the sound does. Many localisation models draw the same map whatever they
hear (Juanola et al. 2024, arXiv 2410.01020, who ask with silence, noise and another sound).
`spatial`: whether few cells are lit, or the whole picture. The participation ratio counts the lit cells.

N maps; t h w cells. All of it is of |w . f|, what is drawn.
"""

from dataclasses import dataclass, field
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor

from avsync.data.transforms import NetworkInput
from avsync.models.parts import SyncNet, SyncOutput


def listened(own: Tensor, other: Tensor) -> Tensor:
    """1 - sum(min) / sum(max) of two maps of one picture with two sounds: 0 the same map, 1 nothing in common.

    This is the distance of Ruzicka 1958 (weighted Jaccard). A map that only grows hotter counts as changed, as it
    must: to go dark in silence is to listen. Two maps that are 0 everywhere are the same map.
    own, other: (N, t, h, w) -> (N,)
    """
    own, other = own.float().abs().flatten(1), other.float().abs().flatten(1)
    common, whole = torch.minimum(own, other).sum(1), torch.maximum(own, other).sum(1)
    return torch.where(whole > 0, 1 - common / whole.clamp_min(torch.finfo(whole.dtype).tiny), 0.0)


def spatial(cam: Tensor) -> Tensor:
    """Fraction of the cells that stay dark: 0 where whole frames are lit alike, 1 where the heat is in one cell.

    Of n cells (sum h)^2 / sum h^2 are lit, moment by moment; moments count by their heat. Noise, half-normal, is at
    1 - 2/pi = 0.36. A map without heat, or of one cell, points nowhere: 0.
    cam: (N, t, h, w) -> (N,)
    """
    heat = cam.float().abs().flatten(2)  # (N, t, n)
    heat = heat / heat.amax(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(heat.dtype).tiny)  # squares must not vanish
    total, squares, cells = heat.sum(2), heat.square().sum(2), heat.shape[2]
    lit = torch.where(squares > 0, total.square() / squares.clamp_min(torch.finfo(heat.dtype).tiny), cells)
    dark = (cells - lit) / max(cells - 1, 1)  # (N, t)
    weight = total.sum(1)
    return torch.where(weight > 0, (dark * total).sum(1) / weight.clamp_min(torch.finfo(heat.dtype).tiny), 0.0)


DEAF = 0.25
"""Below it three quarters of the map stay whatever is heard. A network that ignores the sound is at 0; the small one
before its first step at 0.6, trained on scenes at 0.75: to listen is needed for a good map, but makes none."""
FLAT = 1 - 2 / pi
"""Noise is at 0.36 (half-normal heat). The small network before its first step is at 0.15, trained on scenes at 0.6:
what points less than noise does points nowhere."""


class MapScores(NamedTuple):
    """Of one map, or the mean of several."""

    listened: float
    """0: the same map whatever is heard; 1: another one."""
    spatial: float
    """0: whole frames are lit; 1: one cell is."""

    def __str__(self) -> str:
        """`listened 0.83, spatial 0.91`"""
        return f"listened {self.listened:.2f}, spatial {self.spatial:.2f}"

    @property
    def meaning(self) -> str:
        """What the two numbers say together, in plain words."""
        if self.listened < DEAF:
            return "nearly the same map whatever is heard: it shows what the network looks at, not what sounds"
        if self.spatial < FLAT:
            return "it changes with the sound but lights whole frames: it says when, not where"
        return "it changes with the sound and points at places"


@dataclass(slots=True)
class MapScorer:
    """Asks a network window by window, and keeps the scores: does the map change with the sound?

    It is asked again with the sound backwards, which is as loud and has the same spectrum, while no event stays at its
    moment; and with silence.
    """

    network: SyncNet
    scores: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def ask(self, given: NetworkInput) -> SyncOutput:
        """The network's answer to one window; frames (1, 3, T, h, w), sounds (1, 1, C, S). The video part runs once."""
        own = given.sounds
        output = self.network(given.frames, torch.cat((own, own.flip(-1), torch.zeros_like(own)), dim=1))
        maps = output.cam[0]  # (3, t, h, w)
        self.scores.append((listened(maps[:1].expand_as(maps[1:]), maps[1:]).mean(), spatial(maps[:1])[0]))
        return SyncOutput(output.logit[:, :1], output.cam[:, :1])

    def mean(self) -> MapScores:
        """Over all windows asked; at least one."""
        return MapScores(*(float(torch.stack(column).mean()) for column in zip(*self.scores, strict=True)))
