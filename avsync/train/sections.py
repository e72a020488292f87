"""What a rank is at, written where its watchdog reads it, with how long each section takes: what the limits learn from.

A section is entered and left in the main thread, and they lie in each other: a wait for data in a step, a collective
in a checkpoint. Each sign of life (a new section, a clip that came in) begins the clock anew.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from avsync.config import UNKNOWN_WAIT_S, RuntimeConfig, TrainConfig
from avsync.run.limits import (
    SECTIONS,
    WITH_OTHERS,
    HangRecord,
    Learnt,
    LimitRule,
    Limits,
    Section,
    hang_text,
    learnt_on,
    read_limits,
)
from avsync.run.paths import RunPaths
from avsync.train.watchdog import PAGE, PROGRAM, Orders, SectionPage, note_hang
from avsync.world import World
from sharding.base.environment import node_name
from sharding.base.files import to_json_line, write_json
from sharding.base.housekeeping import delete, housekeeping
from sharding.base.signals import STOPS

KEEP_S = 30.0
"""Between writings of limits.json."""
LEAVE_S = 2.0
NODE_BYTES = 64
_NUMBERS = {section: number for number, section in enumerate(SECTIONS)}


@dataclass(slots=True)
class Lap:
    """What was measured of a section since the last point of the curves."""

    count: int = 0
    longest_s: float = 0.0
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.total_s += seconds
        self.longest_s = max(self.longest_s, seconds)


class SectionWatch:
    """Of one rank. Use as a context manager, in the main thread; without a page nobody looks."""

    def __init__(self, *, rank: int = 0, nodes: tuple[str, ...] = ("",), rule: LimitRule | None = None) -> None:
        """nodes: of each rank."""
        self.rank, self.nodes, self.rule = rank, nodes, rule or LimitRule(fixed_s=UNKNOWN_WAIT_S)
        self.limits, self.laps = Limits(), {section: Lap() for section in SECTIONS}
        self._paths: RunPaths | None = None
        self._page: SectionPage | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._stack = [Section.NONE]
        self._number = self._step = 0
        self._shard, self._kept = b"", time.monotonic()
        self._since, self._lasted, self.forward_s = time.perf_counter(), 0.0, 0.0
        self._reckon()

    # What is told.

    def section(self, section: Section) -> "_Inside":
        """Inside, the rank is at this; afterwards again at what it was before."""
        return _Inside(self, section)

    def enter(self, section: Section) -> None:
        """... until it is left."""
        self._lap()
        if section is Section.GRADIENTS and self._stack[-1] is not Section.GRADIENTS:
            self.forward_s += self._lasted  # from the clips to the loss
        if section is Section.GRADIENTS and self._stack[-1] is Section.FIRST_STEP:
            section = Section.FIRST_STEP  # backward is compiled, too
        self._stack.append(section)
        self._write()

    def leave(self) -> None:
        self._lap()
        self._stack.pop()
        self._write()

    def again(self, what: str = "") -> None:
        """A sign of life. `what` it now waits for, or works at; empty: as before."""
        self._lap()
        if what:
            self._shard = what.encode(errors="replace")
        self._write()

    def lasted(self, section: Section, seconds: float) -> None:
        """Something of that kind was done beside, and will be waited for some day."""
        self.laps[section].add(seconds)

    def at(self, step: int) -> None:
        """Steps done."""
        self._step = step

    def marked(self, world: World) -> World:
        """The same world, whose collectives tell when they wait."""
        if world.ranks == 1:
            return world

        def told(ask: Callable[[Any], Any]) -> Callable[[Any], Any]:
            def asked(value: Any) -> Any:
                with self.section(Section.OTHERS):
                    return ask(value)

            return asked

        return replace(
            world,
            gather=told(world.gather),
            broadcast=told(world.broadcast),
            reduce=told(world.reduce),
            count=told(world.count),
        )

    # What a wait for clips asks (loading.options.WaitWatch).

    def limit_s(self) -> float:
        """Of the section that it is in."""
        section = self._stack[-1]
        return self._own[Section.DATA if section is Section.NONE else section]

    def hangs(self, waited_s: float) -> str:
        """No clip came in for so long: noted for the next attempt, and named."""
        section = self._stack[-1]
        hang = HangRecord(
            rank=self.rank,
            node=self.nodes[self.rank],
            section=section,
            step=self._step,
            shard=self._shard.decode(errors="replace"),
            seconds=round(waited_s, 1),
            limit_s=round(self.limit_s(), 1),
            at=time.time(),
        )
        if self._paths:
            note_hang(self._paths.hangs, hang)
        basis = self.rule.basis(self.limits.sections.get(section))
        return hang_text(hang, basis=basis, how="no clip came in", shard="it waits for")

    # What is learnt.

    @property
    def own_s(self) -> list[float]:
        """Seconds of waits for data and of forward passes since `take`: what other ranks may wait for."""
        return [self.laps[Section.DATA].total_s, self.forward_s]

    def take(self) -> tuple[list[float], list[float]]:
        """The longest of each section since it was last asked, and how many; in the order of SECTIONS."""
        longest = [self.laps[section].longest_s for section in SECTIONS]
        counts = [float(self.laps[section].count) for section in SECTIONS]
        self.laps, self.forward_s = {section: Lap() for section in SECTIONS}, 0.0
        return longest, counts

    def learn(self, longest: list[float], counts: list[float]) -> None:
        """The longest of all ranks, in the order of SECTIONS; the same on every rank, and kept by rank 0."""
        seen = zip(SECTIONS, longest, counts, strict=True)
        self.limits = self.limits.learn(
            {
                section: Learnt(int(count), long)
                for section, long, count in seen
                if count and section is not Section.NONE
            }
        )
        self._reckon()
        if time.monotonic() - self._kept > KEEP_S:
            self._keep()

    def _keep(self) -> None:
        self._kept = time.monotonic()
        if self._paths and self.rank == 0:
            with housekeeping("write", self._paths.limits):
                write_json(self._paths.limits, self.limits, lasting=False)

    def _reckon(self) -> None:
        """Limits are looked up at each sign of life: worked out when they change."""
        limits, rule = self.limits, self.rule
        self._own = {section: limits.limit_s(section, rule) for section in SECTIONS}
        self._shared = {
            (section, inside): limits.patience_s(section, inside, rule)
            for section in WITH_OTHERS
            for inside in SECTIONS
        }
        self._basis = {section: rule.basis(limits.sections.get(section)).encode() for section in SECTIONS}

    def _lap(self) -> None:
        now = time.perf_counter()
        self._lasted = now - self._since
        self.laps[self._stack[-1]].add(self._lasted)
        self._since = now

    def _write(self) -> None:
        if not self._page:
            return
        section, inside = self._stack[-1], self._stack[-2] if len(self._stack) > 1 else Section.NONE
        stopped = self._own[inside if section is Section.OTHERS and inside is not Section.NONE else section]
        limit = stopped
        if section in WITH_OTHERS and len(self.nodes) > 1:
            limit = self._shared[section, inside]
        self._number += 1
        self._page.write(
            self._number,
            _NUMBERS[section],
            _NUMBERS[inside],
            (stopped, limit),
            self._step,
            self._basis[section],
            self._shard,
        )

    # The watchdog.

    def start(self, paths: RunPaths, on: str, attempt: int) -> None:
        """From here on it is watched; with what earlier attempts have learnt."""
        self._paths, self.limits = paths, read_limits(paths, on)
        self._reckon()
        orders = Orders(
            pid=os.getpid(),
            rank=self.rank,
            ranks=len(self.nodes),
            nodes=self.nodes,
            attempt=attempt,
            hangs=paths.hangs,
            waiting=paths.waiting,
        )
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # inherited: whoever stops the run stops its ranks
        try:
            with tempfile.TemporaryFile() as file:
                file.truncate(PAGE)
                self._page = SectionPage(file.fileno())
                self._watchdog = subprocess.Popen(
                    [sys.executable, "-c", PROGRAM, str(file.fileno()), *sys.path],
                    pass_fds=[file.fileno()],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        assert self._watchdog.stdin
        with suppress(OSError):  # it could not start: its message stands above
            self._watchdog.stdin.write(to_json_line(orders) + b"\n")
            self._watchdog.stdin.flush()
        self._write()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._paths:
            longest, counts = self.take()  # a checkpoint after the last point
            self.learn(longest, counts)
            self._keep()
        self._page = None
        if self._watchdog and self._watchdog.stdin:
            with suppress(OSError):
                self._watchdog.stdin.close()
            try:
                self._watchdog.wait(LEAVE_S)
            except subprocess.TimeoutExpired:
                self._watchdog.kill()
                self._watchdog.wait()


class _Inside:
    """A section as a context manager: entered several times a step, so no generator."""

    __slots__ = ("_section", "_watch")

    def __init__(self, watch: SectionWatch, section: Section) -> None:
        self._watch, self._section = watch, section

    def __enter__(self) -> None:
        self._watch.enter(self._section)

    def __exit__(self, *_: object) -> None:
        self._watch.leave()


def rule_of(runtime: RuntimeConfig) -> LimitRule:
    """What a person has set."""
    return LimitRule(fixed_s=runtime.stop_after_s, floor_s=runtime.hang_floor_s)


@contextmanager
def watched(paths: RunPaths, config: TrainConfig, world: World) -> Iterator[SectionWatch]:
    """A rank under watch. Every rank must come here."""
    nodes, attempt = nodes_of(world), world.agree(int(time.time()))
    with SectionWatch(rank=world.rank, nodes=nodes, rule=rule_of(config.runtime)) as watch:
        if world.is_main and paths.waiting.is_dir():
            delete(paths.waiting)
        watch.start(paths, learnt_on(world.ranks, config.batch, str(world.device.type)), attempt)
        yield watch


def nodes_of(world: World) -> tuple[str, ...]:
    """The node of each rank, on every rank."""
    name = node_name().encode()[:NODE_BYTES].ljust(NODE_BYTES, b"\0")
    table = world.gather(torch.tensor([list(name)], dtype=torch.int32, device=world.device))
    return tuple(_name(row) for row in table)


def _name(row: Tensor) -> str:
    return bytes(row.tolist()).rstrip(b"\0").decode(errors="replace") or "?"
