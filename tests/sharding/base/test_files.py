"""Where a file can be written is known before the work; what the disk refuses later is said with the file's name."""

import errno
from pathlib import Path

import pytest

from sharding.base.files import check_folder, check_output, writing
from sharding.errors import InputError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder in ("data", "folder.html"):
        Path(folder).mkdir()
    for file in ("file", "video.mp4", "old.html"):
        Path(file).touch()
    Path("link.mp4").symlink_to("video.mp4")
    Path("lost.html").symlink_to("nowhere")
    return tmp_path


NEVER = {"the dataset": Path("data"), "the video": Path("video.mp4")}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("data/a.html", r"--page data/a\.html lies in the dataset, which is only read; name a file outside of data"),
        ("data/x/a.html", "lies in the dataset"),
        ("link.mp4", r"--page link\.mp4 is the video itself; name another file"),
        ("folder.html", r"is a folder; name a file, like folder\.html/output\.html"),
        ("a.txt", r"must end in one of \.html, \.mp4; name it a\.html"),
        ("old.html", "exists already; name another file, or delete that one"),
        ("lost.html", "exists already"),
        ("no/such/a.html", "there is no folder no/such; make it, or name another one"),
        ("file/a.html", "there is no folder file; make it"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(home: Path, path: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_output(Path(path), "--page", (".html", ".mp4"), never=NEVER, new=True)


def test_a_file_that_can_be_written_is_not(home: Path) -> None:
    for path in ("a.html", "A.HTML", str(home / "a.mp4")):
        check_output(Path(path), "--page", (".html", ".mp4"), never=NEVER, new=True)
    check_output(Path("old.html"), "--page", (".html",))
    check_output(Path("no/such/a.html"), "--page", (".html",), make=True)


def test_what_stands_in_the_way_of_a_folder_to_be_made_is_named(home: Path) -> None:
    with pytest.raises(InputError, match=r"file/x/a\.html cannot be written: file is a file, not a folder; name ano"):
        check_output(Path("file/x/a.html"), "--page", (".html",), make=True)


def test_a_folder_that_may_not_be_written_in_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(InputError, match=r"a\.html cannot be written: \. may not be written in; change that, or name"):
        check_output(Path("a.html"), "--page", (".html",))


def test_what_the_disk_refuses_is_said_with_file_and_flag() -> None:
    with pytest.raises(InputError, match=r"cannot write a\.html: No space.* make room, or choose another --page"):
        with writing(Path("a.html"), "--page"):
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_that_can_be_made_is_fine(home: Path) -> None:
    check_folder(Path("no/such"), "train")
    with pytest.raises(InputError, match="train cannot be written: file is a file, not a folder"):
        check_folder(Path("file/run"), "train")
