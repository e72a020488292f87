"""On a real cluster: the doctor finds what was measured of it by hand, and clears away behind itself."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from jobs import LIMIT_S

from launch.cli import main
from launch.site.profile import ClusterProfile
from slurm.cluster import Cluster

pytestmark = pytest.mark.slurm


@pytest.fixture(autouse=True)
def on_the_login_node(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.chdir(tmp_path)


def examined(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, str], str]:
    """Exit code, check -> rest of its line, and all that was printed."""
    code = main(["doctor", "--cluster", "./site.toml", *words])
    printed = capsys.readouterr()
    lines = [re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in printed.out.splitlines()]
    return code, {line[0]: line[1] for line in lines if len(line) == 2}, printed.out + printed.err


@pytest.mark.slow
def test_the_doctor_finds_what_this_cluster_does_and_leaves_no_job(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site.toml").write_text('partition = "low"\ngpus_per_node = 1\ncpus_per_gpu = 1\n')
    code, found, text = examined(capsys)
    assert code == 1, "its GPUs are none"
    assert "1 thing must be changed, as shown above: torch on the GPU" in text
    wait = cluster.settings.kill_wait_s
    for check, what in (
        ("SLURM", "22.|23.|24."),
        ("partition", "low is UP"),
        ("preemption", f"REQUEUE; {wait} s to save: GraceTime 0 s, KillWait {wait} s"),
        ("wait after a requeue", r"6 s \(AuthInfo=cred_expire, and a second\)"),
        ("array jobs", f"up to {cluster.settings.max_array_size} tasks"),
        ("node names", "n[1-4] does not resolve: avsync takes the address"),
        ("node to node", "free ports are reached by .*launch"),
        ("shared folder", r"a file is seen on the other side and answered in <?[\d.]+ s"),
        ("clocks", "at most <?0"),
        ("environment", "variables of your shell reach a job, and those of a job its tasks"),
        ("SLURM on the nodes", "scontrol answers, squeue is there"),
        ("GPUs", r"CUDA_VISIBLE_DEVICES 0"),
        ("signal before the time limit", r"it comes; 40 s were asked for, [3-9]\d s were given"),
        ("requeue from within", r"it is back after \d+ s, under the same number"),
    ):
        assert re.match(what, found.get(check, "")), f"{check}: {found.get(check)}\n{text}"
    for check in ("time limit: batch script", "time limit: tasks", "scancel: batch script", "scancel: tasks"):
        measured = re.match(r"SIGTERM, and (\d+) s until SIGKILL", found[check])
        assert measured, f"{check}: {found[check]}\n{text}"
        assert wait - 1 <= int(measured[1]) <= wait + 5, "SLURM may be late with its SIGKILL, but not early"
    assert not cluster.run("squeue", "--noheader", "--states=PENDING,RUNNING").strip()


def test_where_jobs_cannot_requeue_themselves_the_profile_is_told_how_to_go_on(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The advice is what it takes: pasted into the profile, nothing must be changed any more."""
    lacking = cluster.environment_without("scontrol")["PATH"]
    site = tmp_path / "bin" / "sbatch"  # as sites have it that start all jobs with nothing of a shell
    site.parent.mkdir()
    site.write_text(f'#!/bin/sh\nexec {shutil.which("sbatch")} --export=NONE "$@"\n')
    site.chmod(0o755)
    monkeypatch.setenv("PATH", f"{site.parent}:{os.environ['PATH']}")
    text = f'partition = "low"\ncpus_per_gpu = 1\n[environment]\nPATH = "{lacking}"\n'
    (tmp_path / "site.toml").write_text(text)
    code, found, said = examined(capsys, "--quick", "--nodes", "1")
    assert code == 1
    assert "scontrol does not answer" in found["SLURM on the nodes"]
    assert found["environment"].startswith("variables of your shell do not reach a job (--export=NONE)")
    assert found["scancel: tasks"].startswith("SIGTERM, and "), "they were started"
    assert found["requeue from within"].startswith("refused: ")
    lines = [line for line in said.splitlines() if re.fullmatch(r"\w+ = .*", line)]
    advised = tomllib.loads("\n".join(lines))
    assert {key: advised[key] for key in ("scontrol", "successors")} == {"scontrol": [], "successors": 3}
    assert set(advised) <= set(ClusterProfile.__dataclass_fields__)
    (tmp_path / "site.toml").write_text("\n".join(lines) + "\n" + text)
    code, found, said = examined(capsys, "--quick", "--nodes", "1", "--folder", "second")
    assert code == 0, said
    assert (tmp_path / "second" / "node-0.json").is_file()


def test_jobs_that_do_not_start_are_taken_back_and_named(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site.toml").write_text('partition = "low"\n[sbatch]\nhold = ""\n')
    code, found, text = examined(capsys, "--wait", "1 s", "--quick")
    assert code == 1
    assert found["job requeue"] == "held by you; scontrol release lets it go"
    assert "not found out: nodes, " in text
    assert not cluster.run("squeue", "--noheader", "--states=PENDING,RUNNING").strip()


def test_a_check_up_that_is_interrupted_leaves_no_job_and_no_folder(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text('partition = "low"\n[sbatch]\nhold = ""\n')
    words = [sys.executable, "-m", "launch", "doctor", "--cluster", "./site.toml", "--quick"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "are queued" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=LIMIT_S)[1]
    assert "nothing half-written is left" in said
    assert [path.name for path in tmp_path.iterdir()] == ["site.toml"]
    assert not cluster.run("squeue", "--noheader", "--states=PENDING,RUNNING").strip()


def test_a_dry_run_prints_scripts_that_bash_can_read_and_submits_nothing(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site.toml").write_text('partition = "low"\nsetup = ["module load \'a b\'"]\n')
    code, _, text = examined(capsys, "--dry-run")
    assert code == 0
    (tmp_path / "all.sh").write_text(text)
    cluster.run("bash", "-n", str(tmp_path / "all.sh"))
    assert text.count("module load 'a b'") == text.count("#!/bin/bash") == 4
    assert sorted(os.listdir(tmp_path)) == ["all.sh", "site.toml"]
