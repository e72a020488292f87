"""`avsync submit` where there is no SLURM: a dry run shows all, with every profile, and nothing is written."""

import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from launch.site.profiles import SHIPPED, find_profile
from launch.submit.command import Resubmit, Submit
from launch.submit.live import make_way_for_log
from launch.submit.plan import plan_chain
from launch.submit.submit import prepare
from sharding.base.files import to_json
from sharding.errors import InputError
from tests.media import write_video

CHAIN = ("pack", "videos", "data", "--then", "train", "data", "run", "--then", "evaluate", "run", "data")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "0.mp4")


@pytest.fixture
def here(tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a video, on a machine without SLURM."""
    (tmp_path / "here" / "videos" / "bell").mkdir(parents=True)
    shutil.copy(video, tmp_path / "here" / "videos" / "bell")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def submit(*words: str) -> str:
    return Submit.parse(words, "avsync submit").execute()


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.toml")))
def test_a_chain_is_shown_whole_without_slurm(here: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = submit(*CHAIN, "--cluster", name, "--dry-run")
    assert "nothing was checked against the cluster: there is no SLURM here" in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["videos"]
    scripts = [part.split("-" * 78)[0] for part in shown.split("#!/bin/bash\n")[1:]]
    assert len(scripts) == 4
    for text in scripts:
        subprocess.run(["/bin/bash", "-n"], input=text, text=True, check=True)
        assert "#SBATCH --partition=" in text
    for line in ("pack data, an array of 1 task", "pack-merge data", "train run", "evaluate run"):
        assert f"\n{line}" in shown
    assert "afterok:JOB-OF-train" in scripts[3]


def test_two_numbers_of_a_time_are_said_aloud(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = submit("pack", "videos", "data", "--cluster", "cpu-only", "--time", "30:00", "--dry-run")
    assert "#SBATCH --time=0-00:30:00\n" in shown
    assert capsys.readouterr().err.count("note: --time 30:00 is a time limit of 30 min: minutes:seconds") == 1


def test_without_slurm_nothing_is_written(here: Path) -> None:
    with pytest.raises(InputError, match="sbatch is not found: this machine is no login node"):
        submit(*CHAIN, "--cluster", "test")
    assert [path.name for path in here.iterdir()] == ["videos"]


def test_videos_that_are_not_there_are_missed_before_anything_else(here: Path) -> None:
    with pytest.raises(InputError, match="pack: VIDEOS nowhere does not exist"):
        submit("pack", "nowhere", "data", "--cluster", "test")


def test_what_is_missing_may_be_made_by_a_job_that_is_waited_for(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="train: DATASET data does not exist"):
        submit("train", "data", "run", "--cluster", "test", "--dry-run")
    assert "--dependency=afterok:12" in submit(
        "train", "data", "run", "--cluster", "test", "--dry-run", "--after", "12"
    )
    assert "warning: train: DATASET data does not exist" in capsys.readouterr().err


def test_what_was_never_submitted_cannot_be_resubmitted(here: Path) -> None:
    with pytest.raises(InputError, match="videos was not submitted"):
        Resubmit.parse(("videos",), "avsync resubmit").execute()


def test_a_full_disk_is_told_by_the_jobs_folder_not_by_what_was_to_be_copied(here: Path) -> None:
    (plan,) = plan_chain(Submit.parse(("verify", "data"), "avsync submit").chain, find_profile("test"), "")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    try:
        with pytest.raises(InputError, match=r"job's folder .*data/jobs/verify: .*(make room|ulimit -f)") as error:
            prepare(plan, new_code=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert ".py" not in str(error.value)


def test_a_run_that_was_copied_is_not_resubmitted_for_the_old_one(here: Path) -> None:
    (here / "data").mkdir()
    (here / "data" / "dataset.json").touch()
    (plan,) = plan_chain(Submit.parse(("verify", "data"), "avsync submit").chain, find_profile("test"), "")
    plan.paths.root.mkdir(parents=True)
    plan.paths.record.write_bytes(to_json(plan.record))
    (here / "link").symlink_to("data")
    assert "verify" in Resubmit.parse(("link", "--dry-run"), "avsync resubmit").execute()
    shutil.copytree(here / "data", here / "copy")
    with pytest.raises(InputError, match=r"copy was copied or moved: .* works on .*data; submit it anew"):
        Resubmit.parse(("copy", "--dry-run"), "avsync resubmit").execute()


def test_a_job_whose_code_is_gone_needs_a_new_copy(here: Path) -> None:
    (here / "data").mkdir()
    (here / "data" / "dataset.json").touch()
    chain = Submit.parse(("verify", "data"), "avsync submit").chain
    (plan,) = plan_chain(chain, find_profile("test"), "")
    plan.paths.root.mkdir(parents=True)
    plan.paths.record.write_bytes(to_json(plan.record))
    with pytest.raises(InputError, match=r"code is gone.*--new-code"):
        Resubmit.parse(("data",), "avsync resubmit").execute()
    shown = Resubmit.parse(("data", "--dry-run"), "avsync resubmit").execute()
    assert "verify data: 1 CPU" in shown


LOGS: dict[str, Callable[[Path, Path], object]] = {
    "link": lambda log, mine: log.symlink_to(mine),
    "link to a free name": lambda log, mine: log.symlink_to(mine.with_name("free")),
    "hard link": lambda log, mine: os.link(mine, log),
    "FIFO": lambda log, _: os.mkfifo(log),
    "folder": lambda log, _: log.mkdir(),
}


@pytest.mark.parametrize("kind", LOGS)
def test_what_slurm_is_to_write_into_is_a_file_of_ones_own(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, log = tmp_path / "mine", tmp_path / "job" / "log.txt"
    mine.write_text("mine")
    log.parent.mkdir()
    make_way_for_log(log)
    for number in (1, 2):
        LOGS[kind](log, mine)
        make_way_for_log(log)
        assert not os.path.lexists(log)
        assert os.path.lexists(log.with_name(f"log-{number}.txt"))
        note = capsys.readouterr().err
        assert note.startswith(f"avsync: note: {log} ")
        assert note.endswith(f"; it is log-{number}.txt now\n")
    log.write_text("of an attempt before")
    make_way_for_log(log)
    assert log.read_text() == "of an attempt before"
    assert mine.read_text() == "mine"
    assert not capsys.readouterr().err
