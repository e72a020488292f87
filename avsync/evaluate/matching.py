"""Another clip's sound under a picture: does the network tell whose sound it is, beside when it was?

Both sounds are in sync with their own pictures, so that only the pairing differs. Another clip of the same action (one
speaker, one instrument) is the harder question. Timing, where the other sound is the same clip's, is asked apart from
it (forced_choice.py), as AV-SyncBench does. Batches give the partners: where one has none, it is not asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from avsync.honesty.predict import preferred
from avsync.honesty.swap import Examined, donors
from avsync.metrics import Proportion, proportion_of
from avsync.models.parts import SyncNet
from sharding.format.dataset import Dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class Matching:
    """The picture with its own sound, or with that of another clip, also in sync with its own picture."""

    same: Proportion
    """Another clip of the same action. With few clips of an action not every picture can be asked."""
    other: Proportion
    """A clip of another action."""


@dataclass(slots=True)
class _Answers:
    """To one question, batch by batch."""

    right: list[NDArray[np.float64]] = field(default_factory=lambda: [np.zeros(0)])
    group: list[NDArray[np.int64]] = field(default_factory=lambda: [np.zeros(0, np.int64)])

    def share(self) -> Proportion:
        return proportion_of(np.concatenate(self.right), np.concatenate(self.group))


@dataclass(slots=True)
class Matcher:
    """Asks batch by batch, and holds the answers."""

    network: SyncNet
    dataset: Dataset
    _same: _Answers = field(default_factory=_Answers)
    _other: _Answers = field(default_factory=_Answers)

    @torch.no_grad()
    def ask(self, got: Examined) -> None:
        """One batch."""
        batch, index = got.answer.batch, self.dataset.index
        clips = [
            draw.clip if json is not None and any(one.in_sync for one in draw.pair.sounds) else -1
            for draw, json in zip(batch.draws, batch.jsons, strict=True)
        ]
        actions = [int(index.action[clip]) if clip >= 0 else -1 for clip in clips]
        in_sync = batch.in_sync.argmax(1)
        for answers, partner in ((self._same, kin(clips, actions)), (self._other, donors(actions))):
            asked = [row for row, other in enumerate(partner) if other >= 0]
            if not asked:
                continue
            rows = torch.tensor(asked, device=got.seen.device)
            others = torch.tensor([partner[row] for row in asked], device=got.seen.device)
            sound = others * batch.in_sync.shape[1] + in_sync[others]
            other = self.network.fuse(got.seen[rows], got.heard[sound]).logit[:, 0]
            own = got.answer.output.logit[rows, in_sync[rows]]
            answers.right.append(preferred(own.float().cpu().numpy(), other.float().cpu().numpy()))
            answers.group.append(index.group[[clips[row] for row in asked]].astype(np.int64))

    def found(self) -> Matching:
        """Over all batches."""
        return Matching(same=self._same.share(), other=self._other.share())


def kin(clips: Sequence[int], actions: Sequence[int]) -> list[int]:
    """For each row one of another clip of the same action; -1: there is none, or the row does not count (clip -1)."""
    found = [-1] * len(clips)
    for action in set(actions) - {-1}:
        rows = [row for row, its in enumerate(actions) if its == action]
        for place, row in enumerate(rows):
            around = rows[place + 1 :] + rows[:place]
            found[row] = next((other for other in around if clips[other] != clips[row]), -1)
    return found
