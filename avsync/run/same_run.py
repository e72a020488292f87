"""Whether settings, data and software would go on with a run as it was begun; if not, what has changed, in plain words.

Asked before anything is trained: a run that went on with other clips would look like any other run.
"""

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from avsync.data.fingerprint import difference
from avsync.run.checkpoint import RunInfo
from avsync.run.state import Origin, State
from sharding.errors import FormatError, InputError
from sharding.format.index import DatasetInfo


def check_same_run(saved: RunInfo, wanted: RunInfo, root: Path) -> None:
    """Raises InputError when `wanted` would not continue `saved`, naming each setting and what of the data differs."""
    same_runtime = replace(wanted.config, runtime=saved.config.runtime)
    if changed := _settings(saved.config, same_runtime, ""):
        raise InputError(
            f"{root} was started with other settings: {'; '.join(changed)}. "
            "Give the same ones to resume it, or another run folder to start anew"
        )
    check_same_data(saved, wanted, root)
    if saved.draws != wanted.draws:
        raise InputError(
            f"{root} was started with software that draws other clips or windows from the same seed "
            f"(avsync {saved.git or 'unknown'}, NumPy {saved.numpy}; now {wanted.git or 'unknown'}, {wanted.numpy}). "
            "Use that one to resume it, or another run folder to start anew"
        )


def check_same_data(saved: RunInfo, wanted: RunInfo, root: Path) -> None:
    """Raises InputError when the dataset's content is not what the run was begun with, saying what is different."""
    if changed := _data(saved, wanted):
        raise InputError(
            f"{root} was started with other data: {'; '.join(changed)} (the dataset was {saved.dataset_path}, "
            f"is {wanted.dataset_path}). Give it the dataset it began with, or another run folder to start anew"
        )


def check_origin(state: State, origin: Origin, folder: Path) -> None:
    """Raises FormatError when a checkpoint was trained with another seed, batch or dataset than its run says."""
    before = state.origin or origin
    changed = [
        f"{name} was {getattr(before, item)}, the run's is {getattr(origin, item)}"
        for item, name in (("seed", "--seed"), ("batch", "--batch"))
        if getattr(before, item) != getattr(origin, item)
    ]
    changed += ["the dataset was another one"] * (before.data != origin.data)
    if changed:
        raise FormatError(
            f"{folder} was trained on other clips than its run trains on: {'; '.join(changed)}. It belongs to another "
            "run: put it back there, or delete it to go on from an older checkpoint"
        )


def _settings(old: Any, new: Any, prefix: str) -> list[str]:
    found: list[str] = []
    for item in fields(old):
        before, after = getattr(old, item.name), getattr(new, item.name)
        name = f"{prefix}{item.name.replace('_', '-')}"
        if is_dataclass(before):
            found += _settings(before, after, f"{name}.")
        elif before != after:
            found.append(f"--{name} was {before}, is {after}")
    return found


def _form(info: DatasetInfo) -> dict[str, object]:
    """What all clips share, as a person would name it."""
    return {
        "stored form": info.codec,
        "size": f"{info.width}x{info.height}",
        "fit": info.fit,
        "frames a second": info.clock.fps,
        "sample rate": info.clock.sample_rate,
        "channels": info.channels,
    }


def _data(saved: RunInfo, wanted: RunInfo) -> list[str]:
    old, new = _form(saved.dataset), _form(wanted.dataset)
    changed = [f"its {name} was {value}, is {new[name]}" for name, value in old.items() if value != new[name]]
    if changed:
        return changed  # then the bytes differ as well, which says nothing more
    both = [name for name in saved.data if name in wanted.data]
    return [text for name in both if (text := difference(name, saved.data[name], wanted.data[name]))]
