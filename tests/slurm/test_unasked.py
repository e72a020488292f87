"""What SLURM will not tell is not held against a job: one warning, and sbatch is the judge. Real programs in the way of
SLURM's own: those that refuse, say nothing, say too much, hang, or are not there.
"""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from launch.cli import main
from launch.job.attempts import What
from launch.job.paths import JobPaths
from launch.job.record import Queued
from sharding.base.files import read_json
from slurm.cluster import Cluster
from tests.slurm.jobs import asked, profile, queue, record

pytestmark = pytest.mark.slurm

SITE = 'partition = "low"\ncpus_per_gpu = 1\ntime = "5 min"\nsignal_lead = "1 min"\nretries = 1\n[sbatch]\nhold = ""\n'
DATASET = Path(__file__).parents[1] / "fixtures" / "before" / "dataset-h264"
WAYS = {
    "refused": "echo 'slurm_load error: Access/permission denied' >&2; exit 1",
    "empty": "exit 0",
    "noise": "echo 'WARNING: maintenance on Monday' >&2; exec {real} \"$@\"",
    "remarks": "echo 'error: Access/permission denied' >&2; echo 'see https://example.org' >&2; exit 2",
    "no program": "",
}
UNCHECKED = {
    "sinfo": "partitions and their nodes",
    "squeue": "whether a job of it waits or runs already",
    "scontrol": "how long an array may be",
    "sacct": "",
}
"""Program -> what submit cannot say without it."""
InTheWay = Callable[[str, str], None]


@pytest.fixture
def in_the_way(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InTheWay:
    """Somebody at a login node with a dataset, where one of SLURM's programs does otherwise than it should."""
    shutil.copytree(DATASET, tmp_path / "data")
    (tmp_path / "site.toml").write_text(SITE)
    monkeypatch.chdir(tmp_path)
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)

    def put(program: str, way: str) -> None:
        if way == "no program":
            monkeypatch.setenv("PATH", cluster.environment_without(program)["PATH"])
            return
        real = shutil.which(program, path=cluster.environment["PATH"])
        wrapper = tmp_path / "bin" / program
        wrapper.parent.mkdir(exist_ok=True)
        wrapper.write_text("#!/bin/sh\n" + WAYS.get(way, way).replace("{real}", str(real)) + "\n")
        wrapper.chmod(0o755)
        monkeypatch.setenv("PATH", f"{wrapper.parent}{os.pathsep}{cluster.environment['PATH']}")

    return put


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("program", UNCHECKED)
def test_a_job_is_looked_at_as_far_as_slurm_tells(
    program: str, way: str, in_the_way: InTheWay, capsys: pytest.CaptureFixture[str]
) -> None:
    in_the_way(program, way)
    assert main(["submit", "verify", "data", "--cluster", "./site.toml", "--dry-run"]) == 0
    printed = capsys.readouterr()
    assert "dry run: nothing was written" in printed.out
    warned = [line for line in printed.err.splitlines() if "not checked" in line]
    tells = way == "noise" or program == "sacct" or (program, way) == ("squeue", "empty")
    assert len(warned) == (not tells), printed.err
    if warned:
        assert UNCHECKED[program] in warned[0]
        assert ("denied" in warned[0]) == (way in ("refused", "remarks"))
        assert (f"{program} is not found" in warned[0]) == (way == "no program")


