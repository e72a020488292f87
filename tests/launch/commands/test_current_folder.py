"""The current folder may be a stranger's: what lies there is neither run nor obeyed, by no process of a command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.neighbour import NEIGHBOUR, root_only

NAMES = ("multiprocessing", "json", "socket", "torch", "tensorboard", "avsync", "launch", "sharding", "numpy")
AVSYNC = Path(sys.executable).parent / "avsync"


def trapped(folder: Path) -> Path:
    """A folder with a package of each name that leaves a mark when it is imported; returns the mark."""
    mark = folder.parent / "mark"
    for name in NAMES:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"open({str(mark)!r}, 'a').write('{name} ')\n")
    return mark


def ran(here: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"} | more
    argv = [str(AVSYNC), *words]
    return subprocess.run(argv, cwd=here, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_no_module_of_the_current_folder_is_run_by_any_process(tmp_path: Path) -> None:
    here = tmp_path / "here"
    mark = trapped(here)
    scenes, data = tmp_path / "scenes", tmp_path / "data"
    made = ran(here, "scenes", str(scenes), "--count", "2", "--seconds", "3", "--size", "48", "--workers", "2")
    assert made.returncode == 0, made.stderr
    flags = ("--fps", "15", "--size", "48", "--sample-rate", "16000", "--min-clip-s", "2", "--workers", "2")
    packed = ran(here, "pack", str(scenes), str(data), *flags)
    assert packed.returncode == 0, packed.stderr
    assert not mark.exists(), f"run: {mark.read_text()}"
    asked = subprocess.run([sys.executable, "-c", "import json"], cwd=here, capture_output=True, check=False)
    assert asked.returncode == 0
    assert mark.exists(), "this test could not fail"


@root_only
def test_a_strangers_style_is_not_obeyed_and_a_commands_own_environment_is_kept(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "matplotlibrc").write_text("\033]0;pwn\007foo: 3\ntext.usetex: True\n")
    program = (
        "import os; from sharding.base import current_folder as here; here.leave_alone(); import matplotlib;"
        "print(matplotlib.rcParams['text.usetex'], os.getcwd(), 'PYTHONSAFEPATH' in here.persons_environment())"
    )
    argv = [sys.executable, "-P", "-c", program]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    for owner, obeyed in ((NEIGHBOUR, False), (0, True)):
        os.chown(here / "matplotlibrc", owner, owner)
        found = subprocess.run(argv, cwd=here, env=environment, capture_output=True, text=True, check=False)
        assert found.stdout.split() == [str(obeyed), os.path.realpath(here), "False"], found.stderr
        assert ("pwn" in found.stderr) == obeyed


@pytest.mark.parametrize(("folder", "lock"), [(0o755, 0o600), (0o2775, 0o660), (0o1777, 0o666), (0o700, 0o600)])
def test_only_those_may_hold_a_lock_who_may_write_beside_it(folder: int, lock: int, tmp_path: Path) -> None:
    from sharding.base.locks import LOCK_NAME, folder_lock

    run = tmp_path / "run"
    run.mkdir()
    run.chmod(folder)
    (run / LOCK_NAME).touch(mode=0o644)  # of an earlier version
    for _ in range(2):
        with folder_lock(run, "a test"):
            assert (run / LOCK_NAME).stat().st_mode & 0o777 == lock
        (run / LOCK_NAME).unlink()
