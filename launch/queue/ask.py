"""One way to run SLURM's commands: with a time limit, and errors that say what to do."""

import subprocess
from collections.abc import Mapping, Sequence

from sharding.errors import AvsyncError, InputError

PATIENCE_S = 60.0
"""A busy slurmctld may take long; one that takes longer is as good as none."""


class QueueError(AvsyncError):
    """SLURM does not answer, or says no."""


def ask(argv: Sequence[str], timeout_s: float = PATIENCE_S, environment: Mapping[str, str] | None = None) -> str:
    """What a command prints.

    Raises InputError where there is no such program, QueueError when it fails or does not answer.
    """
    try:
        run = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=timeout_s, stdin=subprocess.DEVNULL,
            env=environment, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise InputError(
            f"{argv[0]} is not found: this machine is no login node of a SLURM cluster, or SLURM's programs are not in "
            "PATH; try where you type sbatch"
        ) from None
    except subprocess.TimeoutExpired:
        raise QueueError(f"{argv[0]} gave no answer for {timeout_s:.0f} s: SLURM is busy or down; try later") from None
    if run.returncode:
        said = (run.stderr.strip() or run.stdout.strip() or "no word").splitlines()
        raise QueueError(f"{' '.join(argv[:3])} failed ({run.returncode}): {said[-1]}")
    return run.stdout
