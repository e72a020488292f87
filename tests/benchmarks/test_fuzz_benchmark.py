"""The fuzz sees what it is to see: sound that is not where the picture is, and nothing where all is well."""

import signal
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import benchmarks.fuzz.trial
from benchmarks.fuzz.__main__ import by_container, tried
from benchmarks.fuzz.damage import damage
from benchmarks.fuzz.layout import LAYOUTS
from benchmarks.fuzz.marks import NOTHING, NUMBERS, appearances, numbers_of, picture, reading, sound
from benchmarks.fuzz.originals import ORIGINALS, Original
from benchmarks.fuzz.stamps import TIMINGS
from benchmarks.fuzz.trial import TOLERANCE_S, Trial, Verdict, packed
from sharding.base.workers import OUT_OF_MEMORY, OUT_OF_TIME

RATE = 16_000
SMALL = [one for one in ORIGINALS if one.audio != "pcm_s16le" and one.video != "mpeg2video"]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each container."""
    folder = tmp_path_factory.mktemp("originals")
    for one in {one.container: one for one in SMALL}.values():
        one.write(folder)
    return folder


def written(folder: Path) -> list[tuple[Original, bytes]]:
    return [(one, (folder / one.name).read_bytes()) for one in ORIGINALS if (folder / one.name).exists()]


def shown(numbers: list[int]) -> list[tuple[int, float]]:
    """Each picture for as long as it should be, at 100 a second."""
    luma = np.stack([picture(number)[:120] for number in numbers for _ in range(4)])
    return appearances(numbers_of(luma), Fraction(100))


@pytest.mark.parametrize("late_ms", [-300, -40, 0, 1, 25, 170])
def test_the_distance_of_sound_and_picture_is_what_it_was_made(late_ms: int) -> None:
    wave = np.roll(sound(Fraction(3), RATE), -late_ms * RATE // 1000)
    found = reading(shown(list(range(75))), wave, RATE).late_s
    assert len(found) > 50
    middle = [found[number] for number in range(20, 50)]
    assert np.allclose(middle, late_ms / 1000, atol=0.001)


def test_pictures_and_sounds_that_are_damaged_are_not_read() -> None:
    luma = np.stack([picture(number)[:120] for number in range(NUMBERS)])
    assert numbers_of(luma).tolist() == list(range(NUMBERS))
    torn = luma[:-1].copy()
    torn[:, 60:] = luma[1:, 60:]
    assert (numbers_of(torn) == NOTHING).mean() > 0.95
    noise = np.random.default_rng(0).normal(0, 3000, 3 * RATE).astype(np.int16)
    assert not reading(shown(list(range(75))), noise, RATE).late_s
    assert not reading(shown(list(range(75))), np.zeros(3 * RATE, np.int16), RATE).late_s


def test_one_picture_in_the_wrong_place_is_one_picture() -> None:
    numbers = list(range(60))
    numbers[30], numbers[33] = numbers[33], numbers[30]
    found = reading(shown(numbers), sound(Fraction(3), RATE), RATE)
    assert set(found.apart(TOLERANCE_S)) == {30, 33}


def test_a_layout_covers_its_file_and_times_written_back_are_the_times_that_were_read(
    originals: Path, tmp_path: Path
) -> None:
    for original, data in written(originals):
        pieces = list(LAYOUTS[original.container](data))
        assert max(piece.end for piece in pieces) == len(data), original.name
        assert all(piece.start <= piece.body <= piece.end for piece in pieces), original.name
        if timing := TIMINGS.get(original.container):
            again = tmp_path / original.name
            again.write_bytes(timing.write(data, timing.read(data)))
            assert times(again) == times(originals / original.name), original.name


def times(path: Path) -> list[tuple[object, ...]]:
    with av.open(str(path)) as container:
        return [(one.stream_index, one.pts, one.dts, one.size) for one in container.demux()]


@pytest.mark.parametrize("late_ms", [-200, 0, 15, 60])
def test_a_packed_file_shows_how_far_its_sound_is(originals: Path, tmp_path: Path, late_ms: int) -> None:
    original = next(one for one, _ in written(originals) if one.container == "mkv")
    timing = TIMINGS["mkv"]
    data = (originals / original.name).read_bytes()
    stamps = timing.read(data)
    for one in stamps:
        if one.stream == ("audio" if late_ms > 0 else "video"):
            one.move(abs(late_ms))
    path = tmp_path / "moved.mkv"
    path.write_bytes(timing.write(data, stamps))
    shown = packed(path)
    assert shown.judged() > 60
    assert bool(shown.apart()) == (abs(late_ms) > 20)
    every = [late for one in shown.readings for late in one.late_s.values()]
    assert np.median(every) * 1000 == pytest.approx(-late_ms, abs=6)


def test_what_is_no_reject_is_a_crash(originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = next(number for number, one in enumerate(ORIGINALS) if (originals / one.name).exists())
    trial = Trial(seed=0, number=-1 - number, originals=originals, folder=tmp_path)
    monkeypatch.setattr(benchmarks.fuzz.trial, "MOST_MB", 2**20)  # this process may have grown before
    assert trial.run(lambda *_: None).verdict is Verdict.RIGHT

    def bug(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(benchmarks.fuzz.trial, "survey", bug)
    outcome = trial.run(lambda *_: None)
    assert outcome.verdict is Verdict.CRASH
    assert "KeyError" in outcome.why
    verdicts = [trial.died(code).verdict for code in (OUT_OF_TIME, OUT_OF_MEMORY, -signal.SIGSEGV, 1)]
    assert verdicts == [Verdict.HANG, Verdict.MEMORY, Verdict.DIED, Verdict.CRASH]


def test_damage_comes_from_the_seed_alone(originals: Path) -> None:
    for original, data in written(originals):
        made = [damage(original.container, data, np.random.default_rng((0, number))) for number in range(6)]
        again = [damage(original.container, data, np.random.default_rng((0, number))) for number in range(6)]
        assert made == again, original.name
        assert len({one.what for one in made}) > 1, original.name


def test_whole_files_are_right_and_damaged_ones_get_a_verdict(tmp_path: Path) -> None:
    folder, keep = tmp_path / "work", tmp_path / "keep"
    (folder / "damaged").mkdir(parents=True)
    wanted = ("mp4", "webm", "ts")
    whole = [-1 - number for number, one in enumerate(ORIGINALS) if one in SMALL and one.container in wanted][:4]
    trials = [
        Trial(seed=0, number=number, originals=folder, folder=folder / "damaged")
        for number in (*whole, *(-1 - number for number in whole))  # whole ones, then the same ones damaged
    ]
    for trial in trials:
        trial.original.write(folder)
    outcomes = tried(trials, 1, keep, always=False)
    assert [outcomes[trial].verdict for trial in trials[: len(whole)]] == [Verdict.RIGHT] * len(whole)
    assert all(one.what and one.peak_mb > 0 for one in outcomes.values())
    assert not list((folder / "damaged").iterdir())
    assert by_container(outcomes).rows[-1][:2] == ("all", str(len(trials)))
