"""Is a file in sync? One pass over it; an answer in words, as JSON and as a picture."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from avsync.confidence.curve import OffsetCurve, Reading, Votes, milliseconds
from avsync.confidence.file_evidence import ScoreEvidence
from avsync.confidence.trust import reading_of
from avsync.localize.watched import NoFaceError, Watched, watched
from avsync.run.network import LoadedNetwork, load_network, pick_device
from avsync.run.paths import RunPaths, full_name, run_of, score_place
from avsync.score.config import ScoreConfig
from avsync.score.decide import decide
from avsync.score.faces import Heard, faces_words, joined, scored_faces, speaker, together
from avsync.score.fix import WHY_NOT, fix, fixed_path
from avsync.score.listen import check_tolerance, listen, plan_windows
from avsync.score.result import CurvePoint, ScoredWindow, ScoreResult
from avsync.score.wording import sentence_of, why_not
from avsync.world import use_cores
from sharding.base.console import Bar, open_console
from sharding.base.files import publish, write_json, writing
from sharding.base.guarded import claim, make_folder
from sharding.base.text import plain
from sharding.errors import InputError, RejectError
from sharding.media.probe import Probe, probe


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


def _unheard(_: ScoreResult) -> None:
    """Nobody waits for answers."""


def score(
    run: Path, videos: Sequence[Path], config: ScoreConfig, answered: Callable[[ScoreResult], None] = _unheard
) -> list[Scored]:
    """Score each of `videos` with the network of `run`; a bad file costs only itself.

    answered: gets the answer of a single file before its picture is drawn, which for a short one takes as long again.

    Raises InputError, FormatError for the run and the output folder.
    """
    scorer = scorer_of(run, config)
    claim(Path(config.output) if config.output else RunPaths(scorer.run).answers)
    with writing(scorer.folder, "--output"):
        make_folder(scorer.folder)
    done, at_once = list[Scored](), answered if len(videos) == 1 else _unheard
    for number, video in enumerate(videos, 1):
        count = f"{number}/{len(videos)} " if len(videos) > 1 else ""
        done.append(scorer.work(video, Bar(f"{count}{plain(video.name)}", unit="share", passing=True), at_once))
    return done


def scorer_of(run: Path, config: ScoreConfig) -> "Scorer":
    """The network of `run` in memory, and a word about how far its confidence goes. Raises InputError, FormatError."""
    run, device = run_of(run), pick_device(config.device)
    use_cores(device, busy=1)  # decoding is: a thread more for it than there are cores halves the speed
    network = load_network(run, config.checkpoint, device)
    check_tolerance(network, config)
    trusted = reading_of(run, network.step, config.trust)
    open_console(stderr=True).print(trusted.words, soft_wrap=True)
    folder = Path(config.output) if config.output else RunPaths(run).scored
    return Scorer(network=network, run=run, config=config, device=device, folder=folder, reading=trusted.reading)


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
    reading: Reading
    """How the network's logits are taken."""

    def work(self, video: Path, bar: Bar | None = None, answered: Callable[[ScoreResult], None] = _unheard) -> Scored:
        """One file, with all that is wanted of it: answer, which goes to `answered`, picture, fixed copy."""
        scored = Scored(video=video)
        try:
            with bar or nullcontext():
                answer, evidence = self.ask(video, bar)
            answered(answer)
            scored = replace(scored, answer=answer, picture=_written(video, answer, evidence, self.folder))
            return replace(scored, fixed=_mended(video, answer, self.config.fix_to)) if self.config.fix else scored
        except RejectError as error:
            return replace(scored, error=error.detail)
        except InputError as error:
            return replace(scored, error=str(error))

    def ask(self, video: Path, bar: Bar | None = None) -> tuple[ScoreResult, ScoreEvidence]:
        """The answer, and what it rests on; `bar` shows how far it is. Raises RejectError."""
        bar = bar or Bar(video.name, passing=True)  # never begun, so it shows nothing
        source, nobody = probe(video), ""
        try:
            parts = watched(source, self.network, self.config.crop)
        except NoFaceError as error:
            nobody = f"{error}."
            parts = (Watched(frames=range(0), network=self.network),)
        heard = self._listen(source, parts, bar)
        asked = [one for _, one in heard] if together(parts) else [joined(heard)]
        decided = [decide(one, self.config, self.reading) for one in asked]
        chosen = speaker([decision for decision, _ in decided])
        evidence, (decision, votes) = asked[chosen], decided[chosen]
        faces = scored_faces(parts, [one for one, _ in decided], chosen) if len(asked) > 1 else ()
        reason, curve = nobody or why_not(decision, evidence, self.config), decision.curve
        told = curve if curve and curve.tells else None
        about = f" {faces_words(faces)}" if faces else ""
        answer = ScoreResult(
            video=full_name(video.resolve()),
            run=full_name(self.run.resolve()),
            step=self.network.step,
            seconds=round(float(source.video.end - source.video.start), 3),
            verdict=decision.verdict,
            offset_ms=told and round(told.best_s * 1000, 1),
            interval_ms=told and milliseconds(told.interval_s),
            confidence=round(told.confidence, 4) if told else 0.0,
            capture_ms=round(curve.capture_s * 1000, 1) if curve else 0.0,
            tested_ms=curve and milliseconds(curve.tested),
            sentence=sentence_of(video.name, decision, reason, self.config) + about,
            reason=reason,
            parts=decision.parts,
            windows=_windows(evidence, votes) if votes else (),
            curve=_points(curve) if curve else (),
            settings=self.config,
            reading=self.reading,
            faces=faces,
        )
        return answer, evidence

    def _listen(self, source: Probe, parts: Sequence[Watched], bar: Bar) -> list[Heard]:
        """Each part, all in one pass."""
        plans = [plan_windows(source, self.network, self.config, part.frames) for part in parts]
        bar.update(total=sum(len(plan.starts) for plan in plans))
        asked = [(plan, part.where) for part, plan in zip(parts, plans, strict=True)]
        return list(zip(parts, listen(self.network, source, asked, self.device, bar.advance), strict=True))


