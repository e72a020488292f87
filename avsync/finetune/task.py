"""What is learned from the features: the classes of clips. To add a task: a class, a line in TASKS, its name in config.

Splits are opened for single windows, sound in sync with the picture, so a clip needs no room for a shift. No torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from avsync.config import TrainConfig
from avsync.data.pairs import in_sync_sampler, seconds
from avsync.data.selection import Selection
from sharding.base.text import counted, first_few
from sharding.errors import InputError, UsageError
from sharding.format.dataset import Dataset, open_dataset

SPLITS = ("train", "val", "test")
PURPOSE = {"train": "is trained on", "val": "picks the checkpoint", "test": "is judged on"}


class FinetuneTask(Protocol):
    """Gives every clip a class."""

    def names(self, dataset: Dataset) -> tuple[str, ...]:
        """Of all classes, by number."""
        ...

    def labels(self, dataset: Dataset) -> NDArray[np.int64]:
        """(clips of the split,) their classes' numbers."""
        ...


@dataclass(frozen=True, slots=True)
class ActionTask:
    """Which action a clip shows."""

    def names(self, dataset: Dataset) -> tuple[str, ...]:
        return dataset.info.actions

    def labels(self, dataset: Dataset) -> NDArray[np.int64]:
        return dataset.index.action.astype(np.int64)


TASKS: dict[str, FinetuneTask] = {"action": ActionTask()}


F = TypeVar("F", bound=Selection)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Splits(Generic[F]):
    """A dataset, set up for a task: clips of the three splits and their classes, numbered anew without gaps."""

    feeds: dict[str, F]
    labels: dict[str, NDArray[np.int64]]
    """Of each split, by clip id."""
    classes: tuple[str, ...]
    """Those that the train split has clips of."""

    @classmethod
    def open(
        cls, folder: Path, task: str, config: TrainConfig, train_clips: int, reading: Callable[[Selection], F]
    ) -> "Splits[F]":
        """config: of the run whose network is used; train_clips: so many of the train split, 0 for all; reading: how
        what was selected is to be read.

        Raises InputError for a missing split, clips shorter than a window, a single class, or one not trained on.
        """
        chosen = {split: _choose(folder, split, config) for split in SPLITS}
        if train_clips:
            chosen["train"] = chosen["train"].with_clips(chosen["train"].fixed_clips(train_clips))
        names = TASKS[task].names(chosen["train"].dataset)
        given = {split: TASKS[task].labels(feed.dataset) for split, feed in chosen.items()}
        present = {split: np.unique(given[split][feed.clips]) for split, feed in chosen.items()}
        trained = present["train"]
        if len(trained) < 2 and train_clips:
            raise UsageError(f"--train-clips {train_clips} leaves clips of one {task} only; raise it, or leave it out")
        if len(trained) < 2:
            raise UsageError(
                f"split 'train' of {folder} has clips of one {task} only, {names[trained[0]]!r}: "
                "to tell actions apart at least two are needed; pack videos of more"
            )
        for split in ("val", "test"):
            if len(strange := np.setdiff1d(present[split], trained)):
                raise UsageError(
                    f"split {split!r} of {folder} has clips of {counted(len(strange), task)} that split 'train' has "
                    f"none of ({first_few([names[number] for number in strange])}), so nobody could learn to name "
                    "them: name the splits in a CSV so that each is in train, and pack it"
                )
        renumbered = np.full(len(names), -1)
        renumbered[trained] = np.arange(len(trained))
        return cls(
            feeds={split: reading(one) for split, one in chosen.items()},
            labels={split: renumbered[those] for split, those in given.items()},
            classes=tuple(names[number] for number in trained),
        )


def _choose(folder: Path, split: str, config: TrainConfig) -> Selection:
    try:
        dataset = open_dataset(folder, split)
    except InputError as error:
        raise type(error)(f"all three splits are needed, split {split!r} {PURPOSE[split]}: {error}") from error
    sampler, longest = in_sync_sampler(config.pairs, dataset.info.clock), int(dataset.index.frames.max())
    if longest < sampler.window:
        raise UsageError(
            f"no clip in split {split!r} of {folder} is as long as the network's window of "
            f"{seconds(sampler.window, dataset.info.clock):.2f} s; the longest has "
            f"{seconds(longest, dataset.info.clock):.2f} s: pack longer clips (--clip-s)"
        )
    return Selection.of_folder(folder, split, config.pairs, config.view, sampler=in_sync_sampler)
