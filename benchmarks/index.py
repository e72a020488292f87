"""A million clips' index: how long it takes to build from side files, to load and to search, and how large it is.

python -m benchmarks.index [CLIPS]

The side files are made up: names as in Kinetics-700, one clip of 10 s a source (the most names there can be), 32
sources a shard. Memory is what a new process takes on top of its libraries, at the peak. Wanted for a million: load
< 1 s, < 150 MB. Needs Linux.
"""

import random
import statistics
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from resource import RUSAGE_SELF, getpagesize, getrusage
from tempfile import TemporaryDirectory

from rich.console import Console

from benchmarks.base.runner import alone, seconds
from benchmarks.base.table import Table, command
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What a process of its own has found out."""

    seconds: float
    peak_mb: float
    extra: dict[str, float] = field(default_factory=dict)


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


def build(paths: tuple[Path, Path]) -> Measured:
    """Join the side files of a folder and save the index."""
    folder, path = paths
    before = now_mb()
    took = seconds(lambda: Index.build(side_files(folder), ACTIONS).save(path))
    return Measured(seconds=took, peak_mb=peak_mb() - before)


def side_files(folder: Path) -> Iterator[tuple[int, ShardRecord]]:
    """One at a time."""
    for path in sorted(folder.iterdir()):
        yield int(path.stem), read_json(path, ShardRecord)


def load(path: Path) -> Measured:
    """Load the index several times, and look clips up in it."""
    before = now_mb()
    index = Index.load(path)
    grown = peak_mb() - before
    took = statistics.median(seconds(partial(Index.load, path)) for _ in range(RUNS))
    rng = random.Random(1)
    clips = [rng.randrange(len(index)) for _ in range(LOOKUPS)]
    keys = [index.key(clip) for clip in clips[:FINDS]]
    extra = {
        "key of a clip (ns)": seconds(lambda: [index.key(clip) for clip in clips]) / LOOKUPS * 1e9,
        "place of a clip (ns)": seconds(lambda: [(index.offset[c], index.layout(c)) for c in clips]) / LOOKUPS * 1e9,
        "clip by its key (ns)": seconds(lambda: [index.find(key) for key in keys]) / FINDS * 1e9,
    }
    assert [index.find(key) for key in keys] == clips[:FINDS]
    return Measured(seconds=took, peak_mb=grown, extra=extra)


def now_mb() -> float:
    """Memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize() / 1e6


def peak_mb() -> float:
    """Most memory this process ever held."""
    return getrusage(RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def compare(clips: int) -> Table:
    """Everything, as a table."""
    with TemporaryDirectory() as name:
        folder, path = Path(name, "train"), Path(name, "index.npz")
        folder.mkdir()
        write_side_files(folder, clips)
        built, loaded, size = alone(build, (folder, path)), alone(load, path), path.stat().st_size
    table = Table(f"index of {clips:,} clips, one a source", ("what", "measured"))
    table.add("build from side files (s)", f"{built.seconds:.1f}")
    table.add("... memory (MB)", f"{built.peak_mb:.0f}")
    table.add("index.npz (MB)", f"{size / 1e6:.0f}")
    table.add("... bytes a clip", f"{size / clips:.0f}")
    table.add(f"load, median of {RUNS} (s)", f"{loaded.seconds:.3f}")
    table.add("... memory (MB)", f"{loaded.peak_mb:.0f}")
    for what, number in loaded.extra.items():
        table.add(what, f"{number:,.0f}")
    return table


if __name__ == "__main__":
    from benchmarks import index  # what runs in another process has its name there

    parser = command("index", __doc__)
    parser.add_argument("clips", type=int, nargs="?", default=1_000_000, metavar="CLIPS")
    Console().print(index.compare(parser.parse_args().clips).rich())
