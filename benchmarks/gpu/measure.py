"""Asks for every part's figures while its time lasts, and writes gpu.md, gpu.json and profile.txt after each.

python -m benchmarks.gpu calls this in the environment that it made. What fails costs a line under the tables, and what
takes too long the rest of its part.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import torch

from benchmarks.base.child import reason
from benchmarks.base.table import command
from benchmarks.gpu.parts import GpuResults, Part, PartTime, Plan
from benchmarks.gpu.report import markdown
from benchmarks.gpu.sizes import FULL, TOY
from benchmarks.train.__main__ import Bench
from benchmarks.train.jobs import Device
from benchmarks.train.settings import Trouble
from sharding.base.files import publish

LEAST_S = 5.0
"""With less time left no part is begun."""


class GpuBench(Bench):
    """A time for each part, within the whole one."""

    name = "gpu"
    results: GpuResults

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.whole_end = self.end

    def empty(self, command: str) -> GpuResults:
        return GpuResults(command=command)

    def page(self) -> str:
        return markdown(self.results)

    def do_part(self, part: Part) -> None:
        """Its jobs; whatever goes wrong is the part's own."""
        begun, before = time.monotonic(), self._counts()
        if begun + LEAST_S > self.whole_end:
            self.take(Trouble(what=part.name, why=f"left out: {max(0.0, self.whole_end - begun):.0f} s left"))
            return
        self.end = min(begun + part.budget_s, self.whole_end)
        try:
            for job in part.jobs():
                self.do(job)
        except Exception as error:  # the next part may do
            self.take(Trouble(what=part.name, why=reason(error)))
        figures, troubles = (now - was for now, was in zip(self._counts(), before, strict=True))
        took_s = time.monotonic() - begun
        row = PartTime(part=part.name, budget_s=part.budget_s, took_s=took_s, figures=figures, troubles=troubles)
        self.results.parts.append(row)
        self.write()

    def _counts(self) -> tuple[int, int]:
        found = self.results
        lists = (found.computed, found.streamed, found.packed, found.learned, found.profiled)
        return sum(map(len, lists)) + bool(found.machine), len(found.troubles)


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = command("gpu.measure", __doc__)
    found: Device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=get_args(Device), default=found)
    parser.add_argument("--toy", action="store_true", help="small networks of tiny pictures: does it run?")
    parser.add_argument("--minutes", type=float, default=8, help="for everything; what does not fit is left out")
    parser.add_argument("--parts", nargs="+", default=[""], metavar="WORD", help="parts whose name has one of these")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="jobs whose line has one of these")
    parser.add_argument("--out", type=Path, default=Path("gpu-figures"))
    return parser.parse_args(arguments)


def main() -> None:
    """Measure until the parts or the time are at their end."""
    bench = GpuBench(options := options_of())
    with TemporaryDirectory() as folder:
        plan = Plan(options.device, TOY if options.toy else FULL, Path(folder), bench.results)
        try:
            for part in plan.parts():
                if any(word in part.name for word in options.parts):
                    bench.do_part(part)
        finally:
            bench.child.close()
    profiles = [f"{found.case}\n{found.table}" for found in bench.results.profiled]
    with publish(options.out / "profile.txt") as file:
        file.write("\n\n".join(profiles).encode())
    print(bench.page())


if __name__ == "__main__":
    main()
