"""Where a run's first weights come from: `avsync train DATASET RUN --from OTHER`.

What OTHER had learned is taken over by name and shape; what is worked out from the dataset (mel filters, windows) is
the new run's own. run.json keeps the descent, so that the same command begins with the very same weights as long as
no checkpoint of its own is there, and says so where they are gone.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from torch.nn.modules.batchnorm import (
    _BatchNorm,  # pyright: ignore[reportPrivateUsage] # the common class of all of torch's
)

from avsync.config import TrainConfig
from avsync.models.parts import SyncNet
from avsync.run.checkpoint import load_weights, weights_of
from avsync.run.info import Descent, RunInfo, choose_step, read_run
from avsync.run.paths import RunPaths, full_name, run_of
from avsync.spec import InputSpec
from sharding.base.files import open_file
from sharding.base.text import counted
from sharding.errors import FormatError, InputError, UsageError


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
        return Descent(run=full_name(self.paths.root.resolve()), step=self.step, digest=_digest(self.folder))

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


def take_weights(network: SyncNet, descent: Descent, spec: InputSpec) -> str:
    """Put the ancestor's weights into `network`; returns what was taken, as one sentence.

    Raises InputError, FormatError where they are gone, or are not those that the run began with.
    """
    run = Path(descent.run)
    folder = RunPaths(run).checkpoint(descent.step)
    before = read_run(RunPaths(run))
    saved = load_weights(folder)
    if _digest(folder) != descent.digest:
        raise FormatError(
            f"{folder} is not what this run was begun from: it was trained anew. Start a new run in another folder"
        )
    own = network.state_dict()
    learned = [name for name in _learned(network) if name in saved and saved[name].shape == own[name].shape]
    if not learned:
        raise UsageError(f"nothing in {folder} fits this network, whose windows or sizes are others; leave --from out")
    network.load_state_dict({name: saved[name] for name in learned}, strict=False)
    left = len(_learned(network)) - len(learned)
    kept = f"; {counted(left, 'tensor')} of other shapes begin anew" if left else ""
    return f"starts from {descent.run}, step {descent.step:,}: {counted(len(learned), 'tensor')} taken{kept}" + (
        _differs(before.spec, spec)
    )


def _differs(before: InputSpec, now: InputSpec) -> str:
    """What its weights are not used to."""
    items = {
        "pictures a second": (before.clock.fps, now.clock.fps),
        "samples a second": (before.clock.sample_rate, now.clock.sample_rate),
        "pixels": (f"{before.width}x{before.height}", f"{now.width}x{now.height}"),
        "channels": (before.channels, now.channels),
    }
    changed = [f"{old} {name}, now {new}" for name, (old, new) in items.items() if old != new]
    return f"; it was trained with {', '.join(changed)}" if changed else ""


def _learned(network: nn.Module) -> list[str]:
    """Weights, and the statistics of batch norm; no tables that follow from the input."""
    statistics = (
        f"{path}.{name}" if path else name
        for path, module in network.named_modules()
        if isinstance(module, _BatchNorm)
        for name, _ in module.named_buffers(recurse=False)
    )
    return [*(name for name, _ in network.named_parameters()), *statistics]


def _digest(folder: Path) -> str:
    """Of the weights' file. Raises InputError."""
    try:
        with open_file(weights_of(folder)) as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()  # pyright: ignore[reportArgumentType]
    except OSError as error:
        raise InputError(
            f"cannot read {weights_of(folder)}: {error.strerror}; choose another run for --from"
        ) from error
