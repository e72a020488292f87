"""Advice before packing: every form is measured, nothing is left on the disk, the numbers are those of pack."""

import io
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import pytest
from rich.console import Console

from launch.commands.data import Advise
from sharding.advise.advice import TrainingRate
from sharding.advise.advise import advise
from sharding.advise.trial import CodecTrial, FloatTrial
from sharding.config import PackConfig
from sharding.errors import InputError
from sharding.format.clip import Clip
from sharding.format.codec import CODECS
from sharding.format.tar import END
from sharding.pack.pack import pack
from sharding.pack.sample import DECODED, estimate, spread, take
from sharding.sources.find import find_sources
from tests.media import Video, write_video
from tests.sharding.conftest import QUIET

SMALL = PackConfig(size=32, workers=1)
RATE = TrainingRate(5.0, "as somebody said")


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos of 6 s, one clip each."""
    folder = tmp_path_factory.mktemp("collection")
    for number in range(4):
        write_video(folder / "bell" / f"{number}.mp4", Video(seed=number))
    return folder


def advised(videos: Path, disk: Path) -> tuple[str, str]:
    """The recommended form, and all that was printed."""
    paper = io.StringIO()
    return advise(videos, disk, RATE, SMALL, Console(file=paper, width=200)), paper.getvalue()


def test_every_form_stands_in_the_table_beside_the_thesis_s_and_one_is_recommended(collection: Path, tmp_path: Path):
    chosen, printed = advised(collection, tmp_path)
    assert all(f" {name} " in printed for name in (*CODECS, FloatTrial.name))
    assert f"Recommended: --codec {chosen}. " in printed
    assert "Training takes 5 clips/s: as somebody said\n" in printed
    assert "4 videos" in printed
    assert "in 4 clips of 5.5 s" in printed


def test_nothing_stays_on_the_disk(collection: Path, tmp_path: Path):
    advised(collection, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("accident", [KeyboardInterrupt, RuntimeError, OSError])
@pytest.mark.parametrize("moment", ["store", "load"])
def test_nothing_stays_on_the_disk_after_an_accident(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, accident: type[BaseException]
):
    listed: list[str] = []

    def fail(*_: object) -> None:
        listed.extend(os.listdir(tmp_path))
        raise accident

    monkeypatch.setattr(FloatTrial, moment, fail)
    with pytest.raises(accident):
        advised(collection, tmp_path)
    assert listed  # there was something to remove
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_stays_on_the_disk_when_it_is_told_to_end(collection: Path, tmp_path: Path, number: int):
    command = [sys.executable, "-m", "launch", "advise", str(collection), "--disk", str(tmp_path), "--size", "512"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not any(tmp_path.glob("*/*")):
            assert process.poll() is None, "it ended before it wrote anything"
            time.sleep(0.01)
        process.send_signal(number)
        _, printed = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "stopped; nothing half-written is left" in printed
    assert not list(tmp_path.iterdir())


def test_one_video_is_enough(collection: Path, tmp_path: Path):
    write_video(tmp_path / "videos" / "only.mp4", Video())
    _, printed = advised(tmp_path / "videos", tmp_path)
    assert "1 video, " in printed
    assert "1 clip measured" in printed


def test_videos_that_all_would_be_rejected_are_an_error_that_names_one_and_why(tmp_path: Path):
    write_video(tmp_path / "videos" / "a.mp4", Video(audio_codec=""))
    write_video(tmp_path / "videos" / "b.mp4", Video(seconds=Fraction(3)))
    with pytest.raises(InputError, match=r"none of the 2 videos looked at .* [ab].mp4, is (no_audio|too_short): "):
        advised(tmp_path / "videos", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["videos"]


def test_what_would_be_rejected_is_said_and_counted_out(collection: Path, tmp_path: Path):
    write_video(tmp_path / "videos" / "good.mp4", Video())
    write_video(tmp_path / "videos" / "mute.mp4", Video(audio_codec=""))
    _, printed = advised(tmp_path / "videos", tmp_path)
    assert "50 % would be rejected, like mute.mp4: no_audio: " in printed
    assert "in 1 clip of" in printed


def test_a_disk_that_cannot_be_written_is_named(collection: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"--disk .*nowhere cannot be written"):
        advised(collection, tmp_path / "nowhere")


def test_a_system_that_cannot_forget_files_leaves_the_cold_rate_open(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    _, printed = advised(collection, tmp_path)
    assert "how fast the disk is remains unknown" in printed


@pytest.mark.parametrize("rate", [0.0, -1.0, math.inf, math.nan])
def test_a_gpu_that_takes_nothing_or_everything_is_refused(rate: float):
    with pytest.raises(InputError, match="--gpu-clips-per-s"):
        Advise(videos=Path(), gpu_clips_per_s=rate)


@pytest.mark.parametrize("name", CODECS)
def test_an_estimate_from_all_videos_is_what_packing_gives_to_the_byte(collection: Path, tmp_path: Path, name: str):
    config = replace(SMALL, codec=name)
    found = estimate(find_sources(collection).sources, config)
    done = pack(collection, tmp_path / "dataset", config, QUIET)
    tars = list((tmp_path / "dataset").glob("*/*.tar"))
    assert found.clips == sum(done.clips.values()) == 4
    assert found.bytes == sum(tar.stat().st_size - len(END) for tar in tars)
    assert found.seconds == pytest.approx(done.seconds)
    assert found.minutes(1) == 4 * found.minutes(4) > 0


def test_an_estimate_of_twice_the_videos_is_twice_as_much(collection: Path):
    sources = find_sources(collection).sources
    config = replace(SMALL, codec="raw")
    assert estimate(sources * 2, config).bytes == pytest.approx(2 * estimate(sources, config).bytes, rel=0.01)


def test_a_video_that_ends_its_process_does_not_end_the_advice(tmp_path: Path):
    write_video(tmp_path / "slow.mp4", Video(width=1920, height=1080, fps=Fraction(60), seconds=Fraction(11)))
    write_video(tmp_path / "good.mp4", Video(seed=1))
    found = estimate(find_sources(tmp_path).sources, replace(SMALL, limit_s=1), budget_s=60)
    assert (found.looked_at, found.rejected, found.clips) == (2, 1, 1)


def test_long_videos_count_with_all_their_clips_and_give_one_from_the_middle(tmp_path: Path):
    write_video(tmp_path / "long.mp4", Video(seconds=Fraction(31)))
    taken: list[Clip] = []
    sample = take(find_sources(tmp_path).sources, SMALL, 10, taken.append)
    assert (sample.clips, len(taken)) == (4, 1)
    assert 10 * 30 < taken[0].meta.first_frame < 20 * 30
    assert sample.clip_s == pytest.approx(30.5 / 4, abs=0.1)


def test_no_more_clips_are_decoded_than_a_sample_needs(collection: Path):
    sources = find_sources(collection).sources * 20
    taken: list[Clip] = []
    sample = take(sources, SMALL, 60, taken.append)
    assert len(taken) == DECODED
    assert sample.looked_at == len(sources)


@pytest.mark.parametrize("length", [1, 2, 3, 17, 145, 1_000, 10_007, 65_536, 720_720])
def test_a_sample_lies_all_over_the_list_whenever_it_is_broken_off(length: int):
    assert sorted(islice(spread(length), 1_000)) == sorted(set(islice(spread(length), 1_000)))
    for count in (4, 16, 50):
        chosen = sorted(islice(spread(length), count))
        gaps = [later - earlier for earlier, later in pairwise((*chosen, chosen[0] + length))]
        assert max(gaps) <= max(1, 3 * length / count)


def test_raw_is_exact_and_h264_is_close(collection: Path, tmp_path: Path):
    trials = [CodecTrial(name, CODECS[name], tmp_path) for name in ("raw", "h264")]

    def store(clip: Clip) -> None:
        for trial in trials:
            trial.store(clip)

    take(find_sources(collection).sources[:1], replace(SMALL, size=64), 10, store)
    raw, h264 = (trial.psnr_db for trial in trials)
    assert raw == math.inf
    assert h264 is not None
    assert 30 < h264 < 60


def test_the_thesis_s_form_is_four_bytes_for_each_colour_of_each_pixel_and_each_sample(
    collection: Path, tmp_path: Path
):
    trial = FloatTrial(tmp_path)
    take(find_sources(collection).sources, SMALL, 10, trial.store)
    assert {one.bytes for one in trial.stored} == {4 * (120 * 3 * 32 * 32 + 4 * 44_100)}
