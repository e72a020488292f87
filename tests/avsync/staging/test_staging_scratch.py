"""One copy of each shard on a machine, whatever its processes do to each other and the disk to them."""

import errno
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from io import FileIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from slow_server import SlowServer
from staging_data import QUICK, break_clip, scratch_for, tar, write_noise

import avsync.staging.fetch
from avsync.staging.copies import FRESH_S, discard, release
from avsync.staging.part_file import PartFile, locked
from avsync.staging.room import LOCK, NoRoom, Room
from avsync.staging.scratch import CopyOutcome, Scratch
from avsync.staging.shelf import DatasetFolder
from sharding.errors import InputError
from sharding.format.reader import ShardReader

ROOT = Path(__file__).parents[3]
STAGE = """
import sys
from pathlib import Path
from staging_data import scratch_for
origin, data, scratch, limit = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
shelf = scratch_for(origin, data, scratch, limit)
for shard in map(int, sys.argv[5:]):
    while shelf.stage(shard).name != "THERE":
        pass
    shelf.done_with([shard])
    print(shelf.counts.shards, flush=True)
"""
FULL_DISK = """
import subprocess, sys
from pathlib import Path
from staging_data import scratch_for
data, disk, origin = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", disk], check=True)
shelf = scratch_for(origin, data, disk)
print(*(shelf.stage(shard).name for shard in range(4)), *(shelf.path(shard) for shard in range(2)), sep="\\n")
print(sorted(path.name for path in shelf.folder.rglob("*.tar*")))
print(shelf.path(3))
"""

NO_LARGE_FILES = """
import resource, sys
from pathlib import Path
from staging_data import scratch_for
data, disk, origin = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
shelf = scratch_for(origin, data, disk)
shelf.stage(0)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))
print(shelf.stage(1).name, sorted(path.name for path in shelf.folder.rglob("*.tar*")), sep="\\n")
print(shelf.path(0), shelf.path(1), sep="\\n")
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four shards of 62,464 bytes."""
    return write_noise(tmp_path / "data")


@pytest.fixture
def server(data: Path) -> Iterator[SlowServer]:
    with SlowServer(data) as server:
        yield server


def process(script: str, *arguments: object, under: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*under, sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parents[1]}"},
    )  # fmt: skip


def until(true: Callable[[], object]) -> None:
    for _ in range(2000):
        if true():
            return
        time.sleep(0.005)
    raise AssertionError("it never came true")


def copies(scratch: Path) -> list[str]:
    return sorted(path.name for path in scratch.rglob("*.tar*"))


def own(scratch: Path) -> Path:
    return scratch / f"avsync-{os.geteuid()}"


def bytes_in(scratch: Path) -> int:
    """At one moment: room is made and given under this lock; what is renamed meanwhile counts once."""
    sizes: dict[int, int] = {}
    with locked(own(scratch) / LOCK):
        for path in scratch.rglob("*.tar*"):
            with suppress(FileNotFoundError):
                seen = path.lstat()
                sizes[seen.st_ino] = seen.st_size
    return sum(sizes.values())


@pytest.mark.parametrize("kind", ["folder", "http"])
def test_a_copy_is_the_shard_byte_for_byte(kind: str, server: SlowServer, data: Path, tmp_path: Path) -> None:
    shelf = scratch_for(data if kind == "folder" else server.url, data, tmp_path / "scratch")
    for shard in range(4):
        assert shelf.stage(shard) is CopyOutcome.THERE
        assert shelf.path(shard) == shelf.copy(shard)
        assert shelf.copy(shard).read_bytes() == tar(data, shard)
    assert (shelf.counts.shards, shelf.counts.bytes, shelf.counts.from_origin) == (4, 4 * 62_464, 0)


