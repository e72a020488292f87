"""All arms' answers about clips of a split, from the same windows. C classes, N clips."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from avsync.data.batch import Batch
from avsync.data.order import batches_of_rank
from avsync.data.transforms import prepare
from avsync.finetune.arms import Arm
from avsync.finetune.config import ArmName
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions

Guard = Callable[[Iterator[Batch]], Iterator[Batch]]
"""Lets batches pass, or ends it all when somebody wishes to stop."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ArmAnswers:
    """What every arm answered about the clips that could be read."""

    clips: NDArray[np.int64]
    """(N,) clip ids, ascending"""
    labels: NDArray[np.int64]
    """(N,) true classes"""
    groups: NDArray[np.int64]
    """(N,) sources"""
    probabilities: dict[ArmName, NDArray[np.float64]]
    """Of each arm (N, C), averaged over a clip's windows."""
    unreadable: int
    """Clips that could not be read."""

    def hits(self, arm: ArmName, best: int = 1) -> NDArray[np.bool_]:
        """(N,) whether the true class is among the `best` likeliest."""
        each = self.probabilities[arm]
        own = np.take_along_axis(each, self.labels[:, None], axis=1)
        ahead = (each > own).sum(axis=1) + ((each == own).sum(axis=1) - 1)  # a tie is no hit
        return ahead < best

    def loss(self, arm: ArmName) -> float:
        """Mean cross-entropy."""
        own = np.take_along_axis(self.probabilities[arm], self.labels[:, None], axis=1)
        return float(-np.log(np.maximum(own, 1e-30)).mean()) if len(own) else float("nan")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Question:
    """Clips of a split, and how they are looked at."""

    feed: Feed
    labels: NDArray[np.int64]
    """By clip id."""
    clips: NDArray[np.int64]
    windows: int
    """Fixed ones of each clip."""
    batch: int
    mute: int
    """Samples at the start of each window, see PairConfig."""


@torch.no_grad()
def ask(question: Question, arms: list[Arm], options: LoaderOptions, guarded: Guard) -> ArmAnswers:
    """Put it to all arms. Raises what `guarded` and the loader raise."""
    feed, rows = question.feed, list[NDArray[np.float64]]()
    asked = batches_of_rank(feed.fixed_draws(question.clips, question.windows), question.batch, 0, 1)
    for arm in arms:
        arm.network.eval()
    with feed.loader(options) as loader:
        for batch in guarded(loader.batches(asked)):
            given = prepare(batch, feed.view, question.mute)
            answers = [arm.network(given.frames, given.sounds).float().softmax(dim=1) for arm in arms]
            clip = torch.tensor([draw.clip for draw in batch.draws], device=batch.valid.device)
            table = torch.cat((clip.double()[:, None], *(part.double() for part in answers)), dim=1)
            rows.append(table[batch.valid].cpu().numpy())
    return _joined(question, [arm.name for arm in arms], np.concatenate(rows))


def _joined(question: Question, arms: list[ArmName], table: NDArray[np.float64]) -> ArmAnswers:
    """table: a row for each window: clip, then each arm's probabilities."""
    clips, row = np.unique(table[:, 0].astype(np.int64), return_inverse=True)
    sums = np.zeros((len(clips), table.shape[1] - 1))
    np.add.at(sums, row, table[:, 1:])
    means = sums / np.bincount(row, minlength=len(clips))[:, None]
    probabilities = dict(zip(arms, np.split(means, len(arms), axis=1), strict=True))
    return ArmAnswers(
        clips=clips,
        labels=question.labels[clips],
        groups=question.feed.dataset.index.group[clips].astype(np.int64),
        probabilities=probabilities,
        unreadable=len(question.clips) - len(clips),
    )
