"""TensorBoard as a child: it serves the runs that were named, on this machine alone, and goes when it is told."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def write_curve(folder: Path, steps: range) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=steps.start) as writer:
        for step in steps:
            writer.add_scalar("loss", 1 / (step + 1), step)


def board(folder: Path, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    command = [sys.executable, "-m", "launch", "board", *words]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def said_until_url(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it says, and the address in it."""
    assert process.stdout
    said = ""
    for line in process.stdout:
        said += line
        if found := re.search(r"http://localhost:\d+", line):
            return said, found.group()
    raise AssertionError(f"no address: {said}{process.stderr.read() if process.stderr else ''}")


def answer(url: str, path: str) -> list[str]:
    with urllib.request.urlopen(url + path, timeout=30) as response:
        return json.load(response)


def test_the_board_shows_several_runs_and_a_requeued_one_as_one_curve_until_it_is_told_to_go(tmp_path: Path) -> None:
    for name in ("a/run", "b/run"):
        write_curve(tmp_path / name / "tensorboard" / "train", range(0, 8))
        write_curve(tmp_path / name / "tensorboard" / "train", range(5, 12))
    with board(tmp_path, "a/run", "b/run") as process:
        said, url = said_until_url(process)
        port = url.rpartition(":")[2]
        assert "TensorBoard shows 2 runs: a/run, b/run" in said
        assert re.search(rf"^  ssh -N -L {port}:localhost:{port} \S+@\S+$", said, re.MULTILINE)
        ends = time.monotonic() + 60
        while answer(url, "/data/runs") != ["a/run/train", "b/run/train"]:
            assert time.monotonic() < ends
            time.sleep(0.2)
        points = answer(url, "/data/plugin/scalars/scalars?run=a%2Frun%2Ftrain&tag=loss")
        assert [point[1] for point in points] == list(range(12))
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    with pytest.raises(OSError, match="refused"):
        answer(url, "/data/runs")
    assert not list(tmp_path.glob("avsync-board-*"))


def test_a_port_that_is_taken_is_told_with_the_remedy(tmp_path: Path) -> None:
    from socket import create_server

    (tmp_path / "run" / "tensorboard").mkdir(parents=True)
    with create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
        with board(tmp_path, "run", "--port", str(port)) as process:
            _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert f"port {port} of localhost is in use" in said
    assert said.count("\n") == 1
