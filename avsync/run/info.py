"""run.json: what a run is, and whether what is wanted now would go on with it. No torch: who queues a job asks it, too.

A run that went on with other clips would look like any other run. What has changed is named in plain words.
"""

import hashlib
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import msgspec
import numpy as np

from avsync.config import TrainConfig
from avsync.data.fingerprint import SplitPrint, difference
from avsync.data.order import Order
from avsync.data.selection import Selection
from avsync.run.paths import PROGRESS, RunPaths, no_run
from avsync.run.state import Best
from avsync.spec import InputSpec
from sharding.base.console import open_console
from sharding.base.environment import JOBS, commit_of
from sharding.base.files import PART, Count, PathText, broken_link, check_unicode, foreign, read_json, to_json
from sharding.base.locks import LOCK_NAME
from sharding.base.text import first_few, shown
from sharding.errors import FormatError, InputError, UsageError
from sharding.format.clip import FORMAT_VERSION, Fit
from sharding.format.index import INFO, DatasetInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class Descent:
    """Where a run's first weights come from (descent.py)."""

    run: PathText
    """Full path."""
    step: Count
    digest: str
    """Of the file that holds them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Features:
    """The sync network by whose features a network takes sounds apart (descent.py); its checkpoints hold both."""

    origin: Descent
    model: str
    spec: InputSpec
    """What it was trained on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInfo:
    """run.json: what a run is."""

    format_version: Count
    config: TrainConfig
    spec: InputSpec
    dataset: DatasetInfo
    dataset_path: Annotated[str, msgspec.Meta(max_length=2**16, pattern=r"\A[^\0]*\Z")]
    data: dict[str, SplitPrint]
    """Of the splits that are used."""
    draws: str
    """Fingerprint of step 0: its clips, windows, crops and flips."""
    git: str
    torch: str
    numpy: str
    descent: Descent | None = None
    """None: it began from random weights."""
    features: Features | None = None
    """None: it is a sync network itself, or takes sounds apart blindly."""


def read_run(paths: RunPaths) -> RunInfo:
    """Read run.json. Raises InputError when the folder is no run, FormatError for another format version."""
    if not paths.info.is_file():
        raise InputError(no_run(paths.root))
    try:
        info = read_json(paths.info, RunInfo)
    except FormatError as error:
        raise FormatError(f"{error}; put the right one back, or start a new run in another folder") from error
    if info.format_version != FORMAT_VERSION:
        raise FormatError(
            f"{paths.root} has format version {info.format_version}, this avsync reads {FORMAT_VERSION}: use the "
            "avsync that trained it, or train anew in another folder"
        )
    return info


def describe_run(
    location: str, config: TrainConfig, train: Selection, validation: Selection | None, order: Order, torch: str = ""
) -> RunInfo:
    """run.json for these settings and this data, which lies at `location`; `torch`: its version."""
    return RunInfo(
        format_version=FORMAT_VERSION,
        config=config,
        spec=train.spec(),
        dataset=train.dataset.info,
        dataset_path=location,
        data={part.dataset.split: part.fingerprint() for part in (train, validation) if part},
        draws=hashlib.blake2b(to_json(train.draws(order, 0)), digest_size=8).hexdigest(),
        git=commit_of(),
        torch=torch,
        numpy=np.__version__,
    )


def check_folder_of_run(paths: RunPaths) -> None:
    """A run goes into a new or empty folder, or goes on in its own. Raises InputError."""
    check_unicode(paths.root)
    for kept in (paths.checkpoints, paths.tensorboard):
        if why := broken_link(kept):
            raise InputError(f"{why}; mend the link, or give the run a new folder")
    if (paths.root / INFO).exists():
        raise UsageError(f"{paths.root} is a dataset; give the run another folder")
    if paths.info.exists() or paths.saved_steps() or not paths.root.is_dir():
        return
    known = (LOCK_NAME, paths.tensorboard.name, PROGRESS, PROGRESS + PART, JOBS)
    if others := foreign(paths.root, known):
        raise UsageError(
            f"{paths.root} holds other files ({first_few(others)}) and is no run; give the run a new folder"
        )


def check_begun(paths: RunPaths, wanted: RunInfo) -> RunInfo | None:
    """What the folder's run was begun as, which `wanted` goes on with; None: it is nobody's.

    Raises InputError when another run lives there.
    """
    if paths.info.is_file():
        saved = read_run(paths)
        check_same_run(saved, wanted, paths.root)
        return saved
    if paths.saved_steps():
        raise FormatError(f"{paths.root} has checkpoints but no run.json: put it back, or use another run folder")
    return None


