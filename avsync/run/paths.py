"""Every file name of a run folder, and where answers about a run are kept. No torch: launch imports it.

No answer takes the place of another question's:

RUN/evaluation/DATASET-SPLIT-step-STEP/   summary.json says which dataset was asked
RUN/localize/VIDEO.mp4 .png .json         the json says which video was asked
RUN/separate/VIDEO.on-screen.mp4 .off-screen.mp4 .png .json   the same
RUN/score/VIDEO.json .png                 the same

The same question again replaces its older answer; another dataset or video of the same name is given -2, -3, ...
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from sharding.base.environment import JOBS
from sharding.base.files import broken_link, read_json, write_json
from sharding.base.text import counted
from sharding.errors import AvsyncError

PROGRESS = "progress.json"
_CHECKPOINT = re.compile(r"\d{8,15}", re.ASCII)
SUMMARY = "summary.json"
"""Of a folder with figures of an evaluation."""


MODEL, SAFE_MODEL = "model.pt", "model.safetensors"
"""A checkpoint's weights; the second in place of the first, of a network that ships and that nobody trains on there."""


def weights_of(folder: Path) -> Path:
    """The file with a checkpoint's weights."""
    return path if (path := folder / SAFE_MODEL).is_file() else folder / MODEL


SHIPPED = Path(__file__).parent.parent / "weights"
"""Runs whose weights come with avsync, each a folder of that name (ship.py); nothing is written there."""


def run_of(name: Path) -> Path:
    """The run that a person names: its folder; where that is none, weights that ship, by their name (`faces`)."""
    shipped = SHIPPED / name
    if len(name.parts) != 1 or RunPaths(name).info.is_file() or not RunPaths(shipped).info.is_file():
        return name
    return shipped


@dataclass(frozen=True, slots=True)
class RunPaths:
    """Every file name of a run folder."""

    root: Path

    @property
    def answers(self) -> Path:
        """Where what the network says is kept: with the run; of weights that ship, where the person stands."""
        return Path(f"avsync-{self.root.name}") if self.root.parent == SHIPPED else self.root

    @property
    def info(self) -> Path:
        return self.root / "run.json"

    @property
    def receipts(self) -> Path:
        return self.root / "receipts.jsonl"

    @property
    def progress(self) -> Path:
        return self.root / PROGRESS

    @property
    def limits(self) -> Path:
        return self.root / "limits.json"

    @property
    def tuning(self) -> Path:
        return self.root / "tuning.json"

    @property
    def hangs(self) -> Path:
        return self.root / "hangs.jsonl"

    @property
    def waiting(self) -> Path:
        """Where ranks that wait too long say so to each other."""
        return self.root / "waiting"

    @property
    def best(self) -> Path:
        return self.root / "best.json"

    @property
    def trust(self) -> Path:
        return self.root / "trust.json"

    @property
    def validations(self) -> Path:
        return self.root / "validations.jsonl"

    @property
    def maps(self) -> Path:
        return self.root / "maps.csv"

    @property
    def tensorboard(self) -> Path:
        return self.root / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def evaluations(self) -> Path:
        return self.answers / "evaluation"

    @property
    def localized(self) -> Path:
        return self.answers / "localize"

    @property
    def separated(self) -> Path:
        return self.answers / "separate"

    @property
    def scored(self) -> Path:
        return self.answers / "score"

    def checkpoint(self, step: int) -> Path:
        return self.checkpoints / f"{step:08d}"

    def saved_steps(self) -> list[int]:
        """Steps of whole checkpoints, newest first."""
        if not self.checkpoints.is_dir():
            return []
        names = (path.name for path in self.checkpoints.iterdir())
        return sorted((int(name) for name in names if _CHECKPOINT.fullmatch(name)), reverse=True)


def remains_of_run(root: Path) -> list[str]:
    """What of a run lies in a folder without run.json: disks are purged file by file. Empty where nothing tells."""
    paths = RunPaths(root)
    kept = [path.name for path in (paths.receipts, paths.best, paths.tensorboard, paths.maps) if path.exists()]
    if steps := paths.saved_steps():
        kept.insert(0, f"{counted(len(steps), 'checkpoint')} (step {', '.join(map(str, steps[:3]))})")
    if not kept and (root / JOBS / "train").is_dir():
        kept.append(f"{JOBS}/train, of a job that has not begun, or whose files are gone")
    return kept


