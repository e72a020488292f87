"""The measurement of training still runs from end to end, survives what it measures, and draws the right conclusion."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from bad_jobs import Act, Hungry, named

from benchmarks.base.runner import Child, Failed
from benchmarks.train.__main__ import Bench, options_of
from benchmarks.train.jobs import Size
from benchmarks.train.settings import BESIDE, FIRST, LADDER, Case, Setting, Streamed
from benchmarks.train.step import Stepper, covered, resident_batch, spec_of

ROOT = Path(__file__).parents[2]
CASE = Case(network="small", setting=Setting(), batch=8)


@pytest.fixture(autouse=True)
def _bad_jobs_are_found_by_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def test_it_measures_compute_loader_both_and_avsync_train_and_writes_tables(dataset: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "benchmarks.train", "--device", "cpu", "--networks", "small", "--out", tmp_path),
        *("--size", "32", "--frames", "60", "--batch", "2", "--seconds", "0.1", "--steps", "6", "--dataset", dataset),
        *("--only", "the machine", "2 clips, tf32"),
    ]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1"}  # threads that wait for each other crawl on a busy machine
    run = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    results: Any = msgspec.json.decode((tmp_path / "train.json").read_bytes())
    assert not results["troubles"], results["troubles"]
    assert results["machine"]["bf16_tflops"] > 0
    kinds = [row["case"]["setting"] for row in results["computed"]]
    assert [kind["channels_last"] for kind in kinds] == [False, True, True]
    assert [kind["stem"] for kind in kinds] == [False, False, True]
    assert all(row["step_s"] > 0 and row["tflops"] > 0 for row in results["computed"])
    (streamed,) = results["streamed"]
    assert streamed["sounds"] == 2
    assert min(streamed["loader_s"], streamed["compute_s"], streamed["together_s"]) > 0
    (trained,) = results["trained"]
    assert trained["clips_per_s"] > 0
    tables = (tmp_path / "train.md").read_text()
    assert tables in run.stdout
    assert "| small | tf32 | 2 |" in tables


def test_a_job_that_dies_hangs_or_fails_becomes_a_line_and_the_next_one_is_done() -> None:
    child = Child()

    def ask(deed: str, limit_s: float = 60) -> str:
        try:
            return child.ask(Act.run, Act(deed=deed), limit_s).device
        except Failed as error:
            return str(error)

    try:
        first = ask("say who")
        assert ask("need too much") == "out of memory"
        assert ask("say who") == first, "memory is given back; the process stays"
        assert ask("fail") == "IndexError: list index out of range"
        assert int(ask("say who")) != int(first), "after an error, a GPU is only to be trusted by a new process"
        assert ask("die").startswith("its process ended by -9")
        assert ask("hang", 0.5).startswith("not done after")
        assert int(ask("say who")) > 0
    finally:
        child.close()


def test_what_does_not_fit_is_tried_with_half_the_clips(tmp_path: Path) -> None:
    bench = Bench(options_of(["--device", "cpu", "--out", str(tmp_path)]))
    try:
        bench.do(Hungry(case=CASE))  # type: ignore[arg-type]
    finally:
        bench.child.close()
    assert [row.why for row in bench.results.troubles] == ["out of memory", "out of memory"]
    assert bench.results.machine == named("2 clips")


def test_without_time_left_a_job_becomes_a_line(tmp_path: Path) -> None:
    bench = Bench(options_of(["--device", "cpu", "--out", str(tmp_path), "--minutes", "0"]))
    bench.do(Hungry(case=CASE))  # type: ignore[arg-type]
    assert [row.why for row in bench.results.troubles] == ["left out: 0 s left"]


TIMES = {"loader_s": 0.02, "compute_s": 0.1, "together_s": 0.1, "kernels_s": 0.099, "transfer_s": 0.005}
BUSY = Streamed(case=CASE, form="h264", sounds=2, **TIMES, wait_share=0, busy=1)


@pytest.mark.parametrize(
    ("change", "idle", "limit"),
    [
        ({}, 0.01, "none: the GPU computes"),
        ({"loader_s": 0.2, "together_s": 0.2}, 0.505, "loader"),
        ({"kernels_s": 0.05}, 0.5, "launch overhead"),
        ({"together_s": 0.105}, 0.057, "transfer"),
        ({"together_s": 0.15}, 0.34, "loader and training together: cores or memory"),
        ({"kernels_s": None}, None, "compute"),
        ({"kernels_s": None, "loader_s": 0.2}, None, "loader"),
    ],
)
def test_the_limit_is_where_most_of_the_idle_time_comes_from(
    change: dict[str, Any], idle: float | None, limit: str
) -> None:
    row = replace(BUSY, **change)
    assert row.idle_share == (idle if idle is None else pytest.approx(idle, abs=1e-3))
    assert row.limit == limit


def test_every_setting_computes_the_same_steps() -> None:
    """All but the compiled ones, which tests/avsync/models/test_compile.py compares."""
    device, view = torch.device("cpu"), Size(side=32, frames=16).view()
    spec = spec_of(16, view)
    sums = dict[Setting, torch.Tensor]()
    for setting in (*FIRST, *LADDER, *BESIDE):
        step = Stepper(Case(network="small", setting=setting, batch=4), spec, view, device)
        batch = resident_batch(4, spec, view, device)
        sums[setting] = torch.stack([step(batch)[0] for _ in range(3)])  # three steps: the new weights count, too
    exact = sums[Setting(precision="ieee")]
    assert exact[0] != exact[2]
    for setting, got in sums.items():
        half = setting.precision == "bf16"
        torch.testing.assert_close(
            got, exact, rtol=0.05 if half else 1e-3, atol=0, msg=lambda m, s=setting: f"{s}: {m}"
        )


def test_time_that_two_kernels_share_counts_once() -> None:
    assert covered([]) == 0
    assert covered([(0, 2), (1, 3), (1, 2), (5, 6)]) == 4
