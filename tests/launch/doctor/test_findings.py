"""What the doctor concludes from what its probes saw, of sites that no test cluster is like."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launch.doctor.doctor import toml
from launch.doctor.of_nodes import of_nodes
from launch.doctor.of_signals import of_signals
from launch.doctor.of_site import of_site
from launch.doctor.on_node import OF_JOB, OF_SHELL
from launch.doctor.results import Disk, SiteFinding, SiteVerdict, TaskResults, Way
from launch.doctor.scripts import Looks
from launch.queue.site import Partition, SiteConfig
from launch.site.profile import ClusterProfile

HERE = Way(name="n1", address="10.0.0.1", reached=True)
FIRST = TaskResults(
    rank=0, local=0, began=0.0, node="n1", host="n1", cpus=[0, 1], cpus_asked=2, gpus="", memlock=-1, python="3.11.2",
    executable="", packages={"torch": "2.10", "av": "18.1"}, scontrol=True, squeue=True, shm=2**34,
    own_name_is="10.0.0.1", shared_round_s=0.2, clock_s=0.01, arrived=[OF_JOB, OF_SHELL],
)  # fmt: skip
GUEST = replace(
    FIRST, rank=1, node="n2", own_name_is="10.0.0.2", ways={"node": HERE}, clock_between_s=0.0, device="ib0"
)
DISK = Disk(name="$SLURM_TMPDIR", path="/x", free=10**12, bytes_per_s=1e9, shared=False, memory=False)


def found(*tasks: TaskResults, **profile: object) -> dict[str, SiteFinding]:
    """Check -> finding, of two nodes."""
    site = ClusterProfile(**profile)  # type: ignore[arg-type]
    return {finding.check: finding for finding in of_nodes(site, tasks, 2)}


@pytest.mark.parametrize(
    ("check", "task", "verdict"),
    [
        ("node to node", replace(GUEST, ways={"node": replace(HERE, reached=False)}), SiteVerdict.CHANGE),
        ("node to node", replace(GUEST, ways={}), SiteVerdict.UNKNOWN),
        ("node names", replace(GUEST, ways={"node": replace(HERE, address="")}), SiteVerdict.FINE),
        ("a node's own name", replace(GUEST, own_name_is="127.0.1.1"), SiteVerdict.CHANGE),
        ("clocks", replace(GUEST, clock_between_s=-7.0), SiteVerdict.CHANGE),
        ("packages", replace(GUEST, packages={"av": "18.1.0"}), SiteVerdict.CHANGE),
        ("known faults", replace(GUEST, packages={"torch": "2.9.1+cu128", "av": "18.1.0"}), SiteVerdict.NOTE),
        ("known faults", replace(GUEST, packages={"torch": "2.10.0", "av": "17.0.1"}), SiteVerdict.NOTE),
        ("CPUs of a task", replace(GUEST, cpus=[0]), SiteVerdict.CHANGE),
        ("/dev/shm", replace(GUEST, shm=64 * 2**20), SiteVerdict.NOTE),
        ("SLURM on the nodes", replace(GUEST, scontrol=False), SiteVerdict.CHANGE),
        ("environment", replace(GUEST, arrived=[OF_SHELL], export="NONE"), SiteVerdict.CHANGE),
        ("environment", replace(GUEST, arrived=[OF_JOB], export="NONE"), SiteVerdict.NOTE),
    ],
)
def test_what_one_node_lacks_is_found(check: str, task: TaskResults, verdict: SiteVerdict) -> None:
    well = found(FIRST, GUEST)[check]
    assert well.verdict is SiteVerdict.FINE
    assert not well.advice
    ill = found(FIRST, task)[check]
    assert ill.verdict is verdict
    assert bool(ill.advice) == (verdict in (SiteVerdict.CHANGE, SiteVerdict.NOTE))


def test_a_name_that_means_oneself_gets_the_network_device_in_the_profile() -> None:
    told = toml([found(FIRST, replace(GUEST, own_name_is="127.0.1.1"))["a node's own name"]])
    assert tomllib.loads("\n".join(told)) == {"environment": {"GLOO_SOCKET_IFNAME": "ib0", "NCCL_SOCKET_IFNAME": "ib0"}}


def test_scratch_is_a_disk_that_every_node_has_for_itself() -> None:
    with_disk = replace(
        FIRST, scratch=[DISK, replace(DISK, name="/tmp", memory=True), replace(DISK, name="/s", shared=True)]
    )
    advised = found(with_disk, replace(GUEST, scratch=[DISK]))["scratch"]
    assert advised.profile == {"scratch": '"$SLURM_TMPDIR"'}
    assert not found(with_disk, GUEST)["scratch"].profile
    assert found(with_disk, GUEST, scratch="/local")["scratch"].verdict is SiteVerdict.CHANGE


def test_nodes_that_said_nothing_are_unknown_not_fine(tmp_path: Path) -> None:
    assert [finding.verdict for finding in of_nodes(ClusterProfile(), [], 2)] == [SiteVerdict.UNKNOWN]
    seen = of_signals(ClusterProfile(), tmp_path, None, Looks())
    assert {finding.verdict for finding in seen} == {SiteVerdict.UNKNOWN}


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        (("1 ready 7 0", "2 asked 0 ", "9 ready 7 1"), SiteVerdict.FINE),
        (("1 ready 7 0", "2 asked 0 ", "3 beat"), SiteVerdict.UNKNOWN),
        (("1 ready 7 0", "2 asked 1 Requested operation is presently disabled"), SiteVerdict.CHANGE),
    ],
)
def test_a_job_that_comes_back_is_told_from_one_that_was_refused(
    tmp_path: Path, lines: tuple[str, ...], verdict: SiteVerdict
) -> None:
    (tmp_path / "requeue-batch.txt").write_text("\n".join(lines))
    got = of_signals(ClusterProfile(), tmp_path, None, Looks(limit=False))[-1]
    assert (got.check, got.verdict) == ("requeue from within", verdict)
    assert bool(got.profile) == (verdict is SiteVerdict.CHANGE)


def test_a_process_that_is_killed_without_a_word_before_is_found(tmp_path: Path) -> None:
    for who, lines in (("batch", "1 ready 7 0\n2 signal SIGTERM\n31.5 beat\n"), ("task", "1 ready 7 0\n9 beat\n")):
        (tmp_path / f"cancel-{who}.txt").write_text(lines)
    got = {finding.check: finding for finding in of_signals(ClusterProfile(), tmp_path, 2.0, Looks())}
    assert got["scancel: batch script"].found == "SIGTERM, and 30 s until SIGKILL"
    assert got["scancel: tasks"].verdict is SiteVerdict.CHANGE


@pytest.mark.parametrize(
    ("mode", "grace", "verdict"),
    [
        ("REQUEUE", "60", SiteVerdict.FINE), ("REQUEUE", "0", SiteVerdict.NOTE), ("OFF", "0", SiteVerdict.FINE),
        ("CANCEL", "0", SiteVerdict.NOTE), ("CANCEL", "60", SiteVerdict.FINE),
    ],
)  # fmt: skip
def test_preemption_is_judged_by_the_time_it_leaves(mode: str, grace: str, verdict: SiteVerdict) -> None:
    config = SiteConfig({"PreemptType": "preempt/partition_prio", "KillWait": "5 sec"})
    partition = Partition("gpu", {"PreemptMode": mode, "GraceTime": grace, "MaxTime": "12:00:00", "State": "UP"})
    site = ClusterProfile(partition="gpu", time="24 h")
    got = {finding.check: finding for finding in of_site(site, config, [partition], True)}
    assert got["preemption"].verdict is verdict
    assert got["time limit"].profile == {"time": '"12:00:00"'}


@pytest.mark.parametrize(
    ("settings", "verdict"),
    [
        ({}, SiteVerdict.FINE),
        ({"scontrol": ()}, SiteVerdict.CHANGE),
        ({"scontrol": (), "successors": 3}, SiteVerdict.FINE),
    ],
)
def test_a_site_that_cancels_what_it_preempts_is_bad_only_where_nothing_goes_on_after_it(
    settings: dict[str, Any], verdict: SiteVerdict
) -> None:
    """Measured: a job that is cancelled so has the time to requeue itself, with and without GraceTime."""
    config = SiteConfig({"PreemptType": "preempt/partition_prio", "KillWait": "30 sec"})
    partition = Partition("gpu", {"PreemptMode": "CANCEL", "GraceTime": "0", "State": "UP"})
    got = of_site(ClusterProfile(partition="gpu", **settings), config, [partition], True)
    assert next(finding for finding in got if finding.check == "preemption").verdict is verdict


def test_a_partition_that_is_not_there_is_answered_with_those_that_are() -> None:
    got = of_site(ClusterProfile(partition="gqu"), SiteConfig({}), [Partition("gpu", {})], True)
    wrong = next(finding for finding in got if finding.check == "partition")
    assert (wrong.verdict, wrong.found) == (SiteVerdict.CHANGE, "gqu; there are gpu")


def test_partitions_that_a_site_does_not_show_are_not_held_against_the_profile() -> None:
    got = of_site(ClusterProfile(partition="gpu"), SiteConfig({}), [], True)
    assert next(one for one in got if one.check == "partition").verdict is SiteVerdict.UNKNOWN
