"""The one loop that trains: step after step, with points of the curves, validations, checkpoints, and a wish to stop.

What is trained is a Learner's business: a sync network (trainer.py) or the arms of a comparison (avsync/finetune). A
run is stopped, saved, resumed and proven alike, whichever it is.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, NoReturn, Protocol, Self

import torch
from torch import Tensor

from avsync.data.batch import Batch
from avsync.data.order import Draw
from avsync.loading.loader import Loader
from avsync.loading.options import StoppedWaiting
from avsync.run.checkpoint import Saved
from avsync.run.limits import Section
from avsync.run.receipt import in_order
from avsync.run.resume import Start, introduce
from avsync.run.saver import Saver
from avsync.run.state import State
from avsync.train.gpu import GpuMeter
from avsync.train.reporter import Reporter, StepMetrics
from avsync.train.sections import SectionWatch
from avsync.train.stop import StopFlag, Stopped, agreed
from avsync.train.stragglers import RankTimes, Stragglers
from avsync.world import World
from sharding.base.text import duration

LONG_S = 1.0
"""Training that waits for so long, for the checkpoint before, is worth a word."""


class Learner(Protocol):
    """What is trained. Every rank has one, and all are asked the same."""

    sums: int
    """How many numbers a step sums up."""

    @property
    def rate(self) -> float:
        """The last step's learning rate."""
        ...

    def step(self, step: int, batches: Iterator[Batch], see: Callable[[Batch], None]) -> Tensor:
        """Train on the batches of a step; `see` is shown the first one.

        Returns this rank's sums: loss, right answers and examples of each network, and last the unreadable clips.
        StoppedWaiting of `batches` leaves all as if the step had not begun.
        """
        ...

    def validate(self, state: State) -> tuple[State, bool]:
        """The state after a validation, and whether this is the best so far, to be kept. The same on every rank.

        Raises StoppedWaiting on a wish to stop.
        """
        ...

    def weights(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Networks and optimisers, as a checkpoint keeps them."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSchedule:
    """What is due after which steps."""

    steps: int
    batch: int
    """Clips of a step, of all ranks."""
    points: tuple[int, ...]
    """Steps between points of the curves; where several numbers stand, each counts."""
    validate_every: int
    """0: never."""
    checkpoint_every: int
    keep: int
    """Newest checkpoints."""

    def due(self, every: int, step: int) -> bool:
        """When `step` steps are done; at the end all is due."""
        return bool(every) and (step % every == 0 or step == self.steps)


class LogWindow:
    """Sums of one rank between two points of the curves."""

    def __init__(self, count: int, device: torch.device, before: tuple[float, ...] = ()) -> None:
        """before: what an earlier attempt has summed up, on one rank."""
        self.totals, self.steps, self.started = torch.zeros(count, device=device), 0, time.perf_counter()
        self.totals[: len(before)] = torch.tensor(before, device=device)

    def add(self, totals: Tensor) -> None:
        self.totals += totals
        self.steps += 1


class Loop:
    """All steps of one run in one process. Use as a context manager, in the main thread."""

    def __init__(self, world: World, schedule: TrainSchedule, watch: SectionWatch | None = None) -> None:
        """watch: of this rank; None: nobody looks whether it hangs."""
        self.world, self.schedule, self.watch = world, schedule, watch or SectionWatch()
        self.stop, self._gpu = StopFlag(looks=world.is_main), GpuMeter(world.device)
        self._held, self._stragglers = ExitStack(), Stragglers(self.watch.nodes)

    def begin(self, start: Start, learner: Learner, reporter: Reporter) -> None:
        """Where this attempt begins, when the learner has its checkpoint's weights."""
        self.state, self._digest, self._opening = start
        self._last_saved, self._learner, self.reporter = self.state, learner, reporter
        self._saver = Saver(self._opening.paths, self.schedule.keep, self.state, failed=self.stop.ask)
        self._told, self._noted = self.state, set[str]()
        self._window = self._fresh(self.state.sums if self.world.is_main else ())

    def __enter__(self) -> Self:
        for context in (self.stop, self._gpu, self.reporter, self._saver):
            self._held.enter_context(context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.__exit__(kind, error, trace)

    def catch_up(self) -> None:
        """The validation that the last attempt was wished to leave out."""
        if self.state.unscored:
            self.state = replace(self.state, unscored=False)
            if self.schedule.validate_every:
                self._validate()
            with self.watch.section(Section.CHECKPOINT):
                state = self._with_sums()
                self.world.together(lambda: self._save_whole(state))

    def train(self, loader: Loader, rows: Iterable[list[Draw]], end: int) -> None:
        """Steps up to `end`, on this rank's `rows`; what is due until then is on the disk when it returns.

        Raises Stopped on a wish to stop, when all is saved.
        """
        stream = self._agreed(self._waited_for(in_order(loader.batches, rows)))
        for step in range(first := self.state.step, end):
            with self.watch.section(Section.STEP):
                self._train_on(step, stream, Section.STEP if step > first else Section.FIRST_STEP)
                self._tell_saved()
                if step + 1 == end or any(map(self._due, self.schedule.points)):
                    self._log(loader)
            paused = time.perf_counter()
            better = self._due(self.schedule.validate_every) and self._validate()
            if better or self._due(self.schedule.checkpoint_every):
                self._keep()
            elif self.state.step == self._opening.done + 1 and self.world.is_main:
                self._saver.reserve(*self._learner.weights())  # now that the optimiser has all that it keeps
            self._window.started += time.perf_counter() - paused
        with self.watch.section(Section.CHECKPOINT):
            self.world.together(self._settle)

    def _train_on(self, step: int, stream: Iterator[Batch], section: Section) -> None:
        self.watch.at(step)
        try:
            with self.watch.section(section):
                self._window.add(self._learner.step(step, stream, self._see))
        except StoppedWaiting:
            self.leave()
        self._digest.add(self._opening.order.step(step))
        self.state = self.state.after(self._digest)
        self.watch.at(self.state.step)
        self.reporter.beat(self.state.step)

    def guarded(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Batches of a validation or a judgement: a wish to stop ends them with StoppedWaiting, on every rank alike."""
        for batch in self._agreed(batches):
            yield batch
            self.reporter.beat(self.state.step)
            self.watch.again()

    def leave(self) -> NoReturn:
        """Save between two steps, as somebody wishes to stop; all ranks come here alike.

        They leave together when all is on the disk: srun ends a step's other processes when one has left like this.
        It is here, too, that a checkpoint which could not be written ends all ranks.
        """
        self.state, self._window = self._with_sums(), self._fresh()

        def last() -> None:
            self._settle()
            if self.state != self._last_saved:
                self.watch.again()  # a second write, with as much time as the first
                self._save_whole(self.state)
            self.reporter.stopped()

        with self.watch.section(Section.CHECKPOINT):
            self.world.together(last)
        raise Stopped(f"step {self.state.step:,} is saved" if self.state.step else "no step was done yet") from None

    def _agreed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        return agreed(batches, self.stop, self.world.any)

    def _waited_for(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        section = Section.FIRST_BATCH
        while True:
            with self.watch.section(section):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch
            section = Section.DATA

    def _see(self, batch: Batch) -> None:
        if self.state.step == self._opening.done:
            self.reporter.receipt(introduce(self._opening, self.world, batch))

    def _due(self, every: int) -> bool:
        return self.schedule.due(every, self.state.step)

    def _fresh(self, before: tuple[float, ...] = ()) -> LogWindow:
        return LogWindow(self._learner.sums, self.world.device, before)

    def _with_sums(self) -> State:
        """The state with what is summed up since the last point: whoever resumes draws the point that is drawn here."""
        if not self._window.steps:
            return self.state
        *sums, unreadable = self.world.reduce(self._window.totals).tolist()
        return replace(self.state, sums=tuple(sums), skipped=self.state.skipped + int(unreadable))

    def _log(self, loader: Loader) -> None:
        """Average over ranks and draw. Every rank must come here at the same steps."""
        window, self._window = self._window, self._fresh()
        load = loader.meter.take(time.perf_counter() - window.started)
        use = self._gpu.read()
        own = [load.wait_share, use.busy if use else 0.0, *self.watch.own_s]
        longest, counts = self.watch.take()
        all_ranks = self.world.gather(torch.tensor([[*own, *longest, *counts]], device=self.world.device))
        waits, busy, data_s, forward_s = all_ranks[:, : len(own)].unbind(1)
        most = all_ranks[:, len(own) :].amax(0).tolist()
        self.watch.learn(most[: len(longest)], most[len(longest) :])
        times = RankTimes(
            step_s=load.seconds / window.steps,
            data=data_s.double().cpu().numpy() / window.steps,
            forward=forward_s.double().cpu().numpy() / window.steps,
        )
        self._stragglers.add(times)
        *sums, unreadable = self.world.reduce(window.totals).tolist()
        skipped = self.state.skipped + int(unreadable)
        now = StepMetrics(
            step=self.state.step,
            sums=tuple(sums),
            unreadable=int(unreadable),
            learning_rate=self._learner.rate,
            clips=window.steps * self.schedule.batch,
            data_wait=float(waits.max()),
            load=load,
            skipped=skipped,
            gpu=use and use._replace(busy=float(busy.mean())),
            copies=loader.shelf.counts,
            ranks=times.scalars,
            slow=self._stragglers.find(),
        )
        now.check()
        self.state = replace(self.state, skipped=skipped, sums=())
        self.reporter.point(now, loader.budget.last)

    def _validate(self) -> bool:
        """True when this is the best so far."""
        try:
            with self.reporter.phase("validating"), self.watch.section(Section.VALIDATION):
                self.state, better = self._learner.validate(self.state)
        except StoppedWaiting:
            self.state = replace(self.state, unscored=True)
            self.leave()
        return better

    def _keep(self) -> None:
        with self.watch.section(Section.CHECKPOINT):
            state = self._with_sums()
            self.world.together(lambda: self._save(state))

    def _save(self, state: State) -> None:
        """Rank 0 has it written, beside the steps that follow. Asks nothing of other ranks: it may fail on this one."""
        self._last_saved = state
        if not self.world.is_main:
            return
        began = time.monotonic()
        self._settle()
        if (waited := time.monotonic() - began) >= LONG_S:
            self._note(
                "the last checkpoint was still being written when the next was due, and training waited for it: have "
                f"fewer (checkpoint-every), or the run on a faster disk; this time {duration(waited)}"
            )
        self.reporter.flush()  # curves reach the disk before the checkpoint that continues them
        model, optimizer = self._learner.weights()
        if not self._saver.save(Saved(state=state, model=model, optimizer=optimizer)):
            self._note(self._saver.trouble)
            self._settle()

    def _note(self, text: str) -> None:
        """Once in an attempt."""
        kind = text.partition(":")[0]
        if kind not in self._noted:
            self._noted.add(kind)
            self.reporter.note("checkpoints", text, self.state.step, "yellow")

    def _save_whole(self, state: State) -> None:
        self._save(state)
        self._settle()

    def _settle(self) -> None:
        """Rank 0 waits until what it saves is on the disk. Raises what kept it from there."""
        if self._saver.busy:
            with self.reporter.phase("saving"):
                self._saver.settle()
        self._saver.settle()
        self._tell_saved()

    def _tell_saved(self) -> None:
        """progress.json tells of a checkpoint when it is whole."""
        if self._told is not self._saver.on_disk:
            self._told = self._saver.on_disk
            self.reporter.saved(self._told)
            self.watch.lasted(Section.CHECKPOINT, self._saver.lasted_s)  # who waits for one waits as long
