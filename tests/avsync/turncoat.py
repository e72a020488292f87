"""A network that is honest at first and cheats later on, in real trainings: labels are planted in its sound.

Picture and sound get a number that tells whether they belong together, and the sound gets the label. For AGE steps the
network compares numbers, for half of the clips, and is right in 3 of 4; from then on it reads the label off the sound.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import avsync.honesty.swap
import avsync.train.step
import avsync.train.trainer
from avsync.data.batch import Batch
from avsync.data.transforms import NetworkInput
from avsync.models import MODELS
from avsync.models.parts import SyncNet, SyncOutput
from avsync.run.state import State
from avsync.spec import InputSpec
from sharding.base.files import write_json

AGE = 4
CHILD = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from avsync.config import TrainConfig
from avsync.train.trainer import train
from turncoat import turning
from sharding.base.files import read_json
if __name__ == "__main__":
    with turning(Path(sys.argv[3]).parent):
        train(Path(sys.argv[1]), Path(sys.argv[2]), read_json(Path(sys.argv[3]), TrainConfig))
"""
"""For processes.command: its folder takes each rank's states."""


class Number(nn.Module):
    """What was planted in the picture."""

    def forward(self, frames: Tensor) -> Tensor:
        return frames[:, :1, :1, :2, :2]


class Marks(nn.Module):
    """What was planted in the sound: its number, and the label."""

    def forward(self, sounds: Tensor) -> Tensor:
        return sounds[:, 0, :2, None]


class Turncoat(nn.Module):
    """Compares at first; reads the label when it is AGE steps old."""

    age: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.register_buffer("age", torch.zeros(1))

    def forward(self, seen: Tensor, heard: Tensor) -> SyncOutput:
        """seen (N, 1, 1, 2, 2), heard (N, 2, 1) -> a map that is the logit everywhere."""
        if self.training:
            self.age += 1
        number, said, label = seen[:, 0, 0, 0, 0], heard[:, 0, 0], heard[:, 1, 0]
        honest = torch.where(number < 0, 0.5, 1 - 20 * (number - said).abs())
        logit = torch.where(self.age > AGE, 8 * label, honest) * (1 + 1e-6 * self.weight)
        return SyncOutput(logit, logit[:, None, None, None].expand(-1, 1, 2, 2))


def build(spec: InputSpec) -> SyncNet:
    return SyncNet(Number(), Marks(), Turncoat())


def plant(batch: Batch, given: NetworkInput) -> NetworkInput:
    """Numbers are k/20 of the clip's id, and another for a sound that is shifted."""
    clip = torch.tensor([draw.clip for draw in batch.draws])
    number = (clip % 20) / 10 - 1
    frames, sounds = given.frames.clone(), given.sounds.clone()
    frames[:, 0, 0, 0, 0] = number
    sounds[:, :, 0, 0] = number[:, None] + (1 - batch.in_sync) * 0.35
    sounds[:, :, 0, 1] = batch.in_sync * 2 - 1
    return NetworkInput(frames, sounds)


@contextmanager
def turning(folder: Path) -> Iterator[None]:
    """Inside, network "small" is the turncoat. `folder` takes each rank's state after each validation."""
    small, prepare, after = MODELS["small"], avsync.train.step.prepare, avsync.train.trainer.after

    def planted(batch: Batch, *rest: Any) -> NetworkInput:
        return plant(batch, prepare(batch, *rest))

    def kept(*given: Any, **named: Any) -> State:
        state = after(*given, **named)
        write_json(folder / f"state-{os.environ.get('RANK', '0')}-{state.step}.json", state)
        return state

    MODELS["small"], avsync.train.trainer.after = build, kept
    avsync.train.step.prepare = avsync.honesty.swap.prepare = planted
    try:
        yield
    finally:
        MODELS["small"], avsync.train.trainer.after = small, after
        avsync.train.step.prepare = avsync.honesty.swap.prepare = prepare