def test_every_clip_is_read_from_its_copy(data: Path, tmp_path: Path) -> None:
    shelf = scratch_for(data, data, tmp_path / "scratch")
    for shard in range(4):
        shelf.stage(shard)
    for path in (data / "train").glob("*.tar"):
        path.unlink()
    with ShardReader() as reader:
        for clip, shard in enumerate(shelf.dataset.index.shard.tolist()):
            reader.read(shelf.dataset.location(clip, shelf.path(shard)))


def test_until_there_is_a_copy_a_folder_gives_its_own_shard(data: Path, tmp_path: Path) -> None:
    shelf = scratch_for(data, data, tmp_path / "scratch")
    assert shelf.path(2) == data / "train" / "000002.tar" == DatasetFolder(data, "train").path(2)
    assert shelf.counts.from_origin == 1
    shelf.stage(2)
    assert shelf.path(2) == shelf.copy(2)


def test_behind_a_url_a_shard_is_fetched_when_it_is_asked_for(server: SlowServer, data: Path, tmp_path: Path) -> None:
    shelf = scratch_for(server.url, data, tmp_path / "scratch")
    for _ in range(3):
        assert shelf.path(2).read_bytes() == tar(data, 2)
    assert server.asked["train/000002.tar"] == 1
    server.faults["train/000003.tar"] = ["unavailable"] * QUICK.tries
    with pytest.raises(InputError, match=f"cannot get {server.url}/train/000003.tar: HTTP 503"):
        shelf.path(3)
    assert copies(tmp_path / "scratch") == ["000002.tar"]


