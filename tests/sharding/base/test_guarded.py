"""sharding/base/guarded.py: what lies in the place of one of our files is left as it is, and said; nothing waits."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sharding.base.files import add_line, publish, publish_folder
from sharding.base.guarded import (
    InTheWay,
    check_steps,
    claim,
    make_folder,
    move,
    open_in_place,
    opened_folder,
    remove,
    remove_folder,
    touch,
)
from sharding.base.housekeeping import below, delete
from sharding.base.locks import LOCK_NAME, folder_lock
from sharding.errors import InputError

OWN = b"mine since long"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of others")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder of mine, which nothing may touch."""
    folder = tmp_path / "elsewhere"
    (folder / "inner").mkdir(parents=True)
    (folder / "file").write_bytes(OWN)
    (folder / "inner" / "file").write_bytes(OWN)
    return folder


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))  # such names have a limit


TRAPS: dict[str, Callable[[Path, Path], object]] = {
    "link": lambda path, elsewhere: path.symlink_to(elsewhere / "file"),
    "link to what is free": lambda path, elsewhere: path.symlink_to(elsewhere / "free"),
    "link to a folder": lambda path, elsewhere: path.symlink_to(elsewhere),
    "link to a device": lambda path, _: path.symlink_to("/dev/null"),
    "hard link": lambda path, elsewhere: os.link(elsewhere / "file", path),
    "FIFO": lambda path, _: os.mkfifo(path),
    "socket": lambda path, _: _socket(path),
    "folder": lambda path, _: path.mkdir(),
}


