"""Other runs that a new one begins with: whose weights it starts from, and by whose features it sees. No torch here.

Who queues a job asks, too, whether they are there and fit.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from avsync.config import TrainConfig, ViewConfig
from avsync.run.info import Descent, Features, RunInfo, choose_step, read_run
from avsync.run.paths import RunPaths, full_name, run_of, weights_of
from avsync.spec import InputSpec
from sharding.base.files import open_file
from sharding.errors import InputError, UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Ancestor:
    """Another run, found where it was named."""

    paths: RunPaths
    info: RunInfo
    step: int

    @classmethod
    def of(cls, run: Path, config: TrainConfig) -> "Ancestor":
        """Its best checkpoint. Raises InputError, FormatError; UsageError where its network is another one."""
        paths = RunPaths(run_of(run))
        info = read_run(paths)
        if info.config.model != config.model:
            raise UsageError(
                f"--from {run} holds network {info.config.model!r}, and {config.model!r} is to be trained: its weights "
                f"have no place there; give --preset or --model {info.config.model}"
            )
        return cls(paths=paths, info=info, step=choose_step(paths, "best"))

    def descent(self) -> Descent:
        """For run.json."""
        return Descent(run=full_name(self.paths.root.resolve()), step=self.step, digest=digest_of(self.folder))

    @property
    def folder(self) -> Path:
        return self.paths.checkpoint(self.step)


def descent_of(run: Path, origin: Path | None, config: TrainConfig) -> Descent | None:
    """What run.json is to say, or says already: a run that was begun goes on, whatever has become of its origin.

    Raises InputError, FormatError; UsageError where the run was begun from elsewhere.
    """
    if not (paths := RunPaths(run)).info.is_file():
        return Ancestor.of(origin, config).descent() if origin else None
    begun = read_run(paths).descent
    if origin and (begun is None or begun.run != full_name(run_of(origin).resolve())):
        was = f"from {begun.run}" if begun else "without --from"
        raise UsageError(f"{run} was begun {was}, not from {origin}; give the same, or another run folder")
    return begun


def features_of(run: Path, named: Path | None, config: TrainConfig) -> Features | None:
    """By whose features a run takes sounds apart, or did since it was begun; None: it does not, or does it blindly.

    Raises InputError, FormatError; UsageError where they are missing, not wanted, or not those it was begun with.
    """
    if (paths := RunPaths(run)).info.is_file():
        begun = read_run(paths).features
        if named and (begun is None or begun.origin.run != full_name(run_of(named).resolve())):
            was = f"with those of {begun.origin.run}" if begun else "without"
            raise UsageError(f"{run} was begun {was}, not with --features {named}; give the same, or another folder")
        return begun
    if not config.separates or config.separate.task == "blind":
        if named:
            raise UsageError(f"--features {named} is for --preset separate, and there not for --separate.task blind")
        return None
    if named is None:
        raise UsageError(
            "--preset separate needs --features RUN: a run of a sync network, by whose features it sees what sounds"
        )
    other = read_run(RunPaths(run_of(named)))
    if other.config.separates:
        raise UsageError(f"--features {named} takes sounds apart itself; name the run of a sync network")
    ancestor = Ancestor.of(named, other.config)
    return Features(origin=ancestor.descent(), model=other.config.model, spec=other.spec)


def check_features(features: Features, spec: InputSpec, view: ViewConfig) -> None:
    """Raises UsageError, naming what differs, where they are not used to what they would be shown."""
    differ = differences(features.spec, spec)
    if differ:
        raise UsageError(
            f"--features {features.origin.run} was trained with {', '.join(differ)}: pack with the settings of its "
            f"dataset, and give its --view.size and --view.crop (here {view.size} and {view.crop:g})"
        )


def differences(before: InputSpec, now: InputSpec) -> list[str]:
    """What weights are not used to."""
    items = {
        "pictures a second": (before.clock.fps, now.clock.fps),
        "samples a second": (before.clock.sample_rate, now.clock.sample_rate),
        "pixels": (f"{before.width}x{before.height}", f"{now.width}x{now.height}"),
        "channels": (before.channels, now.channels),
    }
    return [f"{old} {name}, now {new}" for name, (old, new) in items.items() if old != new]


def digest_of(folder: Path) -> str:
    """Of the weights' file. Raises InputError."""
    try:
        with open_file(weights_of(folder)) as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()  # pyright: ignore[reportArgumentType]
    except OSError as error:
        raise InputError(
            f"cannot read {weights_of(folder)}: {error.strerror}; choose another run for --from"
        ) from error
