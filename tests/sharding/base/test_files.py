"""Where a file can be written is known before the work; what the disk refuses later is said with the file's name."""

import errno
import os
import stat
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from sharding.base.files import check_folder, check_output, read_end, read_json, writing
from sharding.errors import FormatError, InputError


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


# ---- what is read may be anybody's


@dataclass(frozen=True, slots=True)
class Kind:
    LARGEST_FILE: ClassVar[int] = 1000

    value: int


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"", "truncated"),
        (b"{}", "missing required field `value`"),
        (b'{"value": 1e999}', "out of range"),
        (b'{"value": "' + b"x" * 900 + b'"}', "Expected `int`"),
        (b"[" * 900, "Expected `object`"),
        (b'{"value": 1}' + b" " * 1000, "it has 1.0 kB, and such a file has at most 1.0 kB"),
    ],
)
def test_json_of_another_kind_is_damaged_in_one_line(tmp_path: Path, content: bytes, fact: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=f"a.json is damaged or was written by another version: .*{fact}") as error:
        read_json(path, Kind)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < len(str(path)) + 400


def test_what_a_file_says_in_an_error_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'"\\u001b]0;' + b"x" * 10**6 + b'"')
    with pytest.raises(FormatError) as error:
        read_json(path, Literal["one"])  # pyright: ignore[reportArgumentType]
    assert str(error.value).isprintable()
    assert len(str(error.value)) < len(str(path)) + 400


def test_a_file_without_an_end_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(3 * 10**12)
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=r"it has 3\.0 TB"):
            read_json(path, Kind)
        assert read_end(path, 1000) == b""
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_of_a_long_file_the_last_whole_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(b"line %03d\n" % number for number in range(100)))
    assert read_end(path, 10**6) == path.read_bytes()
    assert read_end(path, 25) == b"line 098\nline 099\n"


@pytest.mark.parametrize("kind", ["fifo", "socket", "folder", "link to a device", "link to a fifo", "NUL", "gone"])
def test_what_is_no_file_is_not_even_opened(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, fifo = tmp_path / "a.json", tmp_path / "fifo"
    os.mkfifo(fifo)
    match kind:
        case "fifo":
            path = fifo
        case "socket":
            os.mknod(path, stat.S_IFSOCK | 0o600)
        case "folder":
            path.mkdir()
        case "link to a device":
            path.symlink_to("/dev/zero")
        case "link to a fifo":
            path.symlink_to(fifo)
        case "NUL":
            path = Path(f"{path}\0")
        case _:
            pass
    opened = list[object]()
    monkeypatch.setattr("os.open", lambda *words, **_: opened.append(words))
    with pytest.raises(InputError, match=r"cannot read "):
        read_json(path, Kind)
    assert not opened
