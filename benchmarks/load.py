"""How fast clips come to a training process: ours, others and the limits of the machine, in interleaved runs; medians.

python -m benchmarks.load [--data VIDEOS] [--runs 5] [--seconds 4] [--workers 1 2] [--cold] [--only WORD ...]
                          [--markdown FILE] [--clips 160] [--cache FOLDER] [--peers-dir FOLDER]

Batches of 8 clips of 4 s, 224x224, 30 fps, 44.1 kHz, each copied into one resident tensor. Every run has a process of
its own, as many cores as workers, and its files read right before it (or, cold, put out of the page cache). Peers are
installed by the benchmark, each into an environment of its own; what does not install or run is left out, with a line.
The last batch of each run is compared with what was packed.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import track

from benchmarks.load_catalog import ENTRIES, TARGET_WORKERS
from benchmarks.load_child import Seen
from benchmarks.load_data import datasets, digest, scenes
from benchmarks.load_job import Job
from benchmarks.load_table import Case, Results, machine, tables
from benchmarks.peers_install import PEERS, ROOT, Place, home

CHILD = "benchmarks.load_child"
RUN_S, PREPARE_S = 180, 1200
CACHE = Path.home() / ".cache" / "avsync-bench"


def child(place: Place, job: Job, limit_s: float, *flags: str) -> tuple[Seen | None, str]:
    """What a run has seen, or why it has not."""
    command = [place.python, "-m", CHILD, *flags, job.text()]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, err = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        return None, f"not done after {limit_s:.0f} s"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and workers it has left behind
        process.wait()
    found = [line.removeprefix("seen ") for line in out.splitlines() if line.startswith("seen ")]
    if found and not flags:
        return msgspec.json.decode(found[-1], type=Seen), ""
    lines = [line for line in err.strip().splitlines() if line.strip()] or ["it said nothing"]
    return None, "" if flags and not process.returncode else lines[-1]


def places(names: Sequence[str], folder: Path, console: Console) -> dict[str, Place]:
    """Way -> its Python; ways whose peer does not install are left out, with a line."""
    own, homes = Place(python=sys.executable), dict[str, Place]()
    for peer in {ENTRIES[name].peer for name in names} - {""}:
        console.print(f"environment of {peer}")
        homes[peer] = home(folder, PEERS[peer])
        if homes[peer].trouble:
            console.print(f"left out: {peer} does not install here: {homes[peer].trouble}")
    found = {name: homes.get(ENTRIES[name].peer, own) for name in names}
    return {name: place for name, place in found.items() if not place.trouble}


def prepared(jobs: dict[str, Job], found: dict[str, Place], console: Console) -> dict[str, Job]:
    """Jobs whose own copies are there; those that could not be made are left out, with a line."""
    ready = {}
    for name, job in jobs.items():
        stamp, wanted = job.copy.with_suffix(".complete"), digest(job)
        if ENTRIES[name].prepare and not (stamp.is_file() and stamp.read_text() == wanted):
            console.print(f"copy for {name}")
            stamp.unlink(missing_ok=True)
            _, trouble = child(found[name], job, PREPARE_S, "--prepare")
            if trouble:
                console.print(f"left out: {name}; its copy could not be made: {trouble}")
                continue
            stamp.write_text(wanted)
        ready[name] = job
    return ready


def measure(
    cases: Sequence[Case], jobs: dict[str, Job], found: dict[str, Place], options: argparse.Namespace
) -> Results:
    """Round after round, each with every way in every case."""
    console, results = Console(stderr=True), Results()
    for round_ in range(options.runs):
        for case in track(cases, description=f"round {round_ + 1} of {options.runs}", console=console):
            job = msgspec.structs.replace(jobs[case.way], workers=case.workers, cold=case.cold, seconds=options.seconds)
            seen, trouble = child(found[case.way], job, RUN_S + options.seconds)
            if trouble:
                console.print(f"{case}: {trouble}")
            results.add(case, seen)
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
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="WORD", help="ways whose names have one of these words"
    )
    parser.add_argument("--markdown", type=Path, help="write the tables there, too")
    parser.add_argument("--cache", type=Path, default=CACHE, help="for clips and their copies; kept")
    parser.add_argument("--peers-dir", type=Path, default=CACHE / "peers", help="for the peers' environments; kept")
    return parser.parse_args(arguments)


def main() -> None:
    """Make data, environments and copies; run; print the tables."""
    options, console = options_of(), Console()
    names = [name for name in ENTRIES if any(word in name for word in options.only)]
    folder = options.cache.resolve() / ("videos" if options.data else "scenes")
    videos = options.data.resolve() if options.data else scenes(folder / "scenes", options.clips)
    made = datasets(videos, folder, options.clips, console)
    found = places(names, options.peers_dir.resolve(), console)
    jobs = {}
    for name in found:
        dataset, clips = made[ENTRIES[name].stored]
        copy = folder / "copies" / ENTRIES[name].copy
        jobs[name] = Job(way=name, dataset=dataset, clips=clips, videos=videos, copy=copy)
    ready = prepared(jobs, found, console)
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
