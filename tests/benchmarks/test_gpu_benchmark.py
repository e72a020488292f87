"""What is to be measured of a GPU runs from end to end at toy size, on no more than the machine will have."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.gpu.environment import SetUpError, make_environment
from benchmarks.gpu.measure import GpuBench, options_of
from benchmarks.gpu.parts import Part
from benchmarks.gpu.report import data_sheet
from benchmarks.gpu.sizes import FULL, PRESETS_OF_SYNC, TOY, shown
from benchmarks.gpu.wheels import GIVEN, WANTED, needed, wheel_names
from benchmarks.gpu.work import LAST, left_plateau
from benchmarks.train.jobs import Job, Size
from benchmarks.train.step import flops_of, spec_of

ROOT = Path(__file__).parents[2]
BARE = """
import importlib.metadata, os, re, sys
may = set(os.environ["MAY_IMPORT"].split())
named = lambda name: re.sub("[-_.]+", "-", name).lower()
owners = importlib.metadata.packages_distributions()
hidden = {top for top, names in owners.items() if not top.startswith("_") and not may & set(map(named, names))}

class Bare:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Bare(finder) for finder in sys.meta_path]
"""
"""Hides what the machine does not have."""


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that has torch, numpy, accelerate, the wheels and nothing else."""
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "sitecustomize.py").write_text(BARE)
    may = {*needed(WANTED), *needed(GIVEN), "avsync"}
    may |= {"triton", "cuda-bindings"}  # torch's own
    return {**os.environ, "PYTHONPATH": str(tmp_path / "bare"), "MAY_IMPORT": " ".join(may), "OMP_NUM_THREADS": "1"}


def test_every_part_runs_with_torch_and_the_wheels_alone(bare: dict[str, str], tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--toy", "--minutes", "4", "--out", tmp_path),
        *("--parts", "networks", "scenes", "loader", "profile", "learning", "larger"),
        *("--only", "2 clips, tf32", "scenes as", "small fed", "profile", "small, 4"),
    ]
    run = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    results: Any = msgspec.json.decode((tmp_path / "gpu.json").read_bytes())
    assert not results["troubles"], results["troubles"]
    assert [(row["case"]["network"], row["case"]["batch"]) for row in results["computed"]] == [
        ("small", 2),
        ("embedding", 2),
        ("small", 4),
    ]
    assert [row["form"] for row in results["streamed"]] == ["raw", "h264"]
    assert [(row["steps"] > 0, row["loss"] > 0) for row in results["learned"]] == [(True, True)]
    assert "convolution" in (tmp_path / "profile.txt").read_text()
    assert sum(part["took_s"] for part in results["parts"]) < 4 * 60
    tables = (tmp_path / "gpu.md").read_text()
    assert tables in run.stdout
    assert "| small | tf32 | 2 |" in tables


def test_a_part_that_fails_costs_itself_alone(tmp_path: Path) -> None:
    def broken() -> Iterator[Job]:
        yield from [][1]

    bench = GpuBench(options_of(["--device", "cpu", "--toy", "--out", str(tmp_path)]))
    bench.do_part(Part("broken", 10, broken))
    bench.do_part(Part("empty", 10, lambda: iter(())))
    assert [str(row) for row in bench.results.troubles] == ["broken: IndexError: list index out of range"]
    assert [(row.part, row.figures, row.troubles) for row in bench.results.parts] == [("broken", 0, 1), ("empty", 0, 0)]
    bench.whole_end = 0
    bench.do_part(Part("late", 10, broken))
    assert [str(row) for row in bench.results.troubles][1:] == ["late: left out: 0 s left"]
    assert "late: left out" in (tmp_path / "gpu.md").read_text()


@pytest.mark.parametrize("preset", PRESETS_OF_SYNC)
def test_the_network_of_every_preset_can_work_at_full_size(preset: str) -> None:
    """As shapes without numbers; at toy size those that are asked for."""
    for scale in (FULL, TOY) if preset in TOY.presets else (FULL,):
        what = shown(preset, scale)
        spec = spec_of(what.frames, Size(side=what.side, frames=what.frames).view())
        assert flops_of(what.network, spec, what.sounds) > 0


def test_an_environment_sees_the_packages_of_the_python_that_made_it_and_the_wheels(tmp_path: Path) -> None:
    """Also where that Python is an environment itself, as here."""
    with zipfile.ZipFile(tmp_path / "brought-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("brought.py", "word = 'from the wheel'\n")
        wheel.writestr("brought-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: brought\nVersion: 1\n")
        tag = "Wheel-Version: 1.0\nGenerator: by-hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr("brought-1.dist-info/WHEEL", tag)
        wheel.writestr("brought-1.dist-info/RECORD", "brought.py,,\n")
    python = make_environment(tmp_path / "made", tmp_path)
    look = (
        "import brought, importlib.util as u; print(brought.word, u.find_spec('torch').origin, u.find_spec('avsync'))"
    )
    seen = subprocess.run([python, "-I", "-c", look], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    here = subprocess.run(
        [sys.executable, "-c", "import importlib.util as u; print(u.find_spec('torch').origin)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert seen.startswith(f"from the wheel {here.strip()} ModuleSpec")
    (tmp_path / "none").mkdir()
    with pytest.raises(SetUpError, match=r"holds no wheels.*make gpu-wheels"):
        make_environment(tmp_path / "other", tmp_path / "none")


def test_wheels_are_pinned_and_none_of_them_is_what_the_machine_has() -> None:
    names = wheel_names()
    assert all(name.count("==") == 1 for name in names)
    packages = {name.partition("==")[0] for name in names}
    assert packages >= set(WANTED)
    assert not packages & needed(GIVEN)
    assert not any(name.startswith(("torch=", "nvidia-cu", "triton")) for name in packages)


def test_ln_2_is_left_by_the_last_steps_together() -> None:
    low, high = [0.5] * LAST, [0.69] * LAST
    assert left_plateau(high + low)
    assert not left_plateau(low[1:]), "too few to tell"
    assert not left_plateau(low + high)
    assert not left_plateau(high + low[1:] + [2.0])


def test_a_share_of_the_peak_is_given_where_the_peak_is_known() -> None:
    assert data_sheet("NVIDIA H200") == 989
    assert data_sheet("NVIDIA GeForce RTX 4090") is None