def no_run(root: Path) -> str:
    """What to say of a folder without run.json."""
    info = RunPaths(root).info.name
    if why := broken_link(root):
        return f"{root} is not a run: {why}; mend the link, or name another folder"
    if root.is_file():
        return f"{root} is not a run: it is a file; name the folder that avsync train wrote"
    if kept := remains_of_run(root):
        return (
            f"{root} has no {info}, which says what was trained; there is {', '.join(kept)}. If it was lost, put it "
            "back from a copy, or give avsync train another folder"
        )
    return f"{root} is not a run: it has no {info}; make one with avsync train DATASET {root}"


LONGEST_NAME = 200
"""Bytes of a name that are kept: file systems take 255, and a number and a suffix are still to come."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalizeRecord:
    """RUN/localize/VIDEO.json: what VIDEO.mp4 shows."""

    video: str
    """Full path."""
    step: int
    windows: int
    in_sync: float
    """Mean probability that sound and picture belong together."""
    listened: float | None = None
    """How much the map changes with the sound, 0 to 1 (avsync.honesty); None in records of before that was asked."""
    spatial: float | None = None
    """0: whole frames are lit; 1: one cell is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeparateRecord:
    """RUN/separate/VIDEO.json: what the films beside it are of."""

    video: str
    """Full path."""
    step: int
    share: float
    """Of the sound's power, that which was taken for what is seen."""


@dataclass(frozen=True, slots=True)
class _Evaluated:
    dataset: str


@dataclass(frozen=True, slots=True)
class _OfVideo:
    video: str


def evaluation_place(paths: RunPaths, dataset: Path, split: str, step: int) -> Path:
    """The folder for the figures of one dataset's split at one checkpoint."""

    def asked(folder: Path) -> str:
        return read_json(folder / SUMMARY, _Evaluated).dataset

    full = dataset.resolve()
    names = _numbered(f"{full.name}-{split}-step-{step}")
    return _free_or_own((paths.evaluations / name for name in names), full_name(full), asked)


def localize_place(paths: RunPaths, video: Path) -> Path:
    """The mp4 for one video."""

    def asked(mp4: Path) -> str:
        return read_json(mp4.with_suffix(".json"), _OfVideo).video

    full = video.resolve()
    return _free_or_own((paths.localized / f"{name}.mp4" for name in _numbered(full.stem)), full_name(full), asked)


def separate_place(paths: RunPaths, video: Path) -> Path:
    """The mp4 for one video, whose name those of its films begin with."""

    def asked(answer: Path) -> str:
        return read_json(answer, _OfVideo).video

    full = video.resolve()
    records = (paths.separated / f"{name}.json" for name in _numbered(full.stem))
    return _free_or_own(records, full_name(full), asked).with_suffix(".mp4")


def record_answer(mp4: Path, record: LocalizeRecord | SeparateRecord) -> None:
    """Say beside the mp4 what it shows."""
    write_json(mp4.with_suffix(".json"), record)


def score_place(folder: Path, video: Path) -> Path:
    """The json for one video, in `folder`; its picture stands beside it."""

    def asked(answer: Path) -> str:
        return read_json(answer, _OfVideo).video

    files = (folder / f"{name}.json" for name in _numbered(full_name(Path(video.stem))))
    return next(
        file
        for file in files
        if (not file.exists() and not file.with_suffix(".png").exists())
        or _answers(file, full_name(video.resolve()), asked)
    )


def full_name(path: Path) -> str:
    """A path as text; bytes of it that are no text as escapes, for JSON cannot hold them."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _free_or_own(paths: Iterator[Path], question: str, asked: Callable[[Path], str]) -> Path:
    return next(path for path in paths if not path.exists() or _answers(path, question, asked))


def _answers(path: Path, question: str, asked: Callable[[Path], str]) -> bool:
    try:
        return asked(path) == question
    except AvsyncError:  # nothing says what it answers: leave it alone
        return False


def _numbered(name: str) -> Iterator[str]:
    raw = name.encode("utf-8", "surrogateescape")
    if len(raw) > LONGEST_NAME:
        name = raw[:LONGEST_NAME].decode("utf-8", "ignore")
    yield name
    yield from (f"{name}-{number}" for number in count(2))
