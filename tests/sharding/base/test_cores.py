import os
import platform
import resource
import subprocess
import sys

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


FAULTS = """
import resource, sys, torch
from avsync.world import use_cores
if sys.argv[1] == "keep":
    use_cores(torch.device("cpu"))
for step in range(30):
    if step == 20:  # what is freed has found together
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries keep memory by themselves, or cannot")
def test_a_network_on_the_cpu_does_not_ask_for_the_memory_of_each_step_anew() -> None:
    def pages(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    once = 2**26 // resource.getpagesize()
    assert pages("keep") < 0.5 * once
    assert pages("let go") > 5 * once, "this C library keeps it by itself: use_cores need not ask for it"
