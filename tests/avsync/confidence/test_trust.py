"""The trust that is found makes the confidence true, whatever a network's logits are worth, and says when it cannot."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from avsync.confidence.curve import Reading, Votes
from avsync.confidence.file_evidence import blind_windows
from avsync.confidence.planted import ClipAnswers, ClipGrid, PlantedFile, planted_files, spread_clips
from avsync.confidence.trust import fit_trust, reading_of
from avsync.metrics import Calibration, Reliability
from avsync.run.paths import RunPaths
from avsync.run.state import NetworkTrust, TrustRecord
from sharding.base.files import write_json
from sharding.errors import FormatError
from sharding.format.clip import Clock

GRID = ClipGrid(
    clock=Clock(fps=Fraction(15), sample_rate=16_000),
    window=30,
    length=90,
    step=1,
    starts=tuple(range(0, 61, 10)),
)


def answers(clip: int, worth: float, bias: float, *, grid: ClipGrid = GRID) -> ClipAnswers:
    """Of a network whose logits are log likelihood ratios times `worth`, and `bias`: normal ones, 2 d' apart.

    How well it knows differs from clip to clip; neighbouring sounds are alike, as what is heard of them is.
    """
    rng = np.random.default_rng(clip)
    skill = rng.uniform(0, 2.5)
    sounds = np.array(grid.sounds)
    noise = np.stack(
        [
            np.convolve(rng.normal(size=len(sounds) + 2), np.ones(3) / np.sqrt(3), "valid")
            for _ in range(2 * len(grid.starts))
        ]
    ).reshape(2, len(grid.starts), -1)
    hit = np.abs(sounds[None] - np.array(grid.starts)[:, None]) <= 1
    seen = noise + skill * np.stack((hit, np.zeros_like(hit)))
    ratio = skill * seen - skill**2 / 2
    return ClipAnswers(
        clip=clip,
        logit=(worth * ratio + bias).astype(np.float32),
        loudness_db=np.full((2, len(sounds)), -20, np.float32),
        motion=np.full(len(grid.starts), 5, np.float32),
    )


def files(clips: range, worth: float = 1.0, bias: float = 0.0) -> list[PlantedFile]:
    return [file for clip in clips for file in planted_files(GRID, answers(clip, worth, bias))]


def error(some: list[PlantedFile], reading: Reading) -> float:
    """Expected calibration error of the confidence, worked out by itself: as avsync score would say it."""
    sure, near = [], []
    for file in some:
        curve = Votes.of(file.evidence, blind_windows(file.evidence), reading).curve()
        sure.append(curve.confidence)
        near.append(file.planted_s is not None and abs(curve.best_s - file.planted_s) <= curve.capture_s + 1e-9)
    return Reliability.of(np.array(sure), np.array(near), np.array([file.clip for file in some])).error


GROUP = np.arange(1000)


@pytest.mark.parametrize("worth", [0.4, 1.0, 2.5])
def test_the_confidence_of_unseen_sources_is_true_whatever_logits_are_worth(worth: float) -> None:
    found = fit_trust(7, files(range(60), worth), GROUP)
    assert found.trust is not None
    assert (found.step, found.clips, found.sources) == (7, 60, 60)
    assert found.low <= found.trust <= found.high
    unseen = files(range(300, 500), worth)
    read = Reading(
        trust=found.trust, threshold=found.threshold, none=found.none, confidence=Calibration(*found.confidence)
    )
    fitted = error(unseen, read)
    assert fitted < 0.08
    assert error(unseen, replace(read, trust=10 * found.trust)) > fitted + 0.1
    assert error(unseen, replace(read, trust=found.trust / 10)) > fitted + 0.1


@pytest.mark.parametrize("bias", [-3.0, 2.0])
def test_a_bias_of_the_logits_is_found_as_the_threshold_and_changes_nothing_else(bias: float) -> None:
    plain, biased = (fit_trust(7, files(range(30), 1.0, one), GROUP) for one in (0.0, bias))
    assert biased.threshold - plain.threshold == pytest.approx(bias)
    assert biased.trust == plain.trust


def test_a_source_counts_the_same_however_many_clips_it_has() -> None:
    """Of two sources with networks of another worth, the one with 40 clips does not drown the one with 10."""
    many, few = files(range(40), 1.0), files(range(40, 50), 3.0)
    group = np.repeat([0, 1], [40, 10])
    alike = fit_trust(7, many + few, group)
    drowned = fit_trust(7, many + few, np.arange(50))
    assert alike.sources == 2
    assert alike.trust is not None
    assert drowned.trust is not None
    assert alike.trust < drowned.trust


@pytest.mark.parametrize("fps", [Fraction(10), Fraction(15), Fraction(25), Fraction(30000, 1001), Fraction(60)])
@pytest.mark.parametrize("length", [45, 60, 90])
def test_every_planted_offset_is_among_those_that_are_asked_and_a_network_that_knows_finds_it(
    fps: Fraction, length: int
) -> None:
    step = max(1, round(0.04 * float(fps)))
    room = (length - 30) // step * step
    starts = tuple(sorted({round(at / step) * step for at in np.linspace(0, room, 7)}))
    grid = replace(GRID, clock=Clock(fps=fps, sample_rate=16_000), length=30 + room, step=step, starts=starts)
    sounds = np.array(grid.sounds)
    table = np.where(np.abs(sounds[None] - np.array(starts)[:, None]) <= step // 2, 3.0, -3.0)
    known = replace(answers(0, 1, 0, grid=grid), logit=np.stack((table, np.full_like(table, -3.0))).astype(np.float32))
    made = list(planted_files(grid, known))
    assert sum(file.weight for file in made if file.planted_s is not None) == pytest.approx(1)
    for file in made:
        curve = Votes.of(file.evidence, blind_windows(file.evidence), Reading(trust=5.0)).curve()
        assert (curve.offsets_s[1] - curve.offsets_s[0]) * float(fps) == pytest.approx(step)
        if file.planted_s is None:
            assert curve.probability.sum() < 0.5
        else:
            assert curve.best_s == pytest.approx(file.planted_s, abs=0.5 * step / float(fps))
            assert curve.confidence > 0.5


def test_the_first_of_every_source_are_asked_before_the_second_of_any() -> None:
    group = np.array([5, 5, 5, 5, 7, 7, 9])
    assert spread_clips(np.arange(7), group, 4) == [0, 4, 6, 1]
    assert sorted(spread_clips(np.arange(7), group, 99)) == list(range(7))


def record(run: Path, **changes: object) -> None:
    run.mkdir(exist_ok=True)
    found = NetworkTrust(step=7, trust=0.7, threshold=1.5, none=0.1, low=0.5, high=0.9, clips=30, sources=9)
    write_json(RunPaths(run).trust, TrustRecord(networks=(replace(found, **changes),)))  # type: ignore[arg-type]


def test_a_named_trust_goes_before_the_runs_which_goes_before_the_default(tmp_path: Path) -> None:
    record(tmp_path)
    kept = reading_of(tmp_path, 7, None)
    assert kept.reading == Reading(trust=0.7, threshold=1.5, none=0.1)
    assert "trust 0.7 (0.5 to 0.9), found on 30 clips of 9 sources" in kept.words
    named = reading_of(tmp_path, 7, 3.0)
    assert named.reading == Reading(trust=3.0, threshold=1.5, none=0.1)
    assert "--trust" in named.words


@pytest.mark.parametrize("known", ["nothing", "another step", "why not"])
def test_a_run_that_does_not_say_is_read_as_before_and_that_is_said(tmp_path: Path, known: str) -> None:
    if known == "another step":
        record(tmp_path, step=8)
    elif known == "why not":
        record(tmp_path, trust=None, why="the val split has 3 clips")
    found = reading_of(tmp_path, 7, None)
    assert found.reading == Reading() == Reading(trust=2.0, threshold=0.0, none=0.25)
    assert "2 is used" in found.words
    assert ("the val split has 3 clips" in found.words) == (known == "why not")


@pytest.mark.parametrize(
    "content", ["{}", '{"networks": [{"step": 7, "trust": -1}]}', '{"networks": [{"step": 7, "trust": 1e9}]}']
)
def test_a_damaged_record_names_itself_and_the_remedy(tmp_path: Path, content: str) -> None:
    RunPaths(tmp_path).trust.write_text(content)
    with pytest.raises(FormatError, match=r"trust\.json.*delete it"):
        reading_of(tmp_path, 7, None)