def test_threads_and_processes_that_want_the_same_shards_fetch_each_once(
    server: SlowServer, data: Path, tmp_path: Path
) -> None:
    for shard in range(4):
        server.faults[f"train/{shard:06d}.tar"] = ["slow"]
    shelf = scratch_for(server.url, data, tmp_path / "scratch")
    threads = [threading.Thread(target=lambda: [shelf.path(shard) for shard in range(4)]) for _ in range(3)]
    others = [process(STAGE, server.url, data, tmp_path / "scratch", 0, *range(4)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = shelf.counts.shards
    for other in others:
        out, complaint = other.communicate()
        assert other.returncode == 0, complaint
        made += int(out.split()[-1])
    assert made == 4
    assert all(server.asked[f"train/{shard:06d}.tar"] == 1 for shard in range(4))
    assert all(shelf.copy(shard).read_bytes() == tar(data, shard) for shard in range(4))


def test_what_a_killed_process_leaves_counts_for_nothing_and_the_next_one_goes_on(
    server: SlowServer, data: Path, tmp_path: Path
) -> None:
    server.faults["train/000001.tar"] = ["stall"] * 99
    killed = process(STAGE, server.url, data, tmp_path / "scratch", 0, 1)
    until(lambda: server.asked["train/000001.tar"])
    until(lambda: copies(tmp_path / "scratch") == ["000001.tar.part"])
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    server.faults.clear()
    assert copies(tmp_path / "scratch") == ["000001.tar.part"]
    shelf = scratch_for(server.url, data, tmp_path / "scratch")
    assert shelf.path(1).read_bytes() == tar(data, 1)
    assert copies(tmp_path / "scratch") == ["000001.tar"]


def test_who_waits_for_a_process_that_stands_still_is_told(server: SlowServer, data: Path, tmp_path: Path) -> None:
    retries = replace(QUICK, stall_s=-29, tries=1)  # an end to waiting after a second
    shelf = scratch_for(server.url, data, tmp_path / "scratch", retries=retries)
    shelf.copy(0).parent.mkdir(parents=True)
    held = PartFile.take(shelf.copy(0))
    assert held
    with pytest.raises(InputError, match=r"000000.tar is being copied by another .*nothing has moved for \d+ s"):
        shelf.path(0)
    held.drop()


def test_a_child_does_not_keep_the_lock_of_a_parent_that_was_killed(data: Path, tmp_path: Path) -> None:
    script = (
        "import os, sys, time; from pathlib import Path; from avsync.staging.part_file import PartFile\n"
        "part = PartFile.take(Path(sys.argv[1]))\n"
        "if not os.fork(): print(os.getpid(), flush=True)\n"
        "time.sleep(600)"
    )
    parent = process(script, tmp_path / "000000.tar")
    assert parent.stdout
    child = int(parent.stdout.readline())
    assert PartFile.take(tmp_path / "000000.tar") is None
    parent.kill()
    parent.wait()
    part = PartFile.take(tmp_path / "000000.tar")
    os.kill(child, signal.SIGKILL)
    parent.communicate()
    assert part
    part.drop()


def test_closing_another_file_of_the_same_name_takes_no_lock_away(tmp_path: Path) -> None:
    part = PartFile.take(tmp_path / "a.tar")
    assert part
    (tmp_path / "a.tar.part").open("rb").close()
    assert PartFile.take(tmp_path / "a.tar") is None
    part.file.write(b"whole")
    part.publish()
    assert (tmp_path / "a.tar").read_bytes() == b"whole"
    after = PartFile.take(tmp_path / "a.tar")
    assert after
    after.drop()
    assert copies(tmp_path) == ["a.tar"]


def test_the_limit_holds_for_all_jobs_together(data: Path, tmp_path: Path) -> None:
    other = write_noise(tmp_path / "other", seed=1)
    scratch, limit, most = tmp_path / "scratch", 150_000, 0
    Room.open(scratch)
    jobs = [process(STAGE, origin, origin, scratch, limit, *range(4)) for origin in (data, other)]
    while any(job.poll() is None for job in jobs):
        most = max(most, bytes_in(scratch))
    assert [job.communicate()[0].split() for job in jobs] == [["1", "2", "3", "4"]] * 2
    assert 62_464 < max(most, bytes_in(scratch)) <= limit
    assert len(copies(scratch)) == 2


def aged(shelf: Scratch, ages: dict[int, float]) -> None:
    for shard, age in ages.items():
        shelf.stage(shard)
        os.utime(shelf.copy(shard), (time.time(), time.time() - age))


def test_what_was_used_longest_ago_goes_first(data: Path, tmp_path: Path) -> None:
    shelf = scratch_for(data, data, tmp_path / "scratch", 3 * 62_464)
    aged(shelf, {0: FRESH_S + 30, 1: FRESH_S + 90, 2: FRESH_S + 60})
    shelf.path(1)
    assert shelf.stage(3) is CopyOutcome.THERE
    assert copies(tmp_path / "scratch") == ["000000.tar", "000001.tar", "000003.tar"]


def test_what_is_in_use_stays_unless_there_is_no_other_way(
    data: Path, server: SlowServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = scratch_for(data, data, tmp_path / "scratch", 2 * 62_464)
    aged(shelf, {0: 20, 1: 10})
    assert shelf.stage(2) is CopyOutcome.NO_ROOM
    assert shelf.stage(3) is CopyOutcome.NO_ROOM
    assert shelf.path(2) == data / "train" / "000002.tar"
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"the limit of 124.9 kB is reached by copies in use: shards without a copy are read from {data}" in told
    far = scratch_for(server.url, data, tmp_path / "scratch", 2 * 62_464)
    assert far.path(2).read_bytes() == tar(data, 2)
    assert copies(tmp_path / "scratch") == ["000001.tar", "000002.tar"]


@pytest.mark.parametrize("kind", ["folder", "http"])
def test_a_limit_too_small_for_one_shard_is_told(
    kind: str, data: Path, server: SlowServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = scratch_for(data if kind == "folder" else server.url, data, tmp_path / "scratch", 50_000)
    assert shelf.stage(0) is CopyOutcome.NO_ROOM
    told = "the limit of 50.0 kB is too small for a shard of 62.5 kB: "
    if kind == "folder":
        assert shelf.path(0) == data / "train" / "000000.tar"
        assert told in capsys.readouterr().err
    else:
        with pytest.raises(InputError, match=f"no copy of {server.url}/train/000000.tar .*, {told}.*scratch-gb"):
            shelf.path(0)
    assert copies(tmp_path / "scratch") == []


def test_what_a_killed_job_left_half_made_is_cleared_for_others(data: Path, tmp_path: Path) -> None:
    shelf = scratch_for(data, data, tmp_path / "scratch", 62_464)
    left = shelf.copy(3).with_name("000003.tar.part")
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(60_000))
    release(left)
    assert shelf.stage(0) is CopyOutcome.THERE
    assert copies(tmp_path / "scratch") == ["000000.tar"]


def test_nothing_in_the_scratch_folder_that_is_not_a_copy_is_removed(data: Path, tmp_path: Path) -> None:
    mine = write_noise(tmp_path / "scratch" / "avsync-mine")
    shelf = scratch_for(data, data, tmp_path / "scratch", 62_464)
    shelf.copy(0).parent.mkdir(parents=True)
    shelf.copy(0).symlink_to(data / "train" / "000000.tar")
    os.link(data / "train" / "000001.tar", shelf.copy(1))
    for path in [*(mine / "train").iterdir(), *(data / "train").iterdir()]:
        os.utime(path, (1, 1))
    os.utime(shelf.copy(0), (1, 1), follow_symlinks=False)
    before = {path: path.read_bytes() for folder in (mine, data) for path in (folder / "train").iterdir()}
    assert shelf.stage(2) is CopyOutcome.THERE
    assert copies(shelf.folder) == ["000002.tar"]
    assert {path: path.read_bytes() for path in before} == before


def test_a_copy_that_is_removed_gives_its_space_back_though_it_is_open(data: Path, tmp_path: Path) -> None:
    shelf = scratch_for(data, data, tmp_path / "scratch", 62_464)
    with ShardReader() as reader:
        shelf.stage(0)
        reader.read(shelf.dataset.location(0, shelf.path(0)))
        with shelf.copy(0).open("rb") as held:
            release(shelf.copy(0))
            shelf.stage(1)
            assert os.fstat(held.fileno()).st_size == 0


def read(shelf: Scratch, reader: ShardReader, clip: int, path: Path | None = None) -> Path | None:
    """As a loader does; returns where the clip was at last read from, None when it is lost."""
    from sharding.errors import SkipClip

    shard = int(shelf.dataset.index.shard[clip])
    path = path or shelf.path(shard)
    for _ in range(2):
        try:
            reader.read(shelf.dataset.location(clip, path))
        except SkipClip:
            instead = shelf.instead(path, shard, clip)
            if instead is None:
                return None
            path = instead
        else:
            return path
    return None


@pytest.mark.parametrize("kind", ["folder", "http"])
def test_no_clip_is_lost_to_another_job_that_removes_copies(
    kind: str, data: Path, server: SlowServer, tmp_path: Path
) -> None:
    shelf = scratch_for(data if kind == "folder" else server.url, data, tmp_path / "scratch")
    with ShardReader() as reader:
        shelf.stage(0)
        assert read(shelf, reader, 0) == shelf.copy(0)
        discard(shelf.copy(0))
        assert read(shelf, reader, 1) == (data / "train" / "000000.tar" if kind == "folder" else shelf.copy(0))
        assert shelf.counts.distrusted == 0


def test_a_reader_that_holds_an_older_copy_reads_the_newer_one(data: Path, tmp_path: Path) -> None:
    shelf = scratch_for(data, data, tmp_path / "scratch")
    with ShardReader() as reader:
        for spoil in (discard, lambda copy: copy.write_bytes(bytes(copy.stat().st_size))):
            shelf.stage(0)
            reader.read(shelf.dataset.location(0, shelf.copy(0)))
            spoil(shelf.copy(0))
            shelf.copy(0).unlink(missing_ok=True)
            shelf.stage(0)
            reader.read(shelf.dataset.location(1, shelf.copy(0)))


@pytest.mark.parametrize("kind", ["folder", "http"])
def test_a_copy_that_spoils_is_thrown_away_and_its_clip_read_elsewhere(
    kind: str, data: Path, server: SlowServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = scratch_for(data if kind == "folder" else server.url, data, tmp_path / "scratch")
    given = shelf.path(0)
    shelf.stage(0)
    content = bytearray(tar(data, 0))
    content[5000] ^= 1
    shelf.copy(0).write_bytes(content)
    with ShardReader() as reader:
        assert read(shelf, reader, 1) == shelf.copy(0)
        assert read(shelf, reader, 0) == given
        assert read(shelf, reader, 0, shelf.copy(0)) == given  # asked for before it was thrown away
    assert shelf.counts.distrusted == 1
    assert "did not stay as it came" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["folder", "http"])
def test_a_clip_that_is_damaged_at_its_origin_is_lost_alone_and_costs_no_second_copy(
    kind: str, data: Path, server: SlowServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    break_clip(data, 2)
    shelf = scratch_for(data if kind == "folder" else server.url, data, tmp_path / "scratch")
    assert shelf.stage(0) is CopyOutcome.THERE
    told = capsys.readouterr().err
    assert "train/000000.tar: 1 clip in it not as packed (noise/00000002): skipped" in told
    with ShardReader() as reader:
        found = [read(shelf, reader, clip) for clip in range(5)]
    assert found == [shelf.copy(0), shelf.copy(0), None, shelf.copy(0), shelf.copy(0)]
    assert (shelf.counts.damaged_clips, shelf.counts.distrusted, shelf.counts.shards) == (1, 0, 1)


def test_a_clip_that_a_folder_itself_does_not_give_is_lost_without_another_try(data: Path, tmp_path: Path) -> None:
    shelf = scratch_for(data, data, tmp_path / "scratch")
    (data / "train" / "000000.tar").unlink()
    with ShardReader() as reader:
        assert read(shelf, reader, 0) is None
    with pytest.raises(InputError, match=r"cannot get .*000000.tar: No such file or directory; check that disk"):
        shelf.stage(0)


def test_whoever_cleans_the_scratch_folder_costs_copies_only(data: Path, tmp_path: Path) -> None:
    import shutil

    shelf = scratch_for(data, data, tmp_path / "scratch")
    shelf.stage(0)
    shutil.rmtree(shelf.folder)
    with ShardReader() as reader:
        assert read(shelf, reader, 0) == data / "train" / "000000.tar"
    assert shelf.stage(0) is CopyOutcome.THERE


def test_a_scratch_folder_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(InputError, match=f"the file system of {own(tmp_path)} has no locks .*disk of this machine"):
        Room.open(tmp_path)


def test_a_file_in_place_of_the_scratch_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "scratch").touch()
    with pytest.raises(InputError, match=rf"--runtime.scratch {tmp_path / 'scratch'} cannot be used: it is a file"):
        Room.open(tmp_path / "scratch")


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_a_disk_that_takes_no_more_is_read_past_or_named(kind: str, data: Path, tmp_path: Path) -> None:
    origin = data if kind == "folder" else f"pipe:cat {shlex.quote(str(data))}/{{}}"
    said, complaint = process(NO_LARGE_FILES, data, tmp_path / "disk", origin).communicate()
    assert said.splitlines()[:2] == ["NO_ROOM", "['000000.tar']"]
    if kind == "folder":
        assert said.splitlines()[2].endswith("/train/000000.tar")
        assert said.splitlines()[3] == str(data / "train" / "000001.tar")
        assert f"{tmp_path / 'disk'}: File too large: shards without a copy are read from {data}" in complaint
    else:
        assert "InputError: no copy of train/000001.tar of pipe:" in complaint
        assert "File too large: raise --runtime.scratch-gb, or give --runtime.scratch a folder on a larger" in complaint


def test_a_disk_that_is_fuller_than_it_said_costs_older_copies(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = scratch_for(data, data, tmp_path / "scratch")
    aged(shelf, {0: FRESH_S + 60, 1: 0})
    real = avsync.staging.fetch._write

    def full(file: FileIO, piece: memoryview) -> None:
        if shelf.copy(0).exists() or shelf.copy(2).exists():
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        real(file, piece)

    monkeypatch.setattr("avsync.staging.fetch._write", full)
    assert shelf.stage(2) is CopyOutcome.THERE
    assert shelf.copy(2).read_bytes() == tar(data, 2)
    assert shelf.stage(3) is CopyOutcome.NO_ROOM
    assert copies(tmp_path / "scratch") == ["000001.tar", "000002.tar"]


def test_room_is_asked_for_before_anything_is_copied(data: Path, tmp_path: Path) -> None:
    room = Room.open(tmp_path, 100_000)
    part = PartFile.take(tmp_path / "a.tar")
    assert part
    room.reserve(part, 90_000)
    assert (tmp_path / "a.tar.part").stat().st_size == 90_000
    with pytest.raises(NoRoom):
        room.reserve(part, 100_001)
    part.drop()


@pytest.mark.parametrize(("disk", "fit"), [(5, 4), (80, 3), (40_000_000, 3)])
def test_of_a_disk_that_others_have_filled_half_of_what_is_left_is_ours(
    disk: int, fit: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk of so many shards, of which others have left room for seven, or all that there is."""
    shelf, shard = scratch_for(data, data, tmp_path / "scratch"), max(len(tar(data, number)) for number in range(4))

    def statvfs(_: object) -> SimpleNamespace:
        ours = sum(path.stat().st_blocks * 512 for path in (tmp_path / "scratch").rglob("*.tar*"))
        return SimpleNamespace(f_frsize=1, f_blocks=disk * shard, f_bavail=min(7, disk) * shard - ours)

    monkeypatch.setattr("avsync.staging.room.os", SimpleNamespace(**{**vars(os), "statvfs": statvfs}))
    outcomes = [shelf.stage(number).name for number in range(4)]
    assert outcomes == ["THERE"] * fit + ["NO_ROOM"] * (4 - fit)


def test_a_lock_for_moments_lets_one_in_at_a_time(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with locked(tmp_path / "lock"):
                inside += 1
                most = max(most, inside)
                time.sleep(0.0005)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_a_full_disk_is_read_past_or_named(kind: str, data: Path, tmp_path: Path) -> None:
    under = _namespace()
    if not under:
        pytest.skip("this machine lets nobody mount a small disk")
    (tmp_path / "disk").mkdir()
    origin = data if kind == "folder" else f"pipe:cat {shlex.quote(str(data))}/{{}}"
    said, complaint = process(FULL_DISK, data, tmp_path / "disk", origin, under=under).communicate()
    *outcomes, kept, last = said.splitlines()
    assert outcomes[:4] == ["THERE", "THERE", "THERE", "NO_ROOM"]
    assert kept == "['000000.tar', '000001.tar', '000002.tar']" or kind == "pipe"
    if kind == "folder":
        assert last == str(data / "train" / "000003.tar")
        assert (
            f"the disk of {tmp_path / 'disk'} is full, but for 10.2 kB that are left to others: shards without a copy"
            in complaint
        )
    else:
        assert last.endswith("/train/000003.tar")  # urgent: an older copy went


def _namespace() -> tuple[str, ...]:
    """A command that may mount, for itself alone; empty where this machine does not allow it."""
    for command in (("unshare", "-m"), ("unshare", "-rm")):
        try:
            test = [*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
            if subprocess.run(test, capture_output=True, check=False).returncode == 0:
                return command
        except OSError:
            pass
    return ()
