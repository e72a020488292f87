"""How fast networks train here, what that is of the machine's limit, and what keeps a GPU waiting.

    python -m benchmarks.train [--minutes 9] [--dataset FOLDER ...] [--out FOLDER]
    python -m benchmarks.train --device cpu --networks small --size 32 --frames 30 --batch 4 --seconds 1 --scenes 24

Measures the most important things first, each in a process that may fail, and writes train.md and train.json after
each. Without a dataset it packs generated scenes, which are easier to decode than footage.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast, get_args

import torch

from avsync.config import ModelName
from benchmarks.base.child import OUT_OF_MEMORY
from benchmarks.base.runner import Child, Failed
from benchmarks.base.table import command
from benchmarks.train.feed import make_dataset
from benchmarks.train.jobs import FPS, ComputeJob, Device, Job, MachineJob, Size, StreamJob, TrainJob, case_of
from benchmarks.train.report import markdown
from benchmarks.train.settings import BESIDE, COMPILED, FIRST, LADDER, Case, Results, Setting, Trouble
from sharding.base.files import publish, write_json
from sharding.errors import AvsyncError

COMPILE_LIMITS = (60, 180)
"""On top of a job's own."""


class Bench:
    """Asks for figures while there is time, and writes them down."""

    name = "train"
    """Of the benchmark, and of its files."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.child = options, Child()
        self.end = time.monotonic() + 60 * options.minutes
        """When the time is over for what is done now."""
        self.results = self.empty(" ".join([f"python -m benchmarks.{self.name}", *sys.argv[1:]]))

    def empty(self, command: str) -> Results:
        """Where figures go."""
        return Results(command=command)

    def page(self) -> str:
        """All tables."""
        return markdown(self.results)

    def do(self, job: Job) -> None:
        """One job, and with half the clips when memory does not do."""
        if not any(word in job.what for word in self.options.only):
            return
        least, most = limits(job)
        left = max(0.0, self.end - time.monotonic())
        if left < least:
            self.take(Trouble(what=job.what, why=f"left out: {left:.0f} s left"))
            return
        work: Any = type(job).run
        try:
            self.take(self.child.ask(work, job, min(most, left)))
        except Failed as error:
            self.take(Trouble(what=job.what, why=str(error)))
            case, changed = case_of(job), cast(Any, job)
            if str(error) == OUT_OF_MEMORY and case and case.batch > 1:
                self.do(replace(changed, case=replace(case, batch=case.batch // 2)))

    def take(self, given: Any) -> None:
        """Print it, keep it, write all."""
        print(given, flush=True)
        self.results.add(given)
        self.write()

    def write(self) -> None:
        """What there is so far."""
        folder: Path = self.options.out
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{self.name}.json", self.results)
        with publish(folder / f"{self.name}.md") as file:
            file.write(self.page().encode())


def limits(job: Job) -> tuple[float, float]:
    """Seconds that must be left, and after which it is stopped."""
    case = case_of(job)
    more = COMPILE_LIMITS if case and case.setting.compiled else (0, 0)
    return job.limits[0] + more[0], job.limits[1] + more[1]


class Plan:
    """Which jobs, and in what order: what matters most comes first, later ones build on what earlier ones gave."""

    def __init__(self, options: argparse.Namespace, datasets: Sequence[Path], results: Results) -> None:
        """results: they grow while the plan goes on."""
        self.options, self.datasets, self.results = options, datasets, results
        self.size, self.streamed = Size(side=options.size, frames=options.frames), set[Case]()

    def jobs(self) -> Iterator[Job]:
        """In the order of importance."""
        yield MachineJob(device=self.options.device)
        yield from self.compute(FIRST)
        yield from self.stream()
        yield from self.compute(LADDER)
        yield from self.train()
        yield from self.compute(COMPILED)
        yield from self.stream()
        yield from self.other_batches()
        yield from self.compute(BESIDE)

    def compute(self, settings: Sequence[Setting]) -> Iterator[Job]:
        """Setting by setting, so that each has a figure for every network before the time is over."""
        for setting in settings:
            for network in self.options.networks:
                yield self._compute(Case(network=network, setting=setting, batch=self.options.batch))

    def other_batches(self) -> Iterator[Job]:
        """The fastest setting with twice and half the clips."""
        for case in self._fastest():
            for clips in (2 * case.batch, max(1, case.batch // 2)):
                yield self._compute(replace(case, batch=clips))

    def stream(self) -> Iterator[Job]:
        """The fastest setting so far, fed from each dataset; once."""
        device, seconds = self.options.device, 2 * self.options.seconds
        for case in self._fastest():
            for dataset in self.datasets if case not in self.streamed else ():
                yield StreamJob(device=device, case=case, size=self.size, dataset=dataset, seconds=seconds)
            self.streamed.add(case)

    def train(self) -> Iterator[Job]:
        """`avsync train` with as much of the fastest setting so far as it can be asked for."""
        device, steps = self.options.device, self.options.steps
        for case in self._fastest():
            known = replace(case, setting=replace(case.setting, stem=False, fused=False, per_example=False))
            for dataset in self.datasets[:1]:
                yield TrainJob(device=device, case=known, size=self.size, dataset=dataset, steps=steps)

    def _fastest(self) -> list[Case]:
        clips = self.options.batch
        found = [(network, self.results.best(network, clips)) for network in self.options.networks]
        return [Case(network=network, setting=setting, batch=clips) for network, setting in found if setting]

    def _compute(self, case: Case) -> Job:
        return ComputeJob(device=self.options.device, case=case, size=self.size, seconds=self.options.seconds)


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = command("train", __doc__)
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


def main() -> None:
    """Measure until the plan or the time is at its end."""
    bench = Bench(options_of())
    with TemporaryDirectory() as folder:
        try:
            for job in Plan(bench.options, datasets_of(bench, Path(folder)), bench.results).jobs():
                bench.do(job)
        finally:
            bench.child.close()
    print(bench.page())


if __name__ == "__main__":
    main()
