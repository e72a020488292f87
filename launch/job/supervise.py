"""`python -m launch.job.supervise JOBFOLDER`: what the batch script becomes.

It starts the ranks, watches over them, and decides when they end whether the job is over or queued again. The job's
folder is its memory; it has none of its own, since SLURM may kill it at any moment.
"""

import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from avsync.run.progress import RunProgress, read_progress
from launch.job.attempt import ThisAttempt, say
from launch.job.attempts import Event, What
from launch.job.ending import Ending, over_already
from launch.job.own import check_own
from launch.job.paths import JobPaths
from launch.job.progress_on_disk import Heartbeat
from launch.job.rank import REFUSED
from launch.job.ranks import Ranks
from launch.job.record import JobRecord
from launch.job.requeue import Decision, Do, JobObservation, Wish, decide, is_clear, with_slow_rank
from launch.job.signals import EndClock, JobSignals
from launch.queue.scontrol import JobFacts, Scontrol
from sharding.base.files import read_json
from sharding.base.guarded import claim
from sharding.base.housekeeping import delete_file, is_there
from sharding.errors import AvsyncError, InputError

LOOK_S = 0.5
LINGER_S, BELIEVED_S, ASK_S = 900.0, 60.0, 5.0
"""As long as a site may give preempted jobs before it kills them; as long as SLURM takes, at most, to say that it is
going to end a job; between two questions."""
STOOD_STILL_S = 30.0
"""When this program itself was not heard of for so long, the whole job was suspended."""
LEAST_TO_SAVE_S = 20.0


def main(folder: str) -> int:
    """Run one attempt; returns the batch script's exit code."""
    paths = JobPaths(Path(folder))
    claim(paths.target)
    try:
        check_own(paths)
    except InputError as error:
        say(f"error: {error}")
        return REFUSED
    try:
        this = ThisAttempt.of(paths, read_json(paths.record, JobRecord))
        if (code := over_already(this, Scontrol(this.record.profile.scontrol))) is not None:
            return code
    except AvsyncError as error:
        say(f"error: {error}")
        return 1
    with JobSignals() as signals:
        supervisor = Supervisor(this, signals)
        try:
            return supervisor.run()
        except (AvsyncError, OSError) as error:  # srun is missing on this node, a disk does not answer ...
            say(f"error: {error}")
            traceback.print_exc()
            return supervisor.fail(str(error))


