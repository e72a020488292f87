"""How fast `avsync verify` goes through a dataset, beside `sha256sum` and plain reading of the same tars.

python -m benchmarks.verify DATASET [JOBS]

One after the other in each round, so that all see the same machine; medians. Bytes come from the page cache where they
fit into it: this is what the CPU allows, a disk may allow less.
"""

import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.base.runner import in_turn, seconds, warm
from benchmarks.base.table import Table, command, of_rounds, ratio_to, statistic
from sharding.base.environment import available_cores
from sharding.verify.verify import inspect

RUNS = 5


def sha256sum(path: Path) -> None:
    """The tool of the system, one process a file."""
    subprocess.run(["sha256sum", str(path)], stdout=subprocess.DEVNULL, check=True)


def each(work: Callable[[Path], None], tars: Sequence[Path], jobs: int) -> None:
    """`jobs` of them at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(work, tars))


def compare(dataset: Path, jobs: int) -> Table:
    """All ways, as a table."""
    tars = sorted(dataset.rglob("*.tar"))
    size = sum(tar.stat().st_size for tar in tars)
    ways: dict[str, Callable[[], object]] = {
        "reading": partial(each, lambda tar: warm([tar]), tars, jobs),
        "sha256sum": partial(each, sha256sum, tars, jobs),
        "avsync verify": partial(inspect, dataset, jobs, decode=False, progress=Console(quiet=True)),
    }
    rounds = in_turn({name: partial(seconds, way) for name, way in ways.items()}, RUNS)
    columns = {
        "GB/s": statistic("", ".2f", of=lambda taken: size / median(taken) / 1e9),
        "of sha256sum": ratio_to(lambda way: "sha256sum", over=True),
        "of reading": ratio_to(lambda way: "reading", over=True),
    }
    return of_rounds(f"{size / 1e6:,.0f} MB in {len(tars)} tars, {jobs} at a time", rounds, columns)


if __name__ == "__main__":
    parser = command("verify", __doc__)
    parser.add_argument("dataset", type=Path, metavar="DATASET")
    parser.add_argument("jobs", type=int, nargs="?", default=available_cores(), metavar="JOBS", help="at a time")
    options = parser.parse_args()
    Console().print(compare(options.dataset, options.jobs).rich())
