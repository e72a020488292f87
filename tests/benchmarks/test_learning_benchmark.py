"""The measurement of learning runs from end to end, goes on where it stopped, and reads curves as it says."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.learning.__main__ import cells, options_of
from benchmarks.learning.cell import Cell, Found, above_chance, left_plateau
from benchmarks.learning.report import markdown, spread
from sharding.base.files import read_json

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_it_trains_judges_and_writes_and_the_second_call_takes_up_what_the_first_one_found(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.learning", tmp_path, "--networks", "small"]
    command += ["--laws", "symmetric", "cyclic", "--seeds", "1", "--steps", "4", "--batch", "2", "--size", "32"]
    command += ["--scenes", "24", "--window-s", "2"]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1"}  # threads that wait for each other crawl on a busy machine

    def output() -> str:
        run = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        return run.stdout

    first = output()
    results = sorted(tmp_path.glob("*/result.json"))
    found = {row.cell.law: row for row in (read_json(path, Found) for path in results)}
    assert set(found) == {"symmetric", "cyclic"}
    assert found["symmetric"].accuracy == found["symmetric"].own_accuracy
    assert all(row.curve[-1][0] == 4 and row.low <= row.accuracy <= row.high for row in found.values())
    assert (tmp_path / "learning.md").read_text() in first
    assert (tmp_path / "learning.png").read_bytes().startswith(b"\x89PNG")
    written = [path.stat().st_mtime_ns for path in results]
    assert (tmp_path / "learning.md").read_text() in output()
    assert [path.stat().st_mtime_ns for path in results] == written


def test_the_plateau_is_left_where_the_loss_stays_below_it() -> None:
    assert left_plateau([(5, 0.7), (10, 0.5), (15, 0.65), (20, 0.5), (25, 0.4)]) == 20
    assert left_plateau([(5, 0.7), (10, 0.5)]) is None, "one point may be luck"
    assert left_plateau([(5, 0.7), (10, 0.69)]) is None
    assert left_plateau([(5, 0.5), (10, 0.4)]) == 5


def test_more_clips_tell_sooner_that_it_is_no_luck() -> None:
    accuracies = [(25, 0.5), (50, 0.58), (75, 0.9)]
    assert above_chance(accuracies, 400) == 50
    assert above_chance(accuracies, 40) == 75
    assert above_chance(accuracies, 1) is None


def test_a_table_does_not_hide_the_seeds_that_never_learned() -> None:
    assert spread([50.0, None, 70.0], ".0f") == "60 [50 to 70] (2 of 3)"
    assert spread([None, None], ".0f") == "never (0 of 2)"
    assert spread([None], ".0f") == "never"
    assert spread([math.nan, 1.0], ".1f") == "1.0 (1 of 2)"


def test_the_seeds_of_one_setting_share_a_row() -> None:
    rows = [found(cell) for cell in cells(options_of(["x", "--networks", "small", "paper", "--seeds", "3"]))]
    lines = markdown(rows).splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:8]] == [
        [f"| {network}", law] for network in ("small", "paper") for law in ("symmetric", "cyclic", "uniform")
    ]
    assert all(line.split(" | ")[5] == "3" for line in lines[2:8])


OTHERS = ("--steps 9", "--batch 9", "--lr 0.1", "--optimizer sgd", "--low-rate-steps 2", "--window-s 3", "--size 64")


@pytest.mark.parametrize("other", OTHERS)
def test_another_setting_is_another_run(other: str) -> None:
    names = {cell.name for cell in cells(options_of(["x"]))}
    assert names.isdisjoint(cell.name for cell in cells(options_of(["x", *other.split()])))


def test_networks_differ_in_nothing_but_themselves() -> None:
    small, paper = (cell.config() for cell in cells(options_of(["x", "--laws", "symmetric", "--seeds", "1"])))
    assert (small.optim, small.pairs, small.steps, small.batch) == (paper.optim, paper.pairs, paper.steps, paper.batch)


def found(cell: Cell) -> Found:
    """Some result."""
    right = {"accuracy": 0.9, "low": 0.8, "high": 0.95, "own_accuracy": 0.9, "loss": 0.3}
    soon = {"left_at": 50, "above_at": 60, "times_chance": 8.0, "step_s": 1.0}
    return Found(cell=cell, **right, **soon, curve=((5, 0.7), (10, 0.6)))
