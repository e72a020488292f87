"""Shards are there before they are asked for, block by block, and what goes wrong ahead of time loses nothing."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import pytest
from slow_server import SlowServer
from staging_data import scratch_for, tar, write_noise

import avsync.staging.copies
import avsync.staging.stager
from avsync.staging.copies import LONG_AGO
from avsync.staging.scratch import Scratch
from avsync.staging.shelf import Counts
from avsync.staging.stager import Stager, keep_ahead
from sharding.format.dataset import open_dataset

SIZE = 62_464
BLOCKS = ((0, 1), (2, 3), (4, 5), (1, 4), (0, 2))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six shards of 62,464 bytes."""
    return write_noise(tmp_path / "data", shards=6)


@pytest.fixture
def server(data: Path) -> Iterator[SlowServer]:
    with SlowServer(data) as server:
        yield server


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avsync.staging.stager, "LOOK_AGAIN_S", 0.02)
    monkeypatch.setattr(avsync.staging.copies, "GIVEN_S", 0.1)


def until(true: Callable[[], object]) -> None:
    for _ in range(2000):
        if true():
            return
        time.sleep(0.005)
    raise AssertionError("it never came true")


def there(shelf: Scratch) -> set[int]:
    return {shard for shard in range(6) if shelf.copy(shard).exists()}


def endless(blocks: Sequence[Sequence[int]]) -> Iterator[Sequence[int]]:
    return chain.from_iterable(repeat(blocks))


@pytest.mark.parametrize("kind", ["folder", "http"])
def test_this_block_and_the_next_are_copied_and_no_more(
    kind: str, data: Path, server: SlowServer, tmp_path: Path
) -> None:
    shelf = scratch_for(data if kind == "folder" else server.url, data, tmp_path / "scratch")
    with Stager(shelf, endless(BLOCKS)) as stager:
        until(lambda: there(shelf) == {0, 1, 2, 3})
        for shards in ([0], [1, 0], [0]):
            stager.using(shards)
        time.sleep(0.2)
        assert there(shelf) == {0, 1, 2, 3}
        stager.using([1, 2])  # a batch that lies across two blocks
        until(lambda: there(shelf) == {0, 1, 2, 3, 4, 5})
    assert all(shelf.copy(shard).read_bytes() == tar(data, shard) for shard in range(6))


def test_with_room_for_two_blocks_only_the_run_never_reads_from_its_origin(data: Path, tmp_path: Path) -> None:
    shelf = scratch_for(data, data, tmp_path / "scratch", 4 * 62_464)
    with Stager(shelf, endless(BLOCKS)) as stager:
        for block in BLOCKS * 3:
            stager.using(block)
            until(lambda: there(shelf) >= set(block))  # noqa: B023 used at once
            assert all(shelf.path(shard) == shelf.copy(shard) for shard in block)
    assert shelf.counts.from_origin == 0


