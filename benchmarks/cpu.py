"""How many clips a second a CPU trains on: as it was, with memory kept, and in another memory order as well.

python -m benchmarks.cpu [--sizes 48 64 96] [--networks small covariance] [--rounds 3] [--markdown FILE]

Whole steps of windows of 4 s at 15 fps and 16 kHz, 8 clips each, on random bytes that lie in memory; no loader runs
beside. Every figure is that of a process of its own, ways in turn, round after round. `as before` gives memory back to
the kernel as glibc does by itself; `kept` is `avsync train --runtime.no-tune`, and the faster of the last two is what
`avsync train` takes.
"""

import statistics
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import get_args

import torch

from avsync.config import ModelName
from avsync.world import cores_of_rank, use_cores
from benchmarks.base.runner import Child, in_turn
from benchmarks.base.table import command, of_rounds, ratio_to, report, spread, wide_console
from benchmarks.peers.install import machine
from benchmarks.train.jobs import Size
from benchmarks.train.settings import Case, Setting
from benchmarks.train.step import Stepper, resident_batch, spec_of, step_times

BATCH, FRAMES, FPS, SAMPLE_RATE = 8, 60, 15, 16_000
WARM, STEPS = 4, 6
BEFORE = "as before"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A network in one form."""

    network: ModelName
    side: int
    form: str = BEFORE

    def __str__(self) -> str:
        return f"{self.network}, {self.side} pixels, {self.form}"

    @property
    def before(self) -> "Trial":
        return replace(self, form=BEFORE)


FORMS = (BEFORE, "kept", "kept, channels last")


def clips_s(trial: Trial) -> float:
    """By the median of some steps, in this process."""
    device = torch.device("cpu")
    if trial.form == BEFORE:
        torch.set_num_threads(cores_of_rank())
    else:
        use_cores(device)
    view = Size(side=trial.side, frames=FRAMES).view()
    spec = spec_of(FRAMES, view, FPS, SAMPLE_RATE)
    setting = Setting(precision="ieee", channels_last="channels last" in trial.form)
    stepper = Stepper(Case(network=trial.network, setting=setting, batch=BATCH), spec, view, device)
    batch = resident_batch(BATCH, spec, view, device)
    times = step_times(lambda: stepper(batch), device, WARM + STEPS)
    return BATCH / statistics.median(times[WARM:])


def measured(trial: Trial) -> float:
    """In a process of its own, for what it keeps of memory."""
    with closing(Child()) as child:
        return child.ask(clips_s, trial)


def main() -> None:
    """Run all, print the table."""
    parser = command("cpu", __doc__, outputs=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[48, 64, 96], help="pixels of a picture's side")
    parser.add_argument("--networks", nargs="+", choices=get_args(ModelName), default=["small", "covariance"])
    parser.add_argument("--rounds", type=int, default=3)
    options, console = parser.parse_args(), wide_console()
    trials = [
        Trial(network=network, side=side, form=form)
        for network in options.networks
        for side in options.sizes
        for form in FORMS
    ]
    rounds = in_turn({trial: partial(measured, trial) for trial in trials}, options.rounds)
    columns = {"clips/s": spread("", ".1f"), "/ as before": ratio_to(lambda trial: trial.before)}
    table = of_rounds(f"training, {cores_of_rank()} cores", rounds, columns)
    report([table], machine({}, f"{options.rounds} rounds"), console, options, rounds.by_name())


if __name__ == "__main__":
    from benchmarks import cpu  # under this name its processes find what they are sent

    cpu.main()
