"""The doctor's probes run on nodes where nothing but Python itself need be installed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from launch.doctor.examine import PROBES, lay_out
from launch.doctor.on_node import folder_of, usable


@pytest.mark.parametrize("module", ["launch.doctor.probe_node", "launch.doctor.probe_signals"])
def test_a_probe_needs_no_more_than_what_is_laid_out_for_it(module: str, tmp_path: Path) -> None:
    lay_out(tmp_path)
    environment = {"PYTHONPATH": str(tmp_path / "code"), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-S", "-c", f"import {module} as probe; print(probe.__file__)"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.stdout.startswith(str(tmp_path)), run.stderr


def test_nothing_is_laid_out_that_no_probe_imports(tmp_path: Path) -> None:
    lay_out(tmp_path)
    files = {name: tmp_path / "code" / "launch" / f"{name}.py" for name in PROBES}
    imports = {
        node.module
        for path in files.values()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
    }
    modules = {"launch." + name.replace("/", ".") for name in PROBES if "__init__" not in name}
    assert modules - imports == {"launch.doctor.probe_node", "launch.doctor.probe_signals"}


def test_a_scratch_folder_is_looked_at_where_it_will_be_made_and_not_without_its_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path))
    monkeypatch.delenv("NOWHERE", raising=False)
    for name in ("$SLURM_TMPDIR", "$SLURM_TMPDIR/avsync", f"{tmp_path}/a/b"):
        assert usable(name)
        assert folder_of(name) == str(tmp_path)
    for name in ("$NOWHERE", "$NOWHERE/avsync", "here", ""):
        assert not usable(name)
