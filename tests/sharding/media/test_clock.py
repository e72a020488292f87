"""Flash and beep: what is seen and heard at one moment in the source stays together, in every container."""

from dataclasses import replace
from fractions import Fraction as F
from pathlib import Path

import numpy as np
import pytest

from sharding.config import PackConfig
from sharding.format.clip import Clock
from sharding.format.codec import CODECS
from sharding.format.dataset import open_dataset
from sharding.media.decode import OutputSpec, decode_span, read_spans
from sharding.media.probe import probe
from sharding.pack.pack import pack
from tests.media import Video, beep_samples, flash_frames, write_video
from tests.remux import cut_to
from tests.sharding.conftest import QUIET

FORM = OutputSpec(clock=Clock(fps=F(30), sample_rate=44_100), width=32, height=32, channels=1)
NTSC = F(30_000, 1001)
UNEVEN = tuple(F(int(tick), 90_000) for tick in np.cumsum(np.random.default_rng(1).integers(1500, 4500, 160)))
WITH_EVENTS = tuple(sorted({*UNEVEN, F(2), F(4)}))

FILES = {
    "mp4, AAC priming": ("a.mp4", Video()),
    "mov, PCM": ("a.mov", Video(audio_codec="pcm_s16le")),
    "mkv, AAC": ("a.mkv", Video()),
    "mkv, Opus pre-skip": ("a.mkv", Video(audio_codec="libopus", sample_rate=48_000)),
    "webm": ("a.webm", Video(video_codec="libvpx", audio_codec="libopus", sample_rate=48_000)),
    "avi": ("a.avi", Video(video_codec="mpeg4", audio_codec="pcm_s16le")),
    "stereo at 48 kHz": ("a.mp4", Video(channels=2, sample_rate=48_000)),
    "mono at 8 kHz": ("a.mp4", Video(sample_rate=8_000)),
    "24 fps": ("a.mp4", Video(fps=F(24))),
    "25 fps": ("a.mp4", Video(fps=F(25))),
    "29.97 fps": ("a.mp4", Video(fps=NTSC, events=(60 / NTSC, 120 / NTSC))),
    "60 fps": ("a.mp4", Video(fps=F(60))),
    "variable rate": ("a.mp4", Video(frame_times=WITH_EVENTS)),
    "late picture": ("a.mp4", Video(video_start=F(1))),
    "late sound": ("a.mkv", Video(audio_codec="flac", audio_start=F(3, 2))),
    "late sound, edit list": ("a.mp4", Video(audio_start=F(1))),
}


@pytest.mark.parametrize("name", FILES)
def test_flash_and_beep_stand_where_the_file_says(name: str, tmp_path: Path):
    file, video = FILES[name]
    source = probe(write_video(tmp_path / file, video))
    span = decode_span(source, first_frame=0, frames=180, spec=FORM)
    assert flash_frames(span.yuv) == [round(event * 30) for event in video.events]
    for beep, event in zip(beep_samples(span.audio), video.events, strict=True):
        assert abs(beep / 44_100 - event) < 0.001


@pytest.mark.parametrize("suffix", ["ts", "flv", "mpg"])
def test_containers_with_their_own_clock_keep_picture_and_sound_together(suffix: str, tmp_path: Path):
    video = Video(video_start=F(1), audio_start=F(1))
    if suffix == "mpg":
        video = replace(video, video_codec="mpeg2video", audio_codec="mp2")
    source = probe(write_video(tmp_path / f"a.{suffix}", video))
    span = decode_span(source, first_frame=0, frames=180, spec=FORM)
    for flash, beep in zip(flash_frames(span.yuv), beep_samples(span.audio), strict=True):
        assert abs(flash / 30 - beep / 44_100) <= 1 / 30


def test_b_frames_in_avi_which_stores_no_presentation_times_come_evenly_and_in_order(tmp_path: Path):
    source = probe(write_video(tmp_path / "a.avi", Video(audio_codec="pcm_s16le")))
    span = decode_span(source, first_frame=0, frames=180, spec=FORM)
    assert flash_frames(span.yuv) == [60, 120]
    assert span.repairs.longest_still == 1
    assert span.repairs.frames_dropped == 0


