"""What an output folder of `avsync finetune` holds, and whether a call goes on with what is there.

OUT/finetune.json     Begun: settings, network and data; written once
OUT/checkpoints/      as in a run (run/checkpoint.py), of all arms together: so they never stand at different steps
OUT/curves.json       points of the learning curves
OUT/tensorboard/      the same, a folder for each arm
OUT/result.json       Comparison; with results.csv, predictions.csv and plot.png beside it
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from avsync.data.fingerprint import SplitPrint
from avsync.finetune.config import MAY_CHANGE, ArmName, FinetuneConfig
from avsync.finetune.task import Splits
from avsync.run.info import changed_settings
from avsync.run.paths import RunPaths, full_name
from sharding.base.environment import JOBS
from sharding.base.files import check_unicode, foreign, read_json, write_json
from sharding.base.housekeeping import delete
from sharding.base.locks import LOCK_NAME
from sharding.base.text import first_few
from sharding.errors import UsageError
from sharding.format.index import INFO


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """finetune.json."""

    config: FinetuneConfig
    run: str
    """Full path."""
    run_step: int
    """The checkpoint whose weights are the learned ones."""
    model: str
    dataset: str
    """Full path."""
    data: dict[str, SplitPrint]
    classes: tuple[str, ...]


def describe_comparison(
    run: Path, dataset: Path, config: FinetuneConfig, run_step: int, model: str, splits: Splits[Any]
) -> Begun:
    """finetune.json for these settings, and the checkpoint `run_step` of the run."""
    return Begun(
        config=config,
        run=full_name(run.resolve()),
        run_step=run_step,
        model=model,
        dataset=full_name(dataset.resolve()),
        classes=splits.classes,
        data={split: feed.fingerprint() for split, feed in splits.feeds.items()},
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class LearningPoint:
    """One point of a learning curve."""

    arm: ArmName
    split: str
    """train: mean since the point before; val: the fixed clips."""
    step: int
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class OutPaths:
    """Every file name of an output folder."""

    root: Path

    @property
    def run(self) -> RunPaths:
        """Checkpoints and TensorBoard lie as in a run."""
        return RunPaths(self.root)

    @property
    def begun(self) -> Path:
        return self.root / "finetune.json"

    @property
    def curves(self) -> Path:
        return self.root / "curves.json"

    @property
    def result(self) -> Path:
        return self.root / "result.json"

    @property
    def table(self) -> Path:
        return self.root / "results.csv"

    @property
    def predictions(self) -> Path:
        return self.root / "predictions.csv"

    @property
    def plot(self) -> Path:
        return self.root / "plot.png"


def check_free(out: OutPaths) -> None:
    """A comparison goes into a new or empty folder, or goes on in its own. Raises InputError."""
    check_unicode(out.root)
    if not out.root.is_dir() or out.begun.is_file():
        return
    for name, kind in ((out.run.info.name, "a run"), (INFO, "a dataset")):
        if (out.root / name).exists():
            raise UsageError(f"{out.root} is {kind}; give avsync finetune another folder for its results")
    if others := foreign(out.root, (LOCK_NAME, JOBS)):
        raise UsageError(
            f"{out.root} holds other files ({first_few(others)}); give avsync finetune a new folder for its results"
        )


def settle(out: OutPaths, wanted: Begun) -> Begun:
    """Make the folder this comparison's, or check that it is; returns what it was begun with.

    For who holds its lock. Raises InputError when it was begun with other settings, data or another network.
    """
    from avsync.run.checkpoint import tidy  # late: it loads torch, and whoever only asks has none

    saved = check_begun(out, wanted)
    if saved is None:
        write_json(out.begun, wanted)
        delete(out.curves)
        return wanted
    tidy(out.run)
    return replace(saved, config=wanted.config)


def check_begun(out: OutPaths, wanted: Begun) -> Begun | None:
    """What the folder's comparison was begun with; None where nothing would be lost by a new beginning.

    Raises UsageError when it was begun with other settings, data or another network, FormatError.
    """
    if not out.begun.is_file() or not out.run.saved_steps():
        return None
    saved = read_json(out.begun, Begun)
    if changed := _changes(saved, wanted):
        raise UsageError(
            f"{out.root} was begun with other settings: {'; '.join(changed)}. "
            "Give the same ones to go on, or another folder to start anew"
        )
    return saved


def _changes(saved: Begun, wanted: Begun) -> list[str]:
    """The run's step may be another one meanwhile: the weights that were taken from it are in the checkpoint."""
    config = replace(wanted.config, **{name: getattr(saved.config, name) for name in MAY_CHANGE})
    found = changed_settings(saved.config, config)
    texts: tuple[tuple[str, Any, Any], ...] = (
        ("RUN", saved.run, wanted.run),
        ("its network", saved.model, wanted.model),
        ("DATASET", saved.dataset, wanted.dataset),
    )
    found += [f"{name} was {old}, is {new}" for name, old, new in texts if old != new]
    if not found and (saved.data, saved.classes) != (wanted.data, wanted.classes):
        found.append("the dataset has changed")
    return found
