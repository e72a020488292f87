"""What the benchmark does to the sound of sets, and what it calls lower."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchmarks import score_set as module
from benchmarks.score import RATE, sound_of
from sharding.format.clip import Clock
from sharding.media.decode import OutputSpec, read_views
from sharding.media.probe import probe
from tests.media import Video, write_video

VIDEO = Video(seconds=Fraction(4), events=(Fraction(1), Fraction(3)), sample_rate=RATE, fps=Fraction(25))


@pytest.mark.parametrize("name", module.DONE)
def test_a_larger_dose_changes_what_a_smaller_one_did_and_more(name: str) -> None:
    change, doses = module.DONE[name]
    rng = np.random.default_rng(0)
    waves = [rng.integers(-9000, 9000, (RATE + number, 1)).astype(np.int16) for number in range(8)]
    changed = list[int]()
    for dose in doses:
        now = change(waves, dose)
        assert [one.shape for one in now] == [one.shape for one in waves]
        changed.append(sum(not np.array_equal(one, other) for one, other in zip(now, waves, strict=True)))
    assert changed[0] == 0
    assert changed == sorted(changed)
    assert changed[-1] == len(waves)


def test_a_copy_has_the_same_pictures_and_the_other_sound(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", VIDEO)
    wave = np.random.default_rng(0).integers(-9000, 9000, (3 * RATE, 1)).astype(np.int16)
    module.remux(video, wave, tmp_path / "b.mkv")
    spec = OutputSpec(clock=Clock(fps=Fraction(25), sample_rate=RATE), width=32, height=32, channels=1)
    of_a, of_b = (
        next(read_views(probe(path), [range(90)], spec, [(None,)]))[0] for path in (video, tmp_path / "b.mkv")
    )
    np.testing.assert_array_equal(of_a, of_b)
    np.testing.assert_array_equal(sound_of(probe(tmp_path / "b.mkv"))[: len(wave)], wave)


@pytest.mark.parametrize(
    ("now", "wanted"),
    [((0.5, 0.5, -0.5), False), ((0.4, 0.5, -0.5), True), ((0.4, 0.6, -0.5), False), ((0.5, 0.5, -0.9), True)],
)
def test_lower_is_worse_in_one_measure_and_better_in_none(now: tuple[float, ...], wanted: bool) -> None:
    assert module.lower(now, (0.5, 0.5, -0.5)) is wanted
