"""What cannot be deleted, listed, renamed, written or drawn is left, told once, and ends nothing: place by place."""

import errno
import os
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from avsync_settings import quick_config
from processes import command, start_ranks

from avsync.honesty.examination import write_maps
from avsync.loading.memory import SharedSlots
from avsync.loading.shape import SlotLayout
from avsync.run.checkpoint import GONE, MODEL, Saved, keep_checkpoint, note_best, prune, save_checkpoint, tidy
from avsync.run.paths import RunPaths
from avsync.run.progress import Pulse, RunProgress
from avsync.run.receipt import keep_receipt, read_receipts
from avsync.run.state import Best, State
from avsync.staging.copies import discard, give, release, touch
from avsync.train.tracking import CurveFolder
from avsync.train.trainer import train
from launch.cli import _explain
from launch.job.attempts import What
from launch.job.ending import Ending
from launch.job.requeue import Decision, Do
from sharding.base.files import publish, writing
from sharding.base.housekeeping import below, delete
from sharding.base.locks import folder_lock
from sharding.errors import InputError
from sharding.format.index import PARTS
from sharding.pack.pool import _sweep
from sharding.pack.schedule import writing as packing
from sharding.plan.shares import forget_division

SOMEBODY, OTHER, GROUP = 20_001, 20_002, 20_000
"""Accounts that need no entry anywhere."""
HOLDER = "avsync-housekeeping-"
"""Of a folder in which all of this happens."""


def saved(step: int, best: Best | None = None) -> Saved:
    state = State(step=step, model="small", digest="", skipped=0, best=best)
    return Saved(state=state, model={"w": torch.ones(2)}, optimizer={})


def checkpoints(root: Path) -> None:
    for step in (1, 2, 3):
        save_checkpoint(RunPaths(root), saved(step))


def left_overs(root: Path) -> None:
    checkpoints(root)
    for name in ("00000001.old", "00000004.part", "00000005.gone", "00000006-2.old"):
        shutil.copytree(root / "checkpoints/00000001", root / "checkpoints" / name)


