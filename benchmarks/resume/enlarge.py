"""Datasets of any number of clips with real bytes: a tar of real clips under many names, and an index that lists them.

Opening costs what it costs with so many clips, and what is read lies in real tars with right checksums.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sharding.base.files import write_json
from sharding.format.columns import CLIPS
from sharding.format.dataset import Dataset, open_dataset
from sharding.format.index import INDEX, INFO, Index

NAME_BYTES = 48
"""Of a source's id: about as long as those of Kinetics-700."""


def enlarge(small: Dataset, clips: list[int], folder: Path, count: int) -> Path:
    """A dataset of `count` clips in `folder`: `clips` of the small one, repeated, shard after shard of them."""
    if (folder / INFO).is_file() and len(open_dataset(folder, "train").index) == count:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "train").mkdir(parents=True)
    tar, offset = folder / "all.tar", np.empty(len(clips), np.int64)
    with tar.open("wb") as out:
        for number, clip in enumerate(clips):
            place = small.location(clip)
            out.write(bytes(512))  # where the tar's header would stand
            offset[number] = out.tell()
            with Path(place.path).open("rb") as source:
                source.seek(place.offset)
                out.write(source.read(-(-place.layout.size // 512) * 512))
    rows = np.arange(count) % len(clips)
    shard = np.arange(count) // len(clips)
    for number in range(int(shard[-1]) + 1):
        os.link(tar, folder / "train" / f"{number:06d}.tar")
    columns = {name: getattr(small.index, name)[np.asarray(clips)[rows]] for name in CLIPS}
    columns |= {"shard": shard.astype(np.int32), "offset": offset[rows], **sources(count)}
    Index(**columns).save(folder / "train" / INDEX)
    shards = {"train": int(shard[-1]) + 1, "val": 0, "test": 0}
    write_json(folder / INFO, replace(small.info, clips={"train": count, "val": 0, "test": 0}, shards=shards))
    return folder


def sources(count: int) -> dict[str, NDArray]:
    """A source for each clip, in a group of its own."""
    digits = np.char.zfill(np.arange(count).astype(np.bytes_), NAME_BYTES)
    numbers = np.arange(count, dtype=np.int32)
    return {
        "names": digits.view(np.uint8),
        "name_end": (np.arange(count, dtype=np.int64) + 1) * NAME_BYTES,
        "source": numbers,
        "group": numbers,
    }
