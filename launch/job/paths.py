"""Every file of a job's folder, TARGET/jobs/KIND: beside the run, or the dataset, that it works on.

TARGET/jobs/train/
  job.json          JobRecord: what is to be done, where, with which profile; written before the job is queued
  queued.json       Queued: SLURM's numbers of it; written after
  script.sh         what sbatch was given; script-001.sh ... for an array in several pieces
  code/             snapshot of avsync: the job runs this, whatever becomes of the checkout
  environment.txt   versions of all packages, and the variables that matter
  log.txt           what all attempts printed; of an array logs/JOB_TASK.txt
  attempts.jsonl    Event: what began and ended, and why; of an array tasks/000000/attempts.jsonl
  outcome.json      Outcome: when it is over for good
  stop              while it lies there, the ranks save and leave
  cancelled         a person has cancelled the job

job.json, scripts and environment.txt are for their owner alone: a webhook's address, keys of a profile's [environment].
"""

from dataclasses import dataclass
from pathlib import Path

from sharding.base.environment import JOBS
from sharding.base.files import publish

RECORD = "job.json"


@dataclass(frozen=True, slots=True)
class TaskPaths:
    """Files of one task of an array, or of a whole job that is none."""

    folder: Path

    @property
    def attempts(self) -> Path:
        return self.folder / "attempts.jsonl"

    @property
    def outcome(self) -> Path:
        return self.folder / "outcome.json"

    @property
    def stop(self) -> Path:
        return self.folder / "stop"

    def ask_to_stop(self) -> None:
        """The ranks save and leave when they see it. Raises OSError."""
        with publish(self.stop, lasting=False):
            pass


@dataclass(frozen=True, slots=True)
class JobPaths:
    """Files of a job."""

    root: Path

    @classmethod
    def of(cls, target: Path, kind: str) -> "JobPaths":
        """The job of that kind on a run or dataset."""
        return cls(target / JOBS / kind)

    @property
    def target(self) -> Path:
        return self.root.parent.parent

    @property
    def record(self) -> Path:
        return self.root / RECORD

    @property
    def queued(self) -> Path:
        return self.root / "queued.json"

    @property
    def code(self) -> Path:
        return self.root / "code"

    @property
    def environment(self) -> Path:
        return self.root / "environment.txt"

    @property
    def cancelled(self) -> Path:
        return self.root / "cancelled"

    @property
    def log(self) -> Path:
        return self.root / "log.txt"

    @property
    def logs(self) -> Path:
        """Of an array."""
        return self.root / "logs"

    @property
    def tasks(self) -> Path:
        """Of an array."""
        return self.root / "tasks"

    def script(self, piece: int, pieces: int) -> Path:
        return self.root / ("script.sh" if pieces == 1 else f"script-{piece:03d}.sh")

    def task(self, number: int | None) -> TaskPaths:
        """`number`: of the task in the whole array; None for a job that is no array."""
        return TaskPaths(self.root if number is None else self.tasks / f"{number:06d}")