@pytest.mark.parametrize("codec", CODECS)
def test_a_known_offset_survives_from_file_to_stored_clip_to_the_sample(codec: str, tmp_path: Path):
    video = Video(audio_codec="flac", beep_delay=F(147, 1000), seconds=F(14), events=(F(3), F(10)))
    write_video(tmp_path / "in" / "clap" / "a.mkv", video)
    config = PackConfig(size=32, codec=codec, workers=1, val_percent=0, test_percent=0)
    pack(tmp_path / "in", tmp_path / "out", config, QUIET)
    dataset = open_dataset(tmp_path / "out", "train")
    assert len(dataset.index) == 2
    for clip, event in enumerate(video.events):
        stored = dataset.read(clip)
        meta = stored.meta()
        yuv = np.empty((meta.frames, 48, 32), np.uint8)
        audio = np.empty((meta.samples, 1), np.int16)
        dataset.codec.decode_video(stored.video, range(meta.frames), yuv)
        dataset.codec.decode_audio(stored.audio, 0, audio)
        at = meta.first_frame
        assert flash_frames(yuv) == [event * 30 - at]
        assert beep_samples(audio) == [round((event + video.beep_delay) * 44_100) - at * 1470]
        assert meta.repairs.silence_samples == 0


def test_consecutive_spans_are_the_pieces_of_one_stretch(tmp_path: Path):
    source = probe(write_video(tmp_path / "a.mp4", Video(fps=F(25), sample_rate=48_000)))
    whole = decode_span(source, first_frame=10, frames=100, spec=FORM)
    parts = list(read_spans(source, [range(10, 47), range(47, 110)], FORM))
    assert np.array_equal(np.concatenate([part.yuv for part in parts]), whole.yuv)
    assert np.array_equal(np.concatenate([part.audio for part in parts]), whole.audio)


def test_seeking_into_a_long_file_gives_what_decoding_from_its_start_gives(tmp_path: Path, monkeypatch):
    video = Video(seconds=F(50), events=(F(40), F(41)), fps=F(12), width=32, height=32, audio_codec="pcm_s16le")
    source = probe(write_video(tmp_path / "a.mov", video))
    assert source.seekable
    sought = decode_span(source, first_frame=1150, frames=120, spec=FORM)
    monkeypatch.setattr("sharding.media.stream.SEEK_FROM_S", 1000)
    read = decode_span(source, first_frame=1150, frames=120, spec=FORM)
    assert np.array_equal(sought.yuv, read.yuv)
    assert np.array_equal(sought.audio, read.audio)
    assert beep_samples(sought.audio) == [50 * 1470, 80 * 1470]


def test_what_a_source_does_not_have_is_silence_and_still_pictures_and_counted(tmp_path: Path):
    source = probe(write_video(tmp_path / "a.mkv", Video(audio_codec="flac", audio_start=F(1))))
    span = decode_span(source, first_frame=0, frames=240, spec=FORM)
    assert span.repairs.silence_samples == 44_100 * 2  # one before, one after (7 s of 8)
    assert not span.audio[:44_100].any()
    assert span.repairs.frames_repeated == 60
    assert np.array_equal(span.yuv[-1], span.yuv[180])


def test_the_stream_offset_is_from_the_first_picture_seen_to_the_first_sound_heard(tmp_path: Path):
    for suffix in ("mp4", "mkv"):  # an encoder's priming is not heard
        assert abs(probe(write_video(tmp_path / f"a.{suffix}")).stream_offset_s) < 0.001
    late = probe(write_video(tmp_path / "b.mkv", Video(audio_start=F(1, 2))))
    assert late.stream_offset_s == pytest.approx(0.5, abs=0.001)
    whole = write_video(tmp_path / "c.mp4", Video(fps=F(24)))
    cut = probe(cut_to(whole, tmp_path / "d.mp4", F(33, 100)))  # what an edit list hides is neither
    assert cut.audio.start == 0
    assert cut.video.start == pytest.approx(8 / 24 - 0.33, abs=0.0001)
