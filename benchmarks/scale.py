"""A run of a hundred million clips on 1,024 ranks, without a byte of video: what a rank does before its first batch.

python -m benchmarks.scale [CLIPS ...] [--folder DIR]

The index is made up and written as pack writes it: 10 clips a source, 32 sources a shard, names of 40 letters; the last
clip of each source has any length, so that nearly every shard has clips too short for a pair. Another hundredth of the
clips is the val split. All that looks at it is the product's own code, in a process of its own for each rank asked:
open, the order, the rows of the first step at 60 % of an epoch, the proof of the digest, the receipt, staging's table
of the first block, the fixed pairs of validation. Memory is what that process holds on top of its libraries: its own,
and pages of the index, which all processes of a node share. Wanted: < 300 MB, < 2 s to the first rows. A hundred
million clips take 6 GB in DIR, which are deleted at the end. Needs Linux.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from rich.console import Console

from avsync.config import PairConfig, ViewConfig
from avsync.data.order import Digest, Draw
from avsync.data.selection import Selection
from avsync.run.paths import RunPaths
from avsync.run.receipt import Opening
from avsync.run.state import State
from avsync.staging.checksum import ClipRanges
from benchmarks.base.runner import alone
from benchmarks.base.table import Table, command
from sharding.base.files import write_json
from sharding.format.clip import FORMAT_VERSION, Clock
from sharding.format.columns import CLIPS, COLUMNS, PRINTED, PRINTS, WHOLE
from sharding.format.index import INDEX, INFO, DatasetInfo
from sharding.format.tar import BLOCK, Layout, padded

SIZES = (1_000_000, 10_000_000, 100_000_000)
PER_SOURCE, SOURCES_PER_SHARD = 10, 32
PER_SHARD = PER_SOURCE * SOURCES_PER_SHARD
RANKS, ROWS, PASSES = 1024, 16, 1
"""Ranks, and clips that each has in a step."""
ASKED = (0, 511, 1023)
THROUGH = 0.6
"""How much of the epoch was done."""
EPOCH, VALIDATE_CLIPS, HELD_OUT = 3, 512, 100
JSON, VIDEO, AUDIO = 1000, 300_000, 700_000
NAME = b"playing_some_instrument-"
LETTERS = len(NAME) + 16
PIECE = PER_SHARD * 2**12
"""Rows that are made up at a time: whole shards."""
MB = 1e6
RECEIPT, STAGING, MORE_STEPS = "the receipt", "staging: clips of its first 64 shards", "100 more steps"
LATER = (RECEIPT, STAGING, MORE_STEPS)
"""What the first batch does not wait for."""


class Cost(NamedTuple):
    """Of one thing that a rank does."""

    wall_s: float
    cpu_s: float


@dataclass(kw_only=True, slots=True)
class Found:
    """What one rank's process has found out."""

    costs: dict[str, Cost] = field(default_factory=dict)
    rows: list[Draw] = field(default_factory=list)
    """Its own, of that step."""
    clips: str = ""
    """Digest of the step's clips, of all ranks."""
    prints: str = ""
    before_mb: float = 0
    own_mb: float = 0
    """Beyond that, memory of its own at the end ..."""
    shared_mb: float = 0
    """... pages of files, ..."""
    peak_mb: float = 0
    """... and the most of both at any time."""


