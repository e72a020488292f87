"""A million clips' index: how long it takes to build from side files, to load and to search, and how large it is.

python benchmarks/index.py [CLIPS]

The side files are made up: names as in Kinetics-700, one clip of 10 s a source (the most names there can be), 32
sources a shard. Memory is what a new process takes on top of its libraries, at the peak. Wanted for a million: load
< 1 s, < 150 MB. Needs Linux.
"""

import random
import statistics
import string
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from resource import RUSAGE_SELF, getpagesize, getrusage
from tempfile import TemporaryDirectory

import msgspec
from rich.console import Console
from rich.table import Table

from sharding.base.files import read_json, to_json
from sharding.format.clip import FORMAT_VERSION
from sharding.format.index import Index
from sharding.format.records import ClipRecord, ShardRecord
from sharding.format.tar import BLOCK, Layout, padded
from sharding.sources.source import source_id

SOURCES_PER_SHARD = 32
RUNS = 5
LOOKUPS = 20_000
FINDS = 200
ACTIONS = [f"{verb} {thing}" for verb in ("playing", "riding", "throwing", "repairing") for thing in range(175)]
ID = string.ascii_letters + string.digits + "-_"


class Measured(msgspec.Struct):
    """What a process of its own has found out."""

    seconds: float
    peak_mb: float
    extra: dict[str, float] = {}


def write_side_files(folder: Path, clips: int) -> None:
    """Side files for `clips` clips, in the order of their paths."""
    rng = random.Random(0)
    paths = [f"train/{rng.choice(ACTIONS)}/{''.join(rng.choices(ID, k=11))}_000012_000022.mp4" for _ in range(clips)]
    paths.sort()
    for number, first in enumerate(range(0, clips, SOURCES_PER_SHARD)):
        offset, records = BLOCK, list[ClipRecord]()
        for path in paths[first : first + SOURCES_PER_SHARD]:
            records.append(clip_record(path, offset, rng))
            offset += padded(records[-1].size) + BLOCK
        shard = ShardRecord(
            format_version=FORMAT_VERSION, plan="0" * 64, tar_bytes=offset, sha256="0" * 64, clips=tuple(records)
        )
        (folder / f"{number:06d}.json").write_bytes(to_json(shard))


def clip_record(path: str, offset: int, rng: random.Random) -> ClipRecord:
    """A clip of 10 s as h264 stores it."""
    layout = Layout.of(rng.randrange(900, 1100), rng.randrange(100_000, 900_000), rng.randrange(300_000, 700_000))
    return ClipRecord(
        key=f"{source_id(path)}/00000008",
        action=path.split("/")[1],
        group=path,
        frames=285,
        offset=offset,
        size=layout.size,
        crc32=rng.getrandbits(32),
        video=layout.video,
        audio=layout.audio,
        json_bytes=layout.json_bytes,
    )


def build(folder: Path, path: Path) -> Measured:
    """Join the side files and save the index."""
    before, start = now_mb(), time.perf_counter()
    Index.build(side_files(folder), ACTIONS).save(path)
    return Measured(seconds=time.perf_counter() - start, peak_mb=peak_mb() - before)


def side_files(folder: Path) -> Iterator[tuple[int, ShardRecord]]:
    """One at a time."""
    for path in sorted(folder.iterdir()):
        yield int(path.stem), read_json(path, ShardRecord)


def load(path: Path) -> Measured:
    """Load the index several times, and look clips up in it."""
    before = now_mb()
    index = Index.load(path)
    grown = peak_mb() - before
    seconds = statistics.median(taken(lambda: Index.load(path)) for _ in range(RUNS))
    rng = random.Random(1)
    clips = [rng.randrange(len(index)) for _ in range(LOOKUPS)]
    keys = [index.key(clip) for clip in clips[:FINDS]]
    extra = {
        "key of a clip (ns)": taken(lambda: [index.key(clip) for clip in clips]) / LOOKUPS * 1e9,
        "place of a clip (ns)": taken(lambda: [(index.offset[c], index.layout(c)) for c in clips]) / LOOKUPS * 1e9,
        "clip by its key (ns)": taken(lambda: [index.find(key) for key in keys]) / FINDS * 1e9,
    }
    assert [index.find(key) for key in keys] == clips[:FINDS]
    return Measured(seconds=seconds, peak_mb=grown, extra=extra)


def taken(work: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def now_mb() -> float:
    """Memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize() / 1e6


def peak_mb() -> float:
    """Most memory this process ever held."""
    return getrusage(RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def alone(*arguments: str | Path) -> Measured:
    """The same program, in a process of its own."""
    run = subprocess.run([sys.executable, __file__, *map(str, arguments)], stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(run.stdout, type=Measured)


def compare(clips: int) -> Table:
    """Everything, as a table."""
    with TemporaryDirectory() as name:
        folder, path = Path(name, "train"), Path(name, "index.npz")
        folder.mkdir()
        write_side_files(folder, clips)
        built, loaded, size = alone("build", folder, path), alone("load", path), path.stat().st_size
    table = Table(title=f"index of {clips:,} clips, one a source", title_justify="left")
    table.add_column("what")
    table.add_column("measured", justify="right")
    table.add_row("build from side files (s)", f"{built.seconds:.1f}")
    table.add_row("... memory (MB)", f"{built.peak_mb:.0f}")
    table.add_row("index.npz (MB)", f"{size / 1e6:.0f}")
    table.add_row("... bytes a clip", f"{size / clips:.0f}")
    table.add_row(f"load, median of {RUNS} (s)", f"{loaded.seconds:.3f}")
    table.add_row("... memory (MB)", f"{loaded.peak_mb:.0f}")
    for what, number in loaded.extra.items():
        table.add_row(what, f"{number:,.0f}")
    return table


if __name__ == "__main__":
    if sys.argv[1:2] == ["build"]:
        sys.stdout.buffer.write(msgspec.json.encode(build(Path(sys.argv[2]), Path(sys.argv[3]))))
    elif sys.argv[1:2] == ["load"]:
        sys.stdout.buffer.write(msgspec.json.encode(load(Path(sys.argv[2]))))
    else:
        Console().print(compare(int(sys.argv[1]) if sys.argv[1:] else 1_000_000))
