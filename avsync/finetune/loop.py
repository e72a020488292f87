"""The training loop of a comparison: one process, one device, all arms side by side on the same batches.

Which clips a step has is a pure function of seed and step, so a call that goes on needs a step number, no loader state.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np
import torch
from numpy.typing import NDArray

from avsync.data.batch import Batch
from avsync.data.draw import fixed_choice, training_draws
from avsync.data.order import Digest, Order
from avsync.data.transforms import prepare
from avsync.finetune.arms import Arm, put_back, rate_at, weights_of
from avsync.finetune.config import ArmName
from avsync.finetune.judge import ArmAnswers, Question, ask
from avsync.finetune.place import Begun, LearningPoint, OutPaths
from avsync.finetune.report import FinetuneReport
from avsync.finetune.task import Splits
from avsync.loading.options import LoaderOptions, StoppedWaiting
from avsync.run.checkpoint import Saved, load_checkpoint, prune, save_checkpoint
from avsync.run.state import State
from avsync.train.stop import StopFlag, Stopped, agreed
from avsync.train.tracking import curves_at
from sharding.base.files import read_json, write_json
from sharding.errors import FormatError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Comparing:
    """What is compared, and on what."""

    begun: Begun
    splits: Splits
    arms: list[Arm]
    mute: int
    """Samples at the start of each window that the network never heard, see PairConfig."""
    flip: bool
    device: torch.device


class Finetuning:
    """One comparison in one process. Use as a context manager."""

    def __init__(self, what: Comparing, out: OutPaths) -> None:
        """Takes up the newest checkpoint. Raises InputError, FormatError."""
        self._what, self._out, self._config, self._arms = what, out, what.begun.config, what.arms
        self._feed = what.splits.feeds["train"]
        clips, config = self._feed.clips, self._config
        shards = self._feed.dataset.index.shard[clips]
        self._order = Order(clips=clips, shards=shards, batch=config.batch, seed=config.seed)
        self._stop = StopFlag()
        self._options = LoaderOptions(workers=config.workers, device=what.device, stopping=self._stop.waiting)
        self.state, self._digest, self.points = self._take_up()
        self._on_disk = self.state.step
        self._sums = torch.tensor(self.state.sums or (0.0,) * (3 * len(self._arms)), device=what.device).view(-1, 3)
        self._curves = {arm: curves_at(out.run.tensorboard / arm, self.state.step) for arm in config.arms}
        self.report = FinetuneReport(config.steps, self.state.step)

    def __enter__(self) -> "Finetuning":
        self._stop.__enter__()
        self.report.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.report.__exit__(None, None, None)
        self._stop.__exit__(None, None, None)
        for curves in self._curves.values():
            curves.close()

    def train(self) -> None:
        """All remaining steps. Raises Stopped on a wish to stop, when all is saved."""
        start, steps, feed = self.state.step, self._config.steps, self._feed
        draws = training_draws(self._order, feed.law, feed.dataset.index, feed.view, self._what.flip, 0, 1, 1)
        try:
            if start and self._due(self._config.validate_every) and not self._is_validated():
                self._validate()
                self._save()
            with feed.loader(self._options) as loader:
                for batch in self._guarded(loader.batches(draws(step)[0] for step in range(start, steps))):
                    self._step(batch)
        except StoppedWaiting:
            self._leave()

    def judge(self) -> ArmAnswers:
        """Every arm's best weights on the test split."""
        for arm in self._arms:
            arm.recall()
        config = self._config
        clips = self._what.splits.feeds["test"].clips
        try:
            return self._ask("test", clips, config.test_windows)
        except StoppedWaiting:
            raise Stopped from None  # nothing to save: the last step is on the disk

    def picked(self) -> dict[ArmName, tuple[int, float]]:
        """Of each arm the step of its best validation, and the accuracy there."""
        found = dict[ArmName, tuple[int, float]]()
        for arm in self._arms:
            best = self._best(arm)
            found[arm.name] = (best.step, best.accuracy) if best else (self.state.step, float("nan"))
        return found

    def _step(self, batch: Batch) -> None:
        what, step = self._what, self.state.step
        seen = prepare(batch, self._feed.view, what.mute)
        labels = what.splits.labels["train"][[draw.clip for draw in batch.draws]]
        target, rate = torch.from_numpy(labels).to(what.device), rate_at(step, self._config)
        self._sums += torch.stack([arm.step(seen, target, batch.valid, rate, self._config) for arm in self._arms])
        self._digest.add(self._order.step(step))
        self.state = self.state.after(self._digest)
        self.report.done(self.state.step)
        if self._due(self._config.log_every):
            self._log()
        if self._due(self._config.validate_every):
            self._validate()
        if self._due(self._config.checkpoint_every):
            self._save()

    def _due(self, every: int) -> bool:
        return self.state.step % every == 0 or self.state.step == self._config.steps

    def _log(self) -> None:
        """Means since the point before."""
        step, fresh = self.state.step, list[LearningPoint]()
        for arm, (loss, right, count) in zip(self._arms, self._sums.tolist(), strict=True):
            if count:
                fresh.append(
                    LearningPoint(arm=arm.name, split="train", step=step, loss=loss / count, accuracy=right / count)
                )
        self._sums.zero_()
        self._add(fresh)
        self.report.trained(step, fresh)

    def _is_validated(self) -> bool:
        return any((point.split, point.step) == ("val", self.state.step) for point in self.points)

    def _validate(self) -> None:
        """Score the fixed clips; an arm that is better than ever keeps its weights in mind."""
        config, step = self._config, self.state.step
        feed = self._what.splits.feeds["val"]
        got = self._ask("val", fixed_choice(feed.clips, config.validate_clips), windows=1)
        if not len(got.clips):
            self.report.say(f"step {step}: none of the validation clips could be read; no score")
            return
        fresh = [
            LearningPoint(arm=name, split="val", step=step, loss=got.loss(name), accuracy=float(got.hits(name).mean()))
            for name in got.said
        ]
        self._add(fresh)
        for arm in self._arms:
            best = self._best(arm)
            if best and best.step == step:
                arm.remember()
        self.report.validated(step, fresh)

    def _best(self, arm: Arm) -> LearningPoint | None:
        """Highest accuracy; of equal ones, common where the val split is small, the lower loss; then the earlier."""
        own = [point for point in self.points if (point.arm, point.split) == (arm.name, "val")]
        return max(own, key=lambda point: (point.accuracy, -point.loss), default=None)

    def _add(self, fresh: list[LearningPoint]) -> None:
        self.points += fresh
        for point in fresh:
            self._curves[point.arm].add_scalar(f"{point.split}/loss", point.loss, point.step)
            self._curves[point.arm].add_scalar(f"{point.split}/accuracy", point.accuracy, point.step)

    def _ask(self, split: str, clips: NDArray[np.int64], windows: int) -> ArmAnswers:
        what = self._what
        question = Question(
            feed=what.splits.feeds[split], labels=what.splits.labels[split], clips=clips, windows=windows,
            batch=self._config.batch, mute=what.mute,
        )  # fmt: skip
        return ask(question, self._arms, self._options, self._guarded)

    def _guarded(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        return agreed(batches, self._stop, bool)

    def _leave(self) -> NoReturn:
        """Between two steps, as somebody wishes to stop."""
        if self.state.step != self._on_disk:
            self._save()
        raise Stopped from None

    def _save(self) -> None:
        """Curves first: a point that no checkpoint has reached is forgotten by who goes on."""
        for curves in self._curves.values():
            curves.flush()
        write_json(self._out.curves, self.points)
        self.state = replace(self.state, sums=tuple(self._sums.flatten().tolist()))
        save_checkpoint(self._out.run, self._saved())
        prune(self._out.run, self._config.keep, None)
        self._on_disk = self.state.step

    def _saved(self) -> Saved:
        model, optimizer = weights_of(self._arms)
        return Saved(state=self.state, model=model, optimizer=optimizer)

    def _take_up(self) -> tuple[State, Digest, list[LearningPoint]]:
        step = max(self._out.run.saved_steps(), default=0)
        if not step:
            return State(step=0, model=self._what.begun.model, digest="", skipped=0), Digest(), []
        folder = self._out.run.checkpoint(step)
        saved = load_checkpoint(folder)
        digest = Digest.resumed(self._order, step, saved.state.mark)
        if (saved.state.step, saved.state.digest) != (step, digest.state):
            raise FormatError(
                f"{folder} was trained on other clips than this dataset and seed give: another version of avsync "
                "trained it, or its state.json was changed; use that one, or start anew in another folder"
            )
        put_back(self._arms, saved.model, saved.optimizer, folder)
        points = [point for point in read_json(self._out.curves, list[LearningPoint]) if point.step <= step]
        return saved.state, digest, points