def source_names(number: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Of 40 letters each, ascending: one after the other."""
    four = np.array([list(f"{part:04d}".encode()) for part in range(10_000)], np.uint8)
    words = np.broadcast_to(np.frombuffer(NAME, np.uint8), (len(number), len(NAME)))
    return np.concatenate((words, *(four[number // 10**at % 10_000] for at in (12, 8, 4, 0))), axis=1).ravel()


def made_up(name: str, first: int) -> NDArray[Any]:
    """PIECE rows of a clips' column, `first` of whole shards being before them."""
    source = np.arange(first // PER_SOURCE, (first + PIECE) // PER_SOURCE, dtype=np.int32)
    layout, of_clips = Layout.of(JSON, VIDEO, AUDIO), {"source": source, "action": source % 700, "group": source}
    if name in of_clips:
        return np.repeat(of_clips[name], PER_SOURCE)
    if name == "frames":
        frames = np.full(PIECE, 300, np.int32)
        frames[PER_SOURCE - 1 :: PER_SOURCE] = 90 + source * 37 % 211
        return frames
    values = {
        "first_frame": lambda: np.tile(300 * np.arange(PER_SOURCE), PIECE // PER_SOURCE),
        "shard": lambda: np.repeat(np.arange(first // PER_SHARD, (first + PIECE) // PER_SHARD), PER_SHARD),
        "offset": lambda: np.tile(BLOCK + np.arange(PER_SHARD) * (padded(layout.size) + BLOCK), PIECE // PER_SHARD),
        "json_bytes": lambda: np.full(PIECE, JSON),
        "video_bytes": lambda: np.full(PIECE, VIDEO),
        "audio_bytes": lambda: np.full(PIECE, AUDIO),
        "crc32": lambda: np.arange(first, first + PIECE, dtype=np.uint32) * np.uint32(2654435761),
    }
    return values[name]().astype(CLIPS[name])


def pieces(name: str, clips: int) -> Iterator[NDArray[Any]]:
    """A column of an index of so many clips."""
    if name in CLIPS:
        for first in range(0, clips, PIECE):
            yield made_up(name, first)[: clips - first]
        return
    sources = -(-clips // PER_SOURCE)
    for first in range(0, sources, PIECE):
        number = np.arange(first, min(first + PIECE, sources))
        yield source_names(number) if name == "names" else (number + 1) * LETTERS


def write_index(path: Path, clips: int) -> None:
    """As `save_columns` writes it, a piece at a time."""
    sources = -(-clips // PER_SOURCE)
    lengths = {"names": LETTERS * sources, "name_end": sources}
    prints = {part: hashlib.blake2b(digest_size=8) for part in PRINTED}
    with ZipFile(path, "w", allowZip64=True) as file:
        for name, kind in COLUMNS.items():
            rows = lengths.get(name, clips)
            of = [digest for part, digest in prints.items() if name in PRINTED[part]]
            for digest in of:
                digest.update(rows.to_bytes(8, "little"))
            with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array_header_1_0(member, {"descr": kind.str, "fortran_order": False, "shape": (rows,)})
                for piece in pieces(name, clips):
                    member.write(piece.data)
                    for digest in of:
                        digest.update(piece.data)
        if clips > WHOLE:
            with file.open(f"{PRINTS}.npy", "w") as member:
                npy.write_array(member, np.array([one.hexdigest() for one in prints.values()], np.bytes_))


def write_dataset(folder: Path, clips: int) -> None:
    """dataset.json and the indexes of train and val; no shards."""
    counts = {"train": clips, "val": max(PER_SHARD, clips // HELD_OUT), "test": 0}
    for split in ("train", "val"):
        (folder / split).mkdir(parents=True)
        write_index(folder / split / INDEX, counts[split])
    info = DatasetInfo(
        format_version=FORMAT_VERSION,
        codec="h264",
        clock=Clock(fps=Fraction(30), sample_rate=21_000),
        width=256,
        height=256,
        channels=2,
        fit="squash",
        actions=tuple(f"action {number:03d}" for number in range(700)),
        clips=counts,
        shards={split: -(-count // PER_SHARD) for split, count in counts.items()},
        sources=sum(counts.values()) // PER_SOURCE,
        lost_clips=0,
        rejects=0,
        settings={},
        written_by="benchmarks.scale",
    )
    write_json(folder / INFO, info)


def memory_mb() -> dict[str, float]:
    """Of this process, by what /proc calls it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {
        name: int(rest.split()[0]) * 1024 / MB
        for name, _, rest in (line.partition(":") for line in lines)
        if "kB" in rest
    }


def begin(given: tuple[Path, int]) -> Found:
    """What the rank of that number does on the dataset of that folder, until it could ask for its first batch."""
    folder, rank = given
    found, before = Found(), memory_mb()

    @contextmanager
    def costs(what: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        found.costs[what] = Cost(time.perf_counter() - wall, time.process_time() - cpu)

    pairs, view = PairConfig(), ViewConfig()
    with costs("open the train split"):
        feed = Selection.of_folder(folder, "train", pairs, view, whole=False)
    with costs("its fingerprint"):
        found.prints = feed.fingerprint().joined()
    with costs("the order"):
        order = feed.order(RANKS * ROWS * PASSES, seed=0)
        step = int((EPOCH + THROUGH) * order.steps_per_epoch)
    with costs("rows of the first step"):
        found.rows = feed.draws(order, step, rank, RANKS, PASSES)[0]
    with costs("where its clips lie"):
        for draw in found.rows:
            feed.dataset.location(draw.clip)
    with costs("prove the digest"):
        digest = Digest.resumed(order, step, "00" * 16)
    with costs(RECEIPT):
        state = State(step=step, model="", digest=digest.state, skipped=0)
        opening = Opening(
            paths=RunPaths(folder / "no run"), order=order, steps=step + 9, before=state, done=step, ranks=RANKS
        )
        came = order.step(step).clips
        receipt = opening.receipt(came)
    found.clips = hashlib.blake2b(came.tobytes(), digest_size=8).hexdigest()
    assert (receipt.skipped, receipt.repeated, receipt.clips) == (0, 0, step * order.batch)
    with costs(STAGING):
        for shard in next(order.blocks(step)).tolist():
            assert ClipRanges.of(feed.dataset.index, shard).size
    with costs("validation: open val, draw its pairs"):
        held_out = Selection.of_folder(folder, "val", pairs, view, whole=False)
        held_out.fixed_draws(held_out.fixed_clips(VALIDATE_CLIPS))
    with costs(MORE_STEPS):
        for more in range(1, 101):
            for draw in feed.draws(order, step + more, rank, RANKS, PASSES)[0]:
                feed.dataset.location(draw.clip)
    after = memory_mb()
    found.before_mb, found.own_mb = before["VmRSS"], after["RssAnon"] - before["RssAnon"]
    found.shared_mb, found.peak_mb = after["RssFile"] - before["RssFile"], after["VmHWM"] - before["VmRSS"]
    return found


def check_ranks(folder: Path, found: dict[int, Found]) -> None:
    """Ranks must have the same order, and each the rows that one process alone would give it."""
    feed = Selection.of_folder(folder, "train", PairConfig(), ViewConfig(), whole=False)
    order = feed.order(RANKS * ROWS * PASSES, seed=0)
    ids = order.step(int((EPOCH + THROUGH) * order.steps_per_epoch)).clips
    digest = hashlib.blake2b(ids.tobytes(), digest_size=8).hexdigest()
    for rank, one in found.items():
        mine = ids.reshape(PASSES, RANKS, -1)[0, rank].tolist()
        assert ([draw.clip for draw in one.rows], one.clips) == (mine, digest), f"rank {rank} has other clips"
        assert one.prints == feed.fingerprint().joined()


def plainly(folder: Path) -> str:
    """Digest of the same step's clips by a list of all ids, as splits that are read whole have it."""
    feed = Selection.of_folder(folder, "train", PairConfig(), ViewConfig(), whole=False)
    order = feed.with_clips(np.flatnonzero(feed.dataset.index.frames >= feed.sampler.shortest())).order(RANKS * ROWS, 0)
    ids = order.step(int((EPOCH + THROUGH) * order.steps_per_epoch)).clips
    return hashlib.blake2b(ids.tobytes(), digest_size=8).hexdigest()


def compare(clips: int, folder: Path) -> Table:
    """Everything about one size."""
    write_dataset(folder, clips)
    found = {rank: alone(begin, (folder, rank)) for rank in ASKED}
    check_ranks(folder, found)
    assert alone(plainly, folder) == found[0].clips, "a list of ids gives another order"
    size = (folder / "train" / INDEX).stat().st_size / MB
    table = Table(f"{clips:,} clips, index of {size:,.0f} MB", ("what", *(f"rank {rank}" for rank in ASKED)))
    for what in found[0].costs:
        costs = [one.costs[what] for one in found.values()]
        table.add(f"{what} (s; of CPU)", *(f"{cost.wall_s:.3f}; {cost.cpu_s:.3f}" for cost in costs))
    first = [[cost for what, cost in one.costs.items() if what not in LATER] for one in found.values()]
    sums = [(sum(cost.wall_s for cost in costs), sum(cost.cpu_s for cost in costs)) for costs in first]
    table.add("all before the first batch (s; of CPU)", *(f"{wall:.2f}; {cpu:.2f}" for wall, cpu in sums))
    for what, of in (("own memory", "own_mb"), ("pages of files", "shared_mb"), ("most of both", "peak_mb")):
        table.add(f"{what} (MB)", *(f"{getattr(one, of):.0f}" for one in found.values()))
    table.add("libraries before (MB)", *(f"{one.before_mb:.0f}" for one in found.values()))
    return table


if __name__ == "__main__":
    from benchmarks import scale  # what runs in another process has its name there

    parser = command("scale", __doc__)
    parser.add_argument("clips", type=int, nargs="*", default=SIZES, metavar="CLIPS")
    parser.add_argument("--folder", type=Path, default=None, help="where the index is written")
    asked = parser.parse_args()
    for clips in asked.clips:
        with TemporaryDirectory(dir=asked.folder) as name:
            Console().print(scale.compare(clips, Path(name, "data")).rich())
