"""What a way of loading gets and what it hands over: the contract between the benchmark and its ways.

A way is a class made from a job that yields Delivered, and, where it reads a copy of its own, a function that makes it.
Each run has a process of its own (benchmarks.load.run).
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from sharding.format.dataset import Dataset, open_dataset

BATCH = 8
Form = Literal["planes", "rgb", "float"]
"""planes: uint8 I420 and int16 sound, as stored; rgb: uint8 RGB; float: float32 RGB and sound, as the thesis stored."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run of one way."""

    way: str
    dataset: Path
    """A packed dataset."""
    clips: list[int]
    """Ids of the clips that are read: all those of its first shards."""
    videos: Path
    """The folder its sources lie in."""
    copy: Path
    """Where a copy of the clips lies in the way's own form, if it has one."""
    workers: int = 2
    """Worker processes, and cores the whole process tree may use."""
    seconds: float = 4.0
    """Length of the timed window."""
    cold: bool = False
    """Nothing in the page cache, and one pass at most."""
    endless: bool = True
    """Passes follow each other without a break; else one pass, as training's epochs are, in an order that is fixed."""
    rank: int = 0
    """This process among those that share each batch."""
    ranks: int = 1

    @property
    def rows(self) -> int:
        """Clips of a batch that this process takes."""
        return BATCH // self.ranks

    def open(self) -> Dataset:
        return open_dataset(self.dataset, "train")

    def tars(self) -> list[Path]:
        """The shards that hold the clips; they hold no others."""
        data = self.open()
        return [data.folder / "train" / f"{number:06d}.tar" for number in np.unique(data.index.shard[self.clips])]


class Delivered(NamedTuple):
    """A batch as a way hands it over."""

    keys: Sequence[str] = ()
    """Empty: a limit, nothing is handed over."""
    video: Any = None
    """Eight clips as one tensor or array, or as a list of them."""
    audio: Any = None
    in_place: bool = False
    """It lies in a resident tensor already: there is nothing to copy."""


class Handed:
    """A way at work whose `loader` yields batches; a limit, or our way, has an `__iter__` of its own.

    Made from a job: its construction is timed, the imports of its module are not.
    """

    loader: Any
    names: tuple[Any, ...] = ("key", "video", "audio")
    """Of keys, pictures and sound in a batch."""

    def __iter__(self) -> Iterator[Delivered]:
        for batch in self.loader:
            yield Delivered(*(batch[name] for name in self.names))

    def state(self) -> Any:
        """What its makers let a run save, after the last batch that was taken."""
        return self.loader.state_dict()

    def restore(self, state: Any, done: int) -> None:
        """Go on from there, `done` batches after the start; before the first batch is taken."""
        self.loader.load_state_dict(state)


class Shape(NamedTuple):
    """Of one clip as it is delivered."""

    video: tuple[int, ...]
    audio: tuple[int, ...]
    pictures: torch.dtype
    sound: torch.dtype

    @property
    def size(self) -> int:
        """Bytes."""
        return int(np.prod(self.video)) * self.pictures.itemsize + int(np.prod(self.audio)) * self.sound.itemsize


def shape_of(job: Job, form: Form) -> Shape:
    """T pictures of H rows and W columns, S samples of C channels; see Form."""
    data = job.open()
    info, frames = data.info, int(data.index.frames[job.clips[0]])
    audio = (info.clock.sample_at(frames), info.channels)
    shapes: dict[Form, Shape] = {
        "planes": Shape((frames, info.height * 3 // 2, info.width), audio, torch.uint8, torch.int16),
        "rgb": Shape((frames, info.height, info.width, 3), audio, torch.uint8, torch.int16),
        "float": Shape((3, frames, info.height, info.width), audio, torch.float32, torch.float32),
    }
    return shapes[form]


def arrays(data: Dataset, clip: int) -> dict[str, Any]:
    """key, video: uint8 (T, H*3/2, W), audio: int16 (S, C) of a clip, in fresh memory."""
    stored = data.read(clip)
    meta = stored.meta()
    video = np.empty((meta.frames, meta.height * 3 // 2, meta.width), np.uint8)
    audio = np.empty((meta.samples, meta.channels), np.int16)
    data.codec.decode_video(stored.video, range(meta.frames), video)
    data.codec.decode_audio(stored.audio, 0, audio)
    return {"key": data.key(clip), "video": video, "audio": audio}


class Resident:
    """The memory that every batch is copied into: written before, so that its pages are there."""

    def __init__(self, shape: Shape) -> None:
        self.video = torch.ones((BATCH, *shape.video), dtype=shape.pictures)
        self.audio = torch.ones((BATCH, *shape.audio), dtype=shape.sound)

    def take(self, batch: Delivered) -> None:
        """Copy a batch."""
        if not batch.keys or batch.in_place:
            return
        for mine, given in ((self.video, batch.video), (self.audio, batch.audio)):
            if isinstance(given, torch.Tensor | np.ndarray):
                mine.copy_(torch.as_tensor(given).view(mine.shape))
            else:
                for row, one in zip(mine, given, strict=True):
                    row.copy_(torch.as_tensor(one).view(row.shape))


def drop(paths: Sequence[Path]) -> None:
    """Take files out of the page cache; needs no rights, but they must be on disk."""
    for path in paths:
        with path.open("rb") as file:
            os.fdatasync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
