"""The clips that are loaded: videos packed as raw and as h264, in shards small enough to choose some of them.

And what each way reads: these shards, or a copy of its own, which a process in its peer's environment makes.
"""

import argparse
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.base.runner import Child, Failed
from benchmarks.base.table import command
from benchmarks.load.catalog import Entry
from benchmarks.load.job import BATCH, Job
from benchmarks.load.run import prepare
from benchmarks.peers.install import Place, places
from sharding.base.csv_table import write_csv
from sharding.config import PackConfig, PackOptions
from sharding.errors import InputError
from sharding.format.dataset import open_dataset
from sharding.pack.pack import pack
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import generate
from sharding.sources.find import SUFFIXES

CACHE = Path.home() / ".cache" / "avsync-bench"
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


def clips_command(name: str, text: str | None, clips: str) -> argparse.ArgumentParser:
    """The command line of a benchmark that loads clips; `clips`: help of the flag of that name."""
    parser = command(name, text, outputs=True)
    parser.add_argument("--data", type=Path, help="a folder of real videos; without it, generated scenes")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--clips", type=int, default=160, help=clips)
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="ways with one of these in their names")
    parser.add_argument("--cache", type=Path, default=CACHE, help="for clips and their copies; kept")
    parser.add_argument("--peers-dir", type=Path, default=CACHE / "peers", help="for the peers' environments; kept")
    return parser


def ready_jobs(
    entries: Mapping[str, Entry], options: argparse.Namespace, console: Console
) -> tuple[dict[str, Job], dict[str, Place]]:
    """What each way that is asked for reads, and where it runs; what cannot be made is left out, with a line."""
    chosen = {name: entry for name, entry in entries.items() if any(word in name for word in options.only)}
    folder = work_folder(options)
    videos = options.data.resolve() if options.data else scenes(folder / "scenes", options.clips)
    made = datasets(videos, folder, options.clips, console)
    peers = places({entry.peer for entry in chosen.values()}, options.peers_dir.resolve(), console)
    jobs, found = dict[str, Job](), {name: peers[entry.peer] for name, entry in chosen.items() if entry.peer in peers}
    for name in found:
        entry = chosen[name]
        (dataset, clips), copy = made[entry.stored], folder / "copies" / entry.copy
        job = Job(way=name, dataset=dataset, clips=clips, videos=videos, copy=copy)
        try:
            copied(job, entry.prepare, found[name], console)
        except Failed as error:
            console.print(f"left out: {name}; its copy could not be made: {error}")
            continue
        jobs[name] = job
    return jobs, found


def work_folder(options: argparse.Namespace) -> Path:
    """Where clips and copies lie."""
    return options.cache.resolve() / ("videos" if options.data else "scenes")


def copied(job: Job, how: str, place: Place, console: Console) -> None:
    """See to it that there is a way's own copy of these clips. Raises Failed."""
    stamp, wanted = job.copy.with_suffix(".complete"), digest(job)
    if not how or (stamp.is_file() and stamp.read_text() == wanted):
        return
    console.print(f"copy for {job.way}")
    stamp.unlink(missing_ok=True)
    with closing(Child(place.python)) as child:
        child.ask(prepare, (job, how))
    stamp.write_text(wanted)


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
    rows = ((path.relative_to(videos), path.parent.name, "train") for path in spread(videos, clips))
    write_csv(table, ("path", "action", "split"), rows)
    made, cut = {}, PackConfig(clip_s="4", min_clip_s="4", size=224, max_clips_per_source=CLIPS_PER_VIDEO)
    cut = replace(cut, val_percent=0, test_percent=0, sources_per_shard=VIDEOS_PER_SHARD)
    for form in FORMS:
        console.print(f"packing {form}")
        config = replace(cut, codec=form)
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
