"""Which jobs a command means: a table over all ways in which a chain can stand, its links in one folder or in two.

The right answers come from a rule written down once more here, shorter, and from what must never happen.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import pytest

from launch.watch.meant import ChainJob, Meant, in_order, meant_by_cancel, meant_by_logs, meant_by_resubmit
from launch.watch.status import LIVE, Standing

NAMES = ("pack", "train", "evaluate")
STUCK = "stuck"
STATES = (*Standing, STUCK)
FOLDERS = ("aaa", "baa", "aab", "abb", "bba")
"""Which folder each link lies in; that with an a was named."""


def chain(states: Sequence[Standing | str], folders: str = "aaa") -> list[ChainJob]:
    """Links in order, of which each began later than the one before, if it ever did."""
    roots = [Path("/", folder, "jobs", kind) for kind, folder in zip(NAMES[: len(states)], folders, strict=False)]
    return [
        ChainJob(
            root=root,
            standing=Standing.WAITING if state == STUCK else Standing(state),
            stuck=state == STUCK,
            here=root.parts[1] == "a",
            began=0.0 if state in (STUCK, Standing.WAITING, Standing.UNSENT) else float(number + 1),
            before=frozenset(roots[:number]),
        )
        for number, (root, state) in enumerate(zip(roots, states, strict=True))
    ]


def chains() -> Iterator[list[ChainJob]]:
    for states in product(STATES, repeat=len(NAMES)):
        for folders in FOLDERS:
            yield chain(states, folders)


def kinds(meant: Meant) -> list[str]:
    return [job.kind for job in meant.jobs]


def live(job: ChainJob) -> bool:
    return job.standing in LIVE or job.standing is Standing.UNKNOWN


def test_cancel_means_all_that_lives_here_and_what_waits_for_it_elsewhere_and_nothing_is_kept_quiet() -> None:
    for jobs in chains():
        meant = meant_by_cancel(jobs)
        chosen = {job.root for job in meant.jobs}
        assert {job.root for job in jobs if job.here and live(job)} <= chosen
        assert {job.root for job in jobs} == chosen | {job.root for job in meant.others}, "all of it is told"
        assert not any(job.standing in (Standing.DONE, Standing.FAILED, Standing.CANCELLED) for job in meant.jobs)
        for job in jobs:
            if not job.here:
                waits = job.standing is Standing.WAITING and (job.stuck or chosen & job.before)
                assert (job.root in chosen) == bool(waits), "what runs elsewhere was not named"
        assert bool(meant.refusal) == (not chosen)
        telling = [job for job in jobs if job.here or job.standing is not Standing.DONE]
        assert all(job.kind in meant.refusal for job in telling if meant.refusal)


def test_after_a_cancel_nothing_of_the_folder_lives_and_a_second_one_says_so() -> None:
    for jobs in chains():
        first = meant_by_cancel(jobs)
        after = [
            ChainJob(root=job.root, standing=Standing.CANCELLED, here=job.here, before=job.before)
            if job in first.jobs
            else job
            for job in jobs
        ]
        second = meant_by_cancel(after)
        assert not second.jobs
        assert "was cancelled" in second.refusal or not first.jobs


def test_logs_mean_what_runs_else_what_ran_last_and_never_one_that_only_waits_while_another_ran() -> None:
    for jobs in chains():
        (chosen,) = meant_by_logs(jobs).jobs
        here = [job for job in jobs if job.here]
        running = [job for job in here if job.standing in (Standing.RUNNING, Standing.ENDING)]
        ran = [job for job in here if job.began]
        assert chosen.here
        assert chosen in (running or ran or here)
        assert not ran or chosen.began
        assert chosen.began == max((job.began for job in running or ran), default=0.0)


def test_a_requeued_job_that_waits_again_is_the_one_that_ran_last() -> None:
    done, train, evaluate = chain((Standing.DONE, Standing.WAITING, Standing.WAITING))
    again = ChainJob(root=train.root, standing=Standing.WAITING, began=9.0, before=train.before)
    assert kinds(meant_by_logs([done, again, evaluate])) == ["train"]
    assert kinds(meant_by_logs(chain((Standing.WAITING, Standing.WAITING)))) == ["pack"], "it will run first"


def lost(job: ChainJob) -> bool:
    return job.stuck or job.standing not in (*LIVE, Standing.DONE)


def test_resubmit_means_the_first_that_did_not_end_well_and_what_fell_with_it_nothing_twice() -> None:
    for jobs in chains():
        meant = meant_by_resubmit(jobs)
        roots = [job.root for job in meant.jobs]
        here = [job for job in jobs if job.here and lost(job)]
        assert len(set(roots)) == len(roots)
        if not here:
            assert meant.refusal or kinds(meant) == [job.kind for job in jobs if job.here], "one job, once more"
            assert meant.refusal or not any(map(lost, jobs))
            continue
        assert not meant.refusal
        assert all(map(lost, meant.jobs)), "neither what lives nor what is done"
        first = jobs.index(here[0])
        begin = jobs.index(meant.jobs[0])
        assert begin <= first
        assert all(map(lost, jobs[begin:first])), "what the first one needs comes with it"
        assert begin == 0 or not lost(jobs[begin - 1]) or jobs[begin - 1].here
        assert [job for job in jobs[begin:] if lost(job)] == list(meant.jobs), "all behind it, in order"
        assert list(meant.after) == [job for job in jobs[:begin] if live(job) and not lost(job)]


def test_done_jobs_of_a_folder_with_several_are_not_queued_again_by_a_guess() -> None:
    assert meant_by_resubmit(chain((Standing.DONE, Standing.DONE))).refusal
    assert kinds(meant_by_resubmit(chain((Standing.DONE,)))) == ["pack"]
    assert "runs" in meant_by_resubmit(chain((Standing.DONE, Standing.RUNNING))).refusal


def test_two_chains_of_a_folder_that_both_failed_are_listed_and_one_that_is_well_does_not_matter() -> None:
    verify, audit = (
        ChainJob(root=Path("/a/jobs", kind), standing=Standing.FAILED, began=1) for kind in ("verify", "audit")
    )
    refusal = meant_by_resubmit([verify, audit]).refusal
    assert "verify failed" in refusal
    assert "audit failed" in refusal
    well = ChainJob(root=audit.root, standing=Standing.RUNNING, began=2)
    assert kinds(meant_by_resubmit([verify, well])) == ["verify"]
    assert {*kinds(meant_by_cancel([well, verify]))} == {"audit"}


@pytest.mark.parametrize("standing", Standing)
def test_every_standing_has_its_words(standing: Standing) -> None:
    (job,) = chain((standing,))
    assert job.said.startswith("pack ")
    assert len(job.said.split()) > 1


def test_jobs_come_in_the_order_of_their_chain_whatever_order_they_were_found_in() -> None:
    jobs = chain((Standing.FAILED, Standing.CANCELLED, Standing.CANCELLED))
    assert kinds(meant_by_resubmit(jobs[::-1])) == list(NAMES)
    assert in_order(jobs[::-1]) == jobs
