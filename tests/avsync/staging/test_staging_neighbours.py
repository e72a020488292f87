"""One scratch folder for all users of a machine: each has his copies, and nobody costs another a byte, or his run."""

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from slow_server import SlowServer
from staging_data import QUICK, scratch_for, tar, write_noise

from avsync.config import RuntimeConfig
from avsync.staging.copies import FRESH_S, NOTE
from avsync.staging.mirror import StagedDataset, fingerprint
from avsync.staging.own_folder import PREFIX
from avsync.staging.room import LOCK, Room
from avsync.staging.scratch import CopyOutcome, Scratch
from sharding.base.files import PART
from sharding.errors import AvsyncError, InputError, SkipClip
from sharding.format.dataset import open_dataset
from sharding.format.reader import ShardReader

ATT, VIC = 54321, 54322
SIZE = 62_464
LONG_SINCE = 1_000
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several accounts")


@contextmanager
def user(uid: int, umask: int = 0o022) -> Iterator[None]:
    """As an ordinary account: what it may not, the kernel refuses."""
    group, before = os.getegid(), os.umask(umask)
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)
        os.umask(before)


@pytest.fixture
def holder() -> Iterator[Path]:
    """A folder that every account can reach."""
    folder = Path(tempfile.mkdtemp(prefix="avsync-neighbours-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def data(holder: Path) -> Path:
    data = write_noise(holder / "data")
    open_dataset(data, "train")  # modules that it imports late may lie where other accounts cannot read
    return data


@pytest.fixture
def server(data: Path) -> Iterator[SlowServer]:
    with SlowServer(data) as server:
        yield server


@pytest.fixture(params=[0o1777, 0o777], ids=["sticky", "not sticky"])
def scratch(request: pytest.FixtureRequest, holder: Path) -> Path:
    return shared(holder / "scratch", request.param)


def shared(folder: Path, mode: int = 0o1777) -> Path:
    folder.mkdir()
    folder.chmod(mode)
    return folder


@pytest.fixture
def elsewhere(holder: Path, data: Path) -> Path:
    """What VIC has of his own, old and laid out like copies at every depth."""
    home = holder / "home"
    for folder in (home, home / "train", home / fingerprint(data) / "train", home / "0123456789abcdef" / "train"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("000000.tar", "000001.tar.part", "dataset.json", LOCK):
            (folder / name).write_bytes(f"mine since long, {name}".encode())
    for path in (home, *home.rglob("*")):
        os.chown(path, VIC, VIC)
        os.utime(path, (LONG_SINCE, LONG_SINCE))
    return home


def look(folder: Path) -> dict[str, tuple[bytes, int, float]]:
    return {
        str(path): (path.read_bytes() if path.is_file() else b"", path.stat().st_mode, path.stat().st_mtime)
        for path in sorted(folder.rglob("*"))
    }


def run(url: str, scratch: Path, shards: int = 3, limit: int = 2 * SIZE) -> list[bytes]:
    """What a run does there: metadata come, copies, and others go for them. Returns the shards."""
    source = StagedDataset.open(url, RuntimeConfig(scratch=str(scratch), scratch_gb=limit / 1e9), QUICK)
    shelf = source.shelf(open_dataset(source.folder, "train"), staged=True)
    assert isinstance(shelf, Scratch)
    came = list[bytes]()
    for shard in range(shards):
        came.append(shelf.path(shard).read_bytes())
        shelf.in_use([shard])
        shelf.done_with([shard])
        os.utime(shelf.copy(shard), (LONG_SINCE, LONG_SINCE))
    return came


def places(scratch: Path, data: Path) -> list[Path]:
    """All that a run makes there, and makes and removes."""
    found = [path.relative_to(scratch) for path in sorted(scratch.rglob("*")) if "val" not in path.parts]
    tar = found[0] / fingerprint(data) / "train" / "000001.tar"
    others = [path for path in found if path.suffix != ".tar"]
    return [*others, tar, *(tar.with_name(tar.name + more) for more in (PART, NOTE, NOTE + PART))]


def _fill(path: Path, _: Path) -> None:
    path.mkdir()
    (path / "of somebody").write_bytes(b"kept")


TRAPS: dict[str, Callable[[Path, Path], object]] = {
    "link to a file": lambda path, home: path.symlink_to(home / "000000.tar"),
    "link to a folder": lambda path, home: path.symlink_to(home),
    "link to what is free": lambda path, home: path.symlink_to(home / "free"),
    "hard link": lambda path, home: os.link(home / "000000.tar", path),
    "FIFO": lambda path, _: os.mkfifo(path),
    "folder": _fill,
    "file": lambda path, _: path.write_bytes(b"of somebody"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_whatever_lies_in_a_place_of_ours_nothing_elsewhere_changes(
    trap: str, server: SlowServer, data: Path, holder: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = shared(holder / "model")
    with user(VIC):
        assert run(server.url, model) == [tar(data, shard) for shard in range(3)]
    assert len(places(model, data)) == 10
    before = look(elsewhere)
    for number, place in enumerate(places(model, data)):
        scratch = holder / f"scratch{number}"
        shutil.copytree(model, scratch, symlinks=True)
        for path in (scratch, *scratch.rglob("*")):
            os.chown(path, VIC, VIC)
        scratch.chmod(0o1777)
        path = scratch / place
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        TRAPS[trap](path, elsewhere)
        if trap != "hard link":
            for inner in (path, *path.rglob("*")) if trap == "folder" else (path,):
                os.chown(inner, ATT, ATT, follow_symlinks=False)
        came, problem = list[bytes](), ""
        with user(VIC):
            try:
                came = run(server.url, scratch)
            except AvsyncError as error:
                problem = str(error)
        if problem:
            assert "\n" not in problem
            assert str(path.parent) in problem, "it says where"
            assert place.name != PREFIX + str(VIC), "another name is tried for the whole folder"
        else:
            assert came == [tar(data, shard) for shard in range(3)]
        assert look(elsewhere) == before, place
        if trap == "folder":
            assert (path / "of somebody").read_bytes() == b"kept"
        shutil.rmtree(scratch)
    assert all("Traceback" not in line for line in capsys.readouterr().err.splitlines())


def test_two_users_have_a_scratch_folder_each_in_either_order(data: Path, server: SlowServer, scratch: Path) -> None:
    for first, second in ((ATT, VIC), (VIC, ATT)):
        for uid in (first, second):
            with user(uid, umask=0 if uid == ATT else 0o077):
                for origin in (server.url, f"pipe:cat {data}/{{}}"):
                    assert run(origin, scratch) == [tar(data, shard) for shard in range(3)]
        for uid in (first, second):
            for path in (scratch / f"{PREFIX}{uid}").rglob("*"):
                assert path.stat().st_uid == uid
            assert stat.S_IMODE((scratch / f"{PREFIX}{uid}").stat().st_mode) == 0o700
            with user(second if uid == first else first), pytest.raises(PermissionError):
                os.listdir(scratch / f"{PREFIX}{uid}")
        for path in scratch.iterdir():
            shutil.rmtree(path)


def test_a_private_dataset_stays_private_whatever_the_umask(data: Path, scratch: Path) -> None:
    for path in (data, *data.rglob("*")):
        os.chown(path, VIC, VIC)
        path.chmod(0o700 if path.is_dir() else 0o600)
    with user(VIC, umask=0):
        shelf = scratch_for(data, data, scratch)
        assert shelf.stage(0) is CopyOutcome.THERE
    for path in (shelf.folder, *shelf.folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    with user(ATT), pytest.raises(PermissionError):
        shelf.copy(0).read_bytes()


def staged(data: Path, scratch: Path, uid: int, shards: range, limit: int = 0) -> Scratch:
    """Copies of a user, used long ago."""
    with user(uid):
        shelf = scratch_for(data, data, scratch, limit)
        for shard in shards:
            assert shelf.stage(shard) is CopyOutcome.THERE
            os.utime(shelf.copy(shard), (LONG_SINCE, LONG_SINCE))
    return shelf


def there(shelf: Scratch) -> list[int]:
    return [shard for shard in range(4) if shelf.copy(shard).exists()]


@pytest.mark.parametrize(("one", "other"), [(ATT, VIC), (VIC, ATT)])
def test_a_limit_is_for_ones_own_copies(one: int, other: int, data: Path, scratch: Path) -> None:
    theirs = staged(data, scratch, one, range(4))
    ours = staged(data, scratch, other, range(4), limit=2 * SIZE)
    assert there(theirs) == [0, 1, 2, 3]
    assert len(there(ours)) == 2


def test_a_full_disk_costs_ones_own_copies_alone(data: Path, holder: Path) -> None:
    disk = shared(holder / "disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k,mode=1777", "tmpfs", disk], check=False).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        theirs = staged(data, disk, ATT, range(3))
        ours = staged(data, disk, VIC, range(4))
        assert there(theirs) == [0, 1, 2]
        assert there(ours)
        assert len(there(ours)) < 4
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def of_before(data: Path, scratch: Path, uid: int, shards: range, name: str = "") -> Path:
    """Copies as earlier versions put them."""
    folder = scratch / f"{PREFIX}{name or fingerprint(data)}"
    with user(uid):
        (folder / "train").mkdir(parents=True)
        for shard in shards:
            path = folder / "train" / f"{shard:06d}.tar"
            path.write_bytes(tar(data, shard))
            os.utime(path, (LONG_SINCE, LONG_SINCE))
    return folder


def test_copies_of_earlier_versions_are_taken_over(
    server: SlowServer, data: Path, holder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scratch = shared(holder / "scratch")
    of_before(data, scratch, VIC, range(2))
    with user(VIC):
        shelf = scratch_for(server.url, data, scratch)
        assert [shelf.path(shard).read_bytes() for shard in range(3)] == [tar(data, shard) for shard in range(3)]
    assert set(server.asked) == {"train/000002.tar"}
    assert capsys.readouterr().err == ""


def test_copies_of_earlier_versions_count_and_go_as_ones_own(data: Path, holder: Path) -> None:
    scratch = shared(holder / "scratch")
    theirs = of_before(data, scratch, ATT, range(4), "0" * 16)
    ours = of_before(data, scratch, VIC, range(4), "1" * 16)
    shelf = staged(data, scratch, VIC, range(2), limit=3 * SIZE)
    assert there(shelf) == [0, 1]
    assert len(list(theirs.rglob("*.tar"))) == 4
    assert len(list(ours.rglob("*.tar"))) == 1


def test_where_others_may_rename_folders_no_name_makes_mine_a_copy(
    data: Path, holder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scratch = shared(holder / "scratch", 0o777)
    mine = of_before(data, scratch, VIC, range(4), "1" * 16)  # a dataset of VIC's, which ATT has renamed
    before = look(mine)
    with user(VIC):
        StagedDataset.open(data, RuntimeConfig(scratch=str(scratch)))
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"{mine}: copies of an earlier run by their name" in told
    staged(data, scratch, VIC, range(3), limit=SIZE)
    assert look(mine) == before


@pytest.mark.parametrize("trap", TRAPS)
def test_a_name_that_is_taken_shuts_nobody_out(trap: str, data: Path, elsewhere: Path, scratch: Path) -> None:
    before = look(elsewhere)
    for name in (f"{PREFIX}{VIC}", f"{PREFIX}{VIC}-2"):
        TRAPS[trap](scratch / name, elsewhere)
        os.chown(scratch / name, ATT, ATT, follow_symlinks=False)
    if trap == "hard link":
        before = look(elsewhere)
    shelves = [staged(data, scratch, VIC, range(3), limit=2 * SIZE) for _ in range(2)]
    assert shelves[0].folder == shelves[1].folder == scratch / f"{PREFIX}{VIC}-3" / fingerprint(data)
    assert there(shelves[0])
    assert look(elsewhere) == before


def test_when_a_name_is_free_again_what_lies_at_the_other_still_counts(data: Path, holder: Path) -> None:
    scratch = shared(holder / "scratch")
    (scratch / f"{PREFIX}{VIC}").write_bytes(b"of ATT")
    os.chown(scratch / f"{PREFIX}{VIC}", ATT, ATT)
    old = staged(data, scratch, VIC, range(2))
    (scratch / f"{PREFIX}{VIC}").unlink()
    new = staged(data, scratch, VIC, range(1), limit=2 * SIZE)
    assert new.folder.parent.name == f"{PREFIX}{VIC}"
    assert (there(old), there(new)) == ([1], [0])


def test_when_all_names_are_taken_it_says_whose_they_are(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avsync.staging.own_folder.MOST_NAMES", 2)
    with user(ATT):
        for name in (f"{PREFIX}{VIC}", f"{PREFIX}{VIC}-2"):
            (scratch / name).mkdir()
    with user(VIC), pytest.raises(InputError, match=f"{PREFIX}{VIC} there is a folder of user {ATT}, and 1 further"):
        Room.open(scratch)


def test_copies_that_were_exchanged_are_not_read(
    data: Path, server: SlowServer, holder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where folders may be renamed by anybody, a neighbour's file may come between a look and a read."""
    scratch = shared(holder / "scratch", 0o777)
    ours = staged(data, scratch, VIC, range(4))
    with user(VIC):
        far = scratch_for(server.url, data, scratch)
        places = [(clip, far.path(shard)) for clip, shard in enumerate(far.dataset.index.shard.tolist())]
    with user(ATT):
        ours.room.folder.rename(scratch / "taken")
        (ours.folder / "train").mkdir(parents=True)
        for shard in range(4):
            ours.copy(shard).write_bytes(tar(data, shard))  # a neighbour could forge what has the same checksum
    with user(VIC), ShardReader() as reader:
        for clip, path in places:
            with pytest.raises(SkipClip, match=f"belongs to user {ATT}"):
                reader.read(ours.dataset.location(clip, path))
            shard = int(ours.dataset.index.shard[clip])
            instead = ours.instead(path, shard, clip)
            assert instead == data / "train" / f"{shard:06d}.tar"
            reader.read(ours.dataset.location(clip, instead))
        with pytest.raises(InputError, match=f"{PREFIX}{VIC}: belongs to user {ATT}"):
            far.instead(places[0][1], 0, 0)
        again = scratch_for(server.url, data, scratch)
        assert again.path(0).read_bytes() == tar(data, 0)
        assert again.room.folder.name == f"{PREFIX}{VIC}-2"


def test_a_worker_reads_a_copy_only_while_it_is_ours(data: Path, holder: Path) -> None:
    """It is another process, which has claimed nothing: it is told whose file it must be."""
    location = staged(data, shared(holder / "scratch"), VIC, range(1)).dataset.location(0)
    with ShardReader() as reader:
        reader.read(replace(location, owner=0))
        os.chown(location.path, ATT, ATT)
        with pytest.raises(SkipClip, match=f"not ours any more: it belongs to user {ATT}"):
            reader.read(replace(location, owner=0))
        reader.read(location)  # of a dataset: it may be anybody's


def test_a_scratch_folder_that_may_not_be_written_says_whose_it_is(holder: Path) -> None:
    (holder / "scratch").mkdir()
    os.chown(holder / "scratch", ATT, ATT)
    with user(VIC), pytest.raises(InputError, match=rf"cannot be used: Permission denied \(it belongs to user {ATT}\)"):
        Room.open(holder / "scratch")


def test_the_oldest_of_ones_own_go_first_wherever_they_lie(data: Path, holder: Path) -> None:
    scratch = shared(holder / "scratch")
    of_before(data, scratch, VIC, range(1), "1" * 16)
    shelf = staged(data, scratch, VIC, range(1))
    with user(VIC):
        os.utime(shelf.copy(0), (LONG_SINCE + FRESH_S, LONG_SINCE + FRESH_S))
        tight = scratch_for(data, data, scratch, 2 * SIZE)
        assert tight.stage(1) is CopyOutcome.THERE
    assert there(shelf) == [0, 1]
