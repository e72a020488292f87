"""The clips that are loaded: videos packed as raw and as h264, in shards small enough to choose some of them."""

import csv
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.load_job import BATCH, Job
from sharding.config import PackConfig, PackOptions
from sharding.errors import InputError
from sharding.format.dataset import open_dataset
from sharding.pack.pack import pack
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import generate
from sharding.sources.find import SUFFIXES

CLIPS_PER_VIDEO = 2
VIDEOS_PER_SHARD = 8
FORMS = ("raw", "h264")
GRAIN = 0.5
"""Standard deviation; clips take 0.15 MB as h264 then, real ones 0.12 MB."""


def scenes(folder: Path, clips: int) -> Path:
    """Generated videos, where no real ones are given, with so little grain that they decode about as footage does."""
    count = -(-clips // CLIPS_PER_VIDEO)
    look = SceneConfig(count=count, seconds=10, size=224, fps=30, sample_rate=44_100, picture_noise=GRAIN)
    generate(folder, look)
    return folder


def source(
    data: Path | None, cache: Path, clips: int, console: Console
) -> tuple[Path, Path, dict[str, tuple[Path, list[int]]]]:
    """Videos, the folder to work in, and what `datasets` makes there."""
    folder = cache.resolve() / ("videos" if data else "scenes")
    videos = data.resolve() if data else scenes(folder / "scenes", clips)
    return videos, folder, datasets(videos, folder, clips, console)


def spread(videos: Path, count: int) -> list[Path]:
    """At most so many videos of a folder, spread over all of it."""
    found = sorted(path for path in videos.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(f"{videos} has no videos: name another folder with --data, or none for generated scenes")
    return [found[number * len(found) // count] for number in range(count)] if len(found) > count else found


def datasets(videos: Path, folder: Path, clips: int, console: Console) -> dict[str, tuple[Path, list[int]]]:
    """Form -> dataset and the clips to read: all those of its first shards, `clips` of them or a few more.

    Both forms have the same clips under the same keys. What is there already is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "videos.csv"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "action", "split"))
        rows.writerows((path.relative_to(videos), path.parent.name, "train") for path in spread(videos, clips))
    made = {}
    for form in FORMS:
        console.print(f"packing {form}")
        config = PackConfig(
            clip_s="4", min_clip_s="4", size=224, codec=form, val_percent=0, test_percent=0,
            max_clips_per_source=CLIPS_PER_VIDEO, sources_per_shard=VIDEOS_PER_SHARD,
        )  # fmt: skip
        pack(table, folder / form, config, Console(quiet=True), PackOptions(root=videos, remove=True))
        made[form] = (folder / form, chosen(folder / form, clips))
    return made


def chosen(dataset: Path, clips: int) -> list[int]:
    """Whole shards, so that who reads tars and who reads clips reads the same."""
    shards = open_dataset(dataset, "train").index.shard
    wanted = np.unique(shards[: max(clips, BATCH)])
    return np.flatnonzero(np.isin(shards, wanted)).tolist()


def digest(job: Job) -> str:
    """Changes with the clips: a copy of others is made anew."""
    data = job.open()
    index = data.index
    return f"{data.info.codec} {len(job.clips)} {int(np.bitwise_xor.reduce(index.crc32[job.clips]))}"
