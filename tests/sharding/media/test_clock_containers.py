"""Every container at every rate, packed: flashes and beeps stand in the stored clips where they stood in the source."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction as F
from pathlib import Path

import numpy as np
import pytest

from sharding.config import PackConfig
from sharding.format.dataset import Dataset, open_dataset
from sharding.pack.pack import pack
from tests.media import Video, beep_samples, flash_frames, write_video
from tests.remux import cut_to
from tests.sharding.conftest import QUIET

EVENTS = (F(1), F(2), F(3), F(4))
SMALL = Video(seconds=F(5), events=EVENTS, flash_s=F(1, 20), width=48, height=32)
PCM, OPUS = {"audio_codec": "pcm_s16le"}, {"audio_codec": "libopus", "sample_rate": 48_000}
MPEG_1 = {"video_codec": "mpeg2video", "audio_codec": "mp2"}
CONTAINERS = {
    "mp4 aac": replace(SMALL),
    "mp4 opus": replace(SMALL, **OPUS),
    "mov pcm": replace(SMALL, **PCM),
    "mkv aac": replace(SMALL),
    "mkv opus": replace(SMALL, **OPUS),
    "mkv mp3": replace(SMALL, audio_codec="libmp3lame", sample_rate=48_000),
    "webm opus": replace(SMALL, video_codec="libvpx", **OPUS),
    "avi pcm": replace(SMALL, video_codec="mpeg4", **PCM),
    "avi mp3": replace(SMALL, video_codec="mpeg4", audio_codec="libmp3lame"),
    "ts aac": replace(SMALL, sample_rate=48_000),
    "mpg mp2": replace(SMALL, **MPEG_1),
    "flv aac": replace(SMALL),
}
RATES = {
    "23.976": F(24_000, 1001),
    "24": F(24),
    "25": F(25),
    "29.97": F(30_000, 1001),
    "30": F(30),
    "50": F(50),
    "60": F(60),
}
ONLY_CONSTANT = ("avi", "mpg")
OWN_CLOCK = ("ts", "mpg", "flv", "avi mp3")
"""Their writers move both streams, to have no time below zero: only picture against sound can be told."""
UNEVEN = tuple(F(int(tick), 1000) for tick in np.cumsum(np.random.default_rng(1).integers(17, 50, 160)))
LATE = {
    "late picture": {"video_start": F(1, 2)},
    "late sound": {"audio_start": F(1, 2)},
    "both late": {"video_start": F(7, 10), "audio_start": F(1, 4)},
}
CUTS = (F(1, 2), F(33, 100))
"""On a picture or between two, and after the key frame that it needs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    container: str
    events: tuple[F, ...]


def with_rate(video: Video, fps: F) -> Video:
    """Events at moments when a picture appears."""
    return replace(video, fps=fps, events=tuple(round(event * fps) / fps for event in EVENTS))


def write_all(folder: Path) -> dict[str, Truth]:
    """Every container at every rate, with late starts, and cut: file name -> truth."""
    truths = dict[str, Truth]()

    def write(name: str, container: str, video: Video) -> Path:
        path = write_video(folder / "x" / f"{container}, {name}.{container.split()[0]}", video)
        truths[path.name] = Truth(container=container, events=video.events)
        return path

    for container, video in CONTAINERS.items():
        for name, fps in RATES.items():
            write(name, container, with_rate(video, fps))
        if not container.startswith(ONLY_CONSTANT):
            write("variable", container, replace(video, frame_times=tuple(sorted({*UNEVEN, *EVENTS}))))
            for name, start in LATE.items():
                write(name, container, replace(video, **start))
    for container in ("mp4 aac", "mov pcm", "mp4 opus"):
        for name in ("24", "25", "30", "60"):
            video = replace(with_rate(CONTAINERS[container], RATES[name]), seconds=F(6))
            for start in CUTS:
                whole = write_video(folder / "whole" / f".a.{container[:3]}", video)
                path = folder / "x" / f"{container}, {name} cut {float(start)}.{container[:3]}"
                cut_to(whole, path, start)
                truths[path.name] = Truth(container=container, events=tuple(event - start for event in video.events))
    return truths


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Seconds on the source's timeline in what was stored."""

    name: str
    truth: Truth
    flashes: tuple[F, ...]
    beeps: tuple[F, ...]

    @property
    def relative(self) -> bool:
        return self.truth.container.startswith(OWN_CLOCK)

    @property
    def late_flashes(self) -> list[float]:
        """After the truth, or after the beep."""
        wanted = self.beeps if self.relative else self.truth.events
        return [float(flash - event) for flash, event in zip(self.flashes, wanted, strict=True)]

    @property
    def late_beeps(self) -> list[float]:
        """After the truth; or where only distances can be told, from the first one."""
        start = self.beeps[0] - self.truth.events[0] if self.relative else F(0)
        return [float(beep - event - start) for beep, event in zip(self.beeps, self.truth.events, strict=True)]


def found_in(dataset: Dataset, truths: dict[str, Truth]) -> Iterator[Found]:
    for clip in range(len(dataset.index)):
        stored = dataset.read(clip)
        meta = stored.meta()
        yuv = np.empty((meta.frames, meta.height * 3 // 2, meta.width), np.uint8)
        audio = np.empty((meta.samples, meta.channels), np.int16)
        dataset.codec.decode_video(stored.video, range(meta.frames), yuv)
        dataset.codec.decode_audio(stored.audio, 0, audio)
        name = Path(meta.source).name
        yield Found(
            name=name,
            truth=truths[name],
            flashes=tuple(F(meta.first_frame + flash, 30) for flash in flash_frames(yuv)),
            beeps=tuple(F(meta.first_frame, 30) + F(beep, 44_100) for beep in beep_samples(audio)),
        )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    folder = tmp_path_factory.mktemp("clock")
    truths = write_all(folder)
    config = PackConfig(size=32, val_percent=0, test_percent=0, workers=1, min_clip_s="3.5")
    pack(folder / "x", folder / "out", config, QUIET)
    every = list(found_in(open_dataset(folder / "out", "train"), truths))
    assert {one.name for one in every} == set(truths)
    return every


def test_after_packing_every_flash_is_within_one_picture_of_the_truth_and_every_beep_within_2_ms(found: list[Found]):
    for one in found:
        # half a stored picture, and what timestamps in whole milliseconds lose; program streams lose more
        assert max(map(abs, one.late_flashes)) <= (1 / 30 if one.relative else 1 / 60) + 0.001, one
        assert max(map(abs, one.late_beeps)) <= 0.002, one


def test_no_container_makes_sound_or_picture_later_than_another(found: list[Found]):
    rates = [f", {name}." for name in RATES]
    means = dict[str, tuple[float, float]]()
    for container in CONTAINERS:
        same = [one for one in found if one.truth.container == container and any(rate in one.name for rate in rates)]
        assert len(same) == len(RATES)
        flashes = [late for one in same for late in one.late_flashes]
        means[container] = (float(np.mean(flashes)), float(np.mean([one.late_beeps for one in same])))
    flashes, beeps = np.array(list(means.values())).T
    assert np.ptp(flashes) < 1 / 60, means
    assert np.ptp(beeps) < 0.001, means
