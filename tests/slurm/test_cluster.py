"""The cluster itself does what the tests on it rely on."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from sharding.errors import InputError
from slurm.cluster import Cluster, ClusterError, ClusterSettings
from slurm.cluster.packages import Programs

pytestmark = pytest.mark.slurm


def soon(happens: Callable[[], bool], timeout_s: float = 30) -> bool:
    """Whether it happens within the time."""
    end = time.monotonic() + timeout_s
    while not happens():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def processes_of(folder: Path) -> list[str]:
    """Command lines of the live processes that were started with this folder in a word, or in their environment."""
    found = list[str]()
    for process in psutil.process_iter():
        try:
            belongs = str(folder) in " ".join([*process.cmdline(), process.environ().get("SLURM_CONF", "")])
            if belongs and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def sleeper(cluster: Cluster, *options: str) -> str:
    """A job that sleeps, running."""
    job = cluster.submit("--output=/dev/null", *options, "--wrap=srun sleep 600")
    cluster.wait_for(job, "RUNNING")
    return job


def test_a_step_runs_on_the_nodes_it_asked_for(cluster: Cluster) -> None:
    printed = cluster.run("srun", "--nodes=3", "sh", "-c", "echo $SLURMD_NODENAME")
    assert sorted(printed.split()) == ["n1", "n2", "n3"]


def test_every_partition_lets_jobs_run_for_ever(cluster: Cluster) -> None:
    limits = cluster.run("sinfo", "--noheader", "--format=%R %l").splitlines()
    assert sorted(limits) == ["grace infinite", "high infinite", "low infinite"]


def test_node_names_do_not_resolve(cluster: Cluster) -> None:
    for node in cluster.settings.node_names:
        with pytest.raises(socket.gaierror):
            socket.getaddrinfo(node, None)


def test_a_preempted_job_is_requeued_and_starts_again(cluster: Cluster) -> None:
    job = sleeper(cluster)
    cluster.preempt(seconds=1)
    assert cluster.wait_for(job, "RUNNING")["Restarts"] == "1"
    what = [event.what for event in cluster.events() if event.job == job]
    assert what == ["submitted", "started", "preempted", "requeued", "started"]


def test_only_the_named_nodes_are_preempted(cluster: Cluster) -> None:
    evicted, spared = sleeper(cluster, "--nodelist=n1"), sleeper(cluster, "--nodelist=n2")
    cluster.preempt(["n1"], seconds=1)
    assert cluster.wait_for(evicted, ("PENDING", "RUNNING"))["Restarts"] == "1"
    assert (cluster.job(spared)["JobState"], cluster.job(spared)["Restarts"]) == ("RUNNING", "0")


def test_a_job_in_the_partition_grace_is_told_and_may_go_on_before_it_is_evicted(cluster: Cluster) -> None:
    script = "--wrap=trap : TERM; for i in $(seq 600); do sleep 1; done"
    job = cluster.submit("--output=/dev/null", "--partition=grace", script)
    cluster.wait_for(job, "RUNNING")
    cluster.preempt(seconds=1, wait=False)
    assert soon(lambda: cluster.job(job).get("PreemptTime", "None") != "None")
    assert cluster.job(job)["JobState"] == "RUNNING"
    assert soon(lambda: cluster.job(job)["Restarts"] == "1", timeout_s=90)
    assert [event.what for event in cluster.events() if event.job == job][2:4] == ["given grace", "preempted"]


def test_two_jobs_with_one_gpu_each_share_a_node_but_no_gpu(cluster: Cluster, tmp_path: Path) -> None:
    jobs = list[str]()
    for name in ("a", "b"):
        script = (
            f"--wrap=echo $CUDA_VISIBLE_DEVICES > {tmp_path / name}.part; mv {tmp_path / name}.part {tmp_path / name}"
        )
        jobs.append(cluster.submit("--gpus-per-node=1", "--nodelist=n1", "--output=/dev/null", script + "; sleep 600"))
    assert soon(lambda: all((tmp_path / name).exists() for name in ("a", "b")))
    assert {(tmp_path / name).read_text().strip() for name in ("a", "b")} == {"0", "1"}


def test_a_job_on_a_node_that_dies_fails_and_starts_again_elsewhere(cluster: Cluster) -> None:
    job = sleeper(cluster)
    node = cluster.job(job)["NodeList"]
    others = sleeper(cluster, f"--exclude={node}")
    cluster.kill_node(node)
    assert soon(lambda: cluster.job(job)["Restarts"] == "1", timeout_s=90)
    assert cluster.wait_for(job, "RUNNING")["NodeList"] != node
    assert [event.what for event in cluster.events() if event.job == job][2:] == [
        "lost its node",
        "requeued",
        "started",
    ]
    assert (cluster.job(others)["JobState"], cluster.job(others)["Restarts"]) == ("RUNNING", "0")
    cluster.start_node(node)
    assert cluster.run("srun", f"--nodelist={node}", "echo", "back") == "back\n"


def test_a_killed_node_keeps_no_process_not_even_one_that_left_its_job(cluster: Cluster, tmp_path: Path) -> None:
    script = f"--wrap=setsid sleep 54321 & echo $! > {tmp_path / 'pid'}; srun sleep 600"
    job = cluster.submit("--output=/dev/null", script)
    assert soon(lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text()))
    stray = psutil.Process(int((tmp_path / "pid").read_text()))
    cluster.kill_node(cluster.job(job)["NodeList"])
    assert soon(lambda: not stray.is_running())


@pytest.mark.usefixtures("accounting")
def test_a_job_gets_its_row_in_the_accounts(cluster: Cluster) -> None:
    job = cluster.submit("--output=/dev/null", "--wrap=exit 3")
    cluster.wait_for(job, "FAILED")

    def row() -> str:
        return cluster.run("sacct", "--noheader", "--parsable2", "-X", "-j", job, "--format=State,ExitCode").strip()

    assert soon(lambda: row() == "FAILED|3:0")


def test_programs_can_be_hidden_from_a_job_while_all_others_are_found(cluster: Cluster) -> None:
    def found(*names: str) -> list[str]:
        words = ["sh", "-c", "; ".join(f"command -v {name}" for name in names)]
        hidden = cluster.environment_without("scontrol", "sacct")
        return subprocess.run(words, env=hidden, capture_output=True, text=True).stdout.split()

    assert [Path(name).name for name in found("scontrol", "sacct", "srun", "sleep")] == ["srun", "sleep"]


def test_the_end_of_a_wait_says_what_the_job_does_instead(cluster: Cluster) -> None:
    job = sleeper(cluster)
    with pytest.raises(ClusterError, match=rf"job {job} is RUNNING \(None\) after 0.2 s, not COMPLETED"):
        cluster.wait_for(job, "COMPLETED", timeout=0.2)


def test_a_failing_command_shows_what_it_printed(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="invalid partition"):
        cluster.submit("--partition=none", "--wrap=true")


def test_two_clusters_at_once_do_not_see_each_other_and_leave_nothing_behind(cluster: Cluster, tmp_path: Path) -> None:
    here = sleeper(cluster)
    folder = tmp_path / "c"
    with Cluster(ClusterSettings(folder=folder, nodes=2, accounting=False)) as other:
        there = sleeper(other)
        assert len(other.run("squeue", "--noheader").splitlines()) == 1
        assert len(processes_of(folder)) > 4
        assert other.job(there)["JobState"] == "RUNNING"
    assert processes_of(folder) == []
    assert not other.is_running
    assert cluster.job(here)["JobState"] == "RUNNING"


OWNER = """
import sys, time
from pathlib import Path
from slurm.cluster import Cluster, ClusterSettings
with Cluster(ClusterSettings(folder=Path(sys.argv[1]), nodes=1, accounting=sys.argv[2] == "True")) as cluster:
    job = cluster.submit("--output=/dev/null", "--wrap=srun sleep 600")
    cluster.wait_for(job, "RUNNING")
    print("up", flush=True)
    time.sleep(600)
