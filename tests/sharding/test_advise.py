"""Advice before packing: every form is measured, nothing is left on the disk, the numbers are those of pack."""

import io
import math
import os
from dataclasses import replace
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import pytest
from rich.console import Console

from launch.commands import Advise
from sharding.advice import Figures, Means, choose, reason, size
from sharding.advise import advise
from sharding.codec import CODECS
from sharding.config import PackConfig
from sharding.errors import InputError
from sharding.find import find_sources
from sharding.pack import pack
from sharding.sample import DECODED, Sampled, estimate, spread, take
from sharding.tar import END
from sharding.trial import CodecTrial, FloatTrial
from tests.media import Video, write_video
from tests.sharding.conftest import QUIET

SMALL = PackConfig(size=32, workers=1)


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
    return advise(videos, disk, 5.0, SMALL, Console(file=paper, width=200)), paper.getvalue()


def test_every_form_stands_in_the_table_beside_the_thesis_s_and_one_is_recommended(collection: Path, tmp_path: Path):
    chosen, said = advised(collection, tmp_path)
    assert all(f" {name} " in said for name in (*CODECS, FloatTrial.name))
    assert f"Recommended: --codec {chosen}. " in said
    assert "4 videos" in said
    assert "in 4 clips of 5.5 s" in said


def test_nothing_stays_on_the_disk(collection: Path, tmp_path: Path):
    advised(collection, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("accident", [KeyboardInterrupt, RuntimeError, OSError])
@pytest.mark.parametrize("moment", ["store", "load"])
def test_nothing_stays_on_the_disk_after_an_accident(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, accident: type[BaseException]
):
    seen: list[str] = []

    def fail(*_: object) -> None:
        seen.extend(os.listdir(tmp_path))
        raise accident

    monkeypatch.setattr(FloatTrial, moment, fail)
    with pytest.raises(accident):
        advised(collection, tmp_path)
    assert seen  # there was something to remove
    assert not list(tmp_path.iterdir())


def test_one_video_is_enough(collection: Path, tmp_path: Path):
    write_video(tmp_path / "videos" / "only.mp4", Video())
    _, said = advised(tmp_path / "videos", tmp_path)
    assert "1 video, " in said
    assert "1 clip measured" in said


def test_videos_that_all_would_be_rejected_are_an_error_that_names_one_and_why(tmp_path: Path):
    write_video(tmp_path / "videos" / "a.mp4", Video(audio_codec=""))
    write_video(tmp_path / "videos" / "b.mp4", Video(seconds=Fraction(3)))
    with pytest.raises(InputError, match=r"none of the 2 videos looked at .* [ab].mp4, is (no_audio|too_short): "):
        advised(tmp_path / "videos", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["videos"]


def test_what_would_be_rejected_is_said_and_counted_out(collection: Path, tmp_path: Path):
    write_video(tmp_path / "videos" / "good.mp4", Video())
    write_video(tmp_path / "videos" / "mute.mp4", Video(audio_codec=""))
    _, said = advised(tmp_path / "videos", tmp_path)
    assert "50% would be rejected, like mute.mp4: no_audio: " in said
    assert "in 1 clip of" in said


def test_a_disk_that_cannot_be_written_is_named(collection: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"--disk .*nowhere cannot be written"):
        advised(collection, tmp_path / "nowhere")


def test_a_system_that_cannot_forget_files_leaves_the_cold_rate_open(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    _, said = advised(collection, tmp_path)
    assert "how fast the disk is remains unknown" in said


@pytest.mark.parametrize("rate", [0.0, -1.0, math.inf, math.nan])
def test_a_gpu_that_takes_nothing_or_everything_is_refused(rate: float):
    with pytest.raises(InputError, match="--gpu-clips-per-s"):
        Advise(videos=Path(), gpu_clips_per_s=rate)


@pytest.mark.parametrize("name", CODECS)
def test_an_estimate_from_all_videos_is_what_packing_gives_to_the_byte(collection: Path, tmp_path: Path, name: str):
    config = replace(SMALL, codec=name)
    said = estimate(find_sources(collection).sources, config)
    done = pack(collection, tmp_path / "dataset", config, QUIET)
    tars = list((tmp_path / "dataset").glob("*/*.tar"))
    assert said.clips == sum(done.clips.values()) == 4
    assert said.bytes == sum(tar.stat().st_size - len(END) for tar in tars)
    assert said.seconds == pytest.approx(done.seconds)
    assert said.minutes(1) == 4 * said.minutes(4) > 0


def test_an_estimate_of_twice_the_videos_is_twice_as_much(collection: Path):
    sources = find_sources(collection).sources
    config = replace(SMALL, codec="raw")
    assert estimate(sources * 2, config).bytes == pytest.approx(2 * estimate(sources, config).bytes, rel=0.01)


def test_long_videos_count_with_all_their_clips_and_give_one_from_the_middle(tmp_path: Path):
    write_video(tmp_path / "long.mp4", Video(seconds=Fraction(31)))
    taken: list[Sampled] = []
    sample = take(find_sources(tmp_path).sources, SMALL, 10, taken.append)
    assert (sample.clips, len(taken)) == (4, 1)
    assert 10 * 30 < taken[0].clip.meta.first_frame < 20 * 30
    assert sample.clip_s == pytest.approx(30.5 / 4, abs=0.1)


def test_no_more_clips_are_decoded_than_a_sample_needs(collection: Path):
    sources = find_sources(collection).sources * 20
    taken: list[Sampled] = []
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

    def store(sampled: Sampled) -> None:
        for trial in trials:
            trial.store(sampled.clip)

    take(find_sources(collection).sources[:1], replace(SMALL, size=64), 10, store)
    raw, h264 = (trial.psnr_db for trial in trials)
    assert raw == math.inf
    assert h264 is not None
    assert 30 < h264 < 60


def test_the_thesis_s_form_is_four_bytes_for_each_colour_of_each_pixel_and_each_sample(
    collection: Path, tmp_path: Path
):
    trial = FloatTrial(tmp_path)
    take(find_sources(collection).sources, SMALL, 10, lambda sampled: trial.store(sampled.clip))
    assert {one.bytes for one in trial.stored} == {4 * (120 * 3 * 32 * 32 + 4 * 44_100)}


SMALL_FORM = Figures(
    name="small", offered=True, clips=1_000_000, clip_bytes=5e5, pack_cpu_s=0.3, write_bytes_per_s=1e9,
    load_cpu_s=0.03, warm=250, cold=240, psnr_db=41,
)  # fmt: skip
LARGE_FORM = replace(SMALL_FORM, name="large", clip_bytes=3e7, load_cpu_s=0.003, warm=2_000, cold=900, psnr_db=math.inf)
FLOATS = replace(LARGE_FORM, name="floats", offered=False, clip_bytes=2e8, psnr_db=None)
FORMS = (LARGE_FORM, FLOATS, SMALL_FORM)
NODE = Means(cores=8, processes=8, gpu_clips_per_s=200, free_bytes=10**15, memory_bytes=2 * 10**11)


def test_the_smallest_form_that_feeds_the_gpu_is_chosen():
    assert choose(FORMS, NODE) is SMALL_FORM
    assert "large would take 60 times the space" in reason(SMALL_FORM, FORMS, NODE)


def test_a_larger_form_is_chosen_where_only_it_feeds_the_gpu():
    hungry = replace(NODE, gpu_clips_per_s=800)
    assert choose(FORMS, hungry) is LARGE_FORM
    said = reason(LARGE_FORM, FORMS, hungry)
    assert said.startswith("8 cores load 900 clips/s of it, the GPU takes 800; small is smaller but loads 240 clips/s")
    assert "floats" not in said


def test_a_form_that_does_not_fit_is_not_chosen():
    full = replace(NODE, gpu_clips_per_s=800, free_bytes=10**12)
    assert choose(FORMS, full) is SMALL_FORM
    said = reason(SMALL_FORM, FORMS, full)
    assert "more than the 1.00 TB that are free" in said
    assert "the limit is the CPU, 30 ms a clip; 24 cores would do" in said


def test_a_slow_disk_speaks_for_the_small_form():
    slow = replace(LARGE_FORM, cold=10)
    hungry = replace(NODE, gpu_clips_per_s=800)
    assert choose((slow, SMALL_FORM), hungry) is SMALL_FORM
    assert "load 10 clips/s, held back by the disk, 300 MB/s" in reason(SMALL_FORM, (slow, SMALL_FORM), hungry)


def test_a_collection_that_stays_in_memory_is_judged_by_its_warm_rate():
    few = [replace(form, clips=1_000) for form in (replace(LARGE_FORM, cold=10), SMALL_FORM)]
    assert choose(few, replace(NODE, gpu_clips_per_s=800)) is few[0]


def test_what_is_offered_is_recommended_and_nothing_else():
    with_floats = (replace(FLOATS, clip_bytes=1.0, cold=1e6, warm=1e6), LARGE_FORM, SMALL_FORM)
    assert choose(with_floats, replace(NODE, gpu_clips_per_s=5_000)).offered


def test_packing_takes_as_long_as_its_slower_half():
    assert SMALL_FORM.pack_hours(8) == pytest.approx(0.3 * 1e6 / 8 / 3600)
    assert replace(LARGE_FORM, write_bytes_per_s=1e8).pack_hours(8) == pytest.approx(3e13 / 1e8 / 3600)


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 B"), (999, "999 B"), (663_500, "664 kB"), (29.5e6, "29.5 MB"), (3.408e12, "3.41 TB")]
)
def test_sizes_are_written_as_disks_are_sold(count: float, said: str):
    assert size(count) == said
