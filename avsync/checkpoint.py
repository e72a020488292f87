"""What a run folder holds, and how a run's state is written and found again. Nothing read here is ever unpickled.

RUN/run.json                       RunInfo: settings, data, network input; written once
RUN/checkpoints/00001000/          model.pt, optimizer.pt, state.json; written aside and renamed, so a crash leaves only
                                   whole ones, and the newest is taken up. One damaged later stops the run with the
                                   remedy: a person decides to lose its steps, not the program
RUN/best.json                      Best: which checkpoint had the highest validation accuracy
RUN/tensorboard/                   train, validation and chance curves
RUN/evaluation/, RUN/localize/     answers of the trained network (avsync/places.py)
"""

import io
import math
import pickle
import shutil
import warnings
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch

from avsync.config import TrainConfig
from avsync.models.parts import InputSpec, SyncNet
from sharding.clip import FORMAT_VERSION
from sharding.errors import FormatError, InputError
from sharding.files import publish_folder, read_json, write_json
from sharding.index import DatasetInfo

MODEL, OPTIMIZER, STATE = "model.pt", "optimizer.pt", "state.json"
"""Files of a checkpoint."""


@dataclass(frozen=True, slots=True)
class RunPaths:
    """Every file name of a run folder."""

    root: Path

    @property
    def info(self) -> Path:
        return self.root / "run.json"

    @property
    def best(self) -> Path:
        return self.root / "best.json"

    @property
    def tensorboard(self) -> Path:
        return self.root / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def evaluations(self) -> Path:
        return self.root / "evaluation"

    @property
    def localized(self) -> Path:
        return self.root / "localize"

    def checkpoint(self, step: int) -> Path:
        return self.checkpoints / f"{step:08d}"

    def saved_steps(self) -> list[int]:
        """Steps of whole checkpoints, newest first."""
        if not self.checkpoints.is_dir():
            return []
        return sorted((int(path.name) for path in self.checkpoints.iterdir() if path.name.isdecimal()), reverse=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInfo:
    """run.json: what a run is."""

    format_version: int
    config: TrainConfig
    spec: InputSpec
    dataset: DatasetInfo
    dataset_path: str
    data_fingerprint: str
    git: str
    torch: str


@dataclass(frozen=True, slots=True)
class Best:
    """best.json: the checkpoint with the highest validation accuracy."""

    step: int
    accuracy: float
    loss: float = math.inf

    def beats(self, other: "Best") -> bool:
        """Higher accuracy; of equal ones, common where the val split is small, lower loss."""
        return (self.accuracy, -self.loss) > (other.accuracy, -other.loss)


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """state.json: where a checkpoint stands."""

    step: int
    """Steps done."""
    model: str
    digest: str
    """Fingerprint of all clips trained on so far (order.Digest)."""
    skipped: int
    """Clips that could not be read so far."""
    best: Best | None = None
    """The best validation so far."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Saved:
    """A checkpoint in memory."""

    state: State
    model: dict[str, Any]
    optimizer: dict[str, Any]


def save_checkpoint(paths: RunPaths, saved: Saved) -> None:
    """Write a checkpoint: aside, to disk, then renamed.

    One of the same step is replaced. A run that went on from an older checkpoint may reach a step again with other
    numbers (GPUs do not repeat bit by bit); curves and best.json tell of the new ones, so the weights must, too.
    """
    with publish_folder(paths.checkpoint(saved.state.step)) as part:
        _save_tensors(part / MODEL, saved.model)
        _save_tensors(part / OPTIMIZER, saved.optimizer)
        write_json(part / STATE, saved.state)


def _save_tensors(path: Path, tensors: dict[str, Any]) -> None:
    """By way of memory: torch's own writer turns a full disk into an internal error."""
    packed = io.BytesIO()
    torch.save(tensors, packed)
    path.write_bytes(packed.getbuffer())


def load_checkpoint(folder: Path) -> Saved:
    """Read a checkpoint. Raises FormatError when it is damaged or holds anything but tensors and plain values."""
    try:
        return Saved(
            state=_load_state(folder / STATE),
            model=_load_tensors(folder / MODEL),
            optimizer=_load_tensors(folder / OPTIMIZER),
        )
    except FormatError as error:
        raise FormatError(f"{error}; delete its folder to go on from an older checkpoint") from error


def check_model(state: State, wanted: str, folder: Path) -> None:
    """Raises FormatError when the checkpoint is another network's."""
    if state.model != wanted:
        raise FormatError(
            f"{folder} holds network {state.model!r}, its run trains {wanted!r}: it belongs to another run; "
            "put it back there, or delete it to go on from an older checkpoint"
        )


def _load_state(path: Path) -> State:
    if not path.is_file():
        raise FormatError(f"{path} is missing")
    return read_json(path, State)


def _load_tensors(path: Path) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch remarks on foreign pickles before it refuses them
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise FormatError(f"{path} is missing") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        raise FormatError(
            f"{path} is not a plain checkpoint: it is damaged or asks to run code, and nothing in it was run"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).partition(". ")[0] or "it is empty"
        raise FormatError(f"{path} is damaged or cut short ({reason})") from error


def prune(paths: RunPaths, keep: int, best: Best | None) -> None:
    """Delete all but the newest `keep` checkpoints and the best."""
    for step in paths.saved_steps()[keep:]:
        if best is None or step != best.step:
            shutil.rmtree(paths.checkpoint(step))


def restore_weights(model: SyncNet, weights: dict[str, Any], source: Path, name: str) -> None:
    """Put saved weights into a network. Raises FormatError when they belong to another one."""
    try:
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        detail = str(error).splitlines()[-1].strip()
        raise FormatError(f"{source} does not hold a {name!r} network of this size: {detail}") from error


def read_run(paths: RunPaths) -> RunInfo:
    """Read run.json. Raises InputError when the folder is no run, FormatError for another format version."""
    if not paths.info.is_file():
        raise InputError(
            f"{paths.root} is not a run: it has no run.json; make one with avsync train DATASET {paths.root}"
        )
    try:
        info = read_json(paths.info, RunInfo)
    except FormatError as error:
        raise FormatError(f"{error}; put the right one back, or start a new run in another folder") from error
    if info.format_version != FORMAT_VERSION:
        raise FormatError(f"{paths.root} has format version {info.format_version}, this avsync reads {FORMAT_VERSION}")
    return info


def check_same_run(saved: RunInfo, wanted: RunInfo, root: Path) -> None:
    """Raises InputError when `wanted` would not continue `saved`, naming each setting that differs."""
    same_runtime = replace(wanted.config, runtime=saved.config.runtime)
    changed = _differences(saved.config, same_runtime, "")
    if saved.data_fingerprint != wanted.data_fingerprint:
        changed.append(f"the dataset's content (was {saved.dataset_path}, is {wanted.dataset_path})")
    if changed:
        raise InputError(
            f"{root} was started with other settings: {'; '.join(changed)}. "
            "Give the same ones to resume it, or another run folder to start anew"
        )


def _differences(old: Any, new: Any, prefix: str) -> list[str]:
    found: list[str] = []
    for item in fields(old):
        before, after = getattr(old, item.name), getattr(new, item.name)
        name = f"{prefix}{item.name.replace('_', '-')}"
        if is_dataclass(before):
            found += _differences(before, after, f"{name}.")
        elif before != after:
            found.append(f"--{name} was {before}, is {after}")
    return found
