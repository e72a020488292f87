"""A decision carried out: SLURM is asked to start the job again, or it is written down that it is over."""

import os
import shlex
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from launch.job.attempt import ThisAttempt, say
from launch.job.attempts import Action, Event, What
from launch.job.notify import Notification, tell
from launch.job.record import End, Outcome, Queued
from launch.job.requeue import Decision, Do
from launch.queue.ask import QueueError, is_nodes, odd_nodes
from launch.queue.scontrol import Scontrol
from launch.site.profile import Occasion
from sharding.base.files import OWN, read_json, write_json
from sharding.base.housekeeping import delete, housekeeping, is_there
from sharding.base.text import LONGEST_MESSAGE, cut
from sharding.errors import AvsyncError, InputError

TRIES, AGAIN_S = 5, 1.0
"""Of a requeue that SLURM refuses, as it does for a moment while a job is changing its state."""


def over_already(this: ThisAttempt, scontrol: Scontrol) -> int | None:
    """Exit code of a job that has nothing left to do; None: there is work.

    A job in line behind one that brought it to an end; or somebody has made SLURM start it again, after a scancel.
    """
    path = this.task.outcome
    if not is_there(path):
        return _cancelled_before(this, scontrol)
    try:
        outcome = read_json(path, Outcome)
    except AvsyncError as error:  # nobody can say that it is over: the work itself finds out what is left of it
        say(f"warning: {error}")
        return None
    by_hand = outcome.end is End.CANCELLED and not is_there(this.paths.cancelled) and this.restart
    if by_hand:
        delete(path)
        return None
    say(f"nothing to do: {outcome.end} before ({outcome.reason})")
    if outcome.end is End.DONE:
        return 0
    _let_it_fail(this, scontrol)
    return 1


def _cancelled_before(this: ThisAttempt, scontrol: Scontrol) -> int | None:
    """SLURM has started it at the moment in which a person cancelled it."""
    if not is_there(this.paths.cancelled):
        return None
    say("nothing to do: cancelled before it began")
    _let_it_fail(this, scontrol)
    return 1


def _let_it_fail(this: ThisAttempt, scontrol: Scontrol) -> None:
    """Of a job with --requeue=expedite SLURM takes every exit code but 0 for a node's fault: it would start it again
    where an epilog fails, and else hold it in the queue for ever, and with it what waits for its end.
    """
    if this.record.profile.requeue == "expedite" and scontrol.works:
        with suppress(QueueError, InputError):  # SLURM ends it already
            scontrol.forbid_requeue(this.called)


