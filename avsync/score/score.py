"""Is a file in sync? One pass over it; an answer in words, as JSON and as a picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from avsync.checkpoint import RunPaths
from avsync.network import LoadedNetwork, load_network, pick_device
from avsync.places import full_name, score_place
from avsync.score.answer import Answer, CurvePoint, WindowSays
from avsync.score.config import ScoreConfig
from avsync.score.curve import Votes
from avsync.score.decide import decide
from avsync.score.listen import Evidence, listen, plan_windows
from avsync.score.plot import score_png
from avsync.score.words import sentence_of, why_not
from avsync.terminal import open_console
from sharding.errors import InputError, RejectError
from sharding.files import publish, write_json
from sharding.probe import Probe, probe
from sharding.words import plain


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """One file, done or not."""

    video: Path
    answer: Answer | None
    error: str = ""
    """Why there is no answer."""
    json: Path | None = None
    picture: Path | None = None


def score(run: Path, videos: Sequence[Path], config: ScoreConfig) -> list[Scored]:
    """Score each of `videos` with the network of `run`; a bad file costs only itself.

    Raises InputError, FormatError for the run and the output folder.
    """
    device = pick_device(config.device)
    network = load_network(run, config.checkpoint, device)
    folder = Path(config.output) if config.output else RunPaths(run).scored
    _make(folder)
    done = list[Scored]()
    with _progress() as progress:
        for number, video in enumerate(videos, 1):
            count = f"{number}/{len(videos)} " if len(videos) > 1 else ""
            task = progress.add_task(f"{count}{plain(video.name)}", total=None)
            try:
                answer, evidence = score_with(
                    network, run, video, config, device,
                    lambda total, task=task: progress.update(task, total=total),
                    lambda task=task: progress.advance(task),
                )  # fmt: skip
                done.append(_written(video, answer, evidence, folder))
            except (RejectError, InputError) as error:
                told = error.detail if isinstance(error, RejectError) else str(error)
                done.append(Scored(video=video, answer=None, error=told))
            progress.remove_task(task)
    return done


def score_with(
    network: LoadedNetwork,
    run: Path,
    video: Path,
    config: ScoreConfig,
    device: torch.device,
    begin: Callable[[int], object] = lambda _: None,
    advance: Callable[[], object] = lambda: None,
) -> tuple[Answer, Evidence]:
    """The same for one file with a network in memory. Raises RejectError."""
    source = probe(video)
    plan = plan_windows(source, network, config)
    begin(len(plan.starts))
    evidence = listen(network, source, plan, device, advance)
    decision, votes = decide(evidence, config)
    reason = why_not(decision, evidence, config)
    curve = decision.curve
    answer = Answer(
        video=full_name(video.resolve()),
        run=full_name(run.resolve()),
        step=network.step,
        seconds=_seconds(source),
        verdict=decision.verdict,
        offset_ms=curve and round(curve.best_s * 1000, 1),
        interval_ms=curve and (round(curve.interval_s[0] * 1000, 1), round(curve.interval_s[1] * 1000, 1)),
        confidence=round(curve.confidence, 4) if curve else 0.0,
        capture_ms=round(curve.capture_s * 1000, 1) if curve else 0.0,
        tested_ms=curve and (round(curve.tested[0] * 1000, 1), round(curve.tested[1] * 1000, 1)),
        sentence=sentence_of(video.name, decision, reason, config),
        reason=reason,
        parts=decision.parts,
        windows=_windows(evidence, votes) if votes else (),
        curve=tuple(
            CurvePoint(offset_ms=round(offset * 1000, 3), support=round(support, 4), probability=round(probability, 6))
            for offset, support, probability in zip(
                curve.offsets_s.tolist(), curve.support.tolist(), curve.probability.tolist(), strict=True
            )
        )
        if curve
        else (),
        settings=config,
    )
    return answer, evidence


def _windows(evidence: Evidence, votes: Votes) -> tuple[WindowSays, ...]:
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


def _written(video: Path, answer: Answer, evidence: Evidence, folder: Path) -> Scored:
    place = score_place(folder, video)
    try:
        picture = place.with_suffix(".png")
        with publish(picture) as file:
            file.write(score_png(answer, evidence))
        write_json(place, answer)
    except OSError as error:
        raise InputError(f"cannot write {place}: {error.strerror}; make room, or choose another --output") from error
    return Scored(video=video, answer=answer, json=place, picture=picture)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}; choose another --output") from error


def _seconds(source: Probe) -> float:
    return round(float(source.video.end - source.video.start), 3)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = open_console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
