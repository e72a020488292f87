"""The doctor's probes run on nodes where nothing but Python itself need be installed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from launch.doctor.examine import PROBES, lay_out


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
