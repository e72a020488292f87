"""Which rank the others wait for: how long each waits for its data, and computes forward, between points of the curves.

A step is as long as its slowest rank's. The times of all come with the numbers that ranks exchange at each point
anyway: two more floats of each, no message more. A rank counts as slow when it was so at every one of the last POINTS
points: TIMES the median of all ranks, and by a share of a step that is worth somebody's while. All of them: times of
healthy ranks scatter and have heavy tails, and among a thousand ranks one is always the slowest, but never the same.
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Work = Literal["data", "forward"]

POINTS = 20
TIMES = 1.5
SHARE, LEAST_S = 0.1, 0.02
"""Of a step, and seconds of each: what is less is not worth a word."""
DOES: dict[Work, tuple[str, str, str]] = {
    "data": (
        "waits {times} as long for its data",
        "waits for its data",
        "look at that node's disk and at what else runs there",
    ),
    "forward": (
        "takes {times} as long for its forward pass",
        "computes",
        "look at what else runs on that node, and at its clock rates",
    ),
}
"""What a slow rank does, beside the median rank and where that does nothing of the kind; and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RankTimes:
    """Between two points of the curves, seconds a step."""

    step_s: float
    data: NDArray[np.float64]
    """(ranks,) each waits for its own clips."""
    forward: NDArray[np.float64]
    """(ranks,) from its clips to the loss; on a GPU until it is queued there."""

    def of(self, work: Work) -> NDArray[np.float64]:
        return self.data if work == "data" else self.forward

    @property
    def scalars(self) -> dict[str, float]:
        """Points of curves; none of a rank alone."""
        if len(self.data) < 2:
            return {}
        points = dict[str, float]()
        for work in DOES:
            times = self.of(work)
            points[f"ranks/{work}_s_median"] = middle(times)
            points[f"ranks/{work}_s_slowest"] = float(times.max())
            points[f"ranks/{work}_slowest_rank"] = float(times.argmax())
        return points


def middle(times: NDArray[np.float64]) -> float:
    """The lower median: of two ranks the faster one is the measure."""
    return float(np.sort(times)[(len(times) - 1) // 2])


@dataclass(frozen=True, kw_only=True, slots=True)
class Straggler:
    """The slowest of the slow ranks."""

    rank: int
    node: str
    work: Work
    own_s: float
    """Of each step."""
    usual_s: float
    """Of the median rank."""
    step_s: float
    others: int
    """Ranks that are slow besides."""

    @property
    def text(self) -> str:
        """One line for a person: who, how slow, what it costs, what to do."""
        beside, alone, remedy = DOES[self.work]
        times = self.own_s / self.usual_s if self.usual_s > 0.001 else 0.0
        does = beside.format(times=f"{times:,.1f}x") if times else alone
        more = f"; so do {self.others} more" if self.others else ""
        return (
            f"rank {self.rank} on {self.node} {does}: {self.own_s:.2f} s of each step of {self.step_s:.2f} s, the "
            f"median rank {self.usual_s:.2f} s{more}; all others wait for it: {remedy}, or leave the node out: "
            f"--exclude={self.node}"
        )


class Stragglers:
    """Remembers the last points."""

    def __init__(self, nodes: tuple[str, ...]) -> None:
        """nodes: of each rank."""
        self._nodes, self._points = nodes, deque[RankTimes](maxlen=POINTS)

    def add(self, times: RankTimes) -> None:
        self._points.append(times)

    def find(self) -> Straggler | None:
        """None: nobody is slow, or it is too early to tell."""
        if len(self._nodes) < 2 or len(self._points) < POINTS:
            return None
        found = [one for work in DOES if (one := self._slowest(work))]
        return max(found, key=lambda one: one.own_s - one.usual_s, default=None)

    def _slowest(self, work: Work) -> Straggler | None:
        times = np.stack([point.of(work) for point in self._points])  # (points, ranks)
        usual = np.array([[middle(row)] for row in times])
        steps = np.array([[point.step_s] for point in self._points])
        least = np.maximum(SHARE * steps, LEAST_S)
        slow = ((times >= TIMES * usual) & (times - usual >= least)).all(axis=0)
        if not slow.any() or slow.sum() > len(self._nodes) // 2:
            return None
        own = np.where(slow, np.median(times, axis=0), -1.0)
        rank = int(own.argmax())
        return Straggler(
            rank=rank,
            node=self._nodes[rank],
            work=work,
            own_s=float(own[rank]),
            usual_s=float(np.median(usual)),
            step_s=float(np.median(steps)),
            others=int(slow.sum()) - 1,
        )
