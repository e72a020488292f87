"""A library that does not load is the machine's trouble: one line with the remedy; who does not need it works."""

import importlib
import os
import resource
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from launch.cli import DONE, FAILED
from launch.commands.entries import COMMANDS
from sharding.base.libraries import ENOUGH, FAULTS, known_fault, limit_trouble, load_trouble, warn_of_fault

BEFORE = Path(__file__).parents[2] / "fixtures" / "before"
ROOT = BEFORE.parents[2]
BROKEN = {
    "a symbol": 'raise ImportError("libtorch_cpu.so: undefined symbol: x")',
    "a shared object": 'raise OSError("libcudart.so.12: cannot open shared object file: No such file or directory")',
    "another build": 'raise RuntimeError("module compiled against API version 0x10")',
    "an attribute": "import sys; sys.no_such_thing",
    "what it needs": "import no_such_library_of_it",
    "deeper": "from lib_x import part",
    "memory": "raise MemoryError",
}


def caught(work: Callable[[], object]) -> BaseException:
    try:
        work()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("kind", BROKEN)
def test_whatever_an_import_raises_is_the_librarys_trouble(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "lib_x").mkdir()
    (tmp_path / "lib_x" / "__init__.py").write_text(f"{BROKEN[kind]}\n" if kind != "deeper" else "")
    (tmp_path / "lib_x" / "part.py").write_text(f"{BROKEN['a symbol']}\n")
    (tmp_path / "lib_y.py").write_text("from lib_x import part\n")
    for name in ("lib_x", "lib_x.part", "lib_y"):
        if kind == "deeper" and name == "lib_x":
            continue
        said = load_trouble(caught(lambda name=name: importlib.import_module(name)))
        assert said.startswith("lib_x does not load here: "), said
        assert "\n" not in said
        assert "make setup" in said
        for module in ("lib_x", "lib_x.part", "lib_y"):
            sys.modules.pop(module, None)


@pytest.mark.parametrize("library", FAULTS)
def test_a_version_with_a_known_fault_is_told_from_one_without(library: str) -> None:
    mended = FAULTS[library][0]
    number = ".".join(map(str, mended))
    for version in (
        number,
        f"{number}.1",
        f"{number}.0+cu128",
        f"n{number}-3ubuntu1",
        f"{mended[0] + 1}.0",
        "git-2026",
        "",
    ):
        assert not known_fault(library, version), version
    for version in (f"{mended[0] - 1}.9.9", f"n{mended[0]}.0.1", f"{mended[0]}.0+cpu", f"{mended[0]}.0.1a0+git12"):
        assert known_fault(library, version).startswith(f"{library} {version} is older than {number}: ")
        assert "\n" not in known_fault(library, version)


def test_what_is_installed_and_what_may_be_installed_has_no_known_fault(capfd: pytest.CaptureFixture[str]) -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    lowest = {name: low.partition(",")[0] for name, _, low in (each.partition(">=") for each in asked)}
    tested = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    for library in FAULTS.keys() & lowest.keys():
        assert not known_fault(library, lowest[library])
        assert not known_fault(library, tested[library])
    warn_of_fault("FFmpeg", av.ffmpeg_version_info)
    assert not capfd.readouterr().err
    for _ in range(2):
        warn_of_fault("torch", "2.9.1+cu128")
    assert capfd.readouterr().err.count("avsync: warning: torch 2.9.1+cu128 is older than 2.10: ") == 1


def test_a_library_that_is_missing_is_named() -> None:
    said = load_trouble(caught(lambda: importlib.import_module("no_such_library_1.part")))
    assert said.startswith("no_such_library_1 does not load here: ")
    assert f"{sys.executable} has no no_such_library_1" in said


def test_errors_of_ours_and_of_libraries_at_work_are_none() -> None:
    def wrong_name() -> None:
        from sharding.base.text import no_such_name  # pyright: ignore[reportAttributeAccessIssue, reportUnusedImport] # noqa: F401

    ours = [wrong_name, lambda: importlib.import_module("sharding.no_such_module"), lambda: {}["x"]]
    at_work = [lambda: importlib.import_module(""), lambda: os.stat("/no/such"), lambda: int("x")]
    for work in (*ours, *at_work):
        assert not load_trouble(caught(work)), work


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("can't start new thread"),
        BlockingIOError(11, "Resource temporarily unavailable"),
    ],
)
def test_a_limit_of_processes_is_told(error: Exception) -> None:
    assert "no more threads or processes can be started" in limit_trouble(error)
    assert "ulimit" in limit_trouble(error) or resource.getrlimit(resource.RLIMIT_NPROC)[0] == resource.RLIM_INFINITY


def test_other_errors_are_no_limits() -> None:
    for error in (RuntimeError("x"), OSError(2, "x"), BlockingIOError(11, "write could not complete without blocking")):
        assert not limit_trouble(error)


WITHOUT_TORCH = {
    "scenes": "scenes scenes --count 1 --seconds 2",
    "pack": "pack in packed --size 16 --fps 8 --min-clip-s 1 --workers 1 --codec raw",
    "advise": "advise in --size 16 --fps 8 --min-clip-s 1 --workers 1",
    "show": "show data",
    "verify": "verify data",
    "submit": "submit pack in packed --cluster test --dry-run",
    "status": "status",
    "doctor": "doctor --cluster test --dry-run",
}


def avsync(words: str, folder: Path, *, limit: int = 0) -> subprocess.CompletedProcess[str]:
    """In a real process, beside libraries that `folder` breaks, without SLURM."""

    def prepare() -> None:
        if limit:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    path = f"{folder / 'broken'}:{ROOT}"
    return subprocess.run(
        [sys.executable, "-m", "launch", *words.split()],
        cwd=folder, env=os.environ | {"PYTHONPATH": path, "PATH": "/nowhere"}, preexec_fn=prepare,
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").symlink_to(BEFORE / "dataset-h264")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "hop").symlink_to(BEFORE / "scenes" / "hop")
    return tmp_path


def break_library(folder: Path, name: str) -> None:
    (folder / "broken" / name).mkdir(parents=True)
    (folder / "broken" / name / "__init__.py").write_text(f"{BROKEN['a symbol']}\n")


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_what_needs_no_torch_works_without_it(name: str, folder: Path) -> None:
    assert name in COMMANDS
    break_library(folder, "torch")
    ran = avsync(WITHOUT_TORCH[name], folder)
    assert ran.returncode == DONE, ran.stderr


@pytest.mark.parametrize(
    ("library", "words"),
    [
        ("torch", "train data run"),
        ("av", "pack in packed"),
        ("numpy", "show data"),
        ("accelerate", "train data run"),
    ],
)
def test_what_needs_it_ends_in_one_line(library: str, words: str, folder: Path) -> None:
    break_library(folder, library)
    ran = avsync(words, folder)
    assert ran.returncode == FAILED
    said = [line for line in ran.stderr.splitlines() if not line.startswith("loading ")]  # said where that takes long
    assert said[0].startswith(f"avsync: error: {library} does not load here: libtorch_cpu.so: undefined symbol: x; ")
    assert len(said) == 1, ran.stderr


def test_a_shell_that_allows_too_little_memory_is_told_what_to_do(folder: Path) -> None:
    ran = avsync("train data run", folder, limit=2 * 10**9)
    assert 2 * 10**9 < ENOUGH
    assert (ran.returncode, ran.stderr.count("\n")) == (FAILED, 1), ran.stderr
    assert "torch does not load here: " in ran.stderr
    assert "2.0 GB of memory (ulimit -v)" in ran.stderr
    assert "avsync submit" in ran.stderr
