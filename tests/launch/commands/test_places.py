"""Every place that a command writes: whatever lies there instead, nothing outside of its folders changes by a byte.

No list of places is kept: each command is run on tiny inputs, and what it made, replaced or deleted is written down,
also what only comes and goes. Then something else is put at each of these places, many at once, and it is run again.
"""

import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path

import made
import pytest
from accelerate.state import AcceleratorState, GradientState, PartialState

from launch.job.supervise import main as supervise
from tests.in_process import InProcess

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]
STRANGER = 54321
KINDS = int(os.environ.get("AVSYNC_TRAPS", "2"))
"""So many kinds of things are put at each place of a slow command, in turn; 9: all."""
MINE = b"mine since long\n"

Trap = Callable[[Path, Path], object]
"""Puts something at a place. It is given what lies outside: what the command would find or leave there, if that is
known, else something of the kind."""
FOR_FOLDERS: dict[str, Trap] = {
    "link": lambda place, outside: place.symlink_to(outside),
    "link to a free name": lambda place, outside: place.symlink_to(outside.with_name("free")),
    "link to a folder of something else": lambda place, outside: place.symlink_to(outside.parent),
    "FIFO": lambda place, _: os.mkfifo(place),
}


def _folder(place: Path, _: Path) -> None:
    place.mkdir()
    (place / "file").write_bytes(MINE)


def _of_a_stranger(place: Path, outside: Path) -> None:
    shutil.copyfile(outside, place)
    os.chown(place, STRANGER, STRANGER)


FOR_FILES: dict[str, Trap] = FOR_FOLDERS | {
    "hard link": lambda place, outside: os.link(outside, place),
    "folder": _folder,
}
if os.geteuid() == 0:
    FOR_FILES["file of a stranger"] = _of_a_stranger


def test_files_of_strangers_are_tried() -> None:
    if os.geteuid():
        pytest.skip("only root can make files of others")
    assert "file of a stranger" in FOR_FILES


class Touched:
    """Places that this process makes, replaces or deletes, by what Python itself tells of its calls."""

    def __init__(self) -> None:
        self.places, self.folders, self.filled = set[str](), set[str](), set[str]()
        self._on = False
        sys.addaudithook(self._hear)

    @contextmanager
    def listening(self) -> Iterator[None]:
        self.places, self.folders, self.filled = set(), set(), set()
        self._on = True
        try:
            yield
        finally:
            self._on = False

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if not self._on:
            return
        if event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            if isinstance(args[0], str) and os.path.isabs(args[0]):  # others are told by what becomes of them
                self.places.add(args[0])
        elif event in ("os.remove", "os.rmdir", "os.mkdir", "os.utime", "os.chmod", "os.truncate"):
            at = _place(args[0], args[-1] if event != "os.truncate" else -1)
            self.places.add(at)
            if event in ("os.mkdir", "os.rmdir"):
                self.folders.add(at)
        elif event == "os.rename":
            old, new = _place(args[0], args[2]), _place(args[1], args[3])
            self.places |= {old, new}
            if os.path.isdir(old):  # what is in it was new, and is new each time
                self.filled |= {old, new}
                self.folders |= {old, new}


def _place(name: object, folder: object) -> str:
    if isinstance(name, int):
        return os.readlink(f"/proc/self/fd/{name}")
    path = os.fsdecode(name)  # pyright: ignore[reportArgumentType]
    if isinstance(folder, int) and folder >= 0 and not os.path.isabs(path):
        path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
    return os.path.abspath(path)


TOUCHED = Touched()


@dataclass(frozen=True)
class Step:
    """A command on what those before it have left in a folder."""

    name: str
    run: Callable[[Path], int]
    """Returns its exit code."""
    roots: tuple[str, ...]
    """What is typed: a person may make these links."""
    before: Callable[[Path], object] = field(default=lambda _: None)
    slow: bool = False


def avsync(*words: str) -> Callable[[Path], int]:
    def run(here: Path) -> int:
        for state in (AcceleratorState, GradientState, PartialState):
            state._shared_state.clear()  # accelerate keeps its settings for the whole process
        full = (str(here / word[1:]) if word.startswith("@") else word for word in words)
        return made.ran(*(glob(word)[0] if "*" in word else word for word in full))

    return run


PAIRS = "--pairs.window-s 2 --pairs.min-shift-s 1 --pairs.max-shift-s 2.5".split()
SCENES = "scenes @scenes --count 8 --seconds 5 --size 32 --fps 10 --sample-rate 8000 --val-share 0.3 --test-share 0.3"
PACK = "pack @scenes/scenes.csv @dataset --fps 10 --size 32 --sample-rate 8000 --min-clip-s 3 --sources-per-shard 4"
TRAIN = (
    "train @dataset @run --preset small --steps 3 --batch 2 --validate-every 2 --validate-clips 2 --runtime.device cpu "
    "--runtime.workers 1 --runtime.log-every 1 --runtime.checkpoint-every 1 --runtime.keep 1 --optim.warmup-steps 1"
)
FINETUNE = (
    "finetune @run @dataset @out --preset small --steps 2 --batch 2 --validate-every 1 --validate-clips 2 "
    "--test-windows 1 --workers 1 --log-every 1 --checkpoint-every 1 --keep 1 --device cpu --optim.warmup-steps 1"
)