def parts(root: Path) -> None:
    for name in (f"{PARTS}/00/000000-00000.tar.part", f"{PARTS}/share-00000.json", f"{PARTS}/shares.json", "train/a"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def copy(root: Path) -> None:
    (root / "000000.tar").write_bytes(b"copy")


def curves(root: Path) -> None:
    drawn = CurveFolder(root / "tensorboard/train", 0)
    drawn.scalars({"loss": 1.0}, 1)
    drawn.flush()
    drawn.text("note", "x", 2)
    drawn.close()


def use_copy(root: Path) -> None:
    file = root / "000000.tar"
    give(file)
    touch(root, [file.name])
    release(file)
    discard(file)


def lock(root: Path) -> None:
    with folder_lock(root, "test"):
        pass


def write_the_outcome(root: Path) -> None:
    task = SimpleNamespace(outcome=root / "outcome.json")
    this: Any = SimpleNamespace(task=task)
    nobody: Any = None
    Ending(this, nobody)._over(Decision(what=What.DONE, do=Do.FINISH))


RECEIPTS: Any = ({"attempt": 1}, {"attempt": 2})
MAPS: Any = SimpleNamespace(maps=(np.zeros(1),) * 3)
PLAN: Any = SimpleNamespace(name="train/000000", parts_folder="00")
DELETES = "deletes"
PLACES: dict[str, tuple[Callable[[Path], object], Callable[[Path], object], str]] = {
    "old checkpoints": (checkpoints, lambda root: prune(RunPaths(root), 1, None), DELETES),
    "what a crash left": (left_overs, lambda root: tidy(RunPaths(root)), DELETES),
    "parts that a shard has taken": (parts, lambda root: delete(root / PARTS), DELETES),
    "half-written parts": (parts, lambda root: _sweep([PLAN], root), DELETES),
    "shares of before": (parts, forget_division, DELETES),
    "a copy on the scratch disk": (copy, use_copy, DELETES),
    "best.json": (
        lambda root: note_best(RunPaths(root), saved(1, Best(1, 0.5)).state),
        lambda root: note_best(RunPaths(root), saved(2, Best(2, 0.7)).state),
        "best.json",
    ),
    "progress.json": (
        lambda root: Pulse(root / "progress.json", RunProgress(steps=9)).write(),
        lambda root: Pulse(root / "progress.json", RunProgress(steps=9)).write(step=3),
        "progress.json",
    ),
    "receipts.jsonl": (
        lambda root: keep_receipt(RunPaths(root), RECEIPTS[0]),
        lambda root: keep_receipt(RunPaths(root), RECEIPTS[1]),
        "receipts.jsonl",
    ),
    "maps.csv": (
        lambda root: (root / "maps.csv").touch(),
        lambda root: write_maps(root / "maps.csv", MAPS, str),
        "maps.csv",
    ),
    "curves": (lambda root: (root / "tensorboard/train").mkdir(parents=True), curves, "tensorboard/train"),
    "the end of a job": (write_the_outcome, write_the_outcome, "outcome.json"),
    "the note in a lock file": (lock, lock, ""),
}
"""What is there before, what is done then, and which file that writes; the lock itself is a reason to end."""


@contextmanager
def user(uid: int, umask: int = 0o022) -> Iterator[None]:
    """As another account of a group: what it may not, the kernel refuses."""
    group, before = os.getegid(), os.umask(umask)
    os.setegid(GROUP)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(os.getuid())
        os.setegid(group)
        os.umask(before)


@contextmanager
def immutable(*paths: Path) -> Iterator[None]:
    """Nobody may change, rename or delete these, whatever they are called by then."""
    if subprocess.run(["chattr", "+i", *paths], capture_output=True, check=False).returncode:
        pytest.skip("this file system, or this account, knows no immutable files")
    try:
        yield
    finally:
        holder = next(path for path in (paths[0], *paths[0].parents) if path.name.startswith(HOLDER))
        subprocess.run(["chattr", "-R", "-f", "-i", holder], check=False)


@contextmanager
def refused(root: Path, written: str) -> Iterator[None]:
    """EACCES: the folder is somebody's who lets others read only."""
    with user(OTHER):
        yield


@contextmanager
def not_permitted(root: Path, written: str) -> Iterator[None]:
    """EPERM, whoever asks."""
    with immutable(root, *root.rglob("*")):
        yield


@contextmanager
def too_large(root: Path, written: str) -> Iterator[None]:
    """EFBIG at the first byte."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def a_folder_in_place(root: Path, written: str) -> Iterator[None]:
    """EISDIR, or a folder's like."""
    if written != DELETES and written:
        target = root / written
        if target.is_dir():  # the other way round: a file where a folder must be
            shutil.rmtree(target)
            target.touch()
        else:
            target.unlink()
            (target / "of somebody").mkdir(parents=True)
    yield


@contextmanager
def gone(root: Path, written: str) -> Iterator[None]:
    """ENOENT: the folder was moved away, and may not be made again."""
    shutil.rmtree(root)
    with immutable(root.parent):
        yield


@contextmanager
def mounted(root: Path, options: str) -> Iterator[None]:
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", root], capture_output=True, check=False
    ).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)


@contextmanager
def full(root: Path, written: str) -> Iterator[None]:
    """ENOSPC."""
    free = os.statvfs(root)
    (root / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize))
    yield


@contextmanager
def read_only(root: Path, written: str) -> Iterator[None]:
    """EROFS."""
    subprocess.run(["mount", "-o", "remount,ro", root], check=True)
    yield