"""


def test_nothing_outlives_an_owner_that_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    accounting = cluster.settings.accounting
    words = [sys.executable, "-c", OWNER, str(folder), str(accounting)]
    owner = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout as lines:
        assert lines.readline() == "up\n"
        running = " ".join(processes_of(folder))
        daemons = ["munged", "slurmctld", "slurmd", "srun", *(["slurmdbd", "mariadbd"] if accounting else [])]
        assert [name for name in daemons if name not in running] == []
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert soon(lambda: processes_of(folder) == [])


def test_a_second_start_in_the_same_folder_refuses(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match=r"runs in .* already; stop it, or choose another folder"):
        Cluster(cluster.settings).start()
    assert cluster.is_running


def test_a_daemon_that_ends_at_once_is_named_with_its_last_words(tmp_path: Path) -> None:
    settings = ClusterSettings(folder=tmp_path / "c", accounting=False, extra_conf="SelectType=select/none")
    with pytest.raises(ClusterError, match=r"(?s)slurmctld ended with 1:.*select"):
        Cluster(settings).start()
    assert processes_of(tmp_path / "c") == []


def test_missing_programs_are_named_with_their_packages_and_the_remedy(tmp_path: Path) -> None:
    cluster = Cluster(ClusterSettings(folder=tmp_path / "c"), Programs(root=tmp_path))
    with pytest.raises(InputError, match=r"munged.*slurmdbd.*packages munge, .*python -m slurm\.cluster install"):
        cluster.start()


def test_a_folder_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no more than 80; choose a shorter path"):
        ClusterSettings(folder=tmp_path / ("long" * 20))


def command(folder: Path, *words: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "slurm.cluster", words[0], "--folder", str(folder), *words[1:]],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_command_line_starts_a_cluster_that_stays_until_stop(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    try:
        line = command(folder, "start", "--nodes=2", "--no-accounting")
        assert f"export SLURM_CONF={folder}/etc/slurm.conf" in line
        job = Cluster.attach(folder).submit("--output=/dev/null", "--wrap=sleep 600")
        assert job in command(folder, "status")
        command(folder, "kill-node", "n2")
        command(folder, "start-node", "n2")
        assert re.search(r"\t1\tsubmitted\n", command(folder, "events"))
    finally:
        command(folder, "stop")
    assert processes_of(folder) == []


def test_a_command_can_be_run_in_a_cluster_of_its_own(tmp_path: Path) -> None:
    printed = command(tmp_path / "c", "shell", "--nodes=1", "--no-accounting", "--", "srun", "echo", "seen")
    assert printed == "seen\n"
    assert processes_of(tmp_path / "c") == []
