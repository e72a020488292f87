"""The soak's checks can fail: what agrees passes, and each way to disagree is found, in made-up facts."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from avsync.run.receipt import Receipt
from benchmarks.soak import checks
from benchmarks.soak.blows import BLOWS
from benchmarks.soak.checks import Finding
from benchmarks.soak.look import Process, Shown
from launch.watch.status import Standing

GENTLE = [blow.name for blow in BLOWS if not blow.excuses and blow.fails < checks.RETRIES]
ROUGH = [blow.name for blow in BLOWS if blow.name not in GENTLE]


def shown(standing: Standing, kind: str = "train") -> Shown:
    return Shown(target="/run", kind=kind, ids=("7",), standing=standing, why="", attempts=())


def receipt(attempt: int, step: int, **other: Any) -> Receipt:
    usual = Receipt(
        attempt=attempt, begun="", step=step, steps=40, epoch=0, position=0, epoch_clips=10, clips=0, skipped=0,
        repeated=0, unreadable=0, digest="", saved_s_ago=0, ranks_before=1, ranks=1,
    )  # fmt: skip
    return replace(usual, **other)


@pytest.mark.parametrize("blow", GENTLE)
@pytest.mark.parametrize("standing", [one for one in Standing if one is not Standing.DONE])
def test_a_blow_that_avsync_survives_by_itself_excuses_no_end_but_done(blow: str, standing: Standing) -> None:
    assert checks.ends("1", [shown(standing)], [blow])
    assert not checks.ends("1", [shown(Standing.DONE)], [blow])


@pytest.mark.parametrize("blow", ROUGH)
def test_a_blow_that_ends_jobs_excuses_its_own_ends_and_no_running_job(blow: str) -> None:
    allowed = checks.may_end([blow])
    for standing in Standing:
        fine = standing is Standing.DONE or standing in allowed
        assert bool(checks.ends("1", [shown(standing)], [blow])) is not fine
    assert not allowed & {*checks.LIVE, Standing.UNSENT, Standing.UNKNOWN}


def test_a_job_is_given_up_rightly_after_as_many_failures_as_the_profile_allows() -> None:
    failing = next(blow.name for blow in BLOWS if blow.fails == 1 and not blow.excuses)
    failed = [shown(Standing.FAILED)]
    assert checks.ends("1", failed, [failing] * (checks.RETRIES - 1))
    assert not checks.ends("1", failed, [failing] * checks.RETRIES)


def test_a_job_behind_one_that_did_not_end_well_is_cancelled_and_only_there() -> None:
    first, second = shown(Standing.SILENT, "train"), shown(Standing.CANCELLED, "evaluate")
    assert not checks.ends("1", [first, second], ["kill the batch script"])
    assert checks.ends("1", [shown(Standing.DONE), second], ["kill the batch script"])


AGREE: dict[Standing, tuple[list[str], dict[str, str]]] = {
    Standing.RUNNING: (["RUNNING"], {"7": "RUNNING"}),
    Standing.WAITING: (["PENDING"], {"7": "REQUEUED"}),
    Standing.DONE: ([], {"7": "COMPLETED"}),
    Standing.CANCELLED: ([], {"7_0": "COMPLETED", "7_1": "CANCELLED"}),
    Standing.FAILED: ([], {"7": "FAILED"}),
    Standing.SILENT: ([], {"7": "FAILED"}),
}


@pytest.mark.parametrize("standing", AGREE)
def test_what_avsync_says_is_held_against_slurm(standing: Standing) -> None:
    live, books = AGREE[standing]
    assert not checks.queue_agrees("1", shown(standing), live, books)
    assert not checks.queue_agrees("1", shown(standing), live, {}), "books lag"
    opposite = [] if standing in checks.LIVE else ["RUNNING"]
    assert [one.check for one in checks.queue_agrees("1", shown(standing), opposite, books)] == ["status"]


@pytest.mark.parametrize(
    ("standing", "state"), [("done", "FAILED"), ("cancelled", "COMPLETED"), ("failed", "COMPLETED")]
)
def test_books_that_tell_of_another_end_are_found(standing: str, state: str) -> None:
    found = checks.queue_agrees("1", shown(Standing(standing)), [], {"7": state})
    assert [one.check for one in found] == ["books"]


def test_what_was_cancelled_must_not_come_back() -> None:
    jobs = [shown(Standing.DONE), shown(Standing.CANCELLED, "evaluate")]
    assert not checks.stays_cancelled("1", jobs, ["evaluate"])
    assert not checks.stays_cancelled("1", jobs, [])
    assert checks.stays_cancelled("1", jobs, ["train"])


STRAIGHT = [receipt(1, 0), receipt(2, 15), receipt(3, 15)]


@pytest.mark.parametrize(
    "receipts",
    [
        [],
        STRAIGHT[1:],
        [STRAIGHT[0], receipt(2, 15), receipt(3, 10)],
        [receipt(1, 0, skipped=1)],
        [receipt(1, 0, repeated=1)],
        [receipt(1, 0, steps=41)],
        [*STRAIGHT, receipt(4, 41)],
        [*STRAIGHT, receipt(4, 30), receipt(5, 30)],
    ],
)
def test_receipts_that_do_not_follow_each_other_are_found(receipts: list[Receipt]) -> None:
    assert checks.receipts_agree("1", receipts, attempts=4, steps=40)
    assert not checks.receipts_agree("1", STRAIGHT, attempts=4, steps=40)


CURVE = [(1, 0.5), (2, 0.25), (3, 0.125)]


@pytest.mark.parametrize("curve", [[], CURVE[1:], [*CURVE, CURVE[1]], [*CURVE[:2], (3, 0.126)], [*CURVE, (4, 0.1)]])
def test_a_curve_with_a_step_lost_doubled_or_changed_is_found(curve: list[tuple[int, float]]) -> None:
    assert checks.curve_agrees("1", curve, CURVE)
    assert not checks.curve_agrees("1", CURVE, CURVE)


HELD = {"model/a": "1", "model/b": "2"}


@pytest.mark.parametrize("found", [{}, HELD | {"model/c": "3"}, HELD | {"model/b": "3"}, {"model/a": "1"}])
def test_other_weights_and_datasets_are_found(found: dict[str, str]) -> None:
    assert checks.same("weights", "1", found, HELD)
    assert not checks.same("weights", "1", dict(HELD), HELD)


@pytest.mark.parametrize(
    "check",
    [
        lambda: checks.orphans([Process(pid=7, account="soak0", words="python -m launch train")]),
        lambda: checks.leftovers("1", "run", {"run.json", "checkpoints/N.gone"}, {"run.json"}),
        lambda: checks.unasked("1", ["7"]),
    ],
)
def test_what_is_left_is_found(check: Callable[[], list[Finding]]) -> None:
    assert len(check()) == 1
    assert not checks.orphans([]) + checks.leftovers("1", "run", {"a"}, {"a", "b"}) + checks.unasked("1", [])
