"""The copy of the code that a job runs, and the note of its environment."""

import os
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from launch.submit.snapshot import PACKAGES, WEIGHTS, environment_text, sources, take_snapshot
from sharding.base.environment import HOME, NOTE, commit_of


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "jobs" / "train" / "code"
    take_snapshot(folder)
    return folder


def test_a_snapshot_holds_every_module_and_no_cache(copy: Path) -> None:
    kept = {path.relative_to(copy) for path in copy.rglob("*") if path.is_file()} - {Path(NOTE)}
    assert kept == {path.relative_to(HOME) for path in sources()}
    assert {path.parts[0] for path in kept} == {name.split("/")[0] for name in PACKAGES}
    assert {path.suffix for path in kept if not path.is_relative_to(WEIGHTS)} == {".py", ".j2", ".toml"}
    assert Path("slurm/profiles/test.toml") in kept


def test_a_snapshot_holds_all_that_an_installed_avsync_does(copy: Path) -> None:
    """A job may draw a page, or name a network that ships."""
    named = tomllib.loads((HOME / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for package, patterns in named.items():
        for top in PACKAGES[:-1] if package == "*" else [package]:
            shipped = [path for pattern in patterns for path in (HOME / top).rglob(pattern) if path.name != "py.typed"]
            assert package == "*" or shipped
            assert all((copy / path.relative_to(HOME)).read_bytes() == path.read_bytes() for path in shipped)


def test_profiles_in_a_snapshot_are_for_its_owner_alone(copy: Path) -> None:
    assert {path.stat().st_mode & 0o777 for path in copy.rglob("*.toml")} == {0o600}


def test_avsync_runs_from_its_snapshot_though_the_checkout_is_the_working_folder(copy: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONSAFEPATH": "1"}
    program = (
        "import launch, avsync, sharding, launch.site.profiles as f; print(launch.__file__, avsync.__file__, f.SHIPPED)"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=HOME, env=environment, capture_output=True, text=True)
    assert all(path.startswith(str(copy)) for path in run.stdout.split()), run.stdout + run.stderr
    again = [sys.executable, "-m", "launch", "submit", "train", "d", "r", "--cluster", "x"]
    told = subprocess.run(again, cwd=HOME, env=environment, capture_output=True, text=True).stderr
    assert "there is no profile of that name" in told


def test_a_new_snapshot_replaces_the_old_one_whole(tmp_path: Path) -> None:
    for text in ("old = 1", "new = 1"):
        home = tmp_path / "home"
        shutil.rmtree(home, ignore_errors=True)
        (home / "launch").mkdir(parents=True)
        (home / "launch" / f"{text[:3]}.py").write_text(text)
        take_snapshot(tmp_path / "code", home)
    assert [path.name for path in (tmp_path / "code" / "launch").iterdir()] == ["new.py"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["code", "home"]


def test_the_environment_names_every_package_and_hides_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NCCL_DEBUG", "INFO")
    monkeypatch.setenv("AVSYNC_TOKEN", "hush")
    monkeypatch.setenv("CONDA_CHANNEL", "https://me:hush@host/x")
    monkeypatch.setenv("MY_DIARY", "hush")
    told = environment_text("abc+")
    assert f"numpy=={version('numpy')}\n" in told
    assert "#   NCCL_DEBUG=INFO\n" in told
    assert "#   AVSYNC_TOKEN=***\n" in told
    assert "#   CONDA_CHANNEL=https://***@host/x\n" in told
    assert "# avsync of commit abc+\n" in told
    assert "hush" not in told


def test_a_variable_of_several_lines_stays_a_comment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NOTE", "one\nevil==1.0")
    assert "\nevil" not in environment_text("")


def test_a_checkout_tells_its_commit_and_whether_it_was_changed(tmp_path: Path) -> None:
    assert commit_of(tmp_path) == ""

    def git(*words: str) -> None:
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "x")
    clean = commit_of(tmp_path)
    (tmp_path / "a").write_text("2")
    assert clean
    assert commit_of(tmp_path) == clean + "+"
    (tmp_path / "inner").mkdir()
    assert commit_of(tmp_path / "inner") == ""


def test_a_snapshot_knows_the_commit_it_was_taken_from(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)  # a run may lie in somebody's checkout
    take_snapshot(tmp_path / "inner" / "code")
    assert commit_of(tmp_path / "inner" / "code") == commit_of()
