"""Whether the work itself would refuse: asked before it is queued, by the very checks that it makes when it starts.

What settings, dataset and number of processes decide by themselves would end the job after its wait in the queue, and
nothing on a node could change it. Of what an earlier job of the chain makes, as much is asked as its settings tell.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.job.record import JobRecord
from launch.site.amounts import NodeCounts, spans
from launch.submit.kinds import INDEX, PACK
from launch.submit.plan import JobPlan
from launch.submit.resources import tasks_fixed_by
from launch.watch.meant import ARRAYS
from sharding.base.environment import HOME
from sharding.errors import AvsyncError, UsageError

if TYPE_CHECKING:
    from avsync.config import PairConfig, TrainConfig, ViewConfig
    from avsync.data.selection import Selection
    from avsync.spec import InputSpec
    from sharding.format.dataset import Dataset
    from sharding.format.index import DatasetInfo

MOST_SHARES, MOST_BATCH = 16, 2**16
"""Numbers of nodes whose common multiple is looked for; the largest batch that is worth advising."""
PATIENCE_S = 120.0
"""For torch to be loaded, once, by a process of its own: on a login node it may be slow, or not be allowed to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WillBeTrained:
    """What a network will have been trained on, when a job before has ended well."""

    config: "TrainConfig"
    spec: "InputSpec"
    dataset: "DatasetInfo"


@dataclass(slots=True)
class Before:
    """What the jobs before make, by its real path; None: nothing is known of it."""

    packed: dict[str, Any] = field(default_factory=dict[str, Any])
    """Dataset -> the pack command."""
    trained: dict[str, WillBeTrained | None] = field(default_factory=dict[str, "WillBeTrained | None"])
    networks: list[tuple[str, str, "InputSpec"]] = field(default_factory=list[tuple[str, str, "InputSpec"]])
    """Kind of job, network and window: what only torch can tell."""

    def select(
        self, dataset: Path, split: str, pairs: "PairConfig", view: "ViewConfig", trained: "TrainConfig | None" = None
    ) -> "Selection":
        """Of the dataset as it stands, or as its settings promise it; trained: where it is for a training."""
        from avsync.data.pairs import build_sampler
        from avsync.data.selection import Selection, sampler_of

        sampler = sampler_of(trained) if trained else build_sampler
        if pack := self.packed.get(_real(dataset)):
            return Selection.of_dataset(_promised(pack, dataset, split), pairs, view, sampler)
        return Selection.of_folder(dataset, split, pairs, view, sampler=sampler)

    def knows(self, dataset: Path) -> bool:
        """It is there, or what it will be is known. That it is missing is told elsewhere."""
        return _real(dataset) in self.packed or (dataset / INDEX).is_file()


def problems(plans: Sequence[JobPlan]) -> tuple[list[str], list[str]]:
    """Why jobs of a chain could never run, the first of each; and what could not be asked. Nothing is written."""
    found, before = list[str](), Before()
    for plan in plans:
        try:
            if check := CHECKS.get(plan.record.kind):
                check(plan, before)
        except AvsyncError as error:
            found.append(f"{plan.record.kind}: {error}")
    if found:
        return found, []
    return _ask_networks(before.networks)


def _pack(plan: JobPlan, before: Before) -> None:
    from sharding.plan.todo import OnDisk
    from sharding.sources.find import settled

    command = replace(plan.command, config=settled(plan.command.videos, plan.command.config))
    folder = OnDisk(command.dataset)
    folder.check()
    folder.check_settings(command.config)
    before.packed[_real(command.dataset)] = command


def _curate(plan: JobPlan, before: Before) -> None:
    from avsync.run.info import choose_step, read_run
    from avsync.run.paths import RunPaths, run_of

    config = plan.command.config
    paths = RunPaths(run_of(Path(config.network)))
    if _real(paths.root) not in before.trained:
        read_run(paths)
        choose_step(paths, config.checkpoint)


