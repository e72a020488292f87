"""Who waits for a copy can see what for, can leave, and gets it as soon as there is room."""

import shlex
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from slow_server import SlowServer
from staging_data import QUICK, scratch_for, tar, write_noise

from avsync.staging.part_file import PartFile
from avsync.staging.scratch import wait_for
from sharding.errors import InputError

SIZE = 62_464


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four shards of SIZE bytes."""
    return write_noise(tmp_path / "data")


@pytest.fixture
def server(data: Path) -> Iterator[SlowServer]:
    with SlowServer(data) as server:
        yield server


class Looks:
    """Counts the looks of somebody who waits; leaves at the one that it is told."""

    def __init__(self, leave_at: int = 10**9) -> None:
        self.leave_at, self.told = leave_at, list[str]()

    def __call__(self, what: str) -> None:
        self.told.append(what)
        if len(self.told) == self.leave_at:
            raise InterruptedError


def test_a_copy_waits_for_others_in_the_making_to_give_room(server: SlowServer, data: Path, tmp_path: Path) -> None:
    shelf = scratch_for(server.url, data, tmp_path / "scratch", SIZE)
    shelf.copy(0).parent.mkdir(parents=True)
    held = PartFile.take(shelf.copy(0))
    assert held
    shelf.room.reserve(held, SIZE)

    def finish(what: str) -> None:
        if held.file.closed or len(looks.told) < 5:  # published, and perhaps given up for room since
            looks(what)
        else:
            held.file.write(tar(data, 0))
            held.publish()

    looks = Looks()
    assert shelf.path(1, finish).read_bytes() == tar(data, 1)
    assert len(looks.told) >= 5
    assert looks.told[0].startswith(f"waiting for a copy of {server.url}/train/000001.tar")
    assert not shelf.copy(0).exists()  # it went when it was done


@pytest.mark.parametrize("room", [1, 3])
def test_whatever_the_room_every_shard_comes(
    room: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avsync.staging.copies.GIVEN_S", 0.1)
    shelf = scratch_for(
        f"pipe:sleep 0.2; cat {shlex.quote(str(data))}/{{}}", data, tmp_path / "scratch", room * SIZE,
        replace(QUICK, stall_s=10),
    )  # fmt: skip
    given = dict[int, Path]()
    threads = [threading.Thread(target=lambda n=n: given.update({n: shelf.path(n)})) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert given == {shard: shelf.copy(shard) for shard in range(4)}
    assert shelf.counts.shards == 4
    assert sum(shelf.copy(shard).exists() for shard in range(4)) == room


def test_copies_in_the_making_that_stand_still_for_long_are_told(
    server: SlowServer, data: Path, tmp_path: Path
) -> None:
    retries = replace(QUICK, stall_s=-29, tries=1)  # an end to waiting after a second
    shelf = scratch_for(server.url, data, tmp_path / "scratch", SIZE, retries)
    shelf.copy(0).parent.mkdir(parents=True)
    held = PartFile.take(shelf.copy(0))
    assert held
    shelf.room.reserve(held, SIZE)
    with pytest.raises(
        InputError, match=r"000001.tar can be made: .* in the making, in which nothing has moved for 1 s"
    ):
        shelf.path(1)
    held.drop()


@pytest.mark.parametrize("origin", ["pipe:sleep 600; : {}", "http"])
def test_who_waits_may_leave_and_the_next_one_begins_anew(
    origin: str, server: SlowServer, data: Path, tmp_path: Path
) -> None:
    server.faults["train/000001.tar"] = ["stall_at_once"]
    url = server.url if origin == "http" else origin
    shelf = scratch_for(url, data, tmp_path / "scratch", retries=replace(QUICK, stall_s=1, tries=1))
    with pytest.raises(InterruptedError):
        shelf.path(1, Looks(leave_at=4))
    assert not [thread for thread in threading.enumerate() if thread.name == "avsync-wait"]
    again = scratch_for(server.url, data, tmp_path / "scratch")
    assert again.path(1).read_bytes() == tar(data, 1)


def test_what_the_work_raises_reaches_who_waits() -> None:
    def work(_: threading.Event) -> None:
        time.sleep(0.1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        wait_for(work, lambda: None)
