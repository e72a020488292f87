"""What a run reports, in one place: terminal, TensorBoard and progress.json. Rank 0 speaks, the others are silent."""

import shlex
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from avsync.confidence.trust import trust_words
from avsync.data.batch import Batch
from avsync.data.transforms import NetworkInput
from avsync.honesty.examination import Examination, in_words, write_maps
from avsync.honesty.judge import FEWEST_SOURCES
from avsync.honesty.predict import BatchAnswer, choices
from avsync.metrics import Calibration, proportion_of, roc_auc
from avsync.run.diagnosis import ValidationPoint, diagnose, keep_point, recorded
from avsync.run.paths import RunPaths
from avsync.run.progress import Phase, Pulse, RunProgress, ValidationScore, finite
from avsync.run.receipt import Receipt
from avsync.run.resume import OpenRun
from avsync.run.state import Best, State, TrustRecord
from avsync.train.efficiency import BusySpan, Floor, Guard
from avsync.train.preflight import Forecast
from avsync.train.tracking import StepMetrics, Tracker
from avsync.world import World, words_for
from sharding.base.console import Bar, WaitNotice, open_console
from sharding.base.files import write_json
from sharding.base.housekeeping import housekeeping
from sharding.base.text import counted, percent
from sharding.base.written_paths import is_url

FIRST_CLIPS = "waiting for the first clips"
CLIPS = 4
"""Rows of a picture in TensorBoard."""
NO_FLOOR = Floor(0, 3600)
"""Nobody looks how busy a GPU is."""


class CurveWriter(Protocol):
    """Where points are drawn: TensorBoard, and what else a run keeps of them."""

    def point(self, now: StepMetrics) -> None: ...
    def note(self, name: str, text: str, step: int) -> None: ...
    def receipt(self, receipt: Receipt) -> None: ...
    def efficiency(self, step: int, busy: float, floor: float) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class Reporter:
    """A context manager, for all of a run's steps."""

    def __init__(
        self,
        doing: str,
        paths: RunPaths,
        state: State,
        *,
        steps: int,
        batch: int,
        curves: CurveWriter | None,
        floor: Floor = NO_FLOOR,
    ) -> None:
        """state: where the attempt begins. curves: None for ranks that are silent. batch: clips of a step."""
        self._curves, self._batch, self._floor = curves, batch, floor
        self._bar = Bar(
            doing, steps, done=state.step, console=open_console(quiet=curves is None), line=self._line
        )  # a log file gets lines like "step 10/20  loss 0.693 ...  ETA 3.2 min"
        self._notice, self._first_step = WaitNotice(FIRST_CLIPS, self._bar.console), "computing the first step"
        self._status = ""
        self._looked = time.monotonic()
        self._guard: Guard | None = None
        self._named_slow = set[tuple[int, str]]()
        now = RunProgress(
            steps=steps, step=state.step, first_step=state.step, best=_score(state.best), alarm=state.alarm
        )
        self._pulse = Pulse(paths.progress if curves else None, now)
        self._pulse.write()

    def __enter__(self) -> Self:
        self._bar.__enter__()
        self._notice.__enter__()
        if self._pulse.now.step >= self._pulse.now.steps:
            self.say(f"all {self._pulse.now.step} steps are done already")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._notice.end()
        self._bar.__exit__(kind, error, trace)
        if self._curves and not kind:
            self._curves.close()

    def say(self, text: str, style: str = "") -> None:
        """A line that stays."""
        self._bar.say(text, style)

    def note(self, name: str, text: str, step: int, style: str = "") -> None:
        """Something worth reading, at the terminal and in TensorBoard."""
        self.say(f"{name}: {text}", style)
        if self._curves:
            self._curves.note(name, text, step)

    def waits(self, doing: str) -> None:
        """What the time before the first step is spent with; said aloud when it is long."""
        self._notice.doing = doing

    def phase(self, phase: Phase) -> AbstractContextManager[None]:
        """What the run is at, inside."""
        return self._pulse.phase(phase)

    def beat(self, step: int) -> None:
        """A step is done, or a part of a validation: the run lives."""
        self._notice.end()
        self._pulse.beat(step)
        self._bar.update(step)

    def stopped(self) -> None:
        """The wish to stop was granted."""
        self._pulse.write(phase="stopped")

    def done(self, state: State) -> None:
        """All steps are done."""
        if self._pulse.now.slow:
            self.say(f"slow rank: {self._pulse.now.slow}", "yellow")
        self._pulse.write(phase="done", step=state.step, eta_s=0.0, best=_score(state.best))

    def receipt(self, receipt: Receipt) -> None:
        """How this attempt began, now that its first clips are there."""
        self._pulse.write(attempt=receipt.attempt)
        if self._curves:
            self._curves.receipt(receipt)
        if receipt.step:
            self.say(str(receipt))
        self.waits(self._first_step)

    def point(self, now: StepMetrics, trouble: str) -> None:
        """A point of the training curves. `trouble`: the last of the clips that could not be read."""
        if now.unreadable:
            self.say(f"step {now.step}: {now.unreadable} clips could not be read: {trouble}")
        if self._curves:
            self._curves.point(now)
        if now.slow and (who := (now.slow.rank, now.slow.work)) not in self._named_slow:
            self._named_slow.add(who)
            self.note("slow rank", now.slow.text, now.step, "yellow")
        self._status = self.status(now)
        self._bar.update(now.step, state=self._status)
        self._pulse.point(
            now.step,
            step_s=now.load.seconds * self._batch / now.clips,
            clips_per_s=now.clips_per_s,
            loss=finite(now.loss),
            accuracy=now.accuracy,
            data_wait=now.data_wait,
            gpu_busy=now.gpu.busy if now.gpu else None,
            advice=self._advise(now),
            slow=now.slow.text if now.slow else "",
        )

    def status(self, now: StepMetrics) -> str:
        """How the training stands, for the bar."""
        return (
            f"loss {now.loss:.3f}  accuracy {percent(now.accuracy)}  {now.clips_per_s:.1f} clips/s  "
            f"data wait {percent(now.data_wait, digits=0)}"
        )

    def validated(self, score: ValidationScore, state: State) -> None:
        """What a validation measured, and the run's state after it. Its best is told when it is saved."""
        self._pulse.write(validation=score, alarm=state.alarm)

    def saved(self, state: State) -> None:
        """A checkpoint is whole, and so is the best one that it names."""
        if (best := _score(state.best)) != self._pulse.now.best:
            self._pulse.write(best=best)

    def flush(self) -> None:
        """CurveWriter reach the disk."""
        if self._curves:
            self._curves.flush()

    def _line(self) -> str:
        now = self._pulse.now
        return "  ".join(filter(None, (f"step {now.step}/{now.steps}", self._status, self._bar.left())))

    def _advise(self, now: StepMetrics) -> str:
        """What the guard of efficiency advises; aloud when it is time."""
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
        if self._curves:
            self._curves.efficiency(now.step, verdict.recent.busy, self._floor.share)
        if self._guard.is_time_to_say(advice):
            self.note("efficiency", advice, now.step)
        return advice


