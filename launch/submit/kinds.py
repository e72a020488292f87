"""What can be submitted, and how each command becomes a job. To add one: a class here, a line in KINDS."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from launch.job.record import SCRATCH, SHARE
from launch.site.profile import ClusterProfile, JobWishes, size
from launch.submit.resources import ResourceOptions
from launch.submit.typed import given

PACK, MERGE = "pack", "pack-merge"
GB = 10**9


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkFolder:
    """A folder or file that a command reads."""

    path: Path
    flag: str
    """How --help calls it."""
    whole: str = ""
    """File that is in it when it is what it should be."""


class JobKind(Protocol):
    """A command as a job."""

    @property
    def command(self) -> str:
        """Its class in launch.commands.data."""
        ...

    @property
    def gpus(self) -> int | None:
        """Of each node; None: all that the profile gives."""
        ...

    @property
    def ranks(self) -> bool:
        """It runs as many processes, on as many nodes, as it gets."""
        ...

    def target(self, command: Any) -> Path:
        """The run or dataset that it works on, and that its job's folder lies in."""
        ...

    def reads(self, command: Any) -> list[WorkFolder]:
        """What must be there when it starts."""
        ...

    def places(self, command: Any) -> list[Path]:
        """What was typed without a flag and names a file or folder."""
        ...

    def wishes(self, profile: ClusterProfile) -> JobWishes:
        """What the profile says of such jobs."""
        ...

    def more(self, words: Sequence[str], profile: ClusterProfile, wanted: ResourceOptions) -> list[str]:
        """Words that the cluster adds to those typed."""
        ...


@dataclass(frozen=True, slots=True)
class PackJob:
    """An array of tasks, each packs its share; a job after them puts the shares together."""

    command: str = "Pack"
    gpus: int | None = 0
    ranks: bool = False
    share: bool = True

    def target(self, command: Any) -> Path:
        return command.dataset.absolute()

    def reads(self, command: Any) -> list[WorkFolder]:
        return [WorkFolder(path=command.videos, flag="VIDEOS")]

    def places(self, command: Any) -> list[Path]:
        return [command.videos, command.dataset]

    def wishes(self, profile: ClusterProfile) -> JobWishes:
        return profile.pack

    def more(self, words: Sequence[str], profile: ClusterProfile, wanted: ResourceOptions) -> list[str]:
        return ["--share", SHARE] if self.share else []


@dataclass(frozen=True, slots=True)
class TrainJob:
    """As many ranks as there are GPUs."""

    command: str = "Train"
    gpus: int | None = None
    ranks: bool = True

    def target(self, command: Any) -> Path:
        return command.run.absolute()

    def reads(self, command: Any) -> list[WorkFolder]:
        return [] if _is_url(command.dataset) else [dataset_at(Path(command.dataset))]

    def places(self, command: Any) -> list[Path]:
        return [command.run] if _is_url(command.dataset) else [Path(command.dataset), command.run]

    def wishes(self, profile: ClusterProfile) -> JobWishes:
        return profile.train

    def more(self, words: Sequence[str], profile: ClusterProfile, wanted: ResourceOptions) -> list[str]:
        guard, own_scratch = profile.efficiency, given(words, "--runtime.scratch")
        added = dict[str, str]()
        if guard.gpu_below:
            added |= {
                "--runtime.gpu-floor": str(guard.gpu_below),
                "--runtime.gpu-floor-s": str(guard.averaged_over_s),
            }
        if profile.scratch and not own_scratch:
            added["--runtime.scratch"] = SCRATCH
            if profile.scratch_size:
                added["--runtime.scratch-gb"] = f"{size(profile.scratch_size, 'scratch_size') / GB:g}"
        preflight = wanted.preflight and not given(words, "--runtime.preflight")
        extra = [word for flag, value in added.items() if not given(words, flag) for word in (flag, value)]
        return extra + ["--runtime.preflight"] * preflight


@dataclass(frozen=True, slots=True)
class EvaluateJob:
    """One process, on one GPU where there is one."""

    command: str = "Evaluate"
    gpus: int | None = 1
    ranks: bool = False

    def target(self, command: Any) -> Path:
        return command.run.absolute()

    def reads(self, command: Any) -> list[WorkFolder]:
        return [WorkFolder(path=command.run, flag="RUN", whole="run.json"), dataset_at(command.dataset)]

    def places(self, command: Any) -> list[Path]:
        return [command.run, command.dataset]

    def wishes(self, profile: ClusterProfile) -> JobWishes:
        return profile.evaluate

    def more(self, words: Sequence[str], profile: ClusterProfile, wanted: ResourceOptions) -> list[str]:
        return []


@dataclass(frozen=True, slots=True)
class FinetuneJob:
    """One process, on one GPU where there is one; it works on its results' folder."""

    command: str = "Finetune"
    gpus: int | None = 1
    ranks: bool = False

    def target(self, command: Any) -> Path:
        return command.out.absolute()

    def reads(self, command: Any) -> list[WorkFolder]:
        return [WorkFolder(path=command.run, flag="RUN", whole="run.json"), dataset_at(command.dataset)]

    def places(self, command: Any) -> list[Path]:
        return [command.run, command.dataset, command.out]

    def wishes(self, profile: ClusterProfile) -> JobWishes:
        return profile.evaluate

    def more(self, words: Sequence[str], profile: ClusterProfile, wanted: ResourceOptions) -> list[str]:
        return []


@dataclass(frozen=True, slots=True)
class DatasetJob:
    """Looks at a dataset: one process on the cores that packing gets, without a GPU."""

    command: str
    gpus: int | None = 0
    ranks: bool = False

    def target(self, command: Any) -> Path:
        return command.dataset.absolute()

    def reads(self, command: Any) -> list[WorkFolder]:
        return [dataset_at(command.dataset)]

    def places(self, command: Any) -> list[Path]:
        return [command.dataset]

    def wishes(self, profile: ClusterProfile) -> JobWishes:
        return profile.pack

    def more(self, words: Sequence[str], profile: ClusterProfile, wanted: ResourceOptions) -> list[str]:
        return []


def dataset_at(folder: Path) -> WorkFolder:
    """A packed dataset."""
    return WorkFolder(path=folder, flag="DATASET", whole="dataset.json")


def _is_url(text: str) -> bool:
    from avsync.staging.location import is_url

    return is_url(text)


KINDS: dict[str, JobKind] = {
    "pack": PackJob(),
    "train": TrainJob(),
    "evaluate": EvaluateJob(),
    "finetune": FinetuneJob(),
    "verify": DatasetJob("Verify"),
    "audit": DatasetJob("Audit"),
}
MERGE_KIND = PackJob(share=False)
"""Plain pack puts together what is packed already."""