def _points(curve: OffsetCurve) -> tuple[CurvePoint, ...]:
    columns = (curve.offsets_s.tolist(), curve.support.tolist(), curve.probability.tolist())
    return tuple(
        CurvePoint(offset_ms=round(offset * 1000, 3), support=round(support, 4), probability=round(probability, 6))
        for offset, support, probability in zip(*columns, strict=True)
    )


def _mended(video: Path, answer: ScoreResult, wanted: str) -> str:
    """Write the fixed copy, or say why not. Raises InputError, RejectError."""
    if why := WHY_NOT.get(answer.verdict):
        return f"No fixed copy: {why}"
    assert answer.offset_ms is not None
    return fix(video, fixed_path(video, wanted), round(answer.offset_ms)).text


def _windows(evidence: ScoreEvidence, votes: Votes) -> tuple[ScoredWindow, ...]:
    best = int(votes.curve().probability.argmax())
    windows = list[ScoredWindow]()
    for number, row in enumerate(evidence.logit):
        if np.isnan(row).all():
            continue
        top = int(np.nanargmax(row))
        window = ScoredWindow(
            start_s=round(float(votes.starts_s[number]), 3),
            offset_ms=round(float(evidence.offsets[top] / evidence.clock.fps) * 1000, 3),
            in_sync_logit=round(float(row[top]), 3),
            support=round(float(votes.nats[number, best]), 4),
            loudness_db=round(float(evidence.loudness_db[number]), 1),
            motion=round(float(evidence.motion[number]), 2),
        )
        windows.append(window)
    return tuple(windows)


def _written(video: Path, answer: ScoreResult, evidence: ScoreEvidence, folder: Path) -> Path:
    """The answer as json, and as the picture whose path is returned. Raises InputError."""
    # late: it brings what draws, and nobody is to wait for that before the answer
    from avsync.score.plot import score_png

    json = score_place(folder, video)
    picture = json.with_suffix(".png")
    with writing(json, "--output"):
        with publish(picture) as file:
            file.write(score_png(answer, evidence))
        write_json(json, answer)
    return picture
