"""What stock submitit runs in benchmarks.slurm_requeue: the toy trainer's steps and saves, as its guide says."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from submitit.helpers import DelayedSubmission


@dataclass
class StockTraining:
    """Steps of `step_s`, a save after every `save_every`; `checkpoint` is what submitit calls before a requeue."""

    run: str
    steps: int
    step_s: float
    save_every: int

    def __call__(self) -> None:
        run, rank = Path(self.run), int(os.environ["SLURM_PROCID"])
        saves = run / "checkpoints"
        for step in range(max((int(path.name) for path in saves.glob("*")), default=0), self.steps):
            time.sleep(self.step_s)
            with (run / f"steps-{rank}.txt").open("a") as file:
                file.write(f"{step} {time.time()}\n")
            self.step = step + 1
            if self.step % self.save_every == 0:
                self.save()

    def save(self) -> None:
        if os.environ["SLURM_PROCID"] == "0":
            (Path(self.run) / "checkpoints" / f"{self.step:08d}").mkdir(parents=True, exist_ok=True)

    def checkpoint(self) -> DelayedSubmission:
        self.save()
        return DelayedSubmission(StockTraining(self.run, self.steps, self.step_s, self.save_every))
