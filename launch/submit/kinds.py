"""What can be submitted, and how each command becomes a job. To add one: a line in KINDS."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from avsync.run.paths import RunPaths
from launch.commands.flags import declared
from launch.job.record import SCRATCH, SCRATCH_FLAG, SCRATCH_SIZE_FLAG, SHARE
from launch.site.amounts import size
from launch.site.profile import ClusterProfile, JobOptions
from launch.submit.resources import ResourceOptions
from launch.submit.typed import given
from sharding.base.written_paths import is_url

PACK, MERGE = "pack", "pack-merge"
GB = 10**9
INDEX = "dataset.json"
"""Of a whole dataset."""
WHOLE = {"run": RunPaths(Path()).info.name, "dataset": INDEX}
"""What a command reads -> the file that is in it when it is what it should be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkFolder:
    """A folder or file that a command reads."""

    path: Path
    flag: str
    """How --help calls it."""
    whole: str = ""
    """File that is in it when it is what it should be."""


def scratch_typed(words: Sequence[str]) -> str:
    """The last value of --runtime.scratch among them; empty where there is none."""
    found = ""
    for word, following in zip(words, (*words[1:], ""), strict=True):
        name, equals, value = word.partition("=")
        if name.replace("_", "-") == SCRATCH_FLAG:
            found = value if equals else following
    return found


ADDED = frozenset(
    (
        "--share",
        "--shares",
        "--runtime.gpu-floor",
        "--runtime.gpu-floor-s",
        SCRATCH_FLAG,
        SCRATCH_SIZE_FLAG,
        "--runtime.preflight",
    )
)
"""Flags that a job's command may have beside those typed."""


def _nothing(words: Sequence[str], profile: ClusterProfile, wanted: ResourceOptions) -> list[str]:
    return []


@dataclass(frozen=True, kw_only=True, slots=True)
class JobKind:
    """A command as a job. Fields of the command's class are named, a profile's too."""

    folder: str
    """The run or dataset that it works on, and that its job's folder lies in."""
    needs: tuple[str, ...]
    """What must be there when it starts."""
    profile: str
    """What the profile says of such jobs."""
    gpus: int | None = 0
    """Of each node; None: all that the profile gives."""
    ranks: bool = False
    """It runs as many processes, on as many nodes, as it gets; else it is one process."""
    array: bool = False
    """It is an array of tasks, each of which does its share; a job of ARRAYS, after them, puts these together."""
    trains: bool = False
    """Its folder holds checkpoints and progress.json: its job is watched by them."""
    more: Callable[[Sequence[str], ClusterProfile, ResourceOptions], list[str]] = _nothing
    """Words that the cluster adds to those typed."""

    def works_on(self, command: Any) -> Path:
        return getattr(command, self.folder).absolute()

    def reads(self, command: Any) -> list[WorkFolder]:
        """Nothing can be looked up of what a URL leads to."""
        found = [(name, name.upper(), getattr(command, name)) for name in self.needs]
        for name, flag in (("origin", "--from"), ("features", "--features")):
            if other := getattr(command, name, None):
                found.append(("run", flag, other))
        return [
            WorkFolder(path=Path(path), flag=flag, whole=WHOLE.get(name, ""))
            for name, flag, path in found
            if not _is_url(path)
        ]

    def options(self, profile: ClusterProfile) -> JobOptions:
        return getattr(profile, self.profile)


def paths_typed(command: Any) -> list[Path]:
    """What was typed without a flag and names a file or folder."""
    values = (getattr(command, word.field) for word in declared(type(command)).words)
    return [Path(value) for value in values if not _is_url(value)]


def _is_url(path: Path | str) -> bool:
    return isinstance(path, str) and is_url(path)


def _of_share(words: Sequence[str], profile: ClusterProfile, wanted: ResourceOptions) -> list[str]:
    return ["--share", SHARE]


def _of_so_many(words: Sequence[str], profile: ClusterProfile, wanted: ResourceOptions) -> list[str]:
    """A share that every task finds by itself."""
    return ["--share", SHARE, "--shares", str(wanted.array or profile.pack.array)]


def _of_training(words: Sequence[str], profile: ClusterProfile, wanted: ResourceOptions) -> list[str]:
    guard, added = profile.efficiency, dict[str, str]()
    if guard.gpu_below:
        added |= {"--runtime.gpu-floor": str(guard.gpu_below), "--runtime.gpu-floor-s": str(guard.averaged_over_s)}
    if profile.scratch and not given(words, SCRATCH_FLAG):
        added[SCRATCH_FLAG] = SCRATCH
        if profile.scratch_size:
            added[SCRATCH_SIZE_FLAG] = f"{size(profile.scratch_size, 'scratch_size') / GB:g}"
    preflight = wanted.preflight and not given(words, "--runtime.preflight")
    extra = [word for flag, value in added.items() if not given(words, flag) for word in (flag, value)]
    return extra + ["--runtime.preflight"] * preflight


KINDS = {
    "pack": JobKind(folder="dataset", needs=("videos",), profile="pack", array=True, more=_of_share),
    "train": JobKind(
        folder="run", needs=("dataset",), profile="train", gpus=None, ranks=True, trains=True, more=_of_training
    ),
    "evaluate": JobKind(folder="run", needs=("run", "dataset"), profile="evaluate", gpus=1),
    "finetune": JobKind(folder="out", needs=("run", "dataset"), profile="evaluate", gpus=1, trains=True),
    "verify": JobKind(folder="dataset", needs=("dataset",), profile="pack"),
    "audit": JobKind(folder="dataset", needs=("dataset",), profile="pack"),
    "curate": JobKind(folder="answers", needs=("videos",), profile="pack", array=True, more=_of_so_many),
}


def merging(kind: JobKind) -> JobKind:
    """The job behind an array: the plain command puts together what is done already."""
    return replace(kind, array=False, more=_nothing)
