"""On a real cluster: a folder with several jobs, and a chain over two folders. What a command does to which of them."""

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jobs import LIMIT_S, processes

from launch.cli import main
from launch.job.paths import JobPaths
from launch.job.record import End, Outcome, Queued
from sharding.base.files import read_json, write_json
from slurm.cluster import Cluster
from tests.media import Video, write_video

pytestmark = pytest.mark.slurm

SITE = 'partition = "low"\ncpus_per_gpu = 1\ntime = "5 min"\nsignal_lead = "1 min"\nretries = 1\n'
PACK = '[pack]\ncpus_per_task = 1\nmemory = "400 MiB"\narray = 2\n[train]\ntasks_per_node = 1\n'
HELD = '[sbatch]\nhold = ""\n'
SMALL = ("--preset", "small", "--batch", "2", "--steps", "100000", "--view.size", "32", "--validate-every", "0")
SHORT = ("--pairs.window-s", "1", "--pairs.min-shift-s", "0.5", "--pairs.max-shift-s", "1")


class LoginNode:
    """A person's terminal there."""

    def __init__(self, cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
        self.cluster, self._capsys = cluster, capsys
        Path("site.toml").write_text(SITE + PACK)
        Path("held.toml").write_text(SITE + HELD)

    def types(self, *words: str, code: int = 0) -> str:
        """What is printed."""
        self._capsys.readouterr()
        try:
            returned = main(words)
        except SystemExit as left:
            returned = left.code
        told = self._capsys.readouterr()
        assert returned == code, told.out + told.err
        return told.out + told.err

    def told(self, *names: str) -> dict[str, dict[str, Any]]:
        """Kind -> status."""
        self._capsys.readouterr()
        assert main(["status", *names, "--json"]) == 0
        return {one["kind"]: one for one in json.loads(self._capsys.readouterr().out)}

    def queue(self) -> list[str]:
        """Kinds of all that waits or runs, by SLURM's own word."""
        folders = self.cluster.run("squeue", "--noheader", "--format=%k").split()
        return sorted(Path(folder.removeprefix("avsync:")).name for folder in folders)

    def until(self, true: Callable[[], object], what: str) -> None:
        ends = time.monotonic() + LIMIT_S
        while not true():
            assert time.monotonic() < ends, f"no {what}\n{self.types('status')}"
            time.sleep(0.4)


@pytest.fixture
def node(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> LoginNode:
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return LoginNode(cluster, capsys)


def outcome(target: str, kind: str) -> Outcome:
    return read_json(JobPaths.of(Path(target), kind).task(None).outcome, Outcome)


def queued(target: str, kind: str) -> Queued:
    return read_json(JobPaths.of(Path(target), kind).queued, Queued)


def test_the_documented_chain_is_cancelled_taken_up_again_and_told_of_by_the_job_that_is_meant(node: LoginNode) -> None:
    for number in range(2):
        write_video(Path("videos", "bell", f"{number}.mp4"), Video(seed=number))
    pack = ("pack", "videos", "data", "--size", "32", "--val-percent", "0", "--test-percent", "0")
    train, evaluate = ("train", "data", "run", *SMALL, *SHORT), ("evaluate", "run", "data", "--split", "train")
    said = node.types("submit", *pack, "--then", *train, "--then", *evaluate, "--cluster", "./site.toml")
    assert "avsync logs data -f --kind pack" in said, "of what runs first"
    assert node.told("run")["train"]["why"] == "waits for pack-merge of data"
    node.until(lambda: (node.told("run")["train"]["progress"] or {}).get("step"), "first step")

    assert "attempt 1 of job" in node.types("logs", "run")
    said = node.types("cancel", "run")
    assert node.queue() == []
    assert "run: train: cancelled; step" in said
    assert "run: evaluate: cancelled" in said
    assert {outcome("run", kind).end for kind in ("train", "evaluate")} == {End.CANCELLED}
    again = "Next: avsync resubmit run   # train of run, then evaluate of run"
    assert again in said
    assert "train was cancelled, evaluate was cancelled" in node.types("cancel", "run", code=1)

    said = node.types("resubmit", "run")
    assert "pack" not in said, "that is done"
    assert queued("run", "evaluate").depends_on == queued("run", "train").ids
    assert "train " in node.types("resubmit", "run", code=1)
    assert node.queue() == ["evaluate", "train"], "nothing twice"
    words = ("launch\0train", str(Path("run").absolute()))
    node.until(lambda: processes(*words), "process of the training")
    for process in processes(*words):
        os.kill(process, signal.SIGKILL)
    node.until(lambda: node.told("run")["train"]["standing"] == "failed", "failure of the training")

    node.until(lambda: "train" not in node.queue(), "end in the queue")
    assert "train: failed: " in node.types("logs", "run", "--errors")
    shown = node.types("status", "run")
    assert "avsync logs run --errors --kind train" in shown
    assert again in shown
    node.types("resubmit", "run")
    assert node.queue() == ["evaluate", "train"], "the one that fell with it is behind it again, once"
    assert queued("run", "evaluate").depends_on == queued("run", "train").ids
    node.types("cancel", "run", "--now")
    assert node.queue() == []


@pytest.fixture
def two(node: LoginNode) -> LoginNode:
    """`verify` of one dataset, and behind it of another; neither begins."""
    for name in ("data", "other"):
        Path(name).mkdir()
        Path(name, "dataset.json").touch()
    node.types("submit", "verify", "data", "--then", "verify", "other", "--cluster", "./held.toml")
    return node


def test_what_waits_in_another_folder_goes_and_comes_with_what_it_waits_for(two: LoginNode) -> None:
    said = two.types("cancel", "data")
    assert two.queue() == []
    assert "data: cancelled" in said
    assert "other: cancelled" in said
    assert "avsync resubmit data   # verify of data, then verify of other" in said
    shown = two.types("status", "data", "other")
    assert shown.count("verify of data, then verify of other") == 1, "both names would mean the same"
    assert "In the same chain: verify of data: cancelled" in two.types("status", "other")
    two.types("resubmit", "other")
    assert two.queue() == ["verify", "verify"], "what it needs comes with it, from the other folder"

    said = two.types("cancel", "other")
    assert two.queue() == ["verify"], "what it waited for was not named"
    assert "data: verify waits; avsync cancel data ends it" in said
    assert "avsync resubmit other   # verify of other, behind verify of data" in said
    two.types("resubmit", "other")
    assert queued("other", "verify").depends_on == queued("data", "verify").ids
    assert two.queue() == ["verify", "verify"]


def test_the_two_jobs_of_a_packing_are_taken_up_each_by_itself_or_together(node: LoginNode) -> None:
    write_video(Path("videos", "bell", "0.mp4"), Video())
    node.types("submit", "pack", "videos", "data", "--size", "32", "--cluster", "./held.toml")
    before = queued("data", "pack").ids
    said = node.types("cancel", "data", "--kind", "pack-merge")
    assert "avsync resubmit data   # pack-merge of data, behind pack of data" in said
    node.types("resubmit", "data")
    assert node.queue() == ["pack", "pack-merge"]
    assert queued("data", "pack-merge").depends_on == queued("data", "pack").ids == before, "that lives on"
    assert "pack waits, pack-merge waits" in node.types("resubmit", "data", code=1)
    assert "pack job in SLURM already" in node.types("resubmit", "data", "--kind", "pack", code=1)
    said = node.types("cancel", "data", "--kind", "pack")
    assert re.search("(taken out what waited for it|now for ever): pack-merge-data", said)
    assert "avsync resubmit data   # pack of data, then pack-merge of data" in said
    node.types("resubmit", "data", "--kind", "pack")
    assert node.queue() == ["pack", "pack-merge"], "they go together"
    assert queued("data", "pack-merge").depends_on == queued("data", "pack").ids != before


def test_one_that_waits_in_vain_is_told_and_replaced_not_doubled(two: LoginNode) -> None:
    """As where a site keeps such jobs in the queue."""
    other = JobPaths.of(Path("other"), "verify")
    two.cluster.run("scancel", *queued("other", "verify").ids)
    script = other.script(0, 1)
    script.write_text(script.read_text().replace("#SBATCH --kill-on-invalid-dep=yes\n", ""))
    stuck = two.cluster.submit(str(script))
    write_json(other.queued, Queued(ids=(stuck,), depends_on=queued("data", "verify").ids))
    assert "Waiting for it, and now for ever" in two.types("cancel", "data", "--kind", "verify")
    assert "avsync resubmit other   # verify of data, then verify of other" in two.types("status", "other")
    said = two.types("resubmit", "data", "--kind", "verify")
    assert "Not queued with it: verify of other" in said
    two.types("resubmit", "other")
    assert two.queue() == ["verify", "verify"]
    assert queued("other", "verify").ids != (stuck,)
    assert queued("other", "verify").depends_on == queued("data", "verify").ids


def test_a_folder_that_was_moved_or_copied_while_its_job_waits_is_told_at_once(two: LoginNode) -> None:
    shutil.copytree("data", "copy")
    assert "a copy of " in two.types("status", "copy")
    assert "not in the queue" in two.types("cancel", "copy", code=1)
    assert two.queue() == ["verify", "verify"], "the job of the folder that was copied was not meant"
    os.rename("data", "moved")
    shown = two.types("status", "moved")
    assert "move it back before it starts (mv " in shown
    assert "avsync cancel moved" in shown
    (job,) = queued("moved", "verify").ids
    two.cluster.run("scontrol", "release", job)
    two.cluster.wait_for(job, ("FAILED",))
    shown = two.types("status", "moved")
    assert "avsync logs" not in shown, "there is none"
    assert "resubmit" not in shown
    assert "submit it anew" in shown
