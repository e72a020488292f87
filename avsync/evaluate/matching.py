"""Another clip's sound under a picture: does the network tell whose sound it is, beside when it was?

Both sounds are in sync with their own pictures, so that only the pairing differs. Another clip of the same action (one
speaker, one instrument) is the harder question. Batches give the partners: where one has none, it is not asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from avsync.evaluate.forced_choice import Matching, preferred
from avsync.honesty.swap import Examined, donors
from avsync.metrics import proportion_of
from avsync.models.parts import SyncNet
from sharding.format.dataset import Dataset


@dataclass(slots=True)
class Matcher:
    """Asks batch by batch, and holds the answers."""

    network: SyncNet
    dataset: Dataset
    _right: dict[str, list[NDArray[np.float64]]] = field(default_factory=lambda: {"same": [], "other": []})
    _group: dict[str, list[NDArray[np.int64]]] = field(default_factory=lambda: {"same": [], "other": []})

    @torch.no_grad()
    def ask(self, got: Examined) -> None:
        """One batch."""
        batch, index = got.answer.batch, self.dataset.index
        clips = [
            draw.clip if json is not None and draw.pair.sounds and any(one.in_sync for one in draw.pair.sounds) else -1
            for draw, json in zip(batch.draws, batch.jsons, strict=True)
        ]
        actions = [int(index.action[clip]) if clip >= 0 else -1 for clip in clips]
        for kind, partner in (("same", kin(clips, actions)), ("other", donors(actions))):
            asked = [row for row, other in enumerate(partner) if other >= 0]
            if not asked:
                continue
            rows = torch.tensor(asked, device=got.seen.device)
            others = torch.tensor([partner[row] for row in asked], device=got.seen.device)
            in_sync = batch.in_sync.argmax(1)
            sound = others * batch.in_sync.shape[1] + in_sync[others]
            other = self.network.fuse(got.seen[rows], got.heard[sound]).logit[:, 0]
            own = got.answer.output.logit[rows, in_sync[rows]]
            self._right[kind].append(preferred(own.float().cpu().numpy(), other.float().cpu().numpy()))
            self._group[kind].append(index.group[[clips[row] for row in asked]].astype(np.int64))

    def found(self) -> Matching:
        """Over all batches."""
        nothing = [np.zeros(0)]
        same, other = (
            proportion_of(
                np.concatenate([*nothing, *self._right[kind]]),
                np.concatenate([np.zeros(0, np.int64), *self._group[kind]]),
            )
            for kind in ("same", "other")
        )
        return Matching(same=same, other=other)


def kin(clips: Sequence[int], actions: Sequence[int]) -> list[int]:
    """For each row one of another clip of the same action; -1: there is none, or the row does not count (clip -1)."""
    found = [-1] * len(clips)
    for action in set(actions) - {-1}:
        rows = [row for row, its in enumerate(actions) if its == action]
        for place, row in enumerate(rows):
            around = rows[place + 1 :] + rows[:place]
            found[row] = next((other for other in around if clips[other] != clips[row]), -1)
    return found