@dataclass(slots=True)
class Supervisor:
    """One attempt, from its first process to its last."""

    this: ThisAttempt
    signals: JobSignals
    wish: Wish = Wish.NONE
    decided: Decision | None = None
    fault: str = ""
    """Of this program, or of its node."""
    lingered: bool = False
    _noted: Event | None = None
    _wished: float = 0.0
    _looked: float = field(default_factory=time.monotonic)
    _warned: set[str] = field(default_factory=set)
    scontrol: Scontrol = field(init=False)
    clock: EndClock = field(init=False)
    heartbeat: Heartbeat = field(init=False)

    def __post_init__(self) -> None:
        record, profile = self.this.record, self.this.record.profile
        self.scontrol = Scontrol(profile.scontrol)
        self.clock = EndClock(self.this.called, self.scontrol, record.resources.time_s, profile.signal_lead_s)
        self.heartbeat = Heartbeat(record.run, profile.heartbeat_s, time.time())

    def run(self) -> int:
        """Start the ranks and see them to their end. Raises OSError, AvsyncError."""
        this = self.this
        this.begin()
        say(f"attempt {this.number} of job {this.job} begins on {this.nodes}{this.past.last_end}{this.kept}")
        ranks = Ranks(this)
        while (code := ranks.wait(LOOK_S)) is None:
            self._look(ranks)
            if self._noted:
                self._noted = this.amend(self._noted)
            if self._hangs_on():
                ranks.kill()
        if self._is_done(code) or not self.decided:  # what is done is done, whatever was decided while it ended
            self._conclude(code)
        assert self.decided
        delete_file(this.task.stop)  # who was asked has left
        if self.decided.what is What.STOPPED and self.decided.do is Do.LEAVE:
            self._linger(code)
        if self.decided.what is What.REFUSED:
            return REFUSED
        return 0 if self.decided.do is Do.FINISH else 1

    def fail(self, fault: str) -> int:
        """End an attempt that could not be seen to its end: as a crash."""
        self.fault = fault
        if not self.decided:
            self._conclude(1)
        return 1

    def _look(self, ranks: Ranks) -> None:
        self._mind_the_gap()
        if self.signals.to_end and not self.decided:
            ranks.ask_to_leave()  # it may be that nobody else has asked them
            self._conclude(None)  # now: what is to be asked of SLURM must be asked before its SIGKILL comes
        if self.wish or self.decided:
            return
        if self.signals.to_save or self.clock.near:
            why = "the time limit is near" if self.clock.near else "a signal asks to save"
            self._wish(Wish.TIME, f"{why}: it is asked to save and leave", ranks)
        elif (still := self.heartbeat.still_for()) > self.heartbeat.patience_s:
            self._wish(Wish.HEARTBEAT, f"no sign of life for {still:.0f} s: it is asked to save, then ended", ranks)
        elif is_there(self.this.task.stop):
            ranks.ask_to_leave()  # avsync cancel; a run sees the file itself
        self._pass_advice_on()

    def _mind_the_gap(self) -> None:
        """A job that was suspended has not hung."""
        now = time.monotonic()
        if now - self._looked > STOOD_STILL_S:
            self.heartbeat.begin_anew()
        self._looked = now

    def _wish(self, wish: Wish, why: str, ranks: Ranks) -> None:
        say(why)
        self.wish, self._wished = wish, time.monotonic()
        ranks.ask_to_leave()

    def _hangs_on(self) -> bool:
        """Who hangs does not leave when asked."""
        if self.wish is not Wish.HEARTBEAT:
            return False
        patience = max(LEAST_TO_SAVE_S, self.this.record.profile.signal_lead_s)
        if not self.decided and time.monotonic() - self._wished > patience:
            self._conclude(None)
        return self.decided is not None and self.decided.do in (Do.GIVE_UP, Do.REQUEUE)

    def _pass_advice_on(self) -> None:
        """Each kind once in an attempt: that it wastes its GPUs, waits for one rank, and that its network cheats."""
        if not (progress := self._progress):
            return
        alarm = progress.alarm.text if progress.alarm else ""
        for kind, text in (("advice", progress.advice), ("slow rank", progress.slow), ("alarm", alarm)):
            if text and kind not in self._warned:
                self._warned.add(kind)
                Ending(self.this, self.scontrol).tell("warning", text)

    @property
    def _progress(self) -> RunProgress | None:
        """What the run has told in this attempt."""
        progress = read_progress(Path(self.this.record.run)) if self.this.record.run else None
        return progress if progress and progress.updated > self.heartbeat.began else None

    def _conclude(self, code: int | None) -> None:
        """Decide, and do it."""
        this = self.this
        facts = self.scontrol.job_once(this.called, lambda facts: self._clear(facts, code))
        output = this.output()
        observed = JobObservation(
            exit=code,
            fault=self.fault or output.why,
            wish=self.wish,
            cancelled=is_there(this.paths.cancelled),
            terminated=self.signals.to_end and not self.lingered,
            lingered=self.lingered,
            facts=facts,
            restart=this.restart,
            gained=this.gained,
            failures=this.past.failures_at(this.had),
            retries=this.record.profile.retries,
            out_of_memory=output.out_of_memory,
            node_failed=output.node_failed,
            unseen=output.unseen,
            refused=output.refused,
            hang=output.hang,
            repeated=this.repeated,
        )
        self.decided = with_slow_rank(decide(observed), progress.slow if (progress := self._progress) else "")
        self._noted = Ending(this, self.scontrol).carry_out(self.decided, code)

    def _clear(self, facts: JobFacts, code: int | None) -> bool:
        """Whether to believe SLURM at once: not that a job is cancelled, nor that it runs on while its ranks left."""
        asked_by_us = self.wish is not Wish.NONE and not self.signals.to_end and facts.state == "RUNNING"
        return self._is_done(code) or asked_by_us or is_clear(facts, self.this.restart)

    def _is_done(self, code: int | None) -> bool:
        """Whether srun's word is to be believed, as in `decide`."""
        return code == 0 and not self.this.output().unseen

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
        self.lingered = True
        self._conclude(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
