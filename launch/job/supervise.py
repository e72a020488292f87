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

from launch.job.attempt import ThisAttempt, say
from launch.job.attempts import Event, What
from launch.job.clock import EndClock
from launch.job.ending import Ending, over_already
from launch.job.moves import Heartbeat
from launch.job.paths import JobPaths
from launch.job.rank import MASTER, PORT, STOP_FILE
from launch.job.record import JobRecord
from launch.job.requeue import Decision, Do, Seen, Wish, decide, is_clear
from launch.job.told import STOP, Told
from launch.queue.facts import JobFacts
from launch.queue.scontrol import Scontrol
from sharding.errors import AvsyncError
from sharding.files import read_json

Ranks = subprocess.Popen[bytes]
LOOK_S = 0.5
MEETING_PORTS = (20_000, 32_000)
"""Below those that Linux gives to outgoing connections."""
LINGER_S, BELIEVED_S, ASK_S = 900.0, 60.0, 5.0
"""As long as a site may give preempted jobs before it kills them; as long as SLURM takes, at most, to say that it is
going to end a job; between two questions."""
HUNG_LEAVES_S = 20.0
"""A run that does not move is asked to save first; it may only have been slow."""


def main(folder: str) -> int:
    """Run one attempt; returns the batch script's exit code."""
    paths = JobPaths(Path(folder))
    try:
        this = ThisAttempt.of(paths, read_json(paths.record, JobRecord))
        if (code := over_already(this)) is not None:
            return code
    except AvsyncError as error:
        say(f"error: {error}")
        return 1
    with Told() as told:
        return Supervisor(this, told).run()


@dataclass(slots=True)
class Supervisor:
    """One attempt, from its first process to its last."""

    this: ThisAttempt
    told: Told
    wish: Wish = Wish.NONE
    decided: Decision | None = None
    _noted: Event | None = None
    _wished: float = 0.0
    scontrol: Scontrol = field(init=False)
    clock: EndClock = field(init=False)
    heartbeat: Heartbeat = field(init=False)

    def __post_init__(self) -> None:
        record, profile = self.this.record, self.this.record.profile
        self.scontrol = Scontrol(profile.scontrol)
        self.clock = EndClock(self.this.called, self.scontrol, record.resources.time_s, profile.signal_lead_s)
        self.heartbeat = Heartbeat(record.run, profile.heartbeat_s, time.time())

    def run(self) -> int:
        """Start the ranks and see them to their end."""
        this = self.this
        this.begin()
        say(f"attempt {this.number} of job {this.job} begins on {this.nodes}{this.past.told}{this.kept}")
        # a session of its own: what is sent to this process is not meant for srun, SLURM tells the ranks itself
        ranks = subprocess.Popen(self._srun(), env=self._environment(), start_new_session=True)
        while (code := _wait(ranks)) is None:
            self._look(ranks)
            if self._noted:
                self._noted = this.amend(self._noted)
            if self._to_be_ended():
                ranks.kill()  # the job's end takes what is left of the ranks with it
        if code == 0 or not self.decided:  # what is done is done, whatever was decided while it ended
            self._conclude(code)
        assert self.decided
        if self.decided.what is What.STOPPED:
            self._linger(code)
        return 0 if self.decided.do is Do.FINISH else 1

    def _look(self, ranks: Ranks) -> None:
        if self.told.to_end and not self.decided:
            self._conclude(None)  # now: what is to be asked of SLURM must be asked before its SIGKILL comes
            self._ask_to_leave(ranks)  # it may be that nobody else has told them
        if self.wish or self.decided:
            return
        if self.told.to_save or self.clock.near:
            say("the time limit is near: the run is asked to save and leave")
            self.wish = Wish.TIME
        elif self.heartbeat.lost:
            say(f"no sign of life for {self.heartbeat.still_for():.0f} s: it is ended")
            self.wish = Wish.HEARTBEAT
        if self.wish:
            self._wished = time.monotonic()
            self._ask_to_leave(ranks)

    def _ask_to_leave(self, ranks: Ranks) -> None:
        try:
            self.this.task.stop.touch()
        except OSError:  # a full disk; srun passes this on to all ranks
            ranks.send_signal(STOP)

    def _to_be_ended(self) -> bool:
        """Who hangs does not leave when asked."""
        if self.wish is Wish.HEARTBEAT and not self.decided and time.monotonic() - self._wished > HUNG_LEAVES_S:
            self._conclude(None)
        return self.decided is not None and self.decided.do in (Do.GIVE_UP, Do.REQUEUE) and self.wish is Wish.HEARTBEAT

    def _conclude(self, code: int | None, *, believed: bool = True) -> None:
        """Decide, and do it. believed: that a SIGTERM was SLURM's."""
        this = self.this
        facts = self.scontrol.job_once(this.called, lambda facts: self._clear(facts, code))
        told = believed and self.told.to_end
        seen = Seen(
            exit=code, fault=this.fault, wish=self.wish, cancelled=this.paths.cancelled.exists(), terminated=told,
            facts=facts, restart=this.restart, gained=this.gained, failures=this.past.failures_at(this.had),
            retries=this.record.profile.retries, out_of_memory=this.out_of_memory, node_failed=this.node_failed,
        )  # fmt: skip
        self.decided = decide(seen)
        self._noted = Ending(this, self.scontrol).carry_out(self.decided, code)

    def _clear(self, facts: JobFacts, code: int | None) -> bool:
        """Whether to believe SLURM at once: not that a job is cancelled, nor that it runs on while its ranks left."""
        asked_by_us = self.wish is not Wish.NONE and not self.told.to_end and facts.state == "RUNNING"
        return code == 0 or asked_by_us or is_clear(facts, self.this.restart)

    def _linger(self, code: int) -> None:
        """Stay until SLURM's SIGKILL: a preempted job that leaves by itself before is not requeued by SLURM.

        Where SLURM can be asked and goes on to call the job a running one, that SIGTERM was somebody else's.
        """
        say("waiting for SLURM to say what becomes of the job")
        end = time.monotonic() + LINGER_S
        while time.monotonic() < end:
            time.sleep(ASK_S)
            facts = self.scontrol.job(self.this.called)
            if facts and (is_clear(facts, self.this.restart) or time.monotonic() > end - LINGER_S + BELIEVED_S):
                break
        self._conclude(code, believed=False)

    def _srun(self) -> list[str]:
        record = self.this.record
        return [
            "srun", "--kill-on-bad-exit=1",
            *([f"--cpus-per-task={record.resources.cpus_per_task}"] if record.resources.cpus_per_task else []),
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


def _wait(ranks: Ranks) -> int | None:
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
