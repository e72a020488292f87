"""`python -m launch.job.supervise JOBFOLDER`: what the batch script becomes.

It starts the ranks, watches over them, and decides when they end whether the job is over or queued again. The job's
folder is its memory; it has none of its own, since SLURM may kill it at any moment.
"""

import os
import random
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from launch.job.attempt import ThisAttempt
from launch.job.attempts import What
from launch.job.clock import EndClock
from launch.job.ending import Ending, over_already
from launch.job.moves import Heartbeat
from launch.job.paths import JobPaths
from launch.job.rank import MASTER, PORT, STOP_FILE
from launch.job.record import JobRecord
from launch.job.requeue import Decision, Do, Seen, Wish, decide, is_clear
from launch.job.told import Told
from launch.queue.facts import JobFacts
from launch.queue.scontrol import Scontrol
from sharding.errors import AvsyncError
from sharding.files import read_json

LOOK_S = 0.5
MEETING_PORTS = (20_000, 32_000)
"""Below those that Linux gives to outgoing connections."""
LINGER_S = 900.0
"""As long as a site may give preempted jobs before it kills them."""
HUNG_LEAVES_S = 20.0
"""A run that does not move is asked to save first; it may only have been slow."""


def main(folder: str) -> int:
    """Run one attempt; returns the batch script's exit code."""
    paths = JobPaths(Path(folder))
    record = read_json(paths.record, JobRecord)
    this = ThisAttempt.of(paths, record)
    if (code := over_already(this)) is not None:
        return code
    with Told() as told:
        return Supervisor(this, told).run()


@dataclass(slots=True)
class Supervisor:
    """One attempt, from its first process to its last."""

    this: ThisAttempt
    told: Told
    wish: Wish = Wish.NONE
    decided: Decision | None = None
    _wished: float = 0.0
    scontrol: Scontrol = field(init=False)
    clock: EndClock = field(init=False)
    heartbeat: Heartbeat = field(init=False)

    def __post_init__(self) -> None:
        record, profile = self.this.record, self.this.record.profile
        self.scontrol = Scontrol(profile.scontrol)
        self.clock = EndClock(self.this.job, self.scontrol, record.resources.time_s, profile.signal_lead_s)
        self.heartbeat = Heartbeat(record.run, profile.heartbeat_s, time.time())

    def run(self) -> int:
        """Start the ranks and see them to their end."""
        this = self.this
        this.begin()
        say(f"attempt {this.number} of job {this.job} begins on {this.nodes}{this.past.told}")
        # a session of its own: what is sent to this process is not meant for srun, SLURM tells the ranks itself
        ranks = subprocess.Popen(self._srun(), env=self._environment(), start_new_session=True)
        while (code := _wait(ranks)) is None:
            self._look()
            if self._to_be_ended():
                ranks.kill()  # the job's end takes what is left of the ranks with it
        if not self.decided:
            self._conclude(code)
        assert self.decided
        if self.decided.what is What.STOPPED:
            self._linger()
        return 0 if self.decided.do is Do.FINISH else 1

    def _look(self) -> None:
        if self.told.to_end and not self.decided:
            self._conclude(None)  # now: what is to be asked of SLURM must be asked before its SIGKILL comes
        if self.wish or self.decided:
            return
        if self.told.to_save or self.clock.near:
            self._ask_to_leave(Wish.TIME, "the time limit is near: the run is asked to save and leave")
        elif self.heartbeat.lost:
            self._ask_to_leave(Wish.HEARTBEAT, f"no sign of life for {self.heartbeat.still_for():.0f} s: it is ended")

    def _ask_to_leave(self, wish: Wish, why: str) -> None:
        self.wish, self._wished = wish, time.monotonic()
        say(why)
        with suppress(OSError):  # a full disk: SLURM's own signals come later
            self.this.task.stop.touch()

    def _to_be_ended(self) -> bool:
        """Who hangs does not leave when asked."""
        if self.wish is Wish.HEARTBEAT and not self.decided and time.monotonic() - self._wished > HUNG_LEAVES_S:
            self._conclude(None)
        return self.decided is not None and self.decided.do in (Do.GIVE_UP, Do.REQUEUE) and self.wish is Wish.HEARTBEAT

    def _conclude(self, code: int | None) -> None:
        """Decide, and do it."""
        this = self.this
        facts = self.scontrol.job_once(this.job, lambda facts: self._clear(facts, code))
        seen = Seen(
            exit=code, wish=self.wish, cancelled=this.paths.cancelled.exists(), terminated=self.told.to_end,
            facts=facts, restart=this.restart, gained=this.gained, failures=this.past.failures,
            retries=this.record.profile.retries, out_of_memory=this.out_of_memory,
        )  # fmt: skip
        self.decided = decide(seen)
        Ending(this, self.scontrol).carry_out(self.decided, code)

    def _clear(self, facts: JobFacts, code: int | None) -> bool:
        """Whether to believe SLURM at once: not that a job is cancelled, nor that it runs on while its ranks left."""
        return code == 0 or self.wish is not Wish.NONE or is_clear(facts, self.this.restart)

    def _linger(self) -> None:
        """Stay until SLURM's SIGKILL: a preempted job that leaves by itself before is not requeued by SLURM."""
        say("waiting for SLURM to say what becomes of the job")
        self.told.wait(LINGER_S)

    def _srun(self) -> list[str]:
        record = self.this.record
        return [
            "srun", "--kill-on-bad-exit=1", f"--cpus-per-task={record.resources.cpus_per_task}",
            *(["--label"] if record.resources.nodes * record.resources.tasks_per_node > 1 else []),
            *record.profile.srun, sys.executable, "-m", "launch.job.rank", str(self.this.paths.root),
        ]  # fmt: skip

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            PORT: str(_free_port()),
            MASTER: os.environ.get("SLURMD_NODENAME", ""),
            STOP_FILE: str(self.this.task.stop),
            "PYTHONUNBUFFERED": "1",
        }


def _wait(ranks: subprocess.Popen[bytes]) -> int | None:
    try:
        return ranks.wait(LOOK_S)
    except subprocess.TimeoutExpired:
        return None


def _free_port() -> int:
    """On this node, where rank 0 will be. Chosen anew each time: a node may hold several runs."""
    for port in random.SystemRandom().sample(range(*MEETING_PORTS), 50):
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("", port))
            return port
    raise AvsyncError(f"no free port from {MEETING_PORTS[0]} to {MEETING_PORTS[1]} for the ranks to meet at")


def say(text: str) -> None:
    """A line of the log."""
    sys.stdout.write(f"avsync: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