@dataclass(frozen=True, slots=True)
class Ending:
    """Of one attempt."""

    this: ThisAttempt
    scontrol: Scontrol

    def carry_out(self, decision: Decision, code: int | None) -> Event:
        """Do it, note it, print it, tell somebody."""
        action = self._requeue() if decision.do is Do.REQUEUE else ACTIONS[decision.do]
        if decision.do is Do.LEAVE and decision.what is What.STOPPED:
            action = Action.NONE  # nobody knows yet
        if decision.do is Do.REQUEUE and action is Action.NONE:
            decision = Decision(what=What.CANCELLED, do=Do.CANCEL, why="cancelled while it was being requeued")
        if action is Action.GIVEN_UP and decision.do is Do.REQUEUE:
            goes_on = f"{NO_WAY}; {self._resubmit} goes on"
            decision = Decision(what=decision.what, do=Do.GIVE_UP, why=f"{decision.why}; {goes_on}")
        event = self.this.end(decision, action, code)
        say(f"attempt {self.this.number} {_message(decision, action)}")
        if decision.do in ENDS:
            self._over(decision)
        self._avoid_bad_nodes(event)
        self.tell(OCCASIONS.get(decision.do, "requeued"), decision.why)
        return event

    @property
    def _resubmit(self) -> str:
        """The command, which means this job whatever else its folder has."""
        paths = self.this.paths
        return shlex.join(["avsync", "resubmit", str(paths.target), "--kind", paths.root.name])

    def _requeue(self) -> Action:
        """How the job goes on; NONE: a person has cancelled it meanwhile."""
        if not self.scontrol.works:
            return Action.SUCCESSOR if self._has_successor() else Action.GIVEN_UP
        for attempt in range(TRIES):
            if attempt:
                time.sleep(AGAIN_S)
                if self._is_cancelled():
                    return Action.NONE
            try:
                self.scontrol.requeue(self.this.called)
            except QueueError as error:
                if "pending" in str(error).lower():  # SLURM was faster
                    return Action.BY_SLURM
                say(str(error))
            else:
                return Action.REQUEUED
        return Action.SUCCESSOR if self._has_successor() else Action.GIVEN_UP

    def _is_cancelled(self) -> bool:
        """Meanwhile: SLURM would start it again all the same."""
        facts = self.scontrol.job(self.this.called)
        return is_there(self.this.paths.cancelled) or (facts is not None and facts.state == "CANCELLED")

    def _has_successor(self) -> bool:
        try:
            ids = read_json(self.this.paths.queued, Queued).ids
        except AvsyncError:
            return False
        return not self.this.record.array and self.this.job in ids[:-1]

    def _avoid_bad_nodes(self, event: Event) -> None:
        """Where it has failed often, the next attempt shall not begin.

        Nor where the work says that it cannot go on: a folder may be missing on one node alone. That is the one try
        more which it gets.
        """
        this, limit = self.this, self.this.record.profile.exclude_after
        if event.action is not Action.REQUEUED or not limit or this.gained > 0:
            return
        failed = Counter(end.failed_node for end in (*this.past.fruitless_at(this.had), event) if end.failed_node)
        bad = {node for node, times in failed.items() if times >= limit and event.failed_node}
        if node := this.complaining_node:
            bad.add(node)
        if odd := odd_nodes(sorted({*this.record.profile.exclude, *bad})):
            say(f"warning: {odd}: not avoided")
        bad = {node for node in bad if is_nodes(node)}
        avoided = sorted({*filter(is_nodes, this.record.profile.exclude), *bad})
        if not bad or self._nodes() - len(avoided) < this.record.resources.nodes:
            return  # too few would be left, or nobody knows
        for _ in range(TRIES):  # SLURM changes it in a pending job only, and its SIGTERM hits scontrol, too
            with suppress(QueueError):
                self.scontrol.exclude(this.called, avoided)
                say(f"the next attempt avoids {', '.join(sorted(bad))}")
                return
            time.sleep(AGAIN_S / 2)

    def _nodes(self) -> int:
        """Of the partition; 0 where that cannot be known."""
        for _ in range(TRIES):
            if number := self.scontrol.nodes_of(os.environ.get("SLURM_JOB_PARTITION", "")):
                return number
            time.sleep(AGAIN_S / 2)  # the requeue's SIGTERM may have hit scontrol, too
        return 0

    def tell(self, kind: Occasion, why: str) -> None:
        """Whom the profile names."""
        this = self.this
        target = this.record.run or this.record.dataset or str(this.paths.target)
        message = Notification(
            kind=kind,
            name=this.record.name,
            run=target,
            job=this.job,
            step=this.saved,
            reason=cut(why, LONGEST_MESSAGE),
            job_kind=this.record.kind,
        )
        tell(this.record.profile, message)

    def _over(self, decision: Decision) -> None:
        outcome = Outcome(
            end=ENDS[decision.do],
            reason=cut(decision.why or decision.do.value, LONGEST_MESSAGE),
            at=time.time(),
            log_tail=self.this.tail() if decision.do is Do.GIVE_UP else "",
        )
        with housekeeping("write", self.this.task.outcome):
            write_json(self.this.task.outcome, outcome, mode=OWN)
        if outcome.end is not End.DONE:
            _let_it_fail(self.this, self.scontrol)


ACTIONS = {Do.FINISH: Action.NONE, Do.LEAVE: Action.BY_SLURM, Do.CANCEL: Action.NONE, Do.GIVE_UP: Action.GIVEN_UP}
ENDS = {Do.FINISH: End.DONE, Do.CANCEL: End.CANCELLED, Do.GIVE_UP: End.FAILED}
OCCASIONS: dict[Do, Occasion] = {Do.FINISH: "done", Do.CANCEL: "cancelled", Do.GIVE_UP: "failed"}
NO_WAY = (
    "and this job cannot queue itself again: it does not reach scontrol (profile: scontrol), and none is in line "
    "behind it (profile: successors)"
)


def _message(decision: Decision, action: Action) -> str:
    why = f" ({decision.why})" if decision.why else ""
    return f"ended: {decision.what}{why}" + (f"; {action}" if action else "")
