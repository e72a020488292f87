"""Runs what is compared: in processes of their own, in turn, round after round, and keeps every figure.

What slows the machine slows all ways of a round: ratios are taken within a round, and the median of them counts.
"""

import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from rich.console import Console
from rich.progress import track

from benchmarks.base.child import OUT_OF_MEMORY

ROOT = Path(__file__).parents[2]
ALONE_S = 1200
"""After which a process that should end by itself is ended."""
NO_ENVIRONMENT: Mapping[str, str] = {}
LEAVE_S, LOOK_S = 5, 0.1
"""For a process to leave by itself; and how often one is looked at that may die, its workers holding the pipe."""
Given = TypeVar("Given")
Figure = TypeVar("Figure")
Way = TypeVar("Way")


class Failed(Exception):
    """A run that did not end well; says why, in a line."""


class Child:
    """A process for what is measured: it may run out of memory, hang or die, and the table goes on.

    After trouble the next work gets a new one, for a GPU's errors stay with a process. `environment`: beside our own.
    """

    def __init__(self, python: str = sys.executable, environment: Mapping[str, str] = NO_ENVIRONMENT) -> None:
        self._python, self._environment = python, {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def ask(
        self, work: Callable[[Given], Figure], given: Given, limit_s: float = ALONE_S, cores: int | None = None
    ) -> Figure:
        """What work(given) returns there. Raises Failed: also when it takes longer than `limit_s`."""
        self.send(work, given, cores)
        return self.answer(limit_s)

    def send(self, work: Callable[[Given], object], given: Given, cores: int | None = None) -> None:
        """Begin; `cores`: it may use so many from now on. Several children work at the same time."""
        if self._process is None:
            self._start()
        self._began = time.monotonic()
        with suppress(OSError):  # it is dead: its answer tells
            self._pipe.send((work, given, cores))

    def answer(self, limit_s: float = ALONE_S) -> Any:
        """What the work that was sent has given. Raises Failed."""
        assert self._process
        end = self._began + limit_s
        while not self._pipe.poll(LOOK_S) and self._process.poll() is None and time.monotonic() < end:
            pass
        try:
            late = not self._pipe.poll() and self._process.poll() is None
            figures, trouble = (None, f"not done after {limit_s:.0f} s") if late else self._pipe.recv()
        except (EOFError, OSError):
            figures, trouble = None, self._last_words()
        if trouble and trouble != OUT_OF_MEMORY:
            self.close()
        if trouble:
            raise Failed(trouble)
        return figures

    def close(self) -> None:
        """It leaves by itself when it is idle; workers that it left behind are ended."""
        if self._process is None:
            return
        self._pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(LEAVE_S)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._output.close()
        self._process = None

    def _start(self) -> None:
        self._pipe, theirs = Pipe()
        self._output = tempfile.TemporaryFile()
        command = [self._python, "-m", "benchmarks.base.child", str(theirs.fileno())]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self._environment,
            stdout=self._output,
            stderr=self._output,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()

    def _last_words(self) -> str:
        assert self._process
        code, after = self._process.wait(), time.monotonic() - self._began
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").split("\n")
        words = next((f": {line.strip()}" for line in reversed(lines) if line.strip()), "")
        return f"its process ended by {code} after {after:.0f} s{words}"


def alone(work: Callable[[Given], Figure], given: Given, **how: Any) -> Figure:
    """work(given) in a new process; `how`: as Child.ask takes it. Raises Failed."""
    with closing(Child()) as child:
        return child.ask(work, given, **how)


class Rounds(dict[Way, list[Figure | None]], Generic[Way, Figure]):
    """Way -> what came of it, round by round; None where it failed."""

    def __init__(self) -> None:
        super().__init__()
        self.troubles = dict[Way, str]()
        """Why ways failed the last time they did."""

    def add(self, way: Way, figure: Figure | None) -> None:
        """The next round's."""
        self.setdefault(way, []).append(figure)

    def by_name(self) -> dict[str, list[Figure | None]]:
        """For JSON."""
        return {str(way): figures for way, figures in self.items()}

    def each(self, way: Way, what: Callable[[Figure], float]) -> list[float]:
        """A figure of the rounds that went well."""
        return [what(one) for one in self.get(way, []) if one is not None]

    def median(self, way: Way, what: Callable[[Figure], float]) -> float | None:
        """None when no round went well."""
        found = self.each(way, what)
        return statistics.median(found) if found else None

    def ratios(self, above: Way, below: Way, what: Callable[[Figure], float]) -> list[float]:
        """Of a figure, for each round in which both went well."""
        pairs = zip(self.get(above, []), self.get(below, []), strict=False)
        return [what(one) / what(other) for one, other in pairs if one is not None and other is not None]


def in_turn(ways: Mapping[Way, Callable[[], Figure]], rounds: int, retry: bool = True) -> Rounds[Way, Figure]:
    """Every way in every round; who fails gets a line, and without `retry` is left out from there on."""
    console, found, lost = Console(stderr=True), Rounds[Way, Figure](), set[Way]()
    for number in range(rounds):
        for way in track(ways, description=f"round {number + 1} of {rounds}", console=console):
            figure = None
            if way not in lost:
                try:
                    figure = ways[way]()
                except Failed as error:
                    console.print(f"{way}: {error}", markup=False, highlight=False)
                    found.troubles[way] = str(error)
                    lost |= set() if retry else {way}
            found.add(way, figure)
    return found


class Cost(NamedTuple):
    """Seconds: of all processors, and by the clock."""

    cpu: float
    wall: float


def cost_of(work: Callable[[], object]) -> Cost:
    """What work costs in this process and in the children that it has waited for."""
    cpu, wall = _cpu_s(), time.perf_counter()
    work()
    wall = time.perf_counter() - wall
    return Cost(_cpu_s() - cpu, wall)


def seconds(work: Callable[[], object]) -> float:
    """By the clock."""
    return cost_of(work).wall


def _cpu_s() -> float:
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def warm(paths: Iterable[Path], block: int = 2**22) -> None:
    """Read files into the page cache and forget them: right before a timed run, for idle pages go."""
    buffer = bytearray(block)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
