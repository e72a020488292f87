"""What a run tells, in one place: the terminal, TensorBoard and progress.json. Rank 0 speaks, the others are silent."""

import shlex
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich import progress as rich_progress
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from avsync.data.batch import Batch
from avsync.data.transforms import NetworkInput
from avsync.honesty.examination import Examination, in_words, write_maps
from avsync.honesty.judge import FEWEST_SOURCES
from avsync.honesty.predict import BatchAnswer
from avsync.metrics import roc_auc
from avsync.run.progress import Phase, Pulse, RunProgress, ValidationScore, finite
from avsync.run.receipt import Receipt
from avsync.run.resume import OpenRun
from avsync.run.state import Best, State
from avsync.staging.location import is_url
from avsync.train import pictures, tracking
from avsync.train.efficiency import BusySpan, Floor, Guard
from avsync.train.preflight import Forecast
from avsync.train.tracking import StepMetrics, Tracker
from sharding.base.console import open_console
from sharding.base.text import counted, duration

# Steps of a training on the terminal: a live bar, or plain lines where there is no terminal.

LINE_EVERY_S = 20.0
"""A log file gets a line this often."""


class StepBar:
    """Use as a context manager. `quiet` for ranks other than 0."""

    def __init__(self, doing: str, steps: int, done: int, *, quiet: bool = False) -> None:
        self._console = open_console(quiet=quiet)
        self._steps, self._started, self._first, self._last_line = steps, time.monotonic(), done, 0.0
        self._bar = rich_progress.Progress(
            TextColumn(doing), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[state]}", markup=False),
            TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(),
            console=self._console, disable=not self._console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task(doing, total=steps, completed=done, state="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, text: str, style: str = "") -> None:
        """A line that stays."""
        self._console.print(text, style=style, soft_wrap=True)

    def done(self, step: int) -> None:
        """Moves the bar."""
        self._bar.update(self._task, completed=step)

    def stands(self, step: int, state: str) -> None:
        """Moves the bar and says how the training stands; in a log file, a line now and then and at the end."""
        self._bar.update(self._task, completed=step, state=state)
        now = time.monotonic()
        if not self._console.is_terminal and (now - self._last_line > LINE_EVERY_S or step == self._steps):
            self._last_line = now
            left = (now - self._started) / max(1, step - self._first) * (self._steps - step)
            self.say(f"step {step}/{self._steps}  {state}  ETA {duration(left)}")


# What a person at the terminal sees of a training run.


class TrainReport(StepBar):
    """Use as a context manager. `quiet` for ranks other than 0."""

    def __init__(self, steps: int, done: int, quiet: bool) -> None:
        super().__init__("training", steps, done, quiet=quiet)

    def finished(self, *following: object) -> None:
        """The last line: which command follows."""
        self.say(f"done. Next: {shlex.join(['avsync', *map(str, following)])}")

    def progress(self, now: tracking.StepMetrics) -> None:
        """How the training stands."""
        self.stands(
            now.step,
            f"loss {now.loss:.3f}  accuracy {now.accuracy:.1%}  {now.clips_per_s:.1f} clips/s  "
            f"data wait {now.data_wait:.0%}",
        )


class Reporter:
    """A context manager, for all of a run's steps."""

    def __init__(self, opened: OpenRun, state: State, *, speaks: bool) -> None:
        """state: where the attempt begins."""
        self._opened, self._batch = opened, opened.config.batch
        self._tracker = Tracker(opened.paths, opened.info, state.step) if speaks else None
        self._report = TrainReport(opened.config.steps, state.step, quiet=not speaks)
        runtime = opened.config.runtime
        self._floor = Floor(runtime.gpu_floor, runtime.gpu_floor_s)
        self._looked = time.monotonic()
        self._guard: Guard | None = None
        now = RunProgress(
            steps=opened.config.steps, step=state.step, first_step=state.step, best=_score(state.best),
            alarm=state.alarm,
        )  # fmt: skip
        self._pulse = Pulse(opened.paths.progress if speaks else None, now)
        self._pulse.tell()

    def __enter__(self) -> Self:
        self._report.__enter__()
        if self._pulse.now.step >= self._pulse.now.steps:
            self.say(f"all {self._pulse.now.step} steps are done already")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._report.__exit__(kind, error, trace)
        if self._tracker and not kind:
            self._tracker.close()

    def say(self, text: str, style: str = "") -> None:
        """A line that stays."""
        self._report.say(text, style)

    def phase(self, phase: Phase) -> AbstractContextManager[None]:
        """What the run is at, inside."""
        return self._pulse.phase(phase)

    def beat(self, step: int) -> None:
        """A step is done, or a part of a validation: the run lives."""
        self._pulse.beat(step)

    def stopped(self) -> None:
        """The wish to stop was granted."""
        self._pulse.tell(phase="stopped")

    def done(self, state: State) -> None:
        """The last line: which command follows."""
        self._pulse.tell(phase="done", step=state.step, eta_s=0.0, best=_score(state.best))
        dataset = self._opened.info.dataset_path
        self._report.finished("evaluate", self._opened.paths.root, "DATASET" if is_url(dataset) else dataset)

    def receipt(self, receipt: Receipt) -> None:
        """How this attempt began, now that its first clips are there; and what of the data is not used."""
        self._pulse.tell(attempt=receipt.attempt)
        if self._tracker:
            self._tracker.receipt(receipt)
        if receipt.step:
            self.say(str(receipt))
        feed = self._opened.feed
        if too_short := (clips := len(feed.dataset.index)) - len(feed.clips):
            self.say(f"{too_short} of {counted(clips, 'clip')} are too short for a pair; left out")
        held_out, most = self._opened.validation, self._opened.config.validate_clips
        if held_out and (sources := held_out.sources(most)) < FEWEST_SOURCES:
            self.say(
                f"validation asks about {counted(sources, 'source')}: fewer than {FEWEST_SOURCES} cannot raise the "
                "alarm of a cheating network; avsync audit DATASET looks at the train split"
            )

    def preflight(self, forecast: Forecast) -> None:
        """What to expect of this attempt."""
        self.note("preflight", str(forecast), self._pulse.now.step)
        self._pulse.tell(preflight=str(forecast))

    def point(self, now: StepMetrics, trouble: str) -> None:
        """A point of the training curves. `trouble`: the last of the clips that could not be read."""
        if now.sums.unreadable:
            self.say(f"step {now.step}: {now.sums.unreadable:.0f} clips could not be read: {trouble}")
        if self._tracker:
            self._tracker.progress(now)
        self._report.progress(now)
        self._pulse.point(
            now.step, step_s=now.load.seconds * self._batch / now.clips, clips_per_s=now.clips_per_s,
            loss=finite(now.loss), accuracy=now.accuracy, data_wait=now.data_wait,
            gpu_busy=now.gpu.busy if now.gpu else None, advice=self._judge(now),
        )  # fmt: skip

    def _judge(self, now: StepMetrics) -> str:
        """What the guard says; aloud when it is time."""
        busy, data_wait, seconds = now.gpu.busy if now.gpu else 1 - now.data_wait, now.data_wait, now.load.seconds
        if now.gpu:  # it was looked at all the time, not only in steps
            (seconds, self._looked) = time.monotonic() - self._looked, time.monotonic()
        if not self._guard:
            measured = "GPUs were busy" if now.gpu else "there is no GPU to measure, but steps did not wait for data"
            self._guard = Guard(self._floor, measured=measured)
        verdict = self._guard.add(BusySpan(seconds, busy, data_wait))
        if not verdict:
            return ""
        advice = self._guard.advice(verdict)
        if self._tracker:
            self._tracker.efficiency(now.step, verdict.recent.busy, self._floor.share)
        if self._guard.is_time_to_say(advice):
            self.note("efficiency", advice, now.step)
        return advice

    def note(self, name: str, text: str, step: int, style: str = "") -> None:
        """Something worth reading, at the terminal and in TensorBoard."""
        self.say(f"{name}: {text}", style)
        if self._tracker:
            self._tracker.note(name, text, step)

    def validated(self, got: Examination, before: State, now: State) -> None:
        """A point of the validation curves, which has changed the run's state; and the alarm."""
        step, said = now.step, got.got
        self.say(f"step {step}: validation loss {said.loss:.3f}, {in_words(got)}")
        if self._tracker:
            self._tracker.validated(step, said.loss, got.accuracy, roc_auc(said.logit, said.in_sync))
            self._tracker.honesty(step, got)
            if self._opened.validation:
                write_maps(self._opened.paths.maps, got, self._opened.validation.dataset.key)
        score = ValidationScore(step, got.accuracy, finite(said.loss), finite(got.audited))
        self._pulse.tell(validation=score, best=_score(now.best), alarm=now.alarm)
        if now.alarm and now.alarm.is_news(before.alarm):
            self.note("alarm", now.alarm.text, step, "bold red")
        elif before.alarm and not now.alarm:
            self.note("alarm", f"over at step {step:,}: no stream alone tells the label any more", step, "green")

    def first_batch(self, batch: Batch, prepare: Callable[[Batch], NetworkInput]) -> None:
        """What the network is shown; drawn only where somebody looks."""
        if self._tracker:
            self._tracker.first_batch(pictures.batch_sheet(prepare(batch), batch))

    def heat_maps(self, answer: BatchAnswer) -> None:
        """Where the network looks, now."""
        if self._tracker:
            self._tracker.heat_maps(pictures.cam_sheet(answer), self._pulse.now.step)

    def flush(self) -> None:
        """Curves reach the disk."""
        if self._tracker:
            self._tracker.flush()


def _score(best: Best | None) -> ValidationScore | None:
    return ValidationScore(best.step, best.accuracy, finite(best.loss), finite(best.audited)) if best else None
