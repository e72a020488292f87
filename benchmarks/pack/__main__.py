"""What packing costs beside decoding alone and beside what others do: medians of interleaved runs, ratios in one run.

python -m benchmarks.pack [--videos FOLDER] [--sources 12] [--runs 5] [--clip-s 10] [--markdown FILE]

CPU time is the figure to trust; wall time stands beside it. Everything runs in one process, one thread.
"""

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path

import av
from rich.console import Console

from benchmarks.base.runner import Cost, Rounds, in_turn
from benchmarks.base.table import WANTED, Table, Target, command, of_rounds, report, statistic
from benchmarks.pack.sources import real_sources, wall
from benchmarks.pack.ways import WAYS, Job, ffmpeg_version, job_of, measured, missing
from sharding.config import PackConfig
from sharding.media.probe import probe

FLOORS = "decode only + encode only"
"""What is left when packing itself costs nothing."""


TARGETS = [
    Target(above="avsync raw", below="decode only", limit=1.3, at_least=False),
    Target(above="avsync h264", below="decode only", limit=1.6, at_least=False),
    Target(above="avsync h264-fast", below="decode only", limit=1.6, at_least=False),
    Target(above="avsync h264", below=FLOORS, limit=1.1, at_least=False),
    Target(above="ffmpeg, segments", below="avsync h264", limit=1.15),
    Target(above="ffmpeg, each clip", below="avsync h264", limit=1.8),
    Target(above="naive float tensors", below="avsync raw", limit=2.0),
    Target(above="naive float tensors", below="avsync h264", limit=2.0),
]
Costs = Rounds[str, Cost]
"""Way -> what it cost, all sources of a group together, for a clip of 4 s."""


def measure(groups: Mapping[str, Sequence[Job]], ways: Sequence[str], runs: int) -> dict[str, Costs]:
    """Every way on every source, source by source, so that all see the same machine; then group by group."""
    calls = {
        (group, number, way): partial(measured, WAYS[way], job)
        for group, jobs in groups.items()
        for number, job in enumerate(jobs)
        for way in ways
    }
    every, found = in_turn(calls, runs), {group: Costs() for group in groups}
    for group, jobs in groups.items():
        units = sum(job.units for job in jobs)
        for way in (*ways, FLOORS):
            parts = way.split(" + ")
            for run in range(runs):
                costs = [every[group, number, part][run] for number in range(len(jobs)) for part in parts]
                total = Cost(*(sum(column) / units for column in zip(*filter(None, costs), strict=True)))
                found[group].add(way, total)
    return found


def tables(title: str, costs: Costs) -> list[Table]:
    """Milliseconds for each way, then the ratios; both medians over the runs."""
    columns = {f"{name} ms": statistic(field, ".0f", scale=1000) for name, field in (("CPU", "cpu"), ("wall", "wall"))}
    ways = [way for way in costs if way != FLOORS]
    ratios = Table(f"{title}: ratio of CPU times", ("what", *WANTED))
    for target in TARGETS:
        if costs.keys() >= {target.above, target.below}:
            ratios.rows.append(target.row(costs.ratios(target.above, target.below, attrgetter("cpu"))))
    return [of_rounds(f"{title}: for each clip of 4 s", costs, columns, ways), ratios]


def main() -> None:
    """Make the sources, run all ways, print the tables."""
    parser = command("pack", __doc__, outputs=True)
    parser.add_argument("--videos", type=Path, help="a folder of real videos; without it, generated ones only")
    parser.add_argument("--sources", type=int, default=12, help="how many of them")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--clip-s", default="10", help="length of the clips, seconds")
    parser.add_argument("--folder", type=Path, help="where to work and keep the generated videos; default: temporary")
    options = parser.parse_args()
    console, config = Console(), PackConfig(clip_s=options.clip_s, min_clip_s="4")
    lacking = {name: missing(way) for name, way in WAYS.items()}
    for name, what in lacking.items():
        if what:
            console.print(f"left out: {name}; it needs {what}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        real = real_sources(options.videos.resolve(), options.sources) if options.videos else []
        groups = {"real videos": real} if real else {}
        for across, lines in ((2, 720), (3, 1080)):
            groups[f"{lines} lines"] = [probe(wall(folder / f"{lines}.mp4", real, across))]
        jobs = {name: [job_of(found, folder / "out", config) for found in members] for name, members in groups.items()}
        found = measure(jobs, [name for name in WAYS if not lacking[name]], options.runs)
    about = f"PyAV {av.__version__} with FFmpeg {av.ffmpeg_version_info}; beside it {ffmpeg_version()}"
    shown = [table for name, costs in found.items() for table in tables(name, costs)]
    report(shown, about, console, options, {name: costs.by_name() for name, costs in found.items()})


if __name__ == "__main__":
    main()
