"""Each cause that clips alone show is found where it was planted in generated scenes, and healthy ones raise none."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from avsync.check.causes import judge_clips, refuse
from avsync.check.loudness import ProbedClips, fit_curve
from avsync.config import PairConfig, ViewConfig
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from sharding.config import PackConfig
from sharding.errors import AvsyncError
from sharding.pack.pack import pack
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import generate

PAIRS = PairConfig(window_s=2, min_shift_s=1, max_shift_s=2.5)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ProbedClips:
    """Of 90 plain scenes, as they are packed."""
    folder = tmp_path_factory.mktemp("probed")
    plain = SceneConfig(
        count=90, seconds=6, size=32, fps=10, sample_rate=8000, val_share=0, test_share=0, lookalikes=0, jitter=0,
        picture_noise=0,
    )  # fmt: skip
    generate(folder / "scenes", plain)
    settings = PackConfig(fps="10", size=32, sample_rate=8000, min_clip_s="3", sources_per_shard=30, workers=2)
    pack(folder / "scenes" / "scenes.csv", folder / "packed", settings)
    feed = Feed.open(folder / "packed", "train", PAIRS, ViewConfig())
    return ProbedClips.of(feed, LoaderOptions(workers=2), lambda: None)


def late(clips: ProbedClips, frames: int) -> ProbedClips:
    """Every sound so many frames later."""
    return replace(clips, loudness=np.roll(clips.loudness, frames, axis=1))


def some(share: float, clips: ProbedClips) -> np.ndarray:
    return np.arange(len(clips.silent)) < share * len(clips.silent)


def dubbed(clips: ProbedClips) -> ProbedClips:
    return replace(clips, loudness=np.roll(clips.loudness, 2, axis=0))


@pytest.mark.parametrize("count", [60, 75, 90])
def test_healthy_scenes_raise_nothing(clips: ProbedClips, count: int) -> None:
    fewer = replace(
        clips, **{name: getattr(clips, name)[:count] for name in ("pictures", "loudness", "silent", "still")}
    )
    found = judge_clips(fewer, PAIRS)
    assert found.findings == []
    assert "belong together: best at" in found.notes[0]
    refuse(found)


@pytest.mark.parametrize("frames", [-6, -4, 4, 7])
def test_a_constant_offset_is_found_and_told_in_milliseconds(clips: ProbedClips, frames: int) -> None:
    (finding,) = judge_clips(late(clips, frames), PAIRS).findings
    assert finding.cause == "constant offset"
    told = re.search(r"about (\d+) ms (late|early)", finding.line)
    assert told is not None
    assert int(told[1]) == pytest.approx(abs(frames) * 100, abs=100), "a picture stands for 100 ms"
    assert (told[2] == "late") == (frames > 0)


@pytest.mark.parametrize(
    ("plant", "pairs", "cause"),
    [
        (dubbed, PAIRS, "sound of other pictures"),
        (lambda clips: replace(clips, silent=some(0.3, clips)), PAIRS, "silent clips"),
        (lambda clips: replace(clips, still=some(0.2, clips)), PAIRS, "still clips"),
        (lambda clips: clips, replace(PAIRS, min_shift_s=0.05), "shifts too small"),
        (lambda clips: clips, replace(PAIRS, min_shift_s=0.1, max_shift_s=0.1), "shifts too small"),
        (lambda clips: clips, replace(PAIRS, window_s=0.1), "window too short"),
    ],
)
def test_a_planted_cause_is_found_with_its_remedy(
    clips: ProbedClips, plant: Callable[[ProbedClips], ProbedClips], pairs: PairConfig, cause: str
) -> None:
    found = judge_clips(plant(clips), pairs)
    assert [finding.cause for finding in found.findings] == [cause]
    assert "\n" not in found.findings[0].line
    with pytest.raises(AvsyncError, match=f"1 cause found.*{cause}"):
        refuse(found)


def test_a_few_silent_clips_are_no_finding(clips: ProbedClips) -> None:
    assert judge_clips(replace(clips, silent=some(0.05, clips)), PAIRS).findings == []


@pytest.mark.parametrize("seed", range(20))
def test_exchanged_sounds_never_look_as_if_they_belonged_together(clips: ProbedClips, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(clips.silent))
    curve = fit_curve(replace(clips, loudness=clips.loudness[order]))
    assert curve is not None
    assert not curve.clear


def test_too_few_clips_prove_nothing(clips: ProbedClips) -> None:
    found = judge_clips(dubbed(replace(clips, silent=some(0.7, clips))), PAIRS)
    assert [finding.cause for finding in found.findings] == ["silent clips"]
    assert "too few clips" in found.notes[0]
