"""One way to run SLURM's commands: with a time limit, their own format, and errors that say what to do."""

import os
import subprocess
from collections.abc import Mapping, Sequence

from sharding.errors import AvsyncError, InputError

PATIENCE_S = 60.0
"""A busy slurmctld may take long; one that takes longer is as good as none."""


IN_WAY = ("SACCT_", "SCANCEL_", "SCONTROL_", "SINFO_", "SLURM_BITSTR_LEN", "SLURM_TIME_FORMAT", "SQUEUE_")
"""Beginnings of variables by which a person changes what SLURM's commands print, or hides jobs from them."""
REMEDIES = {
    "configuration source": "is this a login node? SLURM_CONF must name the site's slurm.conf",
    "Unable to contact slurm controller": "SLURM is down, or cannot be reached from here; try later, or a login node",
}
"""What SLURM says -> what to do. Most of its words are clear by themselves."""


class QueueError(AvsyncError):
    """SLURM does not answer, or says no."""


def ask(argv: Sequence[str], timeout_s: float = PATIENCE_S, environment: Mapping[str, str] | None = None) -> str:
    """What a command prints. `environment`: instead of this process's own; a person's taste in formats is left out.

    Raises InputError where there is no such program, QueueError when it fails or does not answer.
    """
    try:
        run = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            env=unchanged(os.environ if environment is None else environment),
            check=False,
        )
    except FileNotFoundError:
        raise InputError(
            f"{argv[0]} is not found: this machine is no login node of a SLURM cluster, or SLURM's programs are not in "
            "PATH; try where you type sbatch"
        ) from None
    except OSError as error:  # it, or a folder of PATH, is not for this user
        raise InputError(f"{argv[0]} cannot be run here: {error.strerror}; try where you type sbatch") from error
    except subprocess.TimeoutExpired:
        raise QueueError(f"{argv[0]} gave no answer for {timeout_s:.0f} s: SLURM is busy or down; try later") from None
    if run.returncode:
        answer = (run.stderr.strip() or run.stdout.strip() or "no word").splitlines()
        remedy = next((f"; {remedy}" for words, remedy in REMEDIES.items() if words in answer[-1]), "")
        raise QueueError(f"{' '.join(argv[:3])} failed ({run.returncode}): {answer[-1]}{remedy}")
    return run.stdout


def unchanged(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables without those that change what SLURM's commands print; lists of an array's tasks in full."""
    kept = {name: value for name, value in environment.items() if not name.startswith(IN_WAY)}
    return kept | {"SLURM_BITSTR_LEN": "0"}
