"""A file from afar: whatever the origin does, a right copy comes of it or an error that names it, and soon."""

import io
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Timer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slow_server import FAULTS, SlowServer
from staging_data import QUICK, break_clip, tar, write_noise

from avsync.staging.checksum import ClipCheck, ClipRanges
from avsync.staging.fetch import Fetch, FetchedFile, FetchStopped, TooLong
from avsync.staging.location import Location
from avsync.staging.streams import _end
from sharding.errors import InputError
from sharding.format.index import INDEX, INFO, Index

SHARD = "train/000001.tar"
ON_THE_WAY = [
    "slow", "stall", "stall_at_once", "drip", "reset", "broken_off", "broken_off_unannounced", "too_long_announced",
    "too_short_announced", "unannounced", "unavailable", "no_http", "flip", "page", "endless",
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    return write_noise(tmp_path_factory.mktemp("noise") / "data")


@pytest.fixture
def server(data: Path) -> Iterator[SlowServer]:
    with SlowServer(data) as server:
        yield server


def places(data: Path, shard: int = 1) -> ClipRanges:
    return ClipRanges.of(Index.load(data / "train" / INDEX), shard)


def fetched(
    origin: str | Path, data: Path, *, name: str = SHARD, checked: bool = True, say: Callable[[str], None] = print
) -> tuple[bytes, FetchedFile]:
    with io.FileIO(data.parent / "copy", "w+") as file:
        fetch = Fetch(location=Location.of(origin), retries=QUICK, say=say)
        came = fetch.copy(name, file, places(data) if checked else 1 << 20)
        file.seek(0)
        return file.readall(), came


@pytest.mark.parametrize("fault", ON_THE_WAY)
def test_what_goes_wrong_on_the_way_once_is_asked_for_again(fault: str, server: SlowServer, data: Path) -> None:
    server.faults[SHARD] = [fault]
    told = list[str]()
    content, came = fetched(server.url, data, say=told.append)
    assert content == tar(data, 1)
    assert (came.size, came.damaged) == (len(content), ())
    assert came.tries == server.asked[SHARD] == (1 if fault in ("slow", "unannounced") else 2)
    assert len(told) == came.tries - 1, "each try that failed is reported while there is another"
    assert all(text.startswith(f"{server.url}/{SHARD}: ") and "trying again in" in text for text in told)


@pytest.mark.parametrize(
    ("fault", "told", "asked"),
    [
        ("stall", "timed out", 3),
        ("stall_at_once", "timed out", 3),
        ("drip", "bytes came in", 3),
        ("reset", "reset by peer", 3),
        ("broken_off", "broke off after", 3),
        ("too_long_announced", "broke off after", 3),
        ("unavailable", "HTTP 503", 3),
        ("no_http", "no answer of HTTP", 3),
        ("forbidden", "HTTP 403", 1),
        ("moved", "redirect", 1),
        ("page", "no clip in it is as packed .* 62,464 are expected", 2),
        ("endless", "it is not as packed .*has more than the 62,464 bytes", 2),
    ],
)
def test_what_goes_wrong_each_time_is_an_error_that_names_it(
    fault: str, told: str, asked: int, server: SlowServer, data: Path
) -> None:
    server.faults[SHARD] = [fault] * 99
    with pytest.raises(InputError, match=f"{server.url}/{SHARD}: .*{told}"):
        fetched(server.url, data)
    if fault != "moved":  # each redirect is asked for, too
        assert server.asked[SHARD] == asked


ENDLESS = {
    "pipe": "pipe:cat {data}/{{}}; yes",
    "pipe of noise": "pipe:cat {data}/{{}}; cat /dev/urandom",
    "pipe of nothing else": "pipe:: {{}}; yes",
    "http": "",
}


@pytest.mark.parametrize("kind", ENDLESS)
@pytest.mark.parametrize("name", [SHARD, INFO])
def test_of_an_origin_that_never_ends_no_byte_more_than_expected_is_written(
    kind: str, name: str, server: SlowServer, data: Path
) -> None:
    server.faults[name] = ["endless"] * 99
    origin = ENDLESS[kind].format(data=shlex.quote(str(data))) or server.url
    expected = places(data) if name == SHARD else 5_000
    with io.FileIO(data.parent / "copy", "w+") as file:
        fetch = Fetch(location=Location.of(origin), retries=QUICK)
        with pytest.raises((InputError, TooLong)):
            fetch.copy(name, file, expected)
        assert os.fstat(file.fileno()).st_size <= (5_000 if isinstance(expected, int) else expected.size)


def test_every_fault_of_the_server_is_tried() -> None:
    assert {"", "forbidden", "moved", "flip_elsewhere", *ON_THE_WAY} == set(FAULTS)


def test_a_file_that_is_not_there_is_asked_for_once(server: SlowServer, data: Path) -> None:
    with pytest.raises(InputError, match=rf"cannot get {server.url}/train/000009.tar: HTTP 404 .*; check the address"):
        fetched(server.url, data, name="train/000009.tar")
    assert server.asked["train/000009.tar"] == 1


def test_a_server_that_is_not_there_is_named(data: Path) -> None:
    with SlowServer(data) as gone:
        pass
    with pytest.raises(InputError, match=rf"cannot get {gone.url}/{SHARD}: .*refused \(3 tries\)"):
        fetched(gone.url, data)


def test_damage_that_changes_each_time_is_no_damage_of_the_origin(server: SlowServer, data: Path) -> None:
    server.faults[SHARD] = ["flip", "flip_elsewhere", "flip"]
    with pytest.raises(InputError, match="1 clip in it came other than packed"):
        fetched(server.url, data)


@pytest.mark.parametrize("kind", ["folder", "http", "pipe"])
def test_damage_of_the_origin_costs_its_clip_alone(kind: str, tmp_path: Path) -> None:
    data = write_noise(tmp_path / "data")
    break_clip(data, 7)
    with SlowServer(data) as server:
        origin = {"folder": data, "http": server.url, "pipe": f"pipe:cat {shlex.quote(str(data))}/{{}}"}[kind]
        content, came = fetched(origin, data)
    assert content == tar(data, 1)
    assert (came.damaged, came.tries) == ((7,), 2)


def test_of_a_shard_that_is_cut_off_at_its_origin_the_first_clips_are_kept(tmp_path: Path) -> None:
    data = write_noise(tmp_path / "data")
    path = data / SHARD
    path.write_bytes(path.read_bytes()[: places(data).ends[2] + 5])
    content, came = fetched(data, data)
    assert content == path.read_bytes()
    assert came.damaged == (8, 9)


@given(pieces=st.lists(st.integers(1, 20_000), min_size=1), flip=st.integers(0, 62_463))
def test_a_shard_is_judged_the_same_in_whatever_pieces_it_comes(data: Path, pieces: list[int], flip: int) -> None:
    content, where = bytearray(tar(data, 1)), places(data)
    assert len(content) == where.size == 62_464
    content[flip] ^= 128
    check, at = ClipCheck(where), 0
    while at < len(content):
        for size in pieces:
            check.take(memoryview(content)[at : at + size])
            at += size
    hit = [clip for clip, start, end in zip(where.clips, where.starts, where.ends, strict=True) if start <= flip < end]
    assert list(check.finish()) == hit


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("head -c 30000 {0}/{{}}; echo no more >&2; exit 3", "ended with exit code 3: no more"),
        ("cat {0}/{{}}; exit 9", "ended with exit code 9"),
        ("cat {0}/{{}}; kill -KILL $$", "ended by SIGKILL"),
        ("cat {0}/{{}} | head -c 30000; sleep 600", "nothing came for 0.4 s"),
        ("cat {0}/{{}}; exec >&-; sleep 600", "its output has ended, but not the command, for 0.4 s"),
        ("no-such-program {{}}", "ended with exit code 127.*not found"),
        ("cat {0}/{{}}; yes a word too many >&2", "nothing came for 0.4 s"),
        (
            "echo a word too many >&2; yes a word too many >&2 & cat {0}/{{}}; exit 3",
            "ended with exit code 3: .*a word too many.*",
        ),
        ("cat {0}/{{}}; head -c 3000000 /dev/zero | tr '\\0' x >&2; echo last >&2; exit 3", "exit code 3: x+last"),
    ],
)
def test_a_command_counts_only_when_it_ends_well(command: str, told: str, data: Path) -> None:
    with pytest.raises(InputError, match=rf"cannot get {SHARD} of pipe:.*{told} \(3 tries\)"):
        fetched("pipe:" + command.format(shlex.quote(str(data))), data)