def test_a_cluster_that_knows_no_expedited_jobs_says_so_by_the_profiles_setting(
    in_the_way: InTheWay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told by its version; where that cannot be asked sbatch, which is the judge, says no."""
    (tmp_path / "site.toml").write_text('requeue = "expedite"\n' + SITE)
    words = ["submit", "verify", "data", "--cluster", "./site.toml", "--dry-run"]
    assert main(words) == 1
    said = capsys.readouterr().err
    assert 'requeue = "expedite" of profile site: this cluster refuses such jobs: SLURM ' in said
    assert "take it out of the profile" in said
    in_the_way("scontrol", "refused")
    assert main(words) == 1
    assert "sbatch says no: sbatch: option '--requeue' doesn't allow an argument" in capsys.readouterr().err


@pytest.mark.parametrize("program", [*UNCHECKED, "all of them"])
def test_a_job_is_queued_watched_and_ended_as_far_as_slurm_tells(
    cluster: Cluster, program: str, in_the_way: InTheWay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for one in UNCHECKED if program == "all of them" else (program,):
        in_the_way(one, "refused")
    assert main(["submit", "verify", "data", "--cluster", "./site.toml"]) == 0
    assert sum("not checked" in line for line in capsys.readouterr().err.splitlines()) == (program != "sacct")
    (job,) = read_json(JobPaths.of(tmp_path / "data", "verify").queued, Queued).ids
    for words in (["status", "data"], ["logs", "data"], ["resubmit", "data", "--dry-run"]):
        main(words)
        assert "Traceback" not in capsys.readouterr().err, words
    assert cluster.job(job)["JobState"] == "PENDING"
    if program != "all of them":
        assert main(["cancel", "data", "--wait", "0"]) == 0, capsys.readouterr().err
        assert cluster.job(job)["JobState"] == "CANCELLED"


def test_a_program_that_hangs_is_not_waited_for_long(
    in_the_way: InTheWay, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_the_way("sinfo", "exec sleep 60")
    monkeypatch.setattr("launch.submit.check.QUESTION_S", 0.2)
    assert main(["submit", "verify", "data", "--cluster", "./site.toml", "--dry-run"]) == 0
    assert "not checked: partitions" in capsys.readouterr().err


def test_what_sbatch_refuses_is_refused_whatever_else_was_not_asked(
    in_the_way: InTheWay, capsys: pytest.CaptureFixture[str]
) -> None:
    in_the_way("sinfo", "refused")
    assert main(["submit", "verify", "data", "--cluster", "./site.toml", "--partition", "none", "--dry-run"]) == 1
    assert "verify: sbatch says no: Invalid partition name specified" in capsys.readouterr().err


def test_work_that_can_never_be_is_given_up_at_once_in_its_own_words(cluster: Cluster, tmp_path: Path) -> None:
    says = "import os, sys, time\nprint('avsync: error: --batch 8 cannot be shared by 2 processes', flush=True)\n"
    program = says + "time.sleep(int(os.environ['SLURM_PROCID']) * 3)\nsys.exit(2)"
    site = profile(retries=5)
    one = record(tmp_path / "run", (sys.executable, "-c", program), site, asked())
    job = queue(cluster, one, tmp_path / "run")
    assert job.outcome().reason == "--batch 8 cannot be shared by 2 processes"
    (only,) = job.attempts()
    assert only.ended
    assert (only.ended.what, only.ended.failed_node) == (What.REFUSED, "")
    assert job.state("FAILED") == "FAILED"
    assert cluster.job(job.ids[0])["ExitCode"] == "2:0"


def test_a_node_without_the_variable_of_scratch_copies_nothing(cluster: Cluster, tmp_path: Path) -> None:
    program = "import os, sys; print(sys.argv, os.environ['HERE'])"
    argv = (sys.executable, "-c", program, "--runtime.scratch", "{scratch}", "--runtime.scratch-gb", "8")
    variables = {"CACHE": "$SLURM_NOWHERE/c", "HERE": "$SLURM_JOB_ID/c"}
    site = profile(scratch="$SLURM_NOWHERE/avsync", environment=variables)
    job = queue(cluster, record(tmp_path / "data", argv, site, asked(nodes=1), kind="verify"), tmp_path / "data")
    assert job.state("COMPLETED", "FAILED") == "COMPLETED"
    assert "avsync: warning: [environment] CACHE is left out: SLURM_NOWHERE is not set on this node" in job.log
    assert 'avsync: warning: scratch = "$SLURM_NOWHERE/avsync" is left out: SLURM_NOWHERE is not set on n' in job.log
    assert f"['-c'] {job.id}/c" in job.log
