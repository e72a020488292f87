"""Films of what is seen and of the rest sum to the original, at its rate and with its channels, whatever the video."""

import json
import wave
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from avsync.config import EvaluateConfig
from avsync.run.paths import RunPaths
from avsync.separation.config import SeparateOptions
from avsync.separation.examples import RANKS, SOUNDS, Example, ranked, write_sounds
from avsync.separation.measure import measure
from avsync.separation.separate import separate
from sharding.errors import InputError
from tests.media import Video, write_video


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """What a player finds."""

    pictures: int
    sound: NDArray[np.float32]
    """(C, S) from time 0 on"""
    rate: int


def film_of(path: Path) -> Film:
    with av.open(path) as container:
        pictures = sum(1 for _ in container.decode(video=0))
    with av.open(path) as container:
        parts: list[Any] = list(container.decode(audio=0))
        sound = np.concatenate([part.to_ndarray() for part in parts], axis=1)
        early = max(0, round(-float(parts[0].time or 0) * parts[0].sample_rate))
        return Film(pictures, sound[:, early:].astype(np.float32), parts[0].sample_rate)


@pytest.mark.parametrize(
    "video",
    [
        Video(seconds=Fraction(5), sample_rate=22_050, channels=2, weights=(1.0, 0.5), noise=0.1),
        Video(seconds=Fraction(1), sample_rate=44_100, noise=0.1, events=()),  # shorter than a window
        Video(seconds=Fraction(3), sample_rate=8000, video_start=Fraction(1, 2), noise=0.1),  # sound before the picture
    ],
    ids=["stereo", "short", "late"],
)
def test_both_films_sum_to_the_sound_that_was(whole: Path, tmp_path: Path, video: Video) -> None:
    source = write_video(tmp_path / "video.mp4", video)
    result = separate(whole, source, SeparateOptions(output=str(tmp_path / "out.mp4")))
    before, on, off = film_of(source), film_of(result.on), film_of(result.off)
    assert (on.rate, len(on.sound)) == (off.rate, len(off.sound)) == (before.rate, len(before.sound))
    assert on.pictures == off.pictures == before.pictures
    samples = min(before.sound.shape[1], on.sound.shape[1])
    assert abs(on.sound.shape[1] - before.sound.shape[1]) <= 2048  # AAC's last block
    wrong = (on.sound + off.sound)[:, :samples] - before.sound[:, :samples]
    assert np.sqrt((wrong**2).mean()) < 0.1 * np.sqrt((before.sound**2).mean()), "AAC alone is between them"
    early = round(float(video.video_start) * before.rate)
    assert np.abs(on.sound[:, : int(early * 0.9)]).max(initial=0) < 0.01, "no picture, nothing on screen"
    assert 0 < result.share < 1
    assert result.sheet.stat().st_size > 1000


def test_from_silence_nothing_is_taken(whole: Path, tmp_path: Path) -> None:
    source = write_video(tmp_path / "video.mp4", Video(seconds=Fraction(3), noise=0, events=()))
    result = separate(whole, source, SeparateOptions(output=str(tmp_path / "out.mp4")))
    assert result.share == 0
    assert not film_of(result.on).sound.any()


def test_films_of_another_video_of_the_same_name_stand_beside_the_first(whole: Path, tmp_path: Path) -> None:
    for folder in ("a", "b", "a"):
        (tmp_path / folder).mkdir(exist_ok=True)
        source = write_video(tmp_path / folder / "video.mp4", Video(seconds=Fraction(1)))
        separate(whole, source, SeparateOptions())
    names = sorted(path.name for path in RunPaths(whole).separated.glob("*.json"))
    assert names == ["video-2.json", "video.json"]


def test_what_cannot_be_taken_apart_is_said(whole: Path, features: Path, tmp_path: Path) -> None:
    mute = tmp_path / "text.mp4"
    mute.write_text("no video")
    with pytest.raises(InputError, match=r"text\.mp4: .*avsync separate needs a video with picture and sound"):
        separate(whole, mute, SeparateOptions(output=str(tmp_path / "out.mp4")))
    with pytest.raises(InputError, match="takes no sounds apart: train one that does"):
        separate(features, mute, SeparateOptions())
    with pytest.raises(InputError, match="is the video itself"):
        separate(whole, mute, SeparateOptions(output=str(mute)))


def test_decibels_stand_beside_what_they_are_held_against(whole: Path, dataset: Path) -> None:
    card = measure(whole, dataset, EvaluateConfig(split="test", batch=4, device="cpu"))
    (folder,) = RunPaths(whole).evaluations.iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    lines = (folder / "mixtures.csv").read_text().splitlines()
    assert len(lines) - 1 == card.pictures == summary["pictures"]
    assert card.pictures % 2 == 0
    assert card.ceiling.value > 10 > card.improvement.value, "the ceiling knows both parts, the network nothing yet"
    assert card.another_picture is not None
    assert card.improvement.low <= card.improvement.value <= card.improvement.high
    assert abs(card.before.value) < 4  # equally loud, give or take the spread
    assert {one.name for one in (folder / "examples").iterdir()} == {"examples.png"} | {
        f"{rank}-{sound}.wav" for rank in RANKS for sound in SOUNDS
    }
    with pytest.raises(InputError, match="are for sync networks"):
        measure(whole, dataset, EvaluateConfig(min_shift_s=1))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_examples_are_the_best_the_median_and_the_worst(count: int) -> None:
    values = np.random.default_rng(count).permutation(np.arange(count) - 2.0)
    found = {name: values[row] for name, row in ranked(values).items()}
    assert found["best"] == values.max()
    assert found["worst"] == values.min()
    assert found["median"] in values
    assert abs(np.sort(values).tolist().index(found["median"]) - (count - 1) / 2) <= 0.5


def test_an_example_is_heard_as_it_is_and_as_loud_beside_its_mixture(tmp_path: Path) -> None:
    mixture = torch.rand(2, 400, generator=torch.Generator().manual_seed(0)) * 0.2 - 0.1
    write_sounds(tmp_path, [Example("best", np.zeros((2, 2, 3), np.uint8), mixture, mixture / 2, -mixture)], 8000)
    heard = list[NDArray[np.int16]]()
    for name in SOUNDS:
        with wave.open(str(tmp_path / f"best-{name}.wav")) as file:
            assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, 8000, 400)
            heard.append(np.frombuffer(file.readframes(400), np.int16))
    assert np.abs(heard[0].astype(int)).max() == round(0.9 * 32767)
    assert np.abs(heard[0] - 2 * heard[1].astype(int)).max() <= 1
    assert (heard[2] == -heard[0]).all()