def test_with_room_for_less_than_a_block_the_rest_is_read_from_its_origin(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = scratch_for(data, data, tmp_path / "scratch", 62_464)
    with Stager(shelf, endless(BLOCKS)) as stager:
        stager.using([0])
        until(lambda: there(shelf) == {0})
        time.sleep(0.1)
        assert [shelf.path(shard) for shard in (0, 1)] == [shelf.copy(0), data / "train" / "000001.tar"]
    assert capsys.readouterr().err.count("\n") == 1


def test_shards_of_blocks_that_are_over_are_the_first_to_go(data: Path, tmp_path: Path) -> None:
    shelf = scratch_for(data, data, tmp_path / "scratch")
    with Stager(shelf, endless(BLOCKS)) as stager:
        until(lambda: there(shelf) == {0, 1, 2, 3})
        stager.using([2])
        old = [shelf.copy(shard).stat().st_mtime == LONG_AGO for shard in range(4)]
    assert old == [True, True, False, False]
    assert all(shelf.copy(shard).stat().st_mtime == LONG_AGO for shard in range(4))


def test_shards_that_stay_in_the_next_block_are_not_given_up(data: Path, tmp_path: Path) -> None:
    shelf = scratch_for(data, data, tmp_path / "scratch")
    with Stager(shelf, endless([(0, 1), (1, 2), (2, 0)])) as stager:
        until(lambda: there(shelf) == {0, 1, 2})
        for shard in (2, 0, 1, 2, 0, 1):
            stager.using([shard])
            assert all(shelf.copy(number).stat().st_mtime > LONG_AGO for number in range(3))


def test_two_ranks_share_the_work(data: Path, server: SlowServer, tmp_path: Path) -> None:
    for shard in range(6):
        server.faults[f"train/{shard:06d}.tar"] = ["slow"]
    shelves = [scratch_for(server.url, data, tmp_path / "scratch") for _ in range(2)]
    blocks = [(0, 1, 2), (3, 4, 5)]
    with Stager(shelves[0], endless(blocks)), Stager(shelves[1], endless(blocks)):
        until(lambda: there(shelves[0]) == set(range(6)))
        until(lambda: sum(shelf.counts.shards for shelf in shelves) == 6)
    assert all(server.asked[f"train/{shard:06d}.tar"] == 1 for shard in range(6))
    assert all(shelf.counts.shards for shelf in shelves)


def test_a_shard_that_cannot_be_had_is_told_once_and_the_others_are_copied(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "train" / "000001.tar").unlink()
    shelf = scratch_for(data, data, tmp_path / "scratch")
    with Stager(shelf, endless(BLOCKS)) as stager:
        until(lambda: there(shelf) == {0, 2, 3})
        time.sleep(0.1)
        stager.using([0])
    assert capsys.readouterr().err.count("000001.tar: No such file or directory") == 1


def test_what_nobody_foresaw_stops_the_run(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Scratch, "stage", bug)
    shelf = scratch_for(data, data, tmp_path / "scratch")
    with Stager(shelf, endless(BLOCKS)) as stager:

        def used() -> bool:
            try:
                stager.using([0])
            except ZeroDivisionError:
                return True
            return False

        until(used)


def test_blocks_may_end(data: Path, tmp_path: Path) -> None:
    shelf = scratch_for(data, data, tmp_path / "scratch")
    with Stager(shelf, iter([(0,), (1,)])) as stager:
        until(lambda: there(shelf) == {0, 1})
        for shard in (0, 1, 5, 0):
            stager.using([shard])
    assert there(shelf) == {0, 1}


@pytest.mark.parametrize("origin", ["pipe:sleep 600; : {}", "http"])
def test_a_process_ends_while_its_stager_waits_for_an_origin(
    origin: str, data: Path, server: SlowServer, tmp_path: Path
) -> None:
    for shard in range(6):
        server.faults[f"train/{shard:06d}.tar"] = ["stall"] * 99
    script = (
        "import sys, time; from pathlib import Path; from itertools import repeat\n"
        "from staging_data import scratch_for; from avsync.staging.fetch import Retries\n"
        "import avsync.staging.stager; avsync.staging.stager.LEAVE_S = 0.5\n"
        "shelf = scratch_for(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), 0, Retries())\n"
        "with avsync.staging.stager.Stager(shelf, repeat((0, 1))): time.sleep(0.5)\n"
        "print('through')"
    )
    url = server.url if origin == "http" else origin
    folders = [str(Path(__file__).parents[1]), str(Path(__file__).parents[3])]
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {folders}\n{script}", url, data, tmp_path / "scratch"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert run.stdout == "through\n"
    assert not list((tmp_path / "scratch").rglob("*.tar"))


def test_a_limit_below_a_block_is_told_where_it_costs_fetches(
    data: Path, server: SlowServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = scratch_for(server.url, data, tmp_path / "scratch", 100_000)
    with Stager(shelf, endless(BLOCKS)) as stager:
        for block in BLOCKS:
            stager.using(block)
            assert [shelf.path(shard).read_bytes() for shard in block] == [tar(data, shard) for shard in block]
    told = capsys.readouterr().err
    assert "allows 100.0 kB, but the shards that are read at a time take 124.9 kB: they will be fetched" in told
    assert told.count("\n") == 1


def test_shards_of_another_split_come_after_the_first_block_and_stay(
    data: Path, server: SlowServer, tmp_path: Path
) -> None:
    shelf = scratch_for(server.url, data, tmp_path / "scratch", 6 * SIZE)
    val = replace(shelf, dataset=open_dataset(data, "val"), counts=Counts())
    for shard in (0, 1):
        server.faults[f"train/{shard:06d}.tar"] = ["slow"]
    with keep_ahead(shelf, endless(BLOCKS), (val, [5, 3])) as coming:
        until(lambda: there(val) == {3, 5})
        assert there(shelf) >= {0, 1}
        for block in BLOCKS * 2:
            coming(block)
            until(lambda: there(shelf) >= set(block))  # noqa: B023 used at once
            assert there(val) == {3, 5}
    assert val.counts.shards == 2
    assert server.asked["val/000003.tar"] == server.asked["val/000005.tar"] == 1


def test_while_the_first_block_has_no_room_no_other_split_takes_any(
    data: Path, server: SlowServer, tmp_path: Path
) -> None:
    shelf = scratch_for(server.url, data, tmp_path / "scratch", SIZE)
    val = replace(shelf, dataset=open_dataset(data, "val"), counts=Counts())
    with keep_ahead(shelf, endless(BLOCKS), (val, [5, 3])):
        until(lambda: there(shelf))
        time.sleep(0.2)
    assert val.counts.shards == 0
