"""How fast clips come to a training process: ours, others and the limits of the machine, in interleaved runs; medians.

python -m benchmarks.load [--data VIDEOS] [--runs 5] [--seconds 4] [--workers 1 2] [--cold] [--only WORD ...]
                          [--markdown FILE] [--clips 160] [--cache FOLDER] [--peers-dir FOLDER]

Batches of 8 clips of 4 s, 224x224, 30 fps, 44.1 kHz, each copied into one resident tensor. Every run has a process of
its own, as many cores as workers, and its files read right before it (or, cold, put out of the page cache). Peers are
installed by the benchmark, each into an environment of its own; what does not install or run is left out, with a line.
The last batch of each run is compared with what was packed.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

from benchmarks.base.runner import Child, in_turn
from benchmarks.base.table import report, wide_console
from benchmarks.load.catalog import ENTRIES, TARGET_WORKERS
from benchmarks.load.clips import clips_command, ready_jobs
from benchmarks.load.job import Job
from benchmarks.load.report import Case, tables
from benchmarks.load.run import Loaded, run
from benchmarks.peers.install import machine

RUN_S = 180


def measured(job: Job, python: str) -> Loaded:
    """A run, on as many cores as workers."""
    with closing(Child(python)) as child:
        return child.ask(run, job, RUN_S + job.seconds, job.workers)


def cases_of(names: Sequence[str], workers: Sequence[int], cold: bool) -> list[Case]:
    """Cold ones last, so that what they leave behind disturbs no warm one of the same round."""
    warm = [Case(way=name, workers=count) for count in workers for name in names]
    if not cold:
        return warm
    return warm + [Case(way=name, workers=TARGET_WORKERS, cold=True) for name in names if ENTRIES[name].cold]


def main() -> None:
    """Make data, environments and copies; run; print the tables."""
    parser = clips_command("load", __doc__, "9 MB each, stored raw: they must fit the page cache")
    parser.add_argument("--seconds", type=float, default=4, help="length of a timed window")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="worker processes, and cores")
    parser.add_argument("--cold", action="store_true", help="beside it, with files put out of the page cache")
    options, console = parser.parse_args(), wide_console()
    jobs, found = ready_jobs(ENTRIES, options, console)
    runs = {}
    for case in cases_of(list(jobs), options.workers, options.cold):
        job = replace(jobs[case.way], workers=case.workers, cold=case.cold, seconds=options.seconds)
        runs[case] = partial(measured, job, found[case.way].python)
    rounds = in_turn(runs, options.runs)
    clips = max((len(job.clips) for job in jobs.values()), default=0)
    about = machine(found, f"{clips} clips of {options.data or 'generated scenes'}, {options.runs} rounds")
    report(tables(rounds, jobs), about, console, options, rounds.by_name())


if __name__ == "__main__":
    main()
