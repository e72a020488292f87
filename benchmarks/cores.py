"""Are all cores busy while packing, with many small files and with few long ones, and does memory stay bounded?

    python -m benchmarks.cores [--minutes 6]

Packs generated videos with one worker for each core. Busy = CPU seconds of all processes over wall seconds times cores,
from the first call to the last byte; where the machine does something else meanwhile, it says less than it should.
"""

import resource
import tempfile
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
from rich.console import Console

from benchmarks.base.runner import cost_of
from benchmarks.base.table import Table, command
from benchmarks.pack.sources import wall
from sharding.base.environment import available_cores
from sharding.base.text import percent
from sharding.config import PackConfig
from sharding.pack.pack import pack
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import generate

FILMS = 3


def main() -> None:
    """Make the videos, pack them, print the table."""
    parser = command("cores", __doc__)
    parser.add_argument("--minutes", type=int, default=6, help="length of each of the three films")
    parser.add_argument("--files", type=int, default=240, help="number of small files")
    options = parser.parse_args()
    cores, config = available_cores(), PackConfig(val_percent=0, test_percent=0)
    table = Table(f"packing with {cores} cores", ("videos", "wall s", "CPU s", "busy", "largest worker MiB"))
    with tempfile.TemporaryDirectory() as folder:
        small = generate(Path(folder) / "small", SceneConfig(count=options.files)).table
        films = make_films(Path(folder) / "films", options.minutes)
        ways = {f"{options.files} small files": small, f"{FILMS} films of {options.minutes} min": films}
        for name, videos in ways.items():
            cpu, wall_s = cost_of(partial(pack, videos, Path(folder) / name, config))
            largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # of any worker so far
            busy = percent(cpu / wall_s / cores, digits=0)
            table.add(name, f"{wall_s:.1f}", f"{cpu:.1f}", busy, f"{largest:.0f}")
    Console().print(table.rich())


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
