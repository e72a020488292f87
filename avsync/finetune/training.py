"""All arms of a comparison in training, side by side on the same batches: what the one loop of training trains here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avsync.data.batch import Batch
from avsync.data.order import Order
from avsync.data.transforms import prepare
from avsync.finetune.arms import Arm, put_back, rate_at, weights_of
from avsync.finetune.config import ArmName, FinetuneConfig
from avsync.finetune.learning import FinetuneReporter, LearningCurves
from avsync.finetune.out_folder import Begun, LearningPoint, OutPaths
from avsync.finetune.scoring import ArmAnswers, Question, ask
from avsync.finetune.task import Splits
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions, StoppedWaiting
from avsync.run.checkpoint import Saved
from avsync.run.paths import RunPaths
from avsync.run.resume import take_up
from avsync.run.state import Origin, State
from avsync.train.loop import Loop, TrainSchedule
from avsync.world import World


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OpenComparison:
    """What is compared, on what, and where it is kept."""

    out: OutPaths
    begun: Begun
    splits: Splits[Feed]
    arms: list[Arm]
    order: Order
    mute: int
    """Samples at the start of each window that the network never heard, see PairConfig."""
    device: torch.device

    @property
    def config(self) -> FinetuneConfig:
        return self.begun.config

    @property
    def paths(self) -> RunPaths:
        return self.out.run

    @property
    def steps(self) -> int:
        return self.config.steps

    @property
    def model(self) -> str:
        return self.begun.model

    @property
    def origin(self) -> Origin:
        return Origin(seed=self.config.seed, batch=self.config.batch, data=self.begun.data["train"].joined())


class Finetuning:
    """One comparison in one process."""

    def __init__(self, opened: OpenComparison) -> None:
        """Takes up the newest checkpoint. Raises InputError, FormatError."""
        self.opened, self.config, self.arms = opened, opened.config, opened.arms
        self.sums = 3 * len(self.arms) + 1
        world = World.alone(opened.device)
        self.loop = Loop(world, _schedule(self.config))
        self.world, stopping = world, self.loop.stop.waiting
        self.options = LoaderOptions(workers=self.config.workers, device=opened.device, stopping=stopping)
        step = max(opened.paths.saved_steps(), default=0)
        start = take_up(opened, step, world.ranks, self._restore)
        self.curves = LearningCurves(opened.out, self.config.arms, step)
        if self._left_unscored(step):
            start = start.unscored()
        self.reporter = FinetuneReporter(opened.begun, opened.out, start.state, self.curves)
        self.loop.begin(start, self, self.reporter)

    def run(self) -> ArmAnswers:
        """All remaining steps, then every arm's best weights on the test split.

        Raises Stopped on a wish to stop, when all is saved.
        """
        loop, feed = self.loop, self.opened.splits.feeds["train"]
        with loop:
            self.reporter.introduce(self.opened.device, len(feed.clips), loop.state.step)
            loop.catch_up()
            rows = feed.training_rows(self.opened.order, range(loop.state.step, self.config.steps), self.world)
            with feed.loader(self.options) as loader:
                loop.train(loader, rows, self.config.steps)
            answers = self._judge()
            self.reporter.done(loop.state)
        return answers

    @property
    def rate(self) -> float:
        return self.arms[0].optimizer.param_groups[0]["lr"]

    def step(self, step: int, batches: Iterator[Batch], see: Callable[[Batch], None]) -> Tensor:
        batch, rate = next(batches), rate_at(step, self.config)
        see(batch)
        given = prepare(batch, self.opened.splits.feeds["train"].view, self.opened.mute)
        labels = self.opened.splits.labels["train"][[draw.clip for draw in batch.draws]]
        wanted = torch.from_numpy(labels).to(self.opened.device)
        sums = [arm.step(given, wanted, batch.valid, rate, self.config) for arm in self.arms]
        return torch.cat((*sums, (~batch.valid).sum()[None]))

    def validate(self, state: State) -> tuple[State, bool]:
        """Score the fixed clips; an arm that is better than ever keeps its weights in mind, and in each checkpoint."""
        clips = self.opened.splits.feeds["val"].fixed_clips(self.config.validate_clips)
        got = self._ask("val", clips, windows=1)
        if not len(got.clips):
            self.reporter.say(f"step {state.step}: none of the validation clips could be read; no score")
            return state, False
        points = [
            LearningPoint(
                arm=name, split="val", step=state.step, loss=got.loss(name), accuracy=float(got.hits(name).mean())
            )
            for name in got.probabilities
        ]
        self.curves.add(points)
        for arm in self.arms:
            best = self.curves.best(arm.name)
            if best and best.step == state.step:
                arm.remember()
        self.reporter.scored(points, state)
        return state, False

    def weights(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return weights_of(self.arms)

    def picked(self) -> dict[ArmName, tuple[int, float]]:
        """Of each arm the step of its best validation, and the accuracy there."""
        found = dict[ArmName, tuple[int, float]]()
        for arm in self.arms:
            best = self.curves.best(arm.name)
            found[arm.name] = (best.step, best.accuracy) if best else (self.loop.state.step, float("nan"))
        return found

    def _judge(self) -> ArmAnswers:
        for arm in self.arms:
            arm.recall()
        try:
            with self.reporter.phase("validating"):
                return self._ask("test", self.opened.splits.feeds["test"].clips, self.config.test_windows)
        except StoppedWaiting:
            self.loop.leave()  # nothing to save: the last step is on the disk

    def _ask(self, split: str, clips: NDArray[np.int64], windows: int) -> ArmAnswers:
        question = Question(
            feed=self.opened.splits.feeds[split],
            labels=self.opened.splits.labels[split],
            clips=clips,
            windows=windows,
            batch=self.config.batch,
            mute=self.opened.mute,
        )
        return ask(question, self.arms, self.options, self.loop.guarded)

    def _restore(self, saved: Saved, folder: Path) -> None:
        put_back(self.arms, saved.model, saved.optimizer, folder)

    def _left_unscored(self, step: int) -> bool:
        """Checkpoints of before State.unscored was written here: the curves tell."""
        return bool(step) and self.loop.schedule.due(self.config.validate_every, step) and not self.curves.scored(step)


def _schedule(config: FinetuneConfig) -> TrainSchedule:
    return TrainSchedule(
        steps=config.steps,
        batch=config.batch,
        points=(config.log_every,),
        validate_every=config.validate_every,
        checkpoint_every=config.checkpoint_every,
        keep=config.keep,
    )