def _train(plan: JobPlan, before: Before) -> None:
    from avsync.run.info import check_folder_of_run, check_same_settings, read_run
    from avsync.run.origins import check_features, features_of
    from avsync.run.paths import RunPaths
    from avsync.staging.mirror import check_scratch

    command, paths = plan.command, RunPaths(plan.command.run)
    config: TrainConfig = command.config
    before.trained[_real(command.run)] = None
    check_folder_of_run(paths)
    if paths.info.is_file():
        check_same_settings(read_run(paths), config, paths.root)
    check_shared(plan.record, config.batch, config.runtime.accumulate, partners=config.separates)
    seen_by = None
    if command.features is None or _real(command.features) not in before.trained:
        seen_by = features_of(command.run, command.features, config)
    location = check_scratch(command.dataset, config.runtime.scratch or plan.record.profile.scratch)
    if location.folder is None or not before.knows(location.folder):
        return
    train = _train_on(location.folder, command.run, config, before)
    before.trained[_real(command.run)] = WillBeTrained(config=config, spec=train.spec(), dataset=train.dataset.info)
    if seen_by:
        check_features(seen_by, train.spec(), config.view)
    model = seen_by.model if seen_by else config.model
    if not paths.info.is_file() and model != "separate":  # the network of one that was begun is known to work
        every = {1, config.low_rate.every if config.low_rate.steps else 1}
        before.networks += [(plan.record.kind, model, train.spec(one)) for one in sorted(every)]


def _train_on(dataset: Path, run: Path, config: "TrainConfig", before: Before) -> "Selection":
    """The train split, when all is well with it."""
    from avsync.data.selection import validation_of
    from avsync.run.info import check_begun, describe_run
    from avsync.run.paths import RunPaths

    train = before.select(dataset, "train", config.pairs, config.view, config)
    validation = validation_of(config, lambda: before.select(dataset, "val", config.pairs.judged, config.view, config))
    if _real(dataset) not in before.packed:
        order = train.training_order(config)
        check_begun(RunPaths(run), describe_run(str(dataset), config, train, validation, order))
    return train


def _evaluate(plan: JobPlan, before: Before) -> None:
    from avsync.run.info import check_same_input

    command = plan.command
    trained = _trained(command.run, command.config.checkpoint, before)
    if trained is None or not before.knows(command.dataset):
        return
    pairs = command.config.pairs_of(trained.config.pairs)
    chosen = before.select(command.dataset, command.config.split, pairs, trained.config.view, trained.config)
    check_same_input(trained, chosen, command.dataset)


def _finetune(plan: JobPlan, before: Before) -> None:
    from avsync.finetune.out_folder import OutPaths, check_begun, check_free, describe_comparison
    from avsync.finetune.task import Splits
    from avsync.run.info import check_same_input, choose_step
    from avsync.run.paths import RunPaths

    command, config, out = plan.command, plan.command.config, OutPaths(plan.command.out)
    check_free(out)
    trained = _trained(command.run, config.checkpoint, before)
    if trained is None or _real(command.dataset) in before.packed or not before.knows(command.dataset):
        return
    splits = Splits.open(command.dataset, config.task, trained.config, config.train_clips, lambda chosen: chosen)
    for chosen in splits.feeds.values():
        check_same_input(trained, chosen, command.dataset)
    splits.feeds["train"].order(config.batch, config.seed)
    if not isinstance(trained, WillBeTrained):
        step = choose_step(RunPaths(command.run), config.checkpoint)
        check_begun(out, describe_comparison(command.run, command.dataset, config, step, trained.config.model, splits))


def _audit(plan: JobPlan, before: Before) -> None:
    from avsync.audit.config import WHOLE, count_sources

    command = plan.command
    if not before.knows(command.dataset):
        return
    chosen = before.select(command.dataset, command.config.split, command.config.pairs.judged, WHOLE)
    if _real(command.dataset) not in before.packed:
        count_sources(chosen, command.config)


def _trained(run: Path, which: Any, before: Before) -> Any:
    """What the run's network was, or will have been, trained on; None where that is not known."""
    from avsync.run.info import choose_step, read_run
    from avsync.run.paths import RunPaths

    if _real(run) in before.trained:
        return before.trained[_real(run)]
    paths = RunPaths(run)
    if not paths.info.is_file():  # told elsewhere
        return None
    info = read_run(paths)
    choose_step(paths, which)
    return info


CHECKS: dict[str, Callable[[JobPlan, Before], None]] = {
    PACK: _pack,
    "curate": _curate,
    "train": _train,
    "evaluate": _evaluate,
    "finetune": _finetune,
    "audit": _audit,
}
"""By kind of job. `verify` is there to look at datasets that are not as they should be, and what puts an array together
follows one that was asked about."""
NO_CHECK = frozenset({"verify", *ARRAYS})


