"""What a checkpoint costs the training: written while it waits, as it was before, and beside it, as it is.

python -m benchmarks.checkpoint [--rounds 9] [--folder FOLDER]

The network, optimiser and windows of `--preset paper`, on the CPU; training itself is left out. Both ways take turns,
and ratios are those within a round. The stall is what `Saver.save` takes when nothing is being written: the copy. Its
CPU time is shown, too, since a wall clock counts whoever else uses the machine. FOLDER: on the disk to be measured.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from torch import nn

from avsync.models import build_model
from avsync.presets import paper
from avsync.run.checkpoint import Saved, save_checkpoint
from avsync.run.paths import RunPaths
from avsync.run.saver import Saver
from avsync.run.state import State
from avsync.spec import InputSpec
from avsync.train.step import build_optimizer
from benchmarks.base.table import Table, command
from sharding.base.text import percent, size
from sharding.format.clip import Clock

WANTED = 0.1
"""The stall is to be less than so much of a save that is waited for."""
KEEP = 2


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A network that has done a step, and its optimiser."""

    network: nn.Module
    optimizer: torch.optim.Optimizer

    @classmethod
    def of_preset(cls) -> "Subject":
        """The paper's, as its preset has it for videos of 30 fps and 44.1 kHz."""
        config, clock = paper(), Clock(fps=Fraction(30), sample_rate=44_100)
        frames = round(config.pairs.window_s * 30)
        spec = InputSpec(frames=frames, height=224, width=224, samples=clock.sample_at(frames), channels=1, clock=clock)
        network = build_model(config.model, spec)
        optimizer = build_optimizer(network.parameters(), config.optim)
        for weight in network.parameters():
            weight.grad = torch.randn_like(weight)
        optimizer.step()
        return cls(network, optimizer)

    def saved(self, step: int) -> Saved:
        """What a checkpoint of that step holds."""
        state = State(step=step, model="paper", digest="", skipped=0)
        return Saved(state=state, model=self.network.state_dict(), optimizer=self.optimizer.state_dict())


class Round(NamedTuple):
    """Seconds."""

    waited: float
    stall: float
    stall_cpu: float
    beside: float
    """From the step boundary until the checkpoint is whole."""


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and CPU seconds of this thread."""
    began, cpu = time.perf_counter(), time.thread_time()
    work()
    return time.perf_counter() - began, time.thread_time() - cpu


def measure(subject: Subject, folder: Path, rounds: int) -> list[Round]:
    """Each way once a round; the memory for the copy is there, as after a run's first step."""
    paths, found = RunPaths(folder), list[Round]()
    with Saver(paths, KEEP, subject.saved(0).state, failed=lambda: None) as saver:
        saver.reserve(subject.network.state_dict(), subject.optimizer.state_dict())
        saver.settle()
        for step in range(1, 2 * rounds, 2):
            waited, _ = timed(lambda at=step: save_checkpoint(paths, subject.saved(at)))
            began = time.perf_counter()
            stall, cpu = timed(lambda at=step: saver.save(subject.saved(at + 1)))
            saver.settle()
            found.append(Round(waited, stall, cpu, time.perf_counter() - began))
    return found


def table(found: list[Round], bytes_of_checkpoint: int) -> Table:
    """Medians, and whether the stall is short enough."""
    ratio = statistics.median(one.stall / one.waited for one in found)
    made = Table(
        f"a checkpoint of {size(bytes_of_checkpoint)}, the paper's network with momentum, medians of {len(found)}",
        ("what", "ms"),
        note=f"the stall is {percent(ratio)} of a save that is waited for; wanted: below {percent(WANTED, 0)}: "
        f"{'reached' if ratio < WANTED else 'missed'}",
    )
    for name, what in (
        ("training waits for the save", "waited"),
        ("training stalls while it is copied", "stall"),
        ("... CPU time of that", "stall_cpu"),
        ("until it is whole, beside training", "beside"),
    ):
        made.add(name, f"{1e3 * statistics.median(getattr(one, what) for one in found):.0f}")
    return made


def main() -> None:
    """Measure, and print the table."""
    parser = command("checkpoint", __doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--folder", type=Path, help="where checkpoints are written and deleted again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = measure(Subject.of_preset(), Path(folder), options.rounds)
        (newest,) = RunPaths(Path(folder)).saved_steps()[:1]
        total = sum(path.stat().st_size for path in RunPaths(Path(folder)).checkpoint(newest).iterdir())
    Console().print(table(found, total).rich())


if __name__ == "__main__":
    main()