def _look(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize("trap", TRAPS)
def test_what_is_no_file_of_ours_is_not_opened(
    trap: str, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before, path = _look(elsewhere), tmp_path / "run" / "file"
    path.parent.mkdir()
    TRAPS[trap](path, elsewhere)
    for flags in (os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
        with pytest.raises(OSError, match="remove it"):
            open_in_place(path, flags)
    assert _look(elsewhere) == before


def test_a_lock_with_a_second_name_holds_and_is_not_written(tmp_path: Path, elsewhere: Path) -> None:
    """A backup by `cp -al` has made one of each file."""
    before = _look(elsewhere)
    (tmp_path / "run").mkdir()
    os.link(elsewhere / "file", tmp_path / "run" / LOCK_NAME)
    with folder_lock(tmp_path / "run", "a test"):
        held = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        other = subprocess.run(
            [sys.executable, "-c", held, tmp_path / "run" / LOCK_NAME], capture_output=True, check=False
        )
        assert b"BlockingIOError" in other.stderr
    assert _look(elsewhere) == before


@pytest.mark.parametrize("trap", [trap for trap in TRAPS if trap != "hard link"])
def test_no_lock_is_written_elsewhere(
    trap: str, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before, path = _look(elsewhere), tmp_path / "run" / LOCK_NAME
    path.parent.mkdir()
    TRAPS[trap](path, elsewhere)
    with (
        pytest.raises(InputError, match=rf"cannot use the folder .*{LOCK_NAME}") as refused,
        folder_lock(tmp_path / "run", "a test"),
    ):
        pass
    assert "\n" not in str(refused.value)
    assert _look(elsewhere) == before


@pytest.mark.parametrize("trap", TRAPS)
def test_what_is_published_takes_the_name_and_nothing_else(
    trap: str, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before, run = _look(elsewhere), tmp_path / "run"
    run.mkdir()
    for name in ("file", "file.part"):
        TRAPS[trap](run / name, elsewhere)
        try:
            with publish(run / "file") as file:
                file.write(b"new")
        except OSError:  # a folder has the name
            assert trap == "folder"
            assert name == "file"
            (run / name).rmdir()
        else:
            assert (run / "file").read_bytes() == b"new"
            assert not (run / "file").is_symlink()
    for name in ("folder", "folder.part", "folder.old"):
        TRAPS[trap](run / name, elsewhere)
        with publish_folder(run / "folder") as part:
            (part / "inner").write_bytes(b"new")
        assert _look(run / "folder") == {str(run / "folder" / "inner"): b"new"}
        shutil.rmtree(run / "folder")
    assert _look(elsewhere) == before


def test_below_a_claimed_folder_no_step_is_a_link(tmp_path: Path, elsewhere: Path) -> None:
    real, typed = tmp_path / "real", tmp_path / "typed"
    real.mkdir()
    typed.symlink_to(real)  # what a person types may be a link
    claim(typed)
    (typed / "link").symlink_to(elsewhere)
    before = _look(elsewhere)
    refusal = f"{typed / 'link'}.* is a link|is a link.*"
    for act in (
        lambda: make_folder(typed / "link" / "new"),
        lambda: open_in_place(typed / "link" / "file"),
        lambda: open_in_place(typed / "link" / "inner" / "file"),
        lambda: _publish(typed / "link" / "file"),
        lambda: _publish(typed / "link" / "inner" / "file"),
        lambda: _publish_folder(typed / "link" / "inner"),
        lambda: check_steps(typed / "link" / "none"),
        lambda: remove(typed / "link" / "file"),
        lambda: move(typed / "link" / "file", typed / "link" / "moved"),
        lambda: touch(typed / "link" / "file"),
        lambda: add_line(typed / "link" / "file", b"new"),
    ):
        with pytest.raises(OSError, match=refusal):
            act()
    assert not delete(typed / "link" / "inner")
    remove_folder(typed / "link" / "inner")
    assert not below(typed / "link", "*")
    assert not below(typed, "link/*")
    assert _look(elsewhere) == before
    _publish(typed / "file")
    make_folder(typed / "a" / "b")
    assert (real / "file").exists()
    assert (real / "a" / "b").is_dir()
    assert delete(typed / "link")
    assert _look(elsewhere) == before


def test_of_folders_in_each_other_the_outermost_says_what_may_be_a_link(tmp_path: Path, elsewhere: Path) -> None:
    inner = tmp_path / "run" / "jobs"
    inner.parent.mkdir()
    inner.symlink_to(elsewhere)
    claim(inner)
    make_folder(inner / "inner")
    claim(tmp_path / "run")
    with pytest.raises(InTheWay, match=rf"{inner} is a link, and below {tmp_path / 'run'} .* make .* itself the link"):
        make_folder(inner / "inner")


@pytest.mark.parametrize("trap", TRAPS)
def test_a_line_is_added_and_a_time_set_in_no_file_but_ours(
    trap: str, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before, times = _look(elsewhere), (elsewhere / "file").stat().st_mtime_ns
    path = tmp_path / "run" / "file"
    path.parent.mkdir()
    TRAPS[trap](path, elsewhere)
    with pytest.raises(InTheWay):
        touch(path)
    try:
        add_line(path, b"new")
    except OSError:
        assert trap == "folder"
    else:
        kept = OWN + b"\n" if trap == "hard link" else b""
        assert path.read_bytes() == kept + b"new\n"
        add_line(path, b"more")
        assert path.read_bytes() == kept + b"new\nmore\n"
    assert _look(elsewhere) == before
    assert (elsewhere / "file").stat().st_mtime_ns == times


def test_links_are_found_only_where_they_are_asked_for_and_never_gone_through(tmp_path: Path, elsewhere: Path) -> None:
    run = tmp_path / "run"
    (run / "a").mkdir(parents=True)
    (run / "b").symlink_to(elsewhere)
    for name in ("x.part", "y.part", "z"):
        (run / "a" / name).touch()
    (run / "a" / "w.part").symlink_to(elsewhere / "file")
    (elsewhere / "x.part").touch()
    real = [run / "a" / name for name in ("x.part", "y.part")]
    assert below(run, "*/*.part") == real
    assert below(run, "*/*.part", links=True) == [run / "a" / "w.part", *real]
    assert below(run, "*") == [run / "a"]
    assert below(run / "none", "*") == below(run / "a" / "z", "*") == []


def test_a_folder_is_held_whatever_takes_its_name(tmp_path: Path, elsewhere: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    before = _look(elsewhere)
    with opened_folder(run) as handle:
        run.rename(tmp_path / "moved")
        run.symlink_to(elsewhere)
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, dir_fd=handle))
    assert (tmp_path / "moved" / "file").exists()
    assert _look(elsewhere) == before


@root_only
def test_a_file_of_somebody_else_is_locked_but_never_written(tmp_path: Path) -> None:
    path = tmp_path / LOCK_NAME
    path.write_bytes(OWN)
    path.chmod(0o666)
    os.chown(path, 54321, 54321)
    with pytest.raises(OSError, match="belongs to user 54321"):
        open_in_place(path)
    with folder_lock(tmp_path, "a test"):
        pass
    assert path.read_bytes() == OWN


@root_only
def test_lines_of_a_colleague_are_kept_and_his_file_is_not_written(tmp_path: Path) -> None:
    path, kept = tmp_path / "file", tmp_path / "kept"
    path.write_bytes(b"his\ncut sho")
    os.chown(path, 54321, 54321)
    with path.open("rb") as his:
        add_line(path, b"mine")
        assert his.read() == b"his\ncut sho"
    assert path.read_bytes() == b"his\ncut sho\nmine\n"
    assert path.stat().st_uid == os.geteuid()
    os.link(path, kept)
    path.chmod(0o600)
    add_line(path, b"more")
    assert kept.read_bytes() == b"his\ncut sho\nmine\n"
    assert path.read_bytes() == b"his\ncut sho\nmine\nmore\n"
    assert path.stat().st_mode & 0o777 == 0o600


def _publish(path: Path) -> None:
    with publish(path) as file:
        file.write(b"new")


def _publish_folder(path: Path) -> None:
    with publish_folder(path) as part:
        (part / "new").touch()
