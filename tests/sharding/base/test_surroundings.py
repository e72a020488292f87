"""Accounts that lack a name, a home or room for caches, in real processes: what they are given, and what not."""

import getpass
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NAMELESS = "HOME LOGNAME USER LNAME USERNAME"
"""What an account of a container lacks."""
CACHES = ("MPLCONFIGDIR", "XDG_CACHE_HOME", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH")
SETTLED = """
import getpass, json, os, pwd, sys
if "nameless" in sys.argv:
    os.getuid = lambda: 54321
    os.environ.pop("LOGNAME", None)
from sharding.base.surroundings import settle_account
before = dict(os.environ)
settle_account()
if "matplotlib" in sys.argv:
    import matplotlib.font_manager
print(json.dumps({"user": getpass.getuser(), "before": before, "after": dict(os.environ)}))
"""


def settled(*words: str, without: str = "", **settings: str) -> dict[str, dict[str, str]]:
    """What the environment of a process becomes; nothing may be said."""
    hidden = {*without.split(), *CACHES, "XDG_CONFIG_HOME"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden} | settings
    ran = subprocess.run(
        [sys.executable, "-c", SETTLED, *words],
        env=environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True, timeout=100,
    )  # fmt: skip
    assert not ran.stderr
    return json.loads(ran.stdout)


def unusable(kind: str, folder: Path) -> str:
    """A home that nobody can write in, not even root."""
    (folder / "file").touch()
    return {"a file": str(folder / "file"), "below a file": str(folder / "file" / "home"), "a device": "/dev/null"}[
        kind
    ]


@pytest.mark.parametrize("kind", ["a file", "below a file", "a device"])
def test_a_home_that_cannot_be_written_costs_nothing_and_nothing_is_said(kind: str, tmp_path: Path) -> None:
    home = unusable(kind, tmp_path)
    got = settled("matplotlib", HOME=home, TMPDIR=str(tmp_path))["after"]
    assert got["HOME"] == home
    for variable in CACHES:
        folder = Path(got[variable])
        assert folder.parent == tmp_path / f"avsync-{os.getuid()}"
        assert (stat.S_IMODE(folder.stat().st_mode), folder.stat().st_uid) == (0o700, os.getuid())
    assert stat.S_IMODE((tmp_path / f"avsync-{os.getuid()}").stat().st_mode) == 0o700


def test_a_home_that_works_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    for home in (tmp_path / "home", tmp_path / "to be made"):
        got = settled(HOME=str(home), TMPDIR=str(tmp_path))
        assert got["after"] == got["before"]
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_only_the_cache_that_does_not_work_moves(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for variable in CACHES:
        chosen = {variable: str(tmp_path / "file" / "x")}
        got = settled(HOME=str(tmp_path), TMPDIR=str(tmp_path), **chosen)["after"]
        moved = {name for name in CACHES if "avsync-" in got.get(name, "")}
        assert moved == ({variable, "MPLCONFIGDIR"} if variable == "XDG_CACHE_HOME" else {variable})
        good = {variable: str(tmp_path / "good")}
        kept = settled(HOME=str(tmp_path / "file"), TMPDIR=str(tmp_path), **good)["after"]
        assert kept[variable] == good[variable]


@pytest.mark.parametrize("settings", [{}, {"HOME": ""}])
def test_an_account_that_nobody_knows_gets_a_name_and_a_home(settings: dict[str, str], tmp_path: Path) -> None:
    got = settled("nameless", without=NAMELESS, TMPDIR=str(tmp_path), **settings)
    assert got["user"] == "user-54321"
    assert Path(got["after"]["HOME"]).is_absolute()


def test_without_home_the_accounts_own_is_taken(tmp_path: Path) -> None:
    for settings in ({}, {"HOME": ""}):
        got = settled(without=NAMELESS, TMPDIR=str(tmp_path), **settings)
        assert got["after"]["HOME"] == os.path.expanduser(f"~{getpass.getuser()}")
        assert got["user"] == getpass.getuser()


@pytest.mark.parametrize("trap", ["a link", "a file", "open to others"])
def test_a_folder_that_somebody_else_may_have_prepared_is_not_used(trap: str, tmp_path: Path) -> None:
    taken = tmp_path / f"avsync-{os.getuid()}"
    (tmp_path / "theirs").mkdir()
    if trap == "a link":
        taken.symlink_to(tmp_path / "theirs")
    elif trap == "a file":
        taken.touch()
    else:
        taken.mkdir()
        taken.chmod(0o777)
    got = settled(HOME=unusable("below a file", tmp_path), TMPDIR=str(tmp_path))["after"]
    for variable in CACHES:
        assert taken not in Path(got[variable]).parents
        assert Path(got[variable]).parent.parent == tmp_path
        assert not Path(got[variable]).exists(), "what is made for one process goes with it"
    assert not list((tmp_path / "theirs").iterdir())


def test_a_folder_for_temporary_files_that_is_gone_is_no_trouble(tmp_path: Path) -> None:
    got = settled(HOME=unusable("a file", tmp_path), TMPDIR=str(tmp_path / "gone"))["after"]
    assert all(Path(got[variable]).is_absolute() for variable in CACHES)


def test_a_command_in_a_folder_that_is_gone_says_so(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    line = f"cd '{tmp_path}/gone' && rmdir ../gone && exec '{sys.executable}' -m launch verify data"
    ran = subprocess.run(
        ["sh", "-c", line], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("avsync: error: the folder that you are in was deleted")
    assert ran.stderr.count("\n") == 1