def ranks_on(record: JobRecord, nodes: int) -> int:
    """Processes of a job on so many nodes; 1 where the profile's own options for sbatch and srun decide that."""
    return 1 if tasks_fixed_by(record.profile) else nodes * record.resources.tasks_per_node


def check_shared(record: JobRecord, batch: int, accumulate: int, *, partners: bool = False) -> None:
    """Raises UsageError where the processes of any number of nodes that it may get cannot share the batch."""
    from avsync.data.order import check_batch

    counts = record.resources.node_counts
    if not counts.is_range:
        return check_batch(batch, ranks_on(record, counts.least), accumulate, partners=partners)
    each, passes = ranks_on(record, 1), f" in --runtime.accumulate {accumulate} passes" * (accumulate > 1)
    of_node = each * accumulate * (1 + partners)
    bad = next((nodes for nodes in counts.each if batch % (nodes * of_node)), None)
    if bad is None:
        return None
    shares = NodeCounts(counts.least, min(counts.most, batch // of_node))
    good = spans(nodes for nodes in shares.each if batch % (nodes * of_node) == 0)
    fits = math.lcm(*counts.each) * of_node if len(counts.each) <= MOST_SHARES else 0
    remedies = [f"--batch a multiple of {fits}"] * (0 < fits <= MOST_BATCH)
    remedies += [f"--nodes {' or '.join(map(str, good))}"] * bool(good) or [f"fewer than {counts} nodes"]
    raise UsageError(
        f"--batch {batch} cannot be shared{' two by two' * partners} by {bad * each} processes{passes}, which the job "
        f"has on {bad} of its {counts} nodes: give {', or '.join(remedies)}"
    )


def _promised(pack: Any, dataset: Path, split: str) -> "Dataset":
    """What a packing with these settings will write: of its clips only how long one can be is known."""
    import numpy as np

    from sharding.format.clip import FORMAT_VERSION
    from sharding.format.columns import COLUMNS
    from sharding.format.dataset import Dataset
    from sharding.format.index import DatasetInfo, Index

    config = pack.config
    width, height = config.picture
    info = DatasetInfo(
        format_version=FORMAT_VERSION, codec=config.codec, clock=config.clock, width=width, height=height,
        channels=config.channels, fit=config.fit, actions=("",), clips={split: 1}, shards={split: 1}, sources=1,
        lost_clips=0, rejects=0, settings=config.decides_dataset(), written_by="",
    )  # fmt: skip
    columns: dict[str, Any] = {name: np.zeros(1, np.int64) for name in COLUMNS} | {
        "frames": np.array([config.clip_frames])
    }
    return Dataset(folder=dataset, split=split, info=info, index=Index(**columns))


def _real(path: Path | str) -> str:
    return os.path.realpath(path)


def _ask_networks(asked: Sequence[tuple[str, str, "InputSpec"]]) -> tuple[list[str], list[str]]:
    """Of networks that cannot work with their windows, why; and what torch could not be asked."""
    from sharding.base.files import to_json

    if not asked:
        return [], []
    names = ", ".join(sorted({model for _, model, _ in asked}))
    unasked = f"whether network {names} can work with windows of this size was not checked: "
    try:
        run = subprocess.run(
            [sys.executable, "-m", "avsync.run.network"],
            input=to_json([{"model": model, "spec": spec} for _, model, spec in asked]),
            capture_output=True,
            timeout=PATIENCE_S,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(_code()), "OMP_NUM_THREADS": "1"},
            check=False,
        )
        answers = json.loads(run.stdout.splitlines()[-1]) if not run.returncode and run.stdout else None
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return [], [f"{unasked}{error}"]
    if answers is None:
        words = run.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {run.returncode}"]
        return [], [f"{unasked}torch does not load here ({words[-1]})"]
    return [f"{kind}: {why}" for (kind, _, _), why in zip(asked, answers, strict=True) if why], []


def _code() -> Iterator[str]:
    """Where this very avsync is imported from, first."""
    yield str(HOME)
    yield from filter(None, [os.environ.get("PYTHONPATH", "")])