class TrainReporter(Reporter):
    """Of a training: what belongs to pairs, to honesty and to the site's GPUs, too."""

    def __init__(self, opened: OpenRun, state: State, *, speaks: bool) -> None:
        self._opened, runtime = opened, opened.config.runtime
        self._trained = [0.0, 0.0, 0.0]
        self._tracker = Tracker(opened.paths, opened.info, state.step) if speaks else None
        self._undrawn: tuple[NetworkInput, Batch] | None = None
        super().__init__(
            "training",
            opened.paths,
            state,
            steps=opened.config.steps,
            batch=opened.config.batch,
            curves=self._tracker,
            floor=Floor(runtime.gpu_floor, runtime.gpu_floor_s),
        )

    def introduce(self, world: World) -> None:
        """What begins, before anything is waited for."""
        opened, config = self._opened, self._opened.config
        if (step := self._pulse.now.first_step) >= config.steps:
            return
        val = opened.validation
        held_out = f", {counted(min(len(val.usable), config.validate_clips), 'clip')} to validate" if val else ""
        opening = (
            f"training {config.model} on {words_for(world.device)}, {counted(world.ranks, 'process', 'processes')}: "
            f"{counted(len(opened.feed.usable), 'clip')} to train on{held_out}; {config.batch} clips a step, "
            f"{f'resumed at step {step}' if step else 'steps 0'} to {config.steps}; "
            f"log: {opened.paths.tensorboard}, {opened.paths.progress.name}"
        )
        self.say(opening)
        if self._tracker:
            self._tracker.note("opening", opening, step)
        if config.compile:
            self._first_step = "compiling the network, which takes minutes, and computing the first step"

    def done(self, state: State) -> None:
        """The last line: which command follows."""
        super().done(state)
        dataset = self._opened.info.dataset_path
        if self._tracker:
            found = recorded(self._opened.paths, self._opened.config, state.step)
            for finding in diagnose(found):
                self.note("why it does not learn", str(finding), state.step, "yellow")
        self.say(
            f"done. {next_command('evaluate', self._opened.paths.root, 'DATASET' if is_url(dataset) else dataset)}"
        )

    def receipt(self, receipt: Receipt) -> None:
        """The same, and what of the data is not used."""
        super().receipt(receipt)
        feed = self._opened.feed
        if too_short := (clips := len(feed.dataset.index)) - len(feed.usable):
            self.say(f"{too_short} of {counted(clips, 'clip')} are too short for a pair; left out")
        held_out, most = self._opened.validation, self._opened.config.validate_clips
        if held_out and (sources := held_out.sources(most)) < FEWEST_SOURCES:
            self.say(
                f"validation asks about {counted(sources, 'source')}: fewer than {FEWEST_SOURCES} cannot raise the "
                "alarm of a cheating network; avsync audit DATASET looks at the train split"
            )

    def point(self, now: StepMetrics, trouble: str) -> None:
        """The same, summed up until the next validation."""
        super().point(now, trouble)
        self._trained = [old + new for old, new in zip(self._trained, now.sums[:3], strict=True)]

    def preflight(self, forecast: Forecast) -> None:
        """What to expect of this attempt."""
        self.note("preflight", str(forecast), self._pulse.now.step)
        self._pulse.write(preflight=str(forecast))
        self.waits(FIRST_CLIPS)

    def examined(self, got: Examination, before: State, now: State) -> None:
        """A point of the validation curves, which has changed the run's state; and the alarm."""
        step, answers = now.step, got.got
        self.say(f"step {step}: validation loss {answers.loss:.3f}, {in_words(got)}")
        if self._tracker:
            self._tracker.validated(step, answers.loss, got.accuracy, roc_auc(answers.logit, answers.in_sync))
            self._tracker.honesty(step, got)
            if self._opened.validation:
                write_maps(self._opened.paths.maps, got, self._opened.validation.dataset.key)
            keep_point(self._opened.paths, self._point_of(step, got))
        self.validated(ValidationScore(step, got.accuracy, finite(answers.loss), finite(got.audited)), now)
        if now.alarm and now.alarm.is_news(before.alarm):
            self.note("alarm", now.alarm.text, step, "bold red")
        elif before.alarm and not now.alarm:
            self.note("alarm", f"over at step {step:,}: no stream alone tells the label any more", step, "green")

    def _point_of(self, step: int, got: Examination) -> ValidationPoint:
        """For the run's record."""
        (loss, right, examples), self._trained = self._trained, [0.0, 0.0, 0.0]
        answers, asked = got.got, self._opened.validation or self._opened.feed
        group = asked.dataset.index.group
        found = choices(answers, asked.sampler.sounds)
        read = Calibration.of(answers.logit, answers.in_sync)
        return ValidationPoint(
            step=step,
            train_loss=finite(loss / examples) if examples else None,
            train_accuracy=right / examples if examples else None,
            loss=finite(answers.loss),
            accuracy=proportion_of(answers.hits, got.group),
            choice=found.all(group) if len(found.clip) else None,
            parted=read and float(((answers.logit > read.threshold) == answers.in_sync).mean()),
            threshold=read and read.threshold,
        )

    def trusted(self, record: TrustRecord) -> None:
        """How far the confidence of `avsync score` goes, kept in the run."""
        if self._tracker:
            with housekeeping("write", self._opened.paths.trust):
                write_json(self._opened.paths.trust, record)
        for words in dict.fromkeys(map(trust_words, record.networks)):
            self.say(words)

    def first_batch(self, batch: Batch, prepare: Callable[[Batch], NetworkInput]) -> None:
        """What the network is shown; drawn only where somebody looks, and once its step is done: that is waited for."""
        if self._tracker:
            with housekeeping("draw the first batch in", self._opened.paths.tensorboard, Exception):
                self._undrawn = prepare(shown := batch.first(CLIPS)), shown

    def beat(self, step: int) -> None:
        super().beat(step)
        undrawn, self._undrawn = self._undrawn, None
        if self._tracker and undrawn:
            with housekeeping("draw the first batch in", self._opened.paths.tensorboard, Exception):
                from avsync.train.pictures import batch_sheet  # late: ranks that draw nothing load nothing that draws

                self._tracker.first_batch(batch_sheet(*undrawn))

    def heat_maps(self, answer: BatchAnswer) -> None:
        """Where the network looks, now."""
        if self._tracker:
            with housekeeping("draw heat maps in", self._opened.paths.tensorboard, Exception):
                from avsync.train.pictures import cam_sheet  # late: as above

                self._tracker.heat_maps(
                    cam_sheet(answer, CLIPS, points=self._opened.config.pointing > 0), self._pulse.now.step
                )


def next_command(*words: object) -> str:
    """Which command follows, as one would type it."""
    return f"Next: {shlex.join(['avsync', *map(str, words)])}"


def _score(best: Best | None) -> ValidationScore | None:
    return ValidationScore(best.step, best.accuracy, finite(best.loss), finite(best.audited)) if best else None
