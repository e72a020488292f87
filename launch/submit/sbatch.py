"""A script handed to SLURM, by submitit: without its pickles, and without files left over."""

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

from launch.queue.ask import PATIENCE_S, QueueError, ask, reason_in
from sharding.errors import InputError

SLURMS_OWN = ("SLURM_", "SBATCH_", "SRUN_", "SALLOC_")
KEPT = frozenset({"SLURM_CLUSTERS", "SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT"})
"""Of them, what says where SLURM is, not what another job was given."""


_START = re.compile(r"to start at (\S+)")


def in_the_way(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Variables that would change what is asked for.

    Inside a job they tell of that job, and sbatch puts SBATCH_... before what its script says.
    """
    return sorted(name for name in environment if name.startswith(SLURMS_OWN) and name not in KEPT)


def submit_script(text: str, *, sbatch: str = "sbatch") -> str:
    """Queue a script; returns SLURM's number of it. Raises InputError without SLURM, QueueError when it says no."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError
    from submitit.slurm.slurm import SlurmExecutor

    class Scripted(SlurmExecutor):
        """Submits a text of ours."""

        def _make_submission_file_text(self, command: str, uid: str) -> str:
            return text

        def _make_submission_command(self, submission_file_path: Path) -> list[str]:
            hidden = [word for name in in_the_way() for word in ("-u", name)]
            return ["timeout", str(int(PATIENCE_S)), "env", *hidden, sbatch, str(submission_file_path)]

    if shutil.which("srun") is None:
        raise InputError(NO_SLURM.format("srun"))
    output = StringIO()
    # sbatch reads the script at once, so the folder in which submitit keeps its notes need not stay
    with tempfile.TemporaryDirectory(prefix="avsync-submit-") as folder, redirect_stderr(output):
        try:
            return Scripted(folder)._submit_command("").job_id
        except (FailedJobError, FailedSubmissionError) as error:
            why = reason_in(str(error)) or f"no answer for {PATIENCE_S:.0f} s: SLURM is busy or down"
            raise QueueError(f"sbatch says no: {why.removeprefix('sbatch: error: ')}") from error


NO_SLURM = (
    "{} is not found: this machine is no login node of a SLURM cluster, or SLURM's programs are not in PATH; "
    "try where you type sbatch"
)


def try_script(text: str) -> str:
    """Ask SLURM about a script; nothing is queued. Returns when it would start, as SLURM writes it; empty: unknown.

    Raises InputError without SLURM, QueueError when it would say no.
    """
    if shutil.which("sbatch") is None:
        raise InputError(NO_SLURM.format("sbatch"))
    environment = {name: value for name, value in os.environ.items() if name not in in_the_way()}
    with tempfile.TemporaryDirectory(prefix="avsync-submit-") as folder:
        path = Path(folder) / "script.sh"
        path.write_text(text)
        # it answers on stderr, and ask() gives stdout
        words = ["sh", "-c", f"sbatch --test-only {shlex.quote(str(path))} 2>&1"]
        try:
            answer = ask(words, environment=environment)
        except QueueError as error:
            why = str(error).partition("): ")[2].removeprefix("allocation failure: ")
            raise QueueError(f"sbatch says no: {why or error}") from error
    return found.group(1) if (found := _START.search(answer)) else ""


def withdraw(jobs: tuple[str, ...]) -> None:
    """Take jobs out of the queue. Raises QueueError, InputError."""
    if jobs:
        ask(["scancel", *jobs])