AUDIT = "audit @dataset --page @audit.html --json @audit.json --clips 8 --pairs-per-clip 1 --device cpu"
PROGRAMS = {
    "sbatch": "cat > /dev/null; echo Submitted batch job 7",
    "srun": "exit 0",
    "squeue": "for word; do case $word in --format=*) mark=${word#--format=}; mark=${mark%%%*};; esac; done\n"
    '[ ! -e queue ] || { printf %s "$mark"; cat queue; }',
    "scancel": "rm -f queue",
}
"""What is asked of SLURM here, with the plainest answers: the folders are what matters."""


def on_a_cluster(here: Path) -> None:
    programs = here.parent / "bin"
    programs.mkdir()
    for name, does in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\ncd {here.parent}\n{does}\n")
        (programs / name).chmod(0o755)


def killed_in_the_middle(here: Path) -> None:
    """As a crash leaves a run: its last step is to be done again, and there are left-overs."""
    checkpoints = here / "run" / "checkpoints"
    newest = max(checkpoints.glob("????????"))
    for name in ("00000001.old", "00000002.part", "00000001.gone"):
        shutil.copytree(newest, checkpoints / name)
    shutil.rmtree(newest)


def a_job(here: Path) -> int:
    """From its folder to its end, as the batch script sees to it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_JOB_ID", "7")
        return supervise(str(here / "run" / "jobs" / "train"))


def cancelled(here: Path) -> int:
    """While SLURM has the job."""
    job = here / "run" / "jobs" / "train"
    fields = ("7", "N/A", "RUNNING", "None", "n1", "N/A", "low", "train-run", "(null)", f"avsync:{job}")
    (here.parent / "queue").write_text("\x1f".join(fields) + "\n")
    return avsync("cancel", "@run", "--wait", "0")(here)


STEPS = (
    Step("scenes", avsync(*SCENES.split(), "--workers", "1"), ("scenes",)),
    Step("pack", avsync(*PACK.split()), ("dataset",)),
    Step("train", avsync(*TRAIN.split(), *PAIRS), ("run",), slow=True),
    Step("resume", avsync(*TRAIN.split(), *PAIRS), ("run",), killed_in_the_middle, slow=True),
    Step("evaluate", avsync(*"evaluate @run @dataset --pairs-per-clip 1 --device cpu".split()), ("run",), slow=True),
    Step("localize", avsync(*"localize @run @scenes/*/00000.mp4 --device cpu".split()), ("run",), slow=True),
    Step("score", avsync(*"score @run @scenes/*/00000.mp4 --device cpu".split()), ("run",), slow=True),
    Step("audit", avsync(*AUDIT.split(), *PAIRS), (), slow=True),
    Step("show", avsync(*"show @dataset --page @show.html --sheet @sheet.png --csv @sources.csv".split()), ()),
    Step("finetune", avsync(*FINETUNE.split()), ("out",), slow=True),
    Step("submit", avsync("submit", "--cluster", "test", *TRAIN.split(), *PAIRS), ("run",), on_a_cluster, slow=True),
    Step("job", a_job, ("run",), lambda here: shutil.rmtree(here / "run" / "jobs" / "train" / "code")),
    Step("cancel", cancelled, ("run",), lambda here: (here / "run" / "jobs" / "train" / "outcome.json").unlink()),
)


def lying(root: Path) -> dict[str, tuple[int, ...]]:
    """All that lies below, and by what to see whether it is another thing now."""
    found = dict[str, tuple[int, ...]]()
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            one = os.lstat(os.path.join(folder, name))
            kind = stat.S_IFMT(one.st_mode)
            found[os.path.join(folder, name)] = (kind,) if kind == stat.S_IFDIR else (kind, one.st_ino, one.st_mtime_ns)
    return found


def look(root: Path) -> dict[str, tuple[object, ...]]:
    """Names, kinds, rights, owners, times and contents."""
    found = dict[str, tuple[object, ...]]()
    for path in (root, *sorted(root.rglob("*"))):
        one = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(one.st_mode) else b""
        found[str(path)] = (one.st_mode, one.st_uid, one.st_gid, one.st_mtime_ns, content)
    return found


def error_lines(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("avsync: error:")]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, bool]]]:
    """Of each step: what there was before it, and the places that it touched, folders or files."""
    top = Path(os.path.realpath(tmp_path_factory.mktemp("places")))
    here, found = top / "here", dict[str, tuple[Path, dict[str, bool]]]()
    here.mkdir()
    for step in STEPS:
        step.before(here)
        before = top / f"before-{step.name}"
        shutil.copytree(here, before, symlinks=True)
        there = lying(here)
        with at_home(here), TOUCHED.listening():
            assert step.run(here) == 0, step.name
        now = lying(here)
        places = TOUCHED.places | {path for path in there.keys() | now.keys() if there.get(path) != now.get(path)}
        typed = {str(here / root) for root in (*step.roots, "tmp")}
        mine = (path for path in sorted(places) if path.startswith(f"{here}{os.sep}") and path not in typed)
        alike = {_DIGITS.sub("0", path): path for path in mine if not _inside(path, TOUCHED.filled)}
        found[step.name] = (
            before,
            {path: path in TOUCHED.folders or os.path.isdir(path) for path in sorted(alike.values())},
        )
        shutil.copytree(here, top / f"after-{step.name}", symlinks=True)
    return found


_DIGITS = re.compile(r"[0-9a-f]{8,}|\d+")
"""Of places that differ in these alone one is enough."""


def _inside(path: str, folders: set[str]) -> bool:
    return any(str(above) in folders for above in Path(path).parents)


@contextmanager
def at_home(here: Path) -> Iterator[None]:
    """Temporary files are places, too."""
    (here / "tmp").mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(here / "tmp"))
        patch.setattr("sharding.pack.pool.Workers", InProcess)
        patch.chdir(here)
        patch.setenv("PATH", f"{here.parent / 'bin'}:{os.environ['PATH']}")
        yield


def rounds(places: dict[str, bool], most: int) -> Iterator[dict[str, str]]:
    """Place -> trap, many at once, until each has had so many of its kinds; none below another."""
    todo = dict[str, list[str]]()
    for number, (place, is_folder) in enumerate(places.items()):
        kinds = list(FOR_FOLDERS if is_folder else FOR_FILES)
        turn = number % len(kinds)
        todo[place] = (kinds[turn:] + kinds[:turn])[:most]
    while any(todo.values()):
        chosen = dict[str, str]()
        blocked = set[str]()
        for place in sorted(todo, key=lambda one: -one.count(os.sep)):
            above = {str(one) for one in Path(place).parents}
            if todo[place] and place not in blocked and not above & chosen.keys():
                chosen[place] = todo[place].pop()
                blocked |= above
        yield chosen


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_nothing_outside_changes_whatever_lies_where_it_writes(
    step: Step, kept: dict[str, tuple[Path, dict[str, bool]]], capfd: pytest.CaptureFixture[str]
) -> None:
    before, places = kept[step.name]
    here, after, outside = before.parent / "here", before.parent / f"after-{step.name}", before.parent / "outside"
    assert places
    waiting = list(rounds(places, KINDS if step.slow else len(FOR_FILES)))
    while waiting:
        traps = waiting.pop()
        _lay_out(here, before, {Path(place).relative_to(here).parts[0] for place in places})
        shutil.rmtree(outside, ignore_errors=True)
        _bystanders(outside)
        for number, (place, kind) in enumerate(traps.items()):
            _set(Path(place), kind, outside / f"{number:04}", [before, after], here, is_folder=places[place])
        untouched = look(outside)
        capfd.readouterr()
        with at_home(here):
            code = step.run(here)
        said = "".join(capfd.readouterr())
        assert look(outside) == untouched, (traps, said)
        assert "Traceback" not in said
        assert (code, len(error_lines(said))) in ((0, 0), (1, 1), (2, 1)), said
        if code:
            waiting += _rest(error_lines(said)[0], traps)


def _rest(line: str, traps: dict[str, str]) -> list[dict[str, str]]:
    """The others, where an error is about one of them; halves where it is about all that lies there."""
    by_path = [place for place in traps if re.search(rf"{re.escape(place)}(?![\w.-])", line)]
    by_name = [place for place in traps if re.search(rf"\b{re.escape(Path(place).name)}(?![\w.-])", line)]
    if meant := by_path or by_name:
        return (
            [{place: kind for place, kind in traps.items() if place != max(meant, key=len)}] if len(traps) > 1 else []
        )
    halves = list(traps.items())[::2], list(traps.items())[1::2]
    return [dict(half) for half in halves if half and len(traps) > 1]


def _lay_out(here: Path, before: Path, touched: set[str]) -> None:
    """As it was; what a step only reads is left where it lies."""
    for name in {*os.listdir(before), *os.listdir(here), *touched}:
        for lies in (name in touched, not (before / name).exists()):
            if lies and os.path.lexists(here / name):
                _delete(here / name)
        if not (here / name).exists() and (before / name).is_dir():
            shutil.copytree(before / name, here / name, symlinks=True)
        elif not (here / name).exists() and (before / name).exists():
            shutil.copy2(before / name, here / name)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _bystanders(outside: Path) -> None:
    (outside / "inner").mkdir(parents=True)
    (outside / "file").write_bytes(MINE)
    (outside / "inner" / "file").write_bytes(MINE)


def _set(place: Path, kind: str, own: Path, states: Sequence[Path], here: Path, *, is_folder: bool) -> None:
    """Put a trap there; what it leads to is in a folder of its own, `own`."""
    known = [state / place.relative_to(here) for state in states]
    known = [one for one in known if (one.is_dir() if is_folder else one.is_file())]
    own.mkdir()
    outside = own / place.name
    if is_folder and known:
        shutil.copytree(known[0], outside)
    elif is_folder:
        _folder(outside, outside)
    else:
        outside.write_bytes(known[0].read_bytes() if known else MINE)
    _delete(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    FOR_FILES[kind](place, outside)
