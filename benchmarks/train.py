"""How fast networks train here, what that is of the machine's limit, and what keeps a GPU waiting.

    python -m benchmarks.train [--minutes 9] [--dataset FOLDER ...] [--out FOLDER]
    python -m benchmarks.train --device cpu --networks small --size 32 --frames 30 --batch 4 --seconds 1 --scenes 24

Measures the most important things first, each in a process that may fail, and writes train.md and train.json after
each. Without a dataset it packs generated scenes, which are easier to decode than footage.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import torch

from avsync.config import ModelName
from benchmarks.train_child import OUT_OF_MEMORY, Answer, Child
from benchmarks.train_feed import make_dataset
from benchmarks.train_jobs import Device, Job, MachineJob, Size
from benchmarks.train_plan import FPS, Plan
from benchmarks.train_settings import Computed, Machine, Results, Streamed, Trained, Trouble
from benchmarks.train_table import line, markdown
from sharding.base.files import publish, write_json
from sharding.errors import AvsyncError

COMPILE_LIMITS = (60, 180)
"""On top of a job's own."""


class Bench:
    """Asks for figures while there is time, and writes them down."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.child = options, Child()
        self.end = time.monotonic() + 60 * options.minutes
        self.results = Results(command=" ".join(["python -m benchmarks.train", *sys.argv[1:]]), machine=None)

    def do(self, job: Job) -> None:
        """One job, and with half the clips when memory does not do."""
        if not any(word in job.what for word in self.options.only):
            return
        least, most = limits(job)
        left = max(0.0, self.end - time.monotonic())
        if left < least:
            self.take(Trouble(what=job.what, why=f"left out: {left:.0f} s left"))
            return
        given = self.child.ask(job, min(most, left))
        self.take(given)
        memory = isinstance(given, Trouble) and given.why == OUT_OF_MEMORY
        if memory and not isinstance(job, MachineJob) and job.case.batch > 1:
            self.do(replace(job, case=replace(job.case, batch=job.case.batch // 2)))

    def take(self, given: Answer) -> None:
        """Say it, keep it, write it."""
        print(line(given), flush=True)
        self.results = with_row(self.results, given)
        folder: Path = self.options.out
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "train.json", self.results)
        with publish(folder / "train.md") as file:
            file.write(markdown(self.results).encode())


def with_row(results: Results, given: Answer) -> Results:
    """The same results and one more."""
    if isinstance(given, Machine):
        return replace(results, machine=given)
    if isinstance(given, Computed):
        return replace(results, computed=(*results.computed, given))
    if isinstance(given, Streamed):
        return replace(results, streamed=(*results.streamed, given))
    if isinstance(given, Trained):
        return replace(results, trained=(*results.trained, given))
    return replace(results, troubles=(*results.troubles, given))


def limits(job: Job) -> tuple[float, float]:
    """Seconds that must be left, and after which it is stopped."""
    compiled = not isinstance(job, MachineJob) and job.case.setting.compiled
    more = COMPILE_LIMITS if compiled else (0, 0)
    return job.limits[0] + more[0], job.limits[1] + more[1]


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found: Device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=get_args(Device), default=found)
    parser.add_argument("--networks", nargs="+", choices=get_args(ModelName), default=["thesis", "paper"])
    parser.add_argument("--size", type=int, default=224, help="side of the picture in pixels")
    parser.add_argument("--frames", type=int, default=120, help=f"of a window, {FPS} a second")
    parser.add_argument("--batch", type=int, default=16, help="clips a step")
    parser.add_argument("--seconds", type=float, default=4, help="timed, of each setting")
    parser.add_argument("--steps", type=int, default=80, help="of avsync train itself")
    parser.add_argument("--minutes", type=float, default=9, help="for everything; what does not fit is left out")
    parser.add_argument("--dataset", type=Path, nargs="+", default=[], help="packed; each is streamed")
    parser.add_argument("--scenes", type=int, default=160, help="to make and pack where no dataset is named")
    parser.add_argument("--form", nargs="+", default=["h264"], help="stored forms of the scenes")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="jobs whose line has one of these")
    parser.add_argument("--out", type=Path, default=Path("train-figures"))
    return parser.parse_args(arguments)


def datasets_of(bench: Bench, folder: Path) -> list[Path]:
    """Those that were named, or scenes packed into `folder`; what cannot be made becomes a line."""
    options, made = bench.options, list[Path]()
    if options.dataset:
        return [path.resolve() for path in options.dataset]
    stored = Size(side=options.size, frames=options.frames).view().height
    for form in options.form:
        try:
            made.append(make_dataset(folder, form, options.scenes, stored))
        except (AvsyncError, OSError, ImportError) as error:
            bench.take(Trouble(what=f"scenes as {form}", why=str(error)))
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure until the plan or the time is at its end."""
    bench = Bench(options_of(arguments))
    with TemporaryDirectory() as folder:
        try:
            plan = Plan(bench.options, datasets_of(bench, Path(folder)), lambda: bench.results)
            for job in plan.jobs():
                bench.do(job)
        finally:
            bench.child.close()
    print(markdown(bench.results))


if __name__ == "__main__":
    main()
