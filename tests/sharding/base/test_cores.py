import os

import pytest

from avsync.world import cores_of_rank
from sharding.base.environment import GRANTED, available_cores


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.delenv(GRANTED, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    return 8


def test_a_process_may_use_the_cores_it_is_bound_to(bound: int) -> None:
    assert available_cores() == bound


@pytest.mark.parametrize(("granted", "used"), [("2", 2), ("64", 8), ("0", 8), ("", 8), ("many", 8)])
def test_a_job_may_grant_fewer(bound: int, monkeypatch: pytest.MonkeyPatch, granted: str, used: int) -> None:
    monkeypatch.setenv(GRANTED, granted)
    assert available_cores() == used


def test_ranks_share_the_cores_of_a_machine(bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert cores_of_rank() == bound // 4


def test_ranks_do_not_share_what_a_job_has_given_each_of_them(bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setenv(GRANTED, "8")
    assert cores_of_rank() == bound
