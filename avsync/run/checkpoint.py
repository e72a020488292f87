"""What a run folder holds, and how a run's state is written and found again. Nothing read here is ever unpickled.

RUN/run.json                RunInfo (info.py): settings, data, network input; written once
RUN/receipts.jsonl          Receipt (receipt.py): a line for each attempt
RUN/checkpoints/00001000/   model.pt, optimizer.pt, state.json; written aside and renamed, so a crash leaves only whole
                            ones, and the newest is taken up. One damaged later stops the run with the remedy: a person
                            decides to lose its steps, not the program
RUN/progress.json           RunProgress (progress.py): where it stands now
RUN/jobs/                   of who started it on a cluster
RUN/best.json               Best: which checkpoint had the highest audited accuracy
RUN/validations.jsonl       ValidationPoint (diagnosis.py): a line for each validation
RUN/trust.json              TrustRecord: how to read its logits as evidence about a file (avsync/confidence)
RUN/maps.csv                does each validation clip's map listen, at the last validation (avsync/honesty)
RUN/tensorboard/            train, validation and chance curves
RUN/evaluation/, localize/, score/   answers of the trained network (paths.py)
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from avsync.run.paths import MODEL, SAFE_MODEL, RunPaths, weights_of
from avsync.run.state import Best, State
from avsync.run.tensor_file import load_safetensors, load_tensors, save_tensors
from sharding.base.files import OLD, PART, publish_folder, read_json, write_json
from sharding.base.guarded import entries_of, move
from sharding.base.housekeeping import below, delete, housekeeping
from sharding.base.text import size
from sharding.errors import FormatError

OPTIMIZER, STATE = "optimizer.pt", "state.json"
"""Files of a checkpoint, beside its weights."""
SHIPPED = SAFE_MODEL
"""In place of both files of tensors, of a network that nobody trains on there (ship.py)."""
GONE = ".gone"
"""Suffix of a checkpoint that is being deleted."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Saved:
    """A checkpoint in memory."""

    state: State
    model: dict[str, Any]
    optimizer: dict[str, Any]


def save_checkpoint(paths: RunPaths, saved: Saved, going: Callable[[], None] = lambda: None) -> None:
    """Write a checkpoint: aside, to disk, then renamed. going: called again and again, to end it by an exception.

    One of the same step is replaced. A run that went on from an older checkpoint may reach a step again with other
    numbers (GPUs do not repeat bit by bit); curves and best.json tell of the new ones, so the weights must, too.

    Raises OSError, which names the folder, and how much room it takes where that is missing.
    """
    folder = paths.checkpoint(saved.state.step)
    try:
        with publish_folder(folder) as part:
            save_tensors(part / MODEL, saved.model, going)
            save_tensors(part / OPTIMIZER, saved.optimizer, going)
            write_json(part / STATE, saved.state)
            going()
    except OSError as error:
        raise OSError(error.errno, _why(error, folder, saved), str(folder)) from error


def _why(error: OSError, folder: Path, saved: Saved) -> str:
    fact = error.strerror or str(error)
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return fact
    needed = size(bytes_of((saved.model, saved.optimizer)))
    with suppress(OSError):
        disk = os.statvfs(folder.parent)  # of a quota it knows nothing
        return f"{fact} (a checkpoint takes {needed}, the disk has {size(disk.f_bavail * disk.f_frsize)} left)"
    return f"{fact} (a checkpoint takes {needed})"


def bytes_of(value: Any) -> int:
    """Of all tensors in nested dictionaries and lists."""
    if isinstance(value, torch.Tensor):
        return value.nbytes
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return sum(map(bytes_of, inner))


def keep_checkpoint(paths: RunPaths, saved: Saved, keep: int, going: Callable[[], None] = lambda: None) -> None:
    """Write a checkpoint, say which is the best, and delete all but the newest `keep` and that one.

    Only the first of these may fail.
    """
    save_checkpoint(paths, saved, going)
    note_best(paths, saved.state)
    prune(paths, keep, saved.state.best)


def note_best(paths: RunPaths, state: State) -> None:
    """best.json, for those who ask the run. The checkpoint says so, too."""
    if state.best:
        with housekeeping("write", paths.best):
            write_json(paths.best, state.best)


def load_checkpoint(folder: Path) -> Saved:
    """Read a checkpoint. Raises FormatError when it is damaged or holds anything but tensors and plain values."""
    try:
        return Saved(
            state=_load_state(folder / STATE),
            model=load_weights(folder),
            optimizer={} if weights_of(folder).name == SHIPPED else load_tensors(folder / OPTIMIZER),
        )
    except FormatError as error:
        raise FormatError(f"{error}; delete its folder to go on from an older checkpoint") from error


def load_weights(folder: Path) -> dict[str, Any]:
    """Of a checkpoint. Raises FormatError, InputError."""
    path = weights_of(folder)
    return load_safetensors(path) if path.name == SHIPPED else load_tensors(path)


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


def prune(paths: RunPaths, keep: int, best: Best | None) -> None:
    """Delete all but the newest `keep` checkpoints and the best. What a link leads to is none of ours."""
    steps = list[int]()
    with housekeeping("list", paths.checkpoints):
        folders = {entry.name for entry in entries_of(paths.checkpoints) if entry.is_folder}
        steps = [step for step in paths.saved_steps() if paths.checkpoint(step).name in folders]
    for step in steps[keep:]:
        if best is None or step != best.step:
            old, gone = paths.checkpoint(step), paths.checkpoint(step).with_suffix(GONE)
            with housekeeping("delete", old):
                move(old, gone)  # first: what has its name is whole, also while it is being deleted
                delete(gone)


def tidy(paths: RunPaths) -> None:
    """Put away what a crash left half done, or somebody else may not delete. For who holds the run's lock."""
    for path in below(paths.checkpoints, "*.*", links=True):
        named = path.with_name(path.stem.partition("-")[0])  # 00000005-2.part: see publish_folder
        if path.suffix == OLD and path.is_dir() and not path.is_symlink() and not os.path.lexists(named):
            with housekeeping("rename", path):
                move(path, named)  # the crash came just before its successor got the name
        elif path.suffix in (PART, OLD, GONE):
            delete(path)


def restore_weights(model: nn.Module, weights: dict[str, Any], source: Path, name: str) -> None:
    """Put saved weights into a network. Raises FormatError when they belong to another one."""
    try:
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        detail = str(error).splitlines()[-1].strip()
        raise FormatError(
            f"{source} does not hold a {name!r} network of this size: {detail}; delete it, and an older one is used"
        ) from error