KINDS: dict[str, Callable[[Path, str], Any]] = {
    "EACCES": refused,
    "EPERM": not_permitted,
    "EFBIG": too_large,
    "EISDIR": a_folder_in_place,
    "ENOENT": gone,
    "ENOSPC": full,
    "EROFS": read_only,
}
DISKS = {"ENOSPC": "size=256k", "EROFS": "size=4m"}
"""Of these kinds: the disk that it happens on."""
NOT_TOLD = {"EFBIG": DELETES, "EISDIR": DELETES, "ENOENT": DELETES, "ENOSPC": DELETES}
"""Of these kinds, deleting is no trouble."""
TOLD = re.compile(r"^avsync: warning: cannot [\w ]+ (/.*?): .*; it is left, the work goes on$")


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder that every account can reach."""
    holder = Path(tempfile.mkdtemp(prefix=HOLDER))
    holder.chmod(0o755)
    (holder / "run").mkdir()
    yield holder / "run"
    shutil.rmtree(holder)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several accounts, or mount a disk")


@needs_root
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_housekeeping_that_fails_is_told_once_with_its_whole_path_and_ends_nothing(place, kind, root, capsys):
    prepare, act, written = PLACES[place]
    if not written and kind not in ("ENOSPC", "EFBIG"):
        pytest.skip("a lock that cannot be had is a reason to end")
    with ExitStack() as held:
        if kind in DISKS:
            held.enter_context(mounted(root, DISKS[kind]))
        prepare(root)
        capsys.readouterr()
        with KINDS[kind](root, written):
            act(root)
            first = capsys.readouterr().err
            act(root)
            second = capsys.readouterr().err
    lines = first.splitlines()
    found = [TOLD.match(line) for line in lines]
    assert all(found), first
    assert all(match and match[1].startswith(str(root.parent)) for match in found)
    assert len(set(lines)) == len(lines)
    assert not second, "it was told before"
    if NOT_TOLD.get(kind) != written and written:
        assert lines, "it failed in silence, or did not fail: the test saw nothing"


@needs_root
@pytest.mark.parametrize("name", ["00000005.part", "00000005.old"])
def test_a_left_over_that_cannot_be_deleted_does_not_stand_in_the_way_of_a_checkpoint(name, root, capsys):
    paths = RunPaths(root)
    save_checkpoint(paths, saved(5))
    (paths.checkpoints / name).mkdir()
    (paths.checkpoints / name / MODEL).touch()
    with immutable(paths.checkpoints / name / MODEL):
        for _ in range(2):
            save_checkpoint(paths, saved(5))
        tidy(paths)
        assert sorted(path.name for path in paths.checkpoints.iterdir()) == ["00000005", name]
        told = capsys.readouterr().err
        assert told.count(f"cannot delete {paths.checkpoints / name / MODEL}: ") == 1
        assert told.count("\n") == 1
    tidy(paths)
    assert [path.name for path in paths.checkpoints.iterdir()] == ["00000005"]


@needs_root
def test_a_checkpoint_that_finds_no_room_says_how_much_it_takes(root):
    with mounted(root, "size=64k"):
        (root / "filler").write_bytes(bytes(40_000))
        big = replace(saved(5), model={"w": torch.zeros(25_000)})
        with pytest.raises(OSError, match=r"a checkpoint takes 100\.0 kB, the disk has .* left") as caught:
            save_checkpoint(RunPaths(root), big)
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(root / "checkpoints/00000005"))
        assert not below(root / "checkpoints", "*")


@needs_root
@pytest.mark.timeout(400)
def test_a_checkpoint_that_finds_no_room_while_training_goes_on_ends_all_ranks(dataset, root):
    runtime = replace(
        quick_config().runtime, checkpoint_every=3, keep=9, workers=1, log_every=10
    )  # it ends between two points
    config = replace(quick_config(), steps=100, validate_every=0, runtime=runtime)
    paths = RunPaths(root / "run")
    with mounted(root, "size=5m"):  # curves, and two checkpoints
        children = start_ranks(command(dataset, paths.root, config, root.parent), 2)
        said = [child.communicate(timeout=350)[0] for child in children]
        assert [child.returncode for child in children] == [1, 1]
        assert re.search(
            r"No space left on device \(a checkpoint takes .*, the disk has .* left\): '.*/0\d{7}'", said[0]
        )
        assert "PeerError: 1 of 2 processes failed" in said[1]
        assert paths.saved_steps()
        assert not list(paths.checkpoints.glob("*.*")), "a full disk gets its space back"


def shared_memory(root: Path) -> None:
    layout = SlotLayout(workers=1, slots=2, rows=1, frames=2, picture=(12, 8), sounds=1, samples=8, channels=1)
    with SharedSlots(layout, pin=False):
        pass


def a_shard(root: Path) -> None:
    with packing(root), publish(root / "000000.tar") as file:
        file.write(b"x")


def an_answer(root: Path) -> None:
    with writing(root / "page.html", "--page"), publish(root / "page.html") as file:
        file.write(b"x")


@pytest.mark.parametrize(
    "write", [lambda root: save_checkpoint(RunPaths(root), saved(5)), shared_memory, a_shard, an_answer]
)
def test_what_is_larger_than_a_file_may_be_names_that_limit_and_its_remedy(write, root):
    with pytest.raises((OSError, InputError)) as caught, too_large(root, ""):
        write(root)
    with too_large(root, ""):  # who explains it has the same limit
        told = _explain(caught.value) if isinstance(caught.value, OSError) else str(caught.value)
    assert "File too large: this process may write no file of more than 0 bytes; raise that limit (ulimit -f" in told
    assert "memory" not in told
    assert "make room" not in told


def go_on(dataset: Path, run: Path, until: int) -> int:
    """Train on up to a step; how far it came."""
    runtime = replace(quick_config().runtime, checkpoint_every=2, keep=1, workers=1)
    optim = replace(quick_config().optim, schedule="constant", warmup_steps=2)  # which may be made longer
    config = replace(quick_config(), steps=until, validate_every=0, optim=optim, runtime=runtime)
    return train(dataset, run, config).steps


@needs_root
def test_a_run_whose_old_checkpoint_cannot_be_deleted_goes_on_and_starts_again(dataset, root, capsys):
    run, paths = root / "run", RunPaths(root / "run")
    assert go_on(dataset, run, 4) == 4
    victim = paths.checkpoint(4).with_suffix(GONE) / MODEL
    with immutable(paths.checkpoint(4) / MODEL):
        assert go_on(dataset, run, 8) == 8
        assert go_on(dataset, run, 10) == 10
        told = [line for line in capsys.readouterr().err.splitlines() if "cannot" in line]
        assert told == [
            f"avsync: warning: cannot delete {victim}: Operation not permitted; it is left, the work goes on"
        ]
    assert paths.saved_steps() == [10]
    assert [(receipt.step, receipt.skipped, receipt.repeated) for receipt in read_receipts(paths)] == [
        (step, 0, 0) for step in (0, 4, 8)
    ]


@needs_root
def test_two_accounts_that_train_one_run_in_turn_leave_what_is_the_others(root, capsys):
    """A group's folder, and one of the two lets the group only read what they make."""
    root.chmod(0o2775)
    os.chown(root, SOMEBODY, GROUP)
    paths = RunPaths(root)
    save_checkpoint(RunPaths(root.parent / "first"), saved(1))  # else torch loads modules that the others may not read
    for turn, (who, umask) in enumerate(((SOMEBODY, 0o002), (OTHER, 0o022), (SOMEBODY, 0o002))):
        with user(who, umask):
            for _ in range(2):
                tidy(paths)
                for step in (10 * turn + 1, 10 * turn + 2):
                    keep_checkpoint(paths, saved(step, Best(step, 0.5)), 1)
    assert paths.saved_steps() == [22]
    told = [line for line in capsys.readouterr().err.splitlines() if line]
    left = {path.name for path in paths.checkpoints.iterdir()} - {"00000022"}
    assert left == {"00000012.gone"}, "made by the one who lets nobody else delete"
    assert len(told) == 1
    assert re.match(rf"avsync: warning: cannot delete {paths.checkpoints}/00000012\.gone/\w+\.\w+: Perm", told[0])
    with user(OTHER):
        tidy(paths)
    assert [path.name for path in paths.checkpoints.iterdir()] == ["00000022"]
