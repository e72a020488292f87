"""Does a map point at what sounds? The pointing game, cIoU, and the area under its success curve.

The pointing game (Zhang et al. 2016, Top-down Neural Attention) asks for the hottest point alone. cIoU asks how well a
map covers what sounds, as published by Senocak et al. 2018 ("Learning to Localize Sound Source in Visual Scenes",
section 5.2), used since, and by AVATAR (Choi et al. 2025) frame by frame: cells above half of the map's own maximum are
its answer A, g is the truth,

    cIoU = sum of g over A / (sum of g + cells of A where g is 0)

A map succeeds at t when its cIoU is at least t; tables of papers call the rate at 0.5 "cIoU", and AUC the area under
the rates at 0, 0.05, ..., 1, by trapezoids. H W cells; N maps.

Needs clips whose json carries true boxes, or masks, as generated scenes do.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avsync.data.order import View
from avsync.evaluate.truth import Truth, truth_at
from avsync.models.cam import Hottest
from sharding.format.clip import ClipMeta

FINE = 200
"""Cells along a side on which covered parts of the picture are counted."""
HALF = 0.5
"""Of the map's maximum; and the cIoU from which on a map has found what sounds."""
STEPS = np.linspace(0, 1, 21)
"""Of the success curve."""


@dataclass(frozen=True, slots=True)
class PointingResult:
    """One map's outcome."""

    hit: bool
    """The hottest point lies on what sounds at its moment."""
    centre_hit: bool
    """The picture's centre would have."""
    chance: float
    """Fraction of the picture that is covered by what sounds at that moment: what a blind guess hits."""

    @classmethod
    def of(cls, hottest: Hottest, truth: Truth) -> "PointingResult":
        return cls(
            hit=bool(truth.covers(hottest.x, hottest.y)),
            centre_hit=bool(truth.covers(0.5, 0.5)),
            chance=float(truth.mask(FINE).mean()),
        )


def point(hottest: Hottest, meta: ClipMeta, first_frame: int, view: View) -> PointingResult | None:
    """Judge one map; None when no true source is in sight at that moment: none sounds, or all are beyond the crop.

    `first_frame`: the window's start in the clip.
    """
    truth = truth_at(meta, first_frame + hottest.frame, view)
    return PointingResult.of(hottest, truth) if truth else None


def ciou(
    heat: NDArray[np.floating], truth: NDArray[np.bool_] | NDArray[np.floating], least: float | None = None
) -> float:
    """Of one picture's map (H, W), at least 0. truth: (H, W), 0 to 1. least: heat from which on a cell is of the
    answer; None: above half of the maximum. A map without heat has no answer: 0.
    """
    answer = heat > HALF * heat.max() if least is None else (heat >= least) & (heat > 0)
    whole = truth.sum() + (answer & (truth == 0)).sum()
    return float(truth[answer].sum() / whole) if whole else 0.0


def success(found: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of cIoUs (N,), the rate at each of STEPS."""
    return (found >= STEPS[:, None] - 1e-9).mean(axis=1) if len(found) else np.full(len(STEPS), np.nan)


def area(found: NDArray[np.floating]) -> float:
    """Under the success curve."""
    return float(np.trapezoid(success(found), STEPS))
