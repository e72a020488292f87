"""The decision table without SLURM: every row of it, and what must hold whatever is seen."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.job.attempts import Action, Attempt, Event, What
from launch.job.progress_on_disk import FAILURES, Past
from launch.job.requeue import Decision, Do, JobObservation, Wish, decide, is_clear, with_slow_rank
from launch.queue.scontrol import JobFacts

RUNNING = JobFacts(
    state="RUNNING", reason="", restarts=0, preempted=False, end_time=None, nodes="n1", exit_code="0:0", requeue=True
)
CRASH = JobObservation(
    exit=1, fault="task 1 on n2: Killed", wish=Wish.NONE, cancelled=False, terminated=False, facts=RUNNING, restart=0,
    gained=0, failures=0, retries=3,
)  # fmt: skip


def seen(facts: dict[str, Any] | None = None, **changes: Any) -> JobObservation:
    """A crash, but for the changes; in `facts` those of what SLURM says."""
    return replace(CRASH, facts=replace(RUNNING, **(facts or {})), **changes)


NO_ANSWER: dict[str, Any] = {"facts": None}
ROWS = {
    "all is done": (replace(CRASH, exit=0, fault=""), What.DONE, Do.FINISH),
    "done while it was cancelled": (replace(CRASH, exit=0, cancelled=True, terminated=True), What.DONE, Do.FINISH),
    "avsync cancel": (replace(CRASH, exit=143, cancelled=True), What.CANCELLED, Do.CANCEL),
    "avsync cancel near the limit": (
        replace(CRASH, exit=143, cancelled=True, wish=Wish.TIME),
        What.CANCELLED,
        Do.CANCEL,
    ),
    "preempted without grace": (
        seen({"state": "COMPLETING", "restarts": 1}, exit=None, terminated=True),
        What.PREEMPTED,
        Do.LEAVE,
    ),
    "requeued and waiting again": (seen({"state": "PENDING", "restarts": 1}, exit=143), What.PREEMPTED, Do.LEAVE),
    "preempted in its time of grace": (seen({"preempted": True}, exit=143), What.PREEMPTED, Do.REQUEUE),
    "preempted where SLURM cancels such jobs": (
        seen({"state": "COMPLETING", "preempted": True}, exit=143),
        What.PREEMPTED,
        Do.REQUEUE,
    ),
    "a node has failed": (seen({"state": "PENDING", "restarts": 1}, node_failed=True), What.LOST, Do.LEAVE),
    "a node has failed, and the job is expedited": (
        seen({"state": "EXPEDITING", "restarts": 1}, node_failed=True, exit=143),
        What.LOST,
        Do.LEAVE,
    ),
    "a node has failed, and srun says nothing of its ranks": (
        seen({"state": "PENDING", "restarts": 1}, exit=0, fault="", node_failed=True, unseen=True),
        What.LOST,
        Do.LEAVE,
    ),
    "a node has failed, srun says nothing, and nobody can be asked": (
        replace(CRASH, exit=0, fault="", terminated=True, node_failed=True, unseen=True, **NO_ANSWER),
        What.LOST,
        Do.REQUEUE,
    ),
    "ended by force at the limit, and srun gave up waiting for its tasks": (
        seen({"state": "COMPLETING", "reason": "TimeLimit"}, exit=0, fault="", terminated=True, unseen=True),
        What.TIME_LIMIT,
        Do.REQUEUE,
    ),
    "asked to save near the limit, and srun gave up waiting for its tasks": (
        replace(CRASH, exit=0, fault="", wish=Wish.TIME, unseen=True, **NO_ANSWER),
        What.TIME_LIMIT,
        Do.REQUEUE,
    ),
    "srun gave up waiting for its tasks, and nobody says why": (
        seen(exit=0, fault="", unseen=True),
        What.CRASHED,
        Do.REQUEUE,
    ),
    "a node fails": (seen({"state": "NODE_FAIL"}), What.LOST, Do.REQUEUE),
    "a node fails, and SLURM may not requeue": (
        seen({"state": "COMPLETING", "reason": "NodeDown", "requeue": False}, exit=None, terminated=True),
        What.LOST,
        Do.REQUEUE,
    ),
    "ended for its memory": (
        seen({"state": "COMPLETING", "reason": "OutOfMemory"}, out_of_memory=True),
        What.OUT_OF_MEMORY,
        Do.REQUEUE,
    ),
    "SLURM goes on with a job that got SIGTERM": (seen(exit=143, fault="", lingered=True), What.STOPPED, Do.REQUEUE),
    "nobody ever says why it got SIGTERM": (
        replace(CRASH, exit=143, fault="", lingered=True, **NO_ANSWER),
        What.STOPPED,
        Do.REQUEUE,
    ),
    "the limit is near": (replace(CRASH, exit=143, wish=Wish.TIME, gained=5), What.TIME_LIMIT, Do.REQUEUE),
    "the limit is near, and SLURM gives no answer": (
        replace(CRASH, exit=143, wish=Wish.TIME, **NO_ANSWER),
        What.TIME_LIMIT,
        Do.REQUEUE,
    ),
    "the limit was reached": (
        seen({"state": "COMPLETING", "reason": "TimeLimit"}, exit=None, terminated=True),
        What.TIME_LIMIT,
        Do.REQUEUE,
    ),
    "scancel": (seen({"state": "COMPLETING"}, exit=None, terminated=True), What.CANCELLED, Do.CANCEL),
    "scancel, and only the ranks were told yet": (
        seen({"state": "COMPLETING"}, exit=143, fault=""),
        What.CANCELLED,
        Do.CANCEL,
    ),
    "scancel while it saves near its limit": (
        seen({"state": "COMPLETING"}, wish=Wish.TIME, terminated=True),
        What.CANCELLED,
        Do.CANCEL,
    ),
    "scancel of one that hangs": (
        seen({"state": "COMPLETING"}, wish=Wish.HEARTBEAT, exit=None),
        What.CANCELLED,
        Do.CANCEL,
    ),
    "SIGTERM, and SLURM does not say why": (replace(CRASH, exit=143, terminated=True), What.STOPPED, Do.LEAVE),
    "told to end where nobody can be asked": (replace(CRASH, exit=143, fault="", **NO_ANSWER), What.STOPPED, Do.LEAVE),
    "a crash where nobody can be asked": (replace(CRASH, exit=143, **NO_ANSWER), What.CRASHED, Do.REQUEUE),
    "it hangs": (replace(CRASH, exit=None, wish=Wish.HEARTBEAT), What.HUNG, Do.REQUEUE),
    "out of memory": (replace(CRASH, exit=137, out_of_memory=True), What.OUT_OF_MEMORY, Do.REQUEUE),
    "a crash": (CRASH, What.CRASHED, Do.REQUEUE),
    "a third crash that brought nothing": (replace(CRASH, failures=2), What.CRASHED, Do.GIVE_UP),
    "a third crash, with a new checkpoint": (replace(CRASH, failures=2, gained=1), What.CRASHED, Do.REQUEUE),
    "the work says that it can never be": (replace(CRASH, refused=True), What.REFUSED, Do.GIVE_UP),
    "it says so after it has trained": (replace(CRASH, refused=True, gained=1), What.CRASHED, Do.REQUEUE),
    "it says so while it is preempted": (
        seen({"state": "PENDING", "restarts": 1}, refused=True),
        What.PREEMPTED,
        Do.LEAVE,
    ),
    "it says so while it is cancelled": (replace(CRASH, refused=True, cancelled=True), What.CANCELLED, Do.CANCEL),
    "the same words again": (replace(CRASH, repeated=True, failures=1), What.CRASHED, Do.GIVE_UP),
    "the same words again, with a new checkpoint": (replace(CRASH, repeated=True, gained=1), What.CRASHED, Do.REQUEUE),
    "a third limit that brought nothing": (replace(CRASH, failures=2, wish=Wish.TIME), What.TIME_LIMIT, Do.GIVE_UP),
}


@pytest.mark.parametrize("row", ROWS)
def test_each_row_of_the_table(row: str):
    shown, what, do = ROWS[row]
    found = decide(shown)
    assert (found.what, found.do) == (what, do)
    assert found.why or found.what is What.DONE


def test_who_gives_up_says_what_failed_and_how_often():
    why = decide(replace(CRASH, failures=2)).why
    assert why == "task 1 on n2: Killed; 3 attempts in a row saved nothing new"
    assert decide(replace(CRASH, fault="")).why == "exit code 1"
    assert "ask for more (--memory" in decide(replace(CRASH, out_of_memory=True)).why


def test_only_a_reason_is_clear():
    assert not is_clear(RUNNING, 0)
    assert not is_clear(replace(RUNNING, state="COMPLETING"), 0), (
        "it may be a cancelled job, and should be looked at again"
    )
    assert not is_clear(replace(RUNNING, restarts=2), 2)
    for change in ({"restarts": 3}, {"preempted": True}, {"reason": "TimeLimit"}, {"state": "CANCELLED"}):
        assert is_clear(replace(RUNNING, **change), 2), change


facts_of_any_kind = st.builds(
    JobFacts,
    state=st.sampled_from(
        "RUNNING PENDING COMPLETING CANCELLED NODE_FAIL BOOT_FAIL TIMEOUT PREEMPTED FAILED REQUEUED EXPEDITING".split()
    ),
    reason=st.sampled_from(["", "TimeLimit", "Resources", "BeginTime", "Priority"]),
    restarts=st.integers(0, 4),
    preempted=st.booleans(),
    end_time=st.none(),
    nodes=st.just("n1"),
    exit_code=st.just("0:0"),
    requeue=st.booleans(),
)
anything = st.builds(
    JobObservation,
    exit=st.sampled_from([None, 0, 1, 2, 130, 137, 143, -9, -15]),
    fault=st.sampled_from(["", "task 0 on n1: Killed"]),
    wish=st.sampled_from(Wish),
    cancelled=st.booleans(),
    terminated=st.booleans(),
    facts=st.none() | facts_of_any_kind,
    restart=st.integers(0, 4),
    gained=st.integers(-5, 20),
    failures=st.integers(0, 6),
    retries=st.integers(1, 5),
    out_of_memory=st.booleans(),
    node_failed=st.booleans(),
    unseen=st.booleans(),
    refused=st.booleans(),
    repeated=st.booleans(),
)


@given(anything)
def test_a_job_is_done_exactly_when_its_ranks_say_so(shown: JobObservation):
    done = shown.exit == 0 and not shown.unseen
    assert (decide(shown).what is What.DONE) == (decide(shown).do is Do.FINISH) == done


@given(anything)
def test_a_cancelled_job_is_never_requeued(shown: JobObservation):
    assert decide(replace(shown, cancelled=True)).do in (Do.CANCEL, Do.FINISH)
    ending = replace(RUNNING, state="COMPLETING", restarts=shown.restart)
    assert decide(replace(shown, facts=ending)).do in (Do.CANCEL, Do.FINISH), "as SLURM shows it after scancel"
    assert decide(replace(shown, facts=replace(ending, state="CANCELLED"))).do in (Do.CANCEL, Do.FINISH)


@given(anything)
def test_what_gains_is_never_given_up_and_what_fails_too_often_always(shown: JobObservation):
    found = decide(shown)
    if found.do is Do.GIVE_UP:
        assert shown.gained <= 0
        assert shown.refused or shown.repeated or shown.failures + 1 >= shown.retries
        assert found.what in (*FAILURES, What.REFUSED)
    if found.do is Do.REQUEUE and found.what in FAILURES and shown.gained <= 0:
        assert shown.failures + 1 < shown.retries


@given(anything)
def test_what_can_never_be_is_not_tried_again_whatever_else_is_seen(shown: JobObservation):
    """What SLURM has already done, or the job itself has asked for, comes first."""
    found = decide(
        replace(shown, refused=True, gained=0, wish=Wish.NONE, terminated=False, lingered=False, facts=RUNNING)
    )
    assert found.do in (Do.GIVE_UP, Do.FINISH, Do.CANCEL, Do.LEAVE)


@given(anything)
def test_where_slurm_has_the_job_in_hand_it_is_not_asked_for_more(shown: JobObservation):
    mine = replace(RUNNING, restarts=shown.restart + 1, state="PENDING")
    assert decide(replace(shown, facts=mine, cancelled=False, exit=143)).do is Do.LEAVE


def event(what: What, attempt: int, saved: int, action: Action = Action.NONE) -> Event:
    return Event(
        what=what, attempt=attempt, job="1", restart=attempt - 1, nodes="n1", saved=saved, at=0.0, action=action
    )


ends = st.sampled_from([what for what in What if what is not What.BEGAN])


@given(st.lists(st.tuples(ends, st.integers(0, 3)), max_size=30), st.integers(1, 4))
def test_no_more_than_so_many_fruitless_attempts_in_a_row(story: list[tuple[What, int]], retries: int):
    """Played from the first attempt on: what the table decides from what it finds noted."""
    attempts, step, fruitless = list[Attempt](), 0, 0
    for number, (what, gain) in enumerate(story, start=1):
        past, began = Past(attempts), event(What.BEGAN, number, step)
        step += gain
        shown = replace(
            CRASH, gained=step - max(began.saved, past.most), failures=past.failures_at(step - gain), retries=retries
        )
        found = decide(shown) if what in FAILURES else Decision(what=what, do=Do.LEAVE)
        fruitless = 0 if gain else fruitless + (what in FAILURES)
        assert (found.do is Do.GIVE_UP) == (what in FAILURES and fruitless >= retries)
        action = Action.GIVEN_UP if found.do is Do.GIVE_UP else Action.REQUEUED
        attempts.append(Attempt(began=began, ended=event(what, number, step, action)))
        if found.do is Do.GIVE_UP:
            fruitless = 0  # somebody queues it again: it has as many attempts as at first


def test_steps_that_were_saved_without_a_word_count_too():
    """Killed by force after a save: the next attempt finds them, and that was progress."""
    lost = Attempt(began=event(What.BEGAN, 2, 0), ended=event(What.LOST, 2, 0))
    crash = Attempt(began=event(What.BEGAN, 1, 0), ended=event(What.CRASHED, 1, 0))
    third = Attempt(began=event(What.BEGAN, 3, 50), ended=event(What.CRASHED, 3, 50))
    assert Past([crash, lost]).failures_at(0) == 1
    assert Past([crash, lost]).failures_at(50) == 0
    assert Past([crash, lost, third]).failures_at(50) == 1, "the row began anew at step 50"
    assert Past([crash, lost, third]).most == 50


@given(st.sampled_from(list(What)), st.sampled_from(list(Do)), st.sampled_from(["", "the time limit was near"]))
def test_the_end_report_names_the_slow_rank_where_the_job_was_at_work(what: What, do: Do, why: str) -> None:
    """A crash keeps its own words: the next attempt compares them."""
    slow = "rank 5 on n3 waits 4.0x as long for its data: x, or leave the node out: --exclude=n3"
    before = Decision(what=what, do=do, why=why)
    now = with_slow_rank(before, slow)
    assert with_slow_rank(before, "") == before
    assert (now.what, now.do) == (what, do)
    assert now.why.startswith(why)
    named = slow in now.why
    assert named == (what in (What.DONE, What.TIME_LIMIT, What.PREEMPTED, What.HUNG))
    assert named or now == before
