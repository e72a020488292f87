"""Are all cores busy while packing, with many small files and with few long ones, and does memory stay bounded?

    python benchmarks/cores.py [--minutes 6]

Packs generated videos with one worker for each core. Busy = CPU seconds of all processes over wall seconds times cores,
from the first call to the last byte; where the machine does something else meanwhile, it says less than it should.
"""

import argparse
import resource
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
from rich.console import Console
from rich.table import Table

from benchmarks.pack_sources import wall
from sharding.base.environment import available_cores
from sharding.config import PackConfig
from sharding.pack.pack import pack
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import generate

FILMS = 3


def main() -> None:
    """Make the videos, pack them, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=6, help="length of each of the three films")
    parser.add_argument("--files", type=int, default=240, help="number of small files")
    options = parser.parse_args()
    table = Table(title=f"packing with {available_cores()} cores")
    for column in ("videos", "wall s", "CPU s", "busy", "largest worker MiB"):
        table.add_column(column, justify="right" if column != "videos" else "left")
    with tempfile.TemporaryDirectory() as folder:
        small = generate(Path(folder) / "small", SceneConfig(count=options.files)).table
        films = make_films(Path(folder) / "films", options.minutes)
        for name, videos in (
            (f"{options.files} small files", small),
            (f"{FILMS} films of {options.minutes} min", films),
        ):
            table.add_row(name, *measure(videos, Path(folder) / name))
    Console().print(table)


def measure(videos: Path, dataset: Path) -> tuple[str, ...]:
    """Wall and CPU seconds, busy share, and the most memory any worker has had so far (MiB)."""
    before, start = spent(), time.perf_counter()
    pack(videos, dataset, PackConfig(val_percent=0, test_percent=0))
    wall_s, cpu = time.perf_counter() - start, spent() - before
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return f"{wall_s:.1f}", f"{cpu:.1f}", f"{cpu / wall_s / available_cores():.0%}", f"{largest:.0f}"


def spent() -> float:
    """CPU seconds of this process and of those it has waited for."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def make_films(folder: Path, minutes: int) -> Path:
    """Films of 720 lines, each the same half minute again and again, none with the bytes of another."""
    folder.mkdir()
    reel = wall(folder.parent / "reel.mp4", [], across=2)
    for number in range(FILMS):
        repeat(reel, folder / f"film {number}.mp4", minutes * 2 + (number - 1))
    return folder


def repeat(reel: Path, film: Path, times: int) -> None:
    """Packets of `reel`, `times` times, without coding."""
    with av.open(str(film), "w") as out, av.open(str(reel)) as first:
        kinds = {stream.type: out.add_stream_from_template(stream) for stream in first.streams}
        length = max(Fraction(stream.duration or 0) * (stream.time_base or 1) for stream in first.streams)
        length += Fraction(1, 10)  # AAC is longer than it says by what edit lists cut off
        for turn in range(times):
            with av.open(str(reel)) as again:
                for packet in again.demux():
                    if packet.dts is None or packet.pts is None or packet.time_base is None:
                        continue
                    shift = round(turn * length / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = kinds[packet.stream.type]
                    out.mux(packet)


if __name__ == "__main__":
    main()
