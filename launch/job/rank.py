"""`python -m launch.job.rank JOBFOLDER`: one task of a job, just before it becomes the work itself.

srun starts one for each GPU.
"""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from launch.job.attempt import OFFSET
from launch.job.launcher import alone, describe_rank, grant_cores, resolves
from launch.job.paths import JobPaths
from launch.job.record import SCRATCH, SHARE, JobRecord
from sharding.base.files import read_json

PORT, MASTER = "AVSYNC_MASTER_PORT", "AVSYNC_MASTER_NAME"
"""Where rank 0 listens, and its node: from the batch script, which runs there."""


def main(folder: str) -> None:
    """Never returns: the process becomes the work. Raises InputError, FormatError, OSError."""
    record = read_json(JobPaths(Path(folder)).record, JobRecord)
    grant_cores(os.environ)
    if int(os.environ["SLURM_NTASKS"]) > 1:
        describe_rank(os.environ, meeting_place(os.environ), os.environ[PORT])
    else:
        alone(os.environ)
    # SIGUSR2 reaches every process of a step at some sites, and kills those that do not expect it. What is blocked here
    # stays so in all that follows; the trainer looks for it between two steps.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    sys.stdout.flush()
    os.chdir(record.directory)
    argv = [filled_in(word, record) for word in record.argv]
    os.execvp(argv[0], argv)


def meeting_place(environment: Mapping[str, str]) -> str:
    """Rank 0's node: its name where that resolves, else its number; rank 0 lies where srun was started."""
    number, name = environment.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1"), environment[MASTER]
    return name if resolves(name) else number


def filled_in(word: str, record: JobRecord) -> str:
    """A word of the work, in this task."""
    if word == SHARE:
        return str(int(os.environ[OFFSET]) + int(os.environ["SLURM_ARRAY_TASK_ID"]))
    if word == SCRATCH:
        return os.path.expandvars(record.profile.scratch)
    return word


if __name__ == "__main__":
    main(sys.argv[1])
