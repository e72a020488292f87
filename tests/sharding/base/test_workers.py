"""A process that dies of its task is known by its task and its end; the others go on, and none stays behind."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sharding.base.workers import (
    CRASHES,
    NEVER_BEGAN,
    OUT_OF_MEMORY,
    OUT_OF_TIME,
    Died,
    Done,
    Progress,
    Report,
    Task,
    Workers,
    limit_cpu,
    limit_memory,
    start_worker,
)
from sharding.errors import RejectError, RejectReason

MEMORY = 200 * 2**20


def little_memory() -> None:
    limit_memory(MEMORY)


@dataclass(frozen=True)
class Square:
    number: int

    def run(self, report: Report) -> int:
        report(1, 2)
        return self.number**2


@dataclass(frozen=True)
class Spin:
    """Computes for ever, first in a library that never comes back to Python."""

    def run(self, report: Report) -> None:
        limit_cpu(0.3)
        while True:
            np.sort(np.random.default_rng(0).random(3_000_000))


@dataclass(frozen=True)
class Sleep:
    """Waits longer than its CPU time: not its fault."""

    def run(self, report: Report) -> str:
        limit_cpu(0.2)
        time.sleep(0.5)
        limit_cpu(0)
        return "rested"


@dataclass(frozen=True)
class Hog:
    megabytes: int

    def run(self, report: Report) -> int:
        return int(np.ones(self.megabytes * 2**20, np.uint8)[-1])


@dataclass(frozen=True)
class Kill:
    signal: int

    def run(self, report: Report) -> None:
        os.kill(os.getpid(), self.signal)


@dataclass(frozen=True)
class Refuse:
    def run(self, report: Report) -> None:
        raise RejectError(RejectReason.SILENT, "not a sound")


@dataclass(frozen=True)
class Stumble:
    def run(self, report: Report) -> None:
        raise KeyError("a bug")


def work(tasks: list[Task], count: int = 2) -> list[Done[Any] | Progress[Any] | Died[Any]]:
    """All news of `tasks`, in the order of arrival."""
    waiting, news = list(tasks), []
    with Workers[Any](count, little_memory) as workers:
        while waiting or workers.busy:
            while waiting and workers.room:
                workers.give(waiting.pop(0))
            news += workers.news(10)
    return news


def test_every_task_is_done_once_and_tells_how_far_it_is():
    news = work([Square(number) for number in range(20)], count=3)
    assert sorted(one.result for one in news if isinstance(one, Done)) == [number**2 for number in range(20)]
    assert [(one.done, one.of) for one in news if isinstance(one, Progress)] == [(1, 2)] * 20


@pytest.mark.parametrize(
    ("task", "code"),
    [(Spin(), OUT_OF_TIME), (Hog(400), OUT_OF_MEMORY), (Kill(signal.SIGSEGV), CRASHES[0]), (Kill(9), -9)],
)
def test_the_end_of_a_process_tells_its_cause_and_the_others_go_on(task: Task, code: int):
    news = work([Square(1), task, Square(2), Square(3)])
    assert [(one.task, one.code) for one in news if isinstance(one, Died)] == [(task, code)]
    assert sorted(one.result for one in news if isinstance(one, Done)) == [1, 4, 9]


def test_what_stays_within_its_limits_lives():
    news = work([Hog(50), Sleep(), Hog(50)])
    assert sorted(str(one.result) for one in news if isinstance(one, Done)) == ["1", "1", "rested"]


def test_errors_come_back_as_they_were_and_bugs_with_their_place():
    with pytest.raises(RejectError, match="silent: not a sound"):
        work([Refuse()])
    with pytest.raises(RuntimeError, match=r"in a worker process(?s:.*)test_workers.py(?s:.*)KeyError: 'a bug'"):
        work([Stumble()])


def test_leaving_in_the_middle_ends_every_process():
    with Workers[Any](2, start_worker) as workers:
        for task in (Spin(), Sleep()):
            workers.give(task)
        pids = [worker.process.pid for worker in workers._workers]
    for pid in pids:
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


SCRIPT = """
from sharding.base.workers import Workers
from tests.sharding.base.test_workers import Square, little_memory

{guard}with Workers(2, little_memory) as workers:
    {indent}workers.give(Square(3))
    {indent}while workers.busy:
    {indent}    for one in workers.news(1):
    {indent}        print(one)
"""


@pytest.mark.parametrize("guarded", [True, False])
def test_a_script_that_every_worker_would_run_again_is_told_so_at_once(guarded: bool, tmp_path: Path) -> None:
    guard, indent = ('if __name__ == "__main__":\n    ', "    ") if guarded else ("", "")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(guard=guard, indent=indent))
    done = subprocess.run(
        [sys.executable, str(script)], env={**os.environ, "PYTHONPATH": os.getcwd()}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    if guarded:
        assert (done.returncode, done.stdout.split("\n")[-2]) == (0, "Done(task=Square(number=3), result=9)"), (
            done.stderr
        )
    else:
        assert done.returncode
        assert done.stderr.strip().splitlines()[-1].endswith(NEVER_BEGAN)
