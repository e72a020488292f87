"""Where lips and sound fit is found to a part of a picture, of each person; of what shows none nothing is said."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from avsync_settings import quick_config

from avsync.check.causes import OFF_S, OFFSET, Checked, with_lips
from avsync.check.mouths import FEWEST, OF_ONE, LipOffset, lip_offset, offset_of
from avsync.confidence.planted import ClipAnswers, ClipGrid
from avsync.loading.feed import Feed
from avsync.run.diagnosis import LearningCause
from avsync.run.network import pick_device
from avsync.staging.mirror import StagedDataset
from avsync.world import World
from sharding.format.clip import Clock

FPS = Fraction(25)
GRID = ClipGrid(clock=Clock(fps=FPS, sample_rate=16_000), window=15, length=25, step=1, starts=tuple(range(0, 11, 2)))


def answers(clip: int, late: float, skill: float) -> ClipAnswers:
    """Of a network to which sounds near `late` pictures behind a window fit; how a sound is liked at all differs."""
    rng = np.random.default_rng(clip)
    distance = np.array(GRID.sounds)[None] - np.array(GRID.starts)[:, None] - late
    logit = skill * np.exp(-(distance**2) / 4) + rng.normal(0, 1, distance.shape) + rng.normal(0, 3, distance.shape[1])
    return ClipAnswers(
        clip=clip,
        logit=np.stack((logit, np.full_like(logit, np.nan))).astype(np.float32),
        loudness_db=np.full((2, len(GRID.sounds)), -20, np.float32),
        motion=np.full(len(GRID.starts), 5, np.float32),
    )


@pytest.mark.parametrize("late", [-3.0, -0.5, 0.0, 1.4, 4.0])
def test_an_offset_is_found_to_a_third_of_a_picture(late: float) -> None:
    found = offset_of(GRID, [answers(clip, late, 2) for clip in range(100)], np.zeros(100, np.int64))
    assert found
    assert found.offset_s * float(FPS) == pytest.approx(late, abs=0.34)
    assert found.clips == 100


def test_each_person_has_an_offset_of_its_own_and_the_middle_one_is_the_datasets() -> None:
    late = [0.0, 1.0, 1.0, 3.0]
    group = np.repeat(np.arange(5), [40, 40, 40, 40, OF_ONE - 1])
    found = offset_of(GRID, [answers(clip, [*late, 5.0][group[clip]], 2) for clip in range(len(group))], group)
    assert found
    assert np.array(found.groups) * float(FPS) == pytest.approx(late, abs=0.4)
    assert found.offset_s * float(FPS) == pytest.approx(1, abs=0.4)
    assert "in 4 groups" in found.words


@pytest.mark.parametrize("seed", range(20))
def test_where_nothing_fits_nothing_is_said(seed: int) -> None:
    some = [answers(clip, 0, 0) for clip in range(100 * seed, 100 * seed + 100)]
    assert offset_of(GRID, some, np.zeros(10_000, np.int64)) is None


def test_few_clips_prove_nothing() -> None:
    some = [answers(clip, 0, 5) for clip in range(FEWEST - 1)]
    assert offset_of(GRID, some, np.zeros(FEWEST, np.int64)) is None


@pytest.mark.parametrize(
    ("late_s", "finds", "remedy"), [(0.004, 0, 0), (0.06, 0, 1), (-0.06, 0, 1), (OFF_S + 0.02, 1, 1)]
)
def test_what_is_off_by_less_than_half_a_picture_is_in_sync_and_by_much_is_a_cause(
    late_s: float, finds: int, remedy: int
) -> None:
    guess = Checked(findings=[LearningCause(OFFSET, "by the loudness"), LearningCause("silent clips", "")], notes=["a"])
    got = with_lips(guess, LipOffset(offset_s=late_s, clips=50, groups=()), FPS)
    assert [one.cause for one in got.findings] == (["silent clips", OFFSET] if finds else [OFFSET, "silent clips"])
    lines = [*got.notes, *(str(one) for one in got.findings)]
    assert sum("avsync curate" in line for line in lines) == remedy
    assert any("lips and sound" in line for line in lines)


def test_of_clips_that_the_network_cannot_be_asked_about_nothing_is_said(dataset: Path) -> None:
    config = quick_config()
    world = World.alone(pick_device("cpu"))
    source = StagedDataset.open(str(dataset), config.runtime)
    feed = Feed.of(source, "train", config.pairs, config.view)
    assert lip_offset(feed, source, config, world) is None
