"""How fast clips come to a training process: ours, others and the limits of the machine, in interleaved runs; medians.

python -m benchmarks.load [--data VIDEOS] [--runs 5] [--seconds 4] [--workers 1 2] [--cold] [--only WORD ...]
                          [--markdown FILE] [--clips 160] [--cache FOLDER] [--peers-dir FOLDER]

Batches of 8 clips of 4 s, 224x224, 30 fps, 44.1 kHz, each copied into one resident tensor. Every run has a process of
its own, as many cores as workers, and its files read right before it (or, cold, put out of the page cache). Peers are
installed by the benchmark, each into an environment of its own; what does not install or run is left out, with a line.
The last batch of each run is compared with what was packed.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import track

from benchmarks.load_catalog import ENTRIES, TARGET_WORKERS
from benchmarks.load_child import Seen
from benchmarks.load_data import source
from benchmarks.load_job import Job
from benchmarks.load_start import CACHE, Child, jobs_of, only, places, prepared
from benchmarks.load_table import Case, Results, machine, tables, wide_console
from benchmarks.peers_install import Place

RUN_S = 180


def measure(
    cases: Sequence[Case], jobs: dict[str, Job], found: dict[str, Place], options: argparse.Namespace
) -> Results:
    """Round after round, each with every way in every case."""
    console, results = Console(stderr=True), Results()
    for round_ in range(options.runs):
        for case in track(cases, description=f"round {round_ + 1} of {options.runs}", console=console):
            job = msgspec.structs.replace(jobs[case.way], workers=case.workers, cold=case.cold, seconds=options.seconds)
            said, trouble = Child(found[case.way], "load_child", job.text()).seen(RUN_S + options.seconds)
            if trouble:
                console.print(f"{case}: {trouble}")
            results.add(case, msgspec.json.decode(said, type=Seen) if said else None)
    return results


def cases_of(names: Sequence[str], workers: Sequence[int], cold: bool) -> list[Case]:
    """Cold ones last, so that what they leave behind disturbs no warm one of the same round."""
    warm = [Case(way=name, workers=count) for count in workers for name in names]
    if not cold:
        return warm
    return warm + [Case(way=name, workers=TARGET_WORKERS, cold=True) for name in names if ENTRIES[name].cold]


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of real videos; without it, generated scenes")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4, help="length of a timed window")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="worker processes, and cores")
    parser.add_argument("--clips", type=int, default=160, help="9 MB each, stored raw: they must fit the page cache")
    parser.add_argument("--cold", action="store_true", help="beside it, with files put out of the page cache")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="ways with one of these in their names")
    parser.add_argument("--markdown", type=Path, help="write the tables there, too")
    parser.add_argument("--cache", type=Path, default=CACHE, help="for clips and their copies; kept")
    parser.add_argument("--peers-dir", type=Path, default=CACHE / "peers", help="for the peers' environments; kept")
    return parser.parse_args(arguments)


def main() -> None:
    """Make data, environments and copies; run; print the tables."""
    options, console = options_of(), wide_console()
    entries = only(ENTRIES, options.only)
    videos, folder, made = source(options.data, options.cache, options.clips, console)
    found = places(entries, options.peers_dir.resolve(), console)
    ready = prepared(jobs_of({name: entries[name] for name in found}, made, videos, folder), entries, found, console)
    cases = cases_of(list(ready), options.workers, options.cold)
    results = measure(cases, ready, found, options)
    about = machine(
        found, f"{len(made['raw'][1])} clips of {options.data or 'generated scenes'}, {options.runs} rounds"
    )
    for part in (text := tables(results, ready)):
        console.print(part.rich())
    console.print(about)
    if options.markdown:
        options.markdown.write_text("\n\n".join([about, *(part.markdown() for part in text)]) + "\n")


if __name__ == "__main__":
    main()
