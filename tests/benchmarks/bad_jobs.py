"""Jobs for the measuring process that it must survive. Light to import: each new process imports them."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from benchmarks.train.settings import Case, Machine


def named(name: str) -> Machine:
    """An answer that can be told from others."""
    return Machine(device=name, cores=1, torch="", cudnn="", bf16_tflops=1, copy_gb_s=1)


def too_much() -> None:
    import torch

    raise torch.OutOfMemoryError("2 EiB")


DEEDS: dict[str, Callable[[], object]] = {
    "die": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "hang": lambda: time.sleep(600),
    "fail": lambda: [][1],
    "need too much": too_much,
    "say who": lambda: None,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """A job that does something unpleasant, or names its process."""

    limits: ClassVar[tuple[float, float]] = (1, 60)
    deed: str
    what: str = "an act"

    def run(self) -> Machine:
        DEEDS[self.deed]()
        return named(str(os.getpid()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Hungry:
    """Needs more memory than there is for more than two clips."""

    limits: ClassVar[tuple[float, float]] = (1, 60)
    case: Case
    what: str = "a hungry job"

    def run(self) -> Machine:
        if self.case.batch > 2:
            too_much()
        return named(f"{self.case.batch} clips")
