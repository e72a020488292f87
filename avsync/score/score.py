"""Is a file in sync? One pass over it; an answer in words, as JSON and as a picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.progress import Progress, TaskID

from avsync.run.network import LoadedNetwork, load_network, pick_device
from avsync.run.paths import RunPaths, full_name, score_place
from avsync.score.answer import CurvePoint, ScoreResult, WindowSays
from avsync.score.config import ScoreConfig
from avsync.score.curve import OffsetCurve, Votes
from avsync.score.decide import decide
from avsync.score.fix import fix, fixed_place, said_of, why_not_fixed
from avsync.score.listen import ScoreEvidence, check_tolerance, listen, plan_windows
from avsync.score.plot import score_png
from avsync.score.words import sentence_of, why_not
from sharding.base.console import passing_bar
from sharding.base.files import publish, write_json
from sharding.base.text import plain
from sharding.errors import InputError, RejectError
from sharding.media.probe import probe


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """One file, done or not."""

    video: Path
    answer: ScoreResult | None = None
    error: str = ""
    """What went wrong."""
    picture: Path | None = None
    """Its json lies beside it."""
    fixed: str = ""
    """What --fix did, or why it did nothing."""


class Steps(NamedTuple):
    """Whom to tell how far the work is."""

    begin: Callable[[int], object] = lambda _: None
    """With the number of steps to come."""
    advance: Callable[[], object] = lambda: None


QUIET = Steps()


def score(run: Path, videos: Sequence[Path], config: ScoreConfig) -> list[Scored]:
    """Score each of `videos` with the network of `run`; a bad file costs only itself.

    Raises InputError, FormatError for the run and the output folder.
    """
    device = pick_device(config.device)
    network = load_network(run, config.checkpoint, device)
    check_tolerance(network, config)
    folder = Path(config.output) if config.output else RunPaths(run).scored
    _make(folder)
    scorer = Scorer(network=network, run=run, config=config, device=device, folder=folder)
    done = list[Scored]()
    with passing_bar() as progress:
        for number, video in enumerate(videos, 1):
            count = f"{number}/{len(videos)} " if len(videos) > 1 else ""
            task = progress.add_task(f"{count}{plain(video.name)}", total=None)
            steps = Steps(partial(_begin, progress, task), partial(progress.advance, task))
            done.append(scorer.work(video, steps))
            progress.remove_task(task)
    return done


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scorer:
    """A network in memory, and what is wanted of it."""

    network: LoadedNetwork
    run: Path
    """Where the network comes from."""
    config: ScoreConfig
    device: torch.device
    folder: Path
    """Where answers go."""

    def work(self, video: Path, steps: Steps = QUIET) -> Scored:
        """One file, with all that is wanted of it: answer, picture, fixed copy."""
        scored = Scored(video=video)
        try:
            answer, evidence = self.ask(video, steps)
            scored = replace(scored, answer=answer, picture=_written(video, answer, evidence, self.folder))
            return replace(scored, fixed=_mended(video, answer, self.config.fix_to)) if self.config.fix else scored
        except RejectError as error:
            return replace(scored, error=error.detail)
        except InputError as error:
            return replace(scored, error=str(error))

    def ask(self, video: Path, steps: Steps = QUIET) -> tuple[ScoreResult, ScoreEvidence]:
        """The answer, and what it rests on. Raises RejectError."""
        source = probe(video)
        plan = plan_windows(source, self.network, self.config)
        steps.begin(len(plan.starts))
        evidence = listen(self.network, source, plan, self.device, steps.advance)
        decision, votes = decide(evidence, self.config)
        reason, curve = why_not(decision, evidence, self.config), decision.curve
        answer = ScoreResult(
            video=full_name(video.resolve()),
            run=full_name(self.run.resolve()),
            step=self.network.step,
            seconds=round(float(source.video.end - source.video.start), 3),
            verdict=decision.verdict,
            offset_ms=curve and round(curve.best_s * 1000, 1),
            interval_ms=curve and _milliseconds(curve.interval_s),
            confidence=round(curve.confidence, 4) if curve else 0.0,
            capture_ms=round(curve.capture_s * 1000, 1) if curve else 0.0,
            tested_ms=curve and _milliseconds(curve.tested),
            sentence=sentence_of(video.name, decision, reason, self.config),
            reason=reason,
            parts=decision.parts,
            windows=_windows(evidence, votes) if votes else (),
            curve=_points(curve) if curve else (),
            settings=self.config,
        )
        return answer, evidence


def _milliseconds(stretch: tuple[float, float]) -> tuple[float, float]:
    return round(stretch[0] * 1000, 1), round(stretch[1] * 1000, 1)


def _points(curve: OffsetCurve) -> tuple[CurvePoint, ...]:
    columns = (curve.offsets_s.tolist(), curve.support.tolist(), curve.probability.tolist())
    return tuple(
        CurvePoint(offset_ms=round(offset * 1000, 3), support=round(support, 4), probability=round(probability, 6))
        for offset, support, probability in zip(*columns, strict=True)
    )


def _mended(video: Path, answer: ScoreResult, wanted: str) -> str:
    """Write the fixed copy, or say why not. Raises InputError, RejectError."""
    if why := why_not_fixed(answer):
        return f"No fixed copy: {why}"
    assert answer.offset_ms is not None
    offset = round(answer.offset_ms)
    return said_of(fix(video, fixed_place(video, wanted), offset), offset)


def _windows(evidence: ScoreEvidence, votes: Votes) -> tuple[WindowSays, ...]:
    best = int(votes.curve().probability.argmax())
    said = []
    for number, row in enumerate(evidence.logit):
        if np.isnan(row).all():
            continue
        top = int(np.nanargmax(row))
        said.append(WindowSays(
            start_s=round(float(votes.starts_s[number]), 3),
            offset_ms=round(float(evidence.offsets[top] / evidence.clock.fps) * 1000, 3),
            in_sync_logit=round(float(row[top]), 3),
            support=round(float(votes.nats[number, best]), 4),
            loudness_db=round(float(evidence.loudness_db[number]), 1),
            motion=round(float(evidence.motion[number]), 2),
        ))  # fmt: skip
    return tuple(said)


def _written(video: Path, answer: ScoreResult, evidence: ScoreEvidence, folder: Path) -> Path:
    """The answer as json, and as the picture whose path is returned. Raises InputError."""
    place = score_place(folder, video)
    try:
        picture = place.with_suffix(".png")
        with publish(picture) as file:
            file.write(score_png(answer, evidence))
        write_json(place, answer)
    except OSError as error:
        raise InputError(f"cannot write {place}: {error.strerror}; make room, or choose another --output") from error
    return picture


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}; choose another --output") from error


def _begin(progress: Progress, task: TaskID, total: int) -> None:
    progress.update(task, total=total)
