"""`avsync submit curate` on a real cluster: an array that goes on where it was killed, and the table of one call."""

import json
import os
import signal
import time
from fractions import Fraction
from pathlib import Path

import pytest
from jobs import LIMIT_S, processes
from person import SITE, Person

from avsync.curate.config import CurateConfig, CurateOptions
from avsync.curate.curate import curate
from launch.cli import main
from launch.job.attempts import read_attempts
from launch.job.paths import JobPaths
from launch.job.record import End, Outcome
from sharding.base.files import read_json
from sharding.base.share_progress import PROGRESS, read_share
from slurm.cluster import Cluster
from tests.media import Video, write_video

pytestmark = pytest.mark.slurm

SOURCES, TASKS = 6, 2
CONFIG = CurateConfig(crop="all", workers=1, reach_s=0.4, device="cpu")
FLAGS = ("--crop", "all", "--workers", "1", "--reach-s", "0.4", "--device", "cpu")
"""The network that ships: of it, too, a job must have a copy."""


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last one cannot be read."""
    folder = tmp_path_factory.mktemp("talks") / "videos"
    for number in range(SOURCES - 1):
        write_video(folder / "talk" / f"{number}.mp4", Video(seconds=Fraction(6), seed=number, noise=0.02))
    (folder / "talk" / f"{SOURCES - 1}.mp4").write_bytes(b"no video" * 1000)
    return folder


@pytest.fixture
def person(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Person:
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return Person(cluster=cluster, folder=tmp_path)


def time_left(capsys: pytest.CaptureFixture[str]) -> str:
    """What `avsync status` says of it; empty while it says nothing."""
    capsys.readouterr()
    assert main(["status", "table.answers/jobs/curate"]) == 0
    lines = capsys.readouterr().out.splitlines()
    return next((line.split("time left")[1].strip() for line in lines if "time left" in line), "")


def kill_midway(answers: Path) -> bool:
    """End the first task by force as soon as it has an answer; whether that was done."""
    share = read_share(answers / PROGRESS, 0)
    if not share or not share.done:
        return False
    assert share.done < share.sources, "it is to be killed while it works"
    (pid,) = processes("launch\0curate", "--share\x000\0")
    os.kill(pid, signal.SIGKILL)
    return True


def test_a_task_that_is_killed_goes_on_and_the_table_is_that_of_one_call(
    person: Person, videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = person.profile(SITE + '[pack]\nmemory = "1500 MiB"\n')
    person.types("submit", "curate", videos, "table.csv", *FLAGS, "--array", str(TASKS), "--cluster", site)
    answers, killed, left, ends = person.folder / "table.answers", False, "", time.monotonic() + LIMIT_S
    while not (killed and left):
        assert time.monotonic() < ends, f"killed: {killed}, time left: {left!r}"
        killed = killed or kill_midway(answers)
        left = left or time_left(capsys)
    assert left.endswith((" s", " min"))
    person.ends("table.answers", "curate-merge")
    array = JobPaths.of(answers, "curate")
    tries = [read_attempts(array.task(number).attempts) for number in range(TASKS)]
    assert [[str(one.ended.what) for one in some if one.ended] for some in tries] == [["crashed", "done"], ["done"]]
    assert {read_json(array.task(number).outcome, Outcome).end for number in range(TASKS)} == {End.DONE}
    capsys.readouterr()
    assert main(["status", "table.answers", "--json"]) == 0
    told = {one["kind"]: one["work"] for one in json.loads(capsys.readouterr().out)}
    whole = {"sources": SOURCES, "done": SOURCES, "left_s": 0.0}
    assert told == {"curate": whole, "curate-merge": whole}
    curate(videos, person.folder / "local.csv", CONFIG, CurateOptions())
    assert (person.folder / "table.csv").read_bytes() == (person.folder / "local.csv").read_bytes()
