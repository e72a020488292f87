"""How fast `avsync verify` goes through a dataset, beside `sha256sum` and plain reading of the same tars.

python benchmarks/verify.py DATASET [JOBS]

One after the other in each round, so that all see the same machine; medians. Bytes come from the page cache where they
fit into it: this is what the CPU allows, a disk may allow less.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sharding.base.environment import available_cores
from sharding.verify.verify import inspect

RUNS = 5
BLOCK_BYTES = 4 * 2**20


def read(path: Path) -> None:
    """Read a file and forget it."""
    buffer = bytearray(BLOCK_BYTES)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def sha256sum(path: Path) -> None:
    """The tool of the system, one process a file."""
    subprocess.run(["sha256sum", str(path)], stdout=subprocess.DEVNULL, check=True)


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def each(work: Callable[[Path], None], tars: Sequence[Path], jobs: int) -> None:
    """`jobs` of them at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(work, tars))


def compare(dataset: Path, jobs: int) -> Table:
    """All ways, as a table."""
    tars = sorted(dataset.rglob("*.tar"))
    size = sum(tar.stat().st_size for tar in tars)
    ways: dict[str, Callable[[], object]] = {
        "reading": partial(each, read, tars, jobs),
        "sha256sum": partial(each, sha256sum, tars, jobs),
        "avsync verify": partial(inspect, dataset, jobs, decode=False, progress=Console(quiet=True)),
    }
    taken = {name: list[float]() for name in ways}
    for _ in range(RUNS):
        for name, way in ways.items():
            taken[name].append(seconds(way))
    table = Table(title=f"{size / 1e6:,.0f} MB in {len(tars)} tars, {jobs} at a time", title_justify="left")
    for column in ("way", "GB/s", "of sha256sum", "of reading"):
        table.add_column(column, justify="left" if column == "way" else "right")
    median = {name: statistics.median(times) for name, times in taken.items()}
    for name, time_s in median.items():
        shares = (f"{median[other] / time_s:.2f}" for other in ("sha256sum", "reading"))
        table.add_row(name, f"{size / time_s / 1e9:.2f}", *shares)
    return table


if __name__ == "__main__":
    chosen = int(sys.argv[2]) if len(sys.argv) > 2 else available_cores()
    Console().print(compare(Path(sys.argv[1]), chosen))