def check_same_run(saved: RunInfo, wanted: RunInfo, root: Path) -> None:
    """Raises UsageError when `wanted` would not continue `saved`, naming each setting and what of the data differs."""
    check_same_settings(saved, wanted.config, root)
    check_same_data(saved, wanted, root)
    if saved.draws != wanted.draws:
        raise UsageError(
            f"{root} was started with software that draws other clips or windows from the same seed "
            f"(avsync {saved.git or 'unknown'}, NumPy {saved.numpy}; now {wanted.git or 'unknown'}, {wanted.numpy}). "
            "Use that one to resume it, or another run folder to start anew"
        )


def check_same_settings(saved: RunInfo, wanted: TrainConfig, root: Path) -> None:
    """Raises UsageError when these settings would not continue `saved`, naming each that differs.

    More steps continue it where the rate of a step does not depend on how many there are.
    """
    before, now = saved.config, replace(wanted, runtime=saved.config.runtime)
    more = now.steps > before.steps
    if more and now.optim.schedule == before.optim.schedule == "constant":
        now = replace(now, steps=before.steps)
    if changed := changed_settings(before, now):
        fixed = f" The cosine schedule ends at rate 0 with step {before.steps}: only a constant one can be made longer"
        cosine = fixed if more and len(changed) == 1 else ""
        raise UsageError(
            f"{root} was started with other settings: {'; '.join(changed)}. "
            f"Give the same ones to resume it, or another run folder to start anew.{cosine}"
        )


def check_same_data(saved: RunInfo, wanted: RunInfo, root: Path) -> None:
    """Raises UsageError when the dataset's content is not what the run was begun with, saying what is different."""
    if changed := _data(saved, wanted):
        raise UsageError(
            f"{root} was started with other data: {'; '.join(changed)} (the dataset was {saved.dataset_path}, "
            f"is {wanted.dataset_path}). Give it the dataset it began with, or another run folder to start anew"
        )


def changed_settings(old: Any, new: Any, prefix: str = "") -> list[str]:
    """Flags whose values differ, with both."""
    found: list[str] = []
    for item in fields(old):
        before, after = getattr(old, item.name), getattr(new, item.name)
        name = f"{prefix}{item.name.replace('_', '-')}"
        if is_dataclass(before):
            found += changed_settings(before, after, f"{name}.")
        elif before != after:
            found.append(f"--{name} was {shown(str(before))}, is {shown(str(after))}")
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


class Trained(Protocol):
    """What a network was trained on: run.json, or the network itself."""

    @property
    def spec(self) -> InputSpec: ...
    @property
    def dataset(self) -> DatasetInfo: ...


def check_same_input(trained: Trained, feed: Selection, dataset: object) -> None:
    """Raises UsageError, naming what differs, when the dataset is not what the network was trained on."""
    had = _traits(trained.spec, trained.dataset.fit)
    given = _traits(feed.spec(), feed.dataset.info.fit)
    differ = [f"{name} {had[name]}, the dataset {given[name]}" for name in had if had[name] != given[name]]
    if differ:
        raise UsageError(
            f"{dataset} does not fit this network, which was trained with {'; with '.join(differ)}: "
            "pack the videos with the settings of the training dataset"
        )


def _traits(spec: InputSpec, fit: Fit) -> dict[str, str]:
    """What a network is used to, in words. A window's length in frames and samples follows from these."""
    return {
        "pictures a second": str(spec.clock.fps),
        "samples a second": str(spec.clock.sample_rate),
        "audio channels": str(spec.channels),
        "picture": f"{spec.width}x{spec.height}",
        "fit": fit,
    }


def choose_step(paths: RunPaths, which: Literal["best", "last"]) -> int:
    """The checkpoint's step."""
    steps = paths.saved_steps()
    if not steps:
        why = broken_link(paths.checkpoints) or "let avsync train reach its first one"
        raise InputError(f"{paths.root} has no checkpoint yet: {why}")
    if which == "last" or not paths.best.is_file():
        return steps[0]
    try:
        best = read_json(paths.best, Best).step
    except FormatError as error:
        raise FormatError(f"{error}; delete it, or give --checkpoint last") from error
    if best in steps:
        return best
    open_console(stderr=True).print(
        f"The best checkpoint, step {best}, is gone from {paths.checkpoints}: the newest, step {steps[0]}, is used",
        style="yellow",
        soft_wrap=True,
    )
    return steps[0]