def test_of_a_command_that_stalls_nothing_is_left_running(data: Path, tmp_path: Path) -> None:
    note = shlex.quote(str(tmp_path / "processes"))
    with pytest.raises(InputError, match="nothing came"):
        fetched(f"pipe:: {{}}; sleep 600 & echo $! $$ >> {note}; wait", data)
    started = (tmp_path / "processes").read_text().split()
    assert len(started) == 2 * QUICK.tries
    for process in started:
        for _ in range(100):
            if not _runs(process):
                break
            time.sleep(0.02)
        assert not _runs(process)


def _runs(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_complaints_of_a_command_take_no_room_on_any_disk(data: Path, tmp_path: Path) -> None:
    """They may have no end, and the folder for temporary files may be small."""
    files = f"ls -l /proc/$$/fd > {shlex.quote(str(tmp_path / 'files'))}"
    command = f"pipe:{files}; yes a word too many >&2 & cat {shlex.quote(str(data))}/{{}}; kill $!"
    assert fetched(command, data)[0] == tar(data, 1)
    assert " 2 -> pipe:" in (tmp_path / "files").read_text()


@pytest.mark.parametrize("origin", ["pipe:sleep 600; : {}", "server"])
def test_who_does_not_want_it_any_more_is_let_go(origin: str, server: SlowServer, data: Path) -> None:
    server.faults[SHARD] = ["unavailable"] * 99
    stop = Event()
    location = Location.of(server.url if origin == "server" else origin)
    fetch = Fetch(location=location, retries=replace(QUICK, stall_s=600, pause_s=600), stop=stop)
    Timer(0.2, stop.set).start()
    with io.FileIO(data.parent / "copy", "w+") as file, pytest.raises(FetchStopped):
        fetch.copy(SHARD, file, places(data))


def test_a_name_and_password_are_sent_and_never_shown(server: SlowServer, data: Path) -> None:
    url = server.url.replace("http://", "http://me:pass%40word@") + "/?sign=secret"
    assert fetched(url, data)[0] == tar(data, 1)
    assert server.headers[0]["Authorization"] == "Basic bWU6cGFzc0B3b3Jk"
    assert server.queries == ["sign=secret"]
    with pytest.raises(InputError) as caught:
        fetched(url, data, name="train/000009.tar")
    assert "pass" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_password_does_not_go_on_to_where_its_server_points(server: SlowServer, data: Path) -> None:
    with SlowServer(data) as other:
        server.faults[SHARD], server.elsewhere = ["moved"], other.url
        assert fetched(server.url.replace("http://", "http://me:word@"), data)[0] == tar(data, 1)
        assert "Authorization" in server.headers[0]
        assert other.asked[SHARD] == 1
        assert "Authorization" not in other.headers[0]


def test_a_program_that_cannot_be_ended_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill that does nothing stands for a program that hangs in a disk's driver."""
    monkeypatch.setattr("avsync.staging.streams.CLOSE_S", 0.1)
    with subprocess.Popen(["sleep", "600"]) as program:
        try:
            _end(program, lambda: None)
            assert program.poll() is None
        finally:
            program.kill()


def test_what_webdataset_opens_is_opened_by_it(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "gsutil"  # stands for the one of Google, which webdataset starts for gs://
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$1" = cat ] || exit 2\nexec cat "{data}/${{2#gs://bucket/data/}}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    assert fetched("gs://bucket/data/", data)[0] == tar(data, 1)
    with pytest.raises(InputError, match=r"cannot get gs://bucket/none/train/000001.tar: .*exit code"):
        fetched("gs://bucket/none", data)
    with pytest.raises(InputError, match="no gopen handler"):
        fetched("gopher://host/data", data)


def test_s3_is_read_through_the_program_of_amazon(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "aws"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$1 $2 $5" = "s3 cp -" ] || exit 2\nexec cat "{data}/${{4#s3://a b/data/}}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    assert fetched("s3://a b/data", data)[0] == tar(data, 1)
