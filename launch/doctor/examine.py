"""The check-up itself: submit the probes, answer them by the shared folder, wait, and clear away."""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import launch
from launch.doctor.on_node import OF_SHELL
from launch.doctor.results import read_signals
from launch.doctor.scripts import Looks, scripts
from launch.queue.ask import QueueError, ask
from launch.queue.squeue import QueueRow, plainly, read_jobs
from launch.site.profile import ClusterProfile
from launch.submit.sbatch import submit_script
from sharding.base.files import OWN, OWN_FOLDER, PRIVATE, copy_file, publish
from sharding.base.guarded import claim, make_folder
from sharding.base.housekeeping import why_refused
from sharding.errors import InputError

LOOK_S, ASK_S = 0.2, 3.0
PROBES = (
    *("__init__", "doctor/__init__", "doctor/on_node", "doctor/meeting", "doctor/probe_node", "doctor/probe_signals"),
    *("job/__init__", "job/interface", "job/srun"),
)
"""Modules that are copied to where the nodes see them: no other part of avsync need be there."""


@dataclass(slots=True)
class CheckUp:
    """Four jobs."""

    profile: ClusterProfile
    folder: Path
    looks: Looks
    say: Callable[[str], None]
    jobs: dict[str, str] = field(default_factory=dict[str, str])
    """Name of the script -> SLURM's number."""
    refused: dict[str, str] = field(default_factory=dict[str, str])
    """... -> why SLURM did not take it."""
    left: dict[str, str] = field(default_factory=dict[str, str])
    """... -> why it did not end in time."""
    cancelled: float | None = None
    """UNIX seconds of scancel."""
    _answered: bool = False

    def run(self, patience_s: float) -> None:
        """Until all have ended, or patience has; whatever happens, no job is left. Raises InputError without SLURM."""
        try:
            lay_out(self.folder)
            try:
                self._submit()
                self._wait(patience_s)
            finally:
                self._take_back()
        except KeyboardInterrupt:
            shutil.rmtree(self.folder, ignore_errors=True)  # half a check-up tells nothing
            raise

    def _take_back(self) -> None:
        if self.jobs:
            with suppress(QueueError):
                ask(["scancel", "--quiet", *self.jobs.values()])

    def _submit(self) -> None:
        os.environ[OF_SHELL] = "1"  # a variable like any other: is it seen there?
        for name, text in scripts(self.profile, self.folder, self.looks).items():
            with publish(self.folder / f"{name}.sh", lasting=False, mode=PRIVATE) as file:
                file.write(text.encode())
            try:
                self.jobs[name] = submit_script(text)
            except QueueError as error:
                self.refused[name] = str(error)
        del os.environ[OF_SHELL]
        if self.jobs:
            self.say(f"jobs {', '.join(self.jobs.values())} are queued; what they write goes to {self.folder}")

    def _wait(self, patience_s: float) -> None:
        ends, asked, rows = time.monotonic() + patience_s, 0.0, list[QueueRow]()
        shown = ""
        while self.jobs:
            self._answer()
            if time.monotonic() - asked > ASK_S:
                rows, asked = self._rows(), time.monotonic()
                if not rows:
                    return
                shown = self._tell(rows, shown)
            if time.monotonic() > ends:
                break
            time.sleep(LOOK_S)
        names = {job: name for name, job in self.jobs.items()}
        self.left = {names[row.job]: plainly(row.reason) or row.state.lower() for row in rows}

    def _answer(self) -> None:
        """What the probes wait for."""
        if not self._answered and (self.folder / "meet.json").exists():
            with publish(self.folder / "from-login", lasting=False) as file:
                file.write(f"{time.time():.6f}".encode())
            self._answered = True
        if self.cancelled is None and "cancel" in self.jobs:
            ready = [read_signals(self.folder, f"cancel-{who}").first("beat") for who in ("batch", "task")]
            if all(ready):
                self.cancelled = time.time()
                with suppress(QueueError):
                    ask(["scancel", self.jobs["cancel"]])

    def _rows(self) -> list[QueueRow]:
        return [row for row in read_jobs(self.jobs.values()) if row.live]

    def _tell(self, rows: list[QueueRow], shown: str) -> str:
        names = {job: name for name, job in self.jobs.items()}
        now = ", ".join(
            f"{names[row.job]} {row.state.lower()}" + f" ({plainly(row.reason)})" * bool(row.reason) for row in rows
        )
        if now != shown:
            self.say(now)
        return now


def lay_out(folder: Path) -> None:
    """The probes' code, where the nodes see it, and nobody else may write. Raises InputError where we cannot either."""
    source = Path(launch.__file__).parent
    claim(folder)
    try:
        for name in PROBES:
            copy = folder / "code" / "launch" / f"{name}.py"
            make_folder(copy.parent, mode=OWN_FOLDER)
            copy_file(source / f"{name}.py", copy, OWN)
    except OSError as error:
        why = why_refused(error, "name another one with --folder")
        raise InputError(f"cannot use the folder {folder}: {why}") from error
