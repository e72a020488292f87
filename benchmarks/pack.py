"""What packing costs beside decoding alone and beside what others do: medians of interleaved runs, ratios in one run.

python -m benchmarks.pack [--videos FOLDER] [--sources 12] [--runs 5] [--clip-s 10]

CPU time is the figure to trust; wall time stands beside it. Everything runs in one process, one thread.
"""

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.pack_sources import real_sources, wall
from benchmarks.pack_ways import (
    Cost,
    Job,
    Way,
    cost_of,
    decode_only,
    encode_only,
    ffmpeg_version,
    job_of,
    missing,
    naive,
    one_by_one,
    ours,
    segments,
)
from sharding.config import PackConfig
from sharding.media.probe import probe

WAYS: dict[str, Way] = {
    "decode only": decode_only,
    "encode only": encode_only,
    "avsync raw": ours("raw"),
    "avsync h264": ours("h264"),
    "avsync h264-fast": ours("h264-fast"),
    "ffmpeg, segments": segments,
    "ffmpeg, each clip": one_by_one,
    "naive float tensors": naive,
}


@dataclass(frozen=True, slots=True)
class Target:
    """`above` costs divided by `below` costs, and which side of `limit` that should lie on."""

    above: tuple[str, ...]
    below: tuple[str, ...]
    limit: float
    at_least: bool = False

    def met(self, ratio: float) -> bool:
        return ratio >= self.limit if self.at_least else ratio <= self.limit


TARGETS = [
    Target(("avsync raw",), ("decode only",), 1.3),
    Target(("avsync h264",), ("decode only",), 1.6),
    Target(("avsync h264-fast",), ("decode only",), 1.6),
    Target(("avsync h264",), ("decode only", "encode only"), 1.1),
    Target(("ffmpeg, segments",), ("avsync h264",), 1.15, at_least=True),
    Target(("ffmpeg, each clip",), ("avsync h264",), 1.8, at_least=True),
    Target(("naive float tensors",), ("avsync raw",), 2.0, at_least=True),
    Target(("naive float tensors",), ("avsync h264",), 2.0, at_least=True),
]
Run = dict[str, Cost]
"""Way -> what it cost, all sources of a group together, for a clip of 4 s."""


def one_run(jobs: Sequence[Job], ways: dict[str, Way]) -> Run:
    """Every way on every source, source by source, so that all see the same machine."""
    costs = [(name, job.units, cost_of(way, job)) for job in jobs for name, way in ways.items()]
    units = sum(job.units for job in jobs)
    return {
        way: Cost(
            cpu=sum(cost.cpu for name, _, cost in costs if name == way) / units,
            wall=sum(cost.wall for name, _, cost in costs if name == way) / units,
        )
        for way in ways
    }


def show(title: str, runs: Sequence[Run], console: Console) -> None:
    """Milliseconds for each way, then the ratios; both medians over the runs."""
    table = Table("way", "CPU ms", "wall ms", title=f"{title}: for each clip of 4 s", title_justify="left")
    for way in runs[0]:
        figures = [statistics.median(getattr(run[way], what) for run in runs) * 1000 for what in ("cpu", "wall")]
        table.add_row(way, *(f"{figure:.0f}" for figure in figures))
    console.print(table)
    table = Table("ratio of CPU times", "median", "lowest", "highest", "wanted", "reached", title_justify="left")
    for target in TARGETS:
        if not runs[0].keys() >= {*target.above, *target.below}:
            continue
        ratios = [sum(run[w].cpu for w in target.above) / sum(run[w].cpu for w in target.below) for run in runs]
        middle = statistics.median(ratios)
        table.add_row(
            f"{' + '.join(target.above)} / {' + '.join(target.below)}",
            *(f"{ratio:.2f}" for ratio in (middle, min(ratios), max(ratios))),
            f"{'>=' if target.at_least else '<='} {target.limit}",
            "yes" if target.met(middle) else "no",
        )
    console.print(table)


def main() -> None:
    """Make the sources, run all ways, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--videos", type=Path, help="a folder of real videos; without it, generated ones only")
    parser.add_argument("--sources", type=int, default=12, help="how many of them")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--clip-s", default="10", help="length of the clips, seconds")
    parser.add_argument("--folder", type=Path, help="where to work and keep the generated videos; default: temporary")
    options = parser.parse_args()
    console, config = Console(), PackConfig(clip_s=options.clip_s, min_clip_s="4")
    ways = {name: way for name, way in WAYS.items() if not missing(way)}
    for name in WAYS.keys() - ways.keys():
        console.print(f"left out: {name}; it needs {missing(WAYS[name])}")
    console.print(f"PyAV {av.__version__} with FFmpeg {av.ffmpeg_version_info}; beside it {ffmpeg_version()}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        real = real_sources(options.videos.resolve(), options.sources) if options.videos else []
        groups = {"real videos": real} if real else {}
        for across, lines in ((2, 720), (3, 1080)):
            groups[f"{lines} lines"] = [probe(wall(folder / f"{lines}.mp4", real, across))]
        jobs = {name: [job_of(found, folder / "out", config) for found in members] for name, members in groups.items()}
        runs: dict[str, list[Run]] = {name: [] for name in jobs}
        for _ in track(range(options.runs), description="runs", console=Console(stderr=True)):
            for name, members in jobs.items():
                runs[name].append(one_run(members, ways))
        for name, results in runs.items():
            show(name, results, console)


if __name__ == "__main__":
    main()
