"""Packing without worker processes: for tests that put faults into their code, or hear what it does."""

from typing import Any

from sharding.base.workers import Died, Done, Progress, Workers


class InProcess(Workers[Any]):
    """One task at a time, here."""

    def __init__(self, *_: object) -> None:
        super().__init__(1, lambda: None)
        self._done: list[Done[Any] | Progress[Any] | Died[Any]] = []

    @property
    def busy(self) -> int:
        return len(self._done)

    def give(self, task: Any) -> None:
        self._done = [Done(task, task.run(lambda done, of: None))]

    def news(self, seconds: float) -> list[Done[Any] | Progress[Any] | Died[Any]]:
        done, self._done = self._done, []
        return done
