"""The work of one attempt as a child process: srun, which starts a task for each GPU and ends when all have ended."""

import os
import random
import signal
import socket
import subprocess
import sys
from contextlib import suppress

from launch.job.attempt import ThisAttempt
from launch.job.launcher import PORTS
from launch.job.rank import MASTER, PORT
from launch.job.srun import obeyed, srun_words
from launch.queue.ask import ask
from sharding.base.environment import STOP_FILE
from sharding.errors import AvsyncError

PATIENCE_S = 10.0


class Ranks:
    """Started when it is made. Raises OSError where there is no srun, AvsyncError where no port is free."""

    def __init__(self, this: ThisAttempt) -> None:
        self._this, self._told = this, False
        # a session of its own: what is sent to the batch script is not meant for srun, SLURM tells the ranks itself
        self._srun = subprocess.Popen(_words(this), env=_environment(this), start_new_session=True)

    def wait(self, limit_s: float) -> int | None:
        """The exit code; None when they still run."""
        try:
            return self._srun.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None

    def ask_to_leave(self) -> None:
        """A run saves and leaves when it sees the stop file; other work ends tidily on SIGTERM. Once is enough."""
        if self._told:
            return
        self._told = True
        if not self._this.record.run:
            self._end_tidily()
            return
        try:
            self._this.task.ask_to_stop()
        except OSError:  # a full disk
            self._srun.send_signal(signal.SIGUSR2)

    def _end_tidily(self) -> None:
        try:
            ask(["scancel", "--quiet", "--signal=TERM", self._this.called], PATIENCE_S)
        except AvsyncError:  # there is none on this node: srun kills its tasks with little ado
            self._srun.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """The job's end takes what is left of the tasks with it."""
        self._srun.kill()


def _words(this: ThisAttempt) -> list[str]:
    record, resources = this.record, this.record.resources
    cpus = [f"--cpus-per-task={resources.cpus_per_task}"] if resources.cpus_per_task else []
    nodes = resources.nodes
    if resources.node_counts.is_range:
        nodes, each = int(os.environ["SLURM_JOB_NUM_NODES"]), resources.tasks_per_node
        cpus += [f"--nodes={nodes}", f"--ntasks={nodes * each}", f"--ntasks-per-node={each}"]
    return [
        *srun_words([*cpus, *record.profile.srun], label=nodes * resources.tasks_per_node > 1),
        sys.executable,
        "-m",
        "launch.job.rank",
        str(this.paths.root),
    ]


def _environment(this: ThisAttempt) -> dict[str, str]:
    return {
        **obeyed(os.environ),
        PORT: str(_free_port()),
        MASTER: os.environ.get("SLURMD_NODENAME", ""),
        STOP_FILE: str(this.task.stop),
        "PYTHONUNBUFFERED": "1",
    }


def _free_port() -> int:
    """On this node, where rank 0 will be. Chosen anew each time: a node may hold several runs."""
    for port in random.SystemRandom().sample(range(*PORTS), 50):
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("", port))
            return port
    raise AvsyncError(f"no free port from {PORTS[0]} to {PORTS[1]} for the ranks to meet at")
