"""Processes that do one task each at a time, and may die of it: who died is known, the others go on.

Every worker has a pipe of its own, so that one that is killed leaves no lock behind. The kernel enforces what one may
take of the machine, memory and CPU time between two signs of progress: no decoder's loop and no lock of Python gets
around that. Knows nothing of media.
"""

import multiprocessing
import os
import resource
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from sharding.base.libraries import load_trouble
from sharding.base.signals import LEFT_TO_PARENT, ctrl_c_held
from sharding.errors import AvsyncError

Report = Callable[[int, int], None]
"""Called by a task with what it has done and has to do."""
LEAVE_S = 5
OUT_OF_MEMORY = 77
"""Exit code of a process that met its limit."""
OUT_OF_TIME = -signal.SIGPROF
"""Exit code of one that used up its CPU time."""
BEGAN = "began"
"""First message of a worker."""
NEVER_BEGAN = (
    "a worker process ended before it began; its own words stand above. Each imports the script that was started: what "
    'a script does with avsync must stand under `if __name__ == "__main__":`'
)
CRASHES = tuple(-number for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL))
"""Exit codes of one that a library's fault ended."""


def limit_memory(more: int) -> None:
    """From now on this process gets at most `more` bytes; asking for more is a MemoryError. Linux only."""
    status = Path("/proc/self/status")
    if not status.exists():  # macOS takes the limit, and ignores it
        return
    held = next(line for line in status.read_text().splitlines() if line.startswith("VmData"))
    wanted = int(held.split()[1]) * 1024 + more
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def limit_cpu(seconds: float) -> None:
    """End this process when it has computed for so long; called again, it starts anew. 0 = no limit.

    CPU time, not hours: a slow disk or a busy machine is no fault of a video.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)


def start_worker() -> None:
    """First call in each worker of any pool here: leave Ctrl-C and its like to the parent, and die with it."""
    for number in LEFT_TO_PARENT:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class Task(Protocol):
    """Something to do in another process; must survive pickling."""

    def run(self, report: Report) -> Any:
        """Do it; may raise AvsyncError."""
        ...


T = TypeVar("T", bound=Task)


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """A task is through."""

    task: T
    result: Any


@dataclass(frozen=True, slots=True)
class Progress(Generic[T]):
    """A task is under way."""

    task: T
    done: int
    of: int


@dataclass(frozen=True, slots=True)
class Died(Generic[T]):
    """A process ended in the middle of a task. `code` is minus the signal that ended it, or its exit code."""

    task: T
    code: int


@dataclass(frozen=True, slots=True)
class _Failed:
    error: AvsyncError | None
    trace: str


class _Worker(Generic[T]):
    def __init__(self, prepare: Callable[[], None]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_work, args=(theirs, prepare), daemon=True)
        self.process.start()
        theirs.close()
        self.task: T | None = None
        self.began = False
        """It has come as far as our own code: before that it imports the script that was started."""

    def end(self) -> None:
        """Wait for the end of the process, not for ever: a library may hang at its exit."""
        self.process.join(LEAVE_S)
        self.process.kill()
        self.process.join()


class Workers(Generic[T]):
    """Up to `count` processes; `prepare` is called once in each. Use as a context: at its end all are gone."""

    def __init__(self, count: int, prepare: Callable[[], None]) -> None:
        self._count, self._prepare = count, prepare
        self._workers: list[_Worker[T]] = []

    def __enter__(self) -> "Workers[T]":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill() if worker.task else worker.pipe.close()  # an idle one sees the end and leaves
        for worker in self._workers:
            worker.end()

    @property
    def room(self) -> bool:
        """Another task can be given."""
        return self.busy < self._count

    @property
    def busy(self) -> int:
        """Tasks in hand."""
        return sum(worker.task is not None for worker in self._workers)

    def give(self, task: T) -> None:
        """Start a task; there must be room."""
        worker = next((worker for worker in self._workers if worker.task is None), None)
        if worker is None:
            with ctrl_c_held():
                worker = _Worker[T](self._prepare)
            self._workers.append(worker)
        worker.task = task
        try:
            worker.pipe.send(task)
        except OSError:
            pass  # it died while idle: the next `news` reports it

    def news(self, seconds: float) -> list[Done[T] | Progress[T] | Died[T]]:
        """What has happened; waits up to `seconds` for it. Raises the AvsyncError of a task that failed."""
        busy = [worker for worker in self._workers if worker.task is not None]
        ready = wait([worker.pipe for worker in busy], seconds)
        found = (self._receive(worker) for worker in busy if worker.pipe in ready)
        return [one for one in found if one is not None]

    def _receive(self, worker: _Worker[T]) -> Done[T] | Progress[T] | Died[T] | None:
        task = worker.task
        assert task is not None
        try:
            answer = worker.pipe.recv()
        except (EOFError, OSError):
            worker.end()
            self._workers.remove(worker)
            if worker.process.exitcode == 1 and not worker.began:
                raise AvsyncError(NEVER_BEGAN) from None
            return Died(task, worker.process.exitcode or 0)
        if answer == BEGAN:
            worker.began = True
            return None
        if isinstance(answer, tuple):
            return Progress(task, *answer)
        worker.task = None
        if isinstance(answer, _Failed):
            raise answer.error or RuntimeError(f"in a worker process:\n{answer.trace}")
        return Done(task, answer[0])


def _work(pipe: Connection, prepare: Callable[[], None]) -> None:
    """The life of a worker process: it answers (done, of) under way, [result] or a _Failed at the end."""
    start_worker()
    pipe.send(BEGAN)
    prepare()
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            result = task.run(lambda done, of: pipe.send((done, of)))
        except MemoryError:
            raise SystemExit(OUT_OF_MEMORY) from None  # whatever has filled it goes with it
        except AvsyncError as error:
            pipe.send(_Failed(error, ""))
        except Exception as error:  # a bug, mostly: the parent shows where
            trouble = load_trouble(error)
            pipe.send(_Failed(AvsyncError(trouble) if trouble else None, traceback.format_exc()))
        else:
            pipe.send([result])
