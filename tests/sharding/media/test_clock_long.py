"""Long files: no drift in an hour, a sound clock at another pace is followed, and seeking changes nothing."""

from dataclasses import replace
from fractions import Fraction as F
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sharding.format.clip import Clock
from sharding.media.decode import OutputSpec, Span, decode_span, read_spans
from sharding.media.probe import Probe, probe
from tests.media import FLASH, GROUND, Video, beep_samples, flash_frames, write_video
from tests.remux import cut_to, move, remux

FORM = OutputSpec(clock=Clock(fps=F(30), sample_rate=44_100), width=32, height=32, channels=1)
NTSC = F(30_000, 1001)


def write_hour(path: Path, rate: int, events: tuple[F, ...]) -> Path:
    """An hour of 16x16 at 29.97 Hz with AAC; `events` are exact in pictures."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("mpeg4", rate=NTSC)
        video.width = video.height = 16
        video.codec_context.time_base = 1 / NTSC
        audio: Any = container.add_stream("aac", rate=rate, layout="mono")
        dark, lit = (
            av.VideoFrame.from_ndarray(np.full((24, 16), luma, np.uint8), "yuv420p") for luma in (GROUND, FLASH)
        )
        flashes = {event * NTSC for event in events}
        for number in range(int(HOUR * NTSC)):
            frame = lit if number in flashes else dark
            frame.pts, frame.time_base = number, 1 / NTSC
            container.mux(video.encode(frame))
        for first in range(0, HOUR * rate, rate):
            second = np.zeros((1, rate), np.int16)
            for event in events:
                start = round(event * rate) - first
                if 0 <= start < rate:
                    second[0, start : start + len(BEEP)] = BEEP[: rate - start]
            frame = av.AudioFrame.from_ndarray(second, format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, first
            container.mux(audio.encode(frame))
        container.mux([*video.encode(None), *audio.encode(None)])
    return path


HOUR = 3600  # s
BEEP = (0.9 * 32767 * np.cos(2 * np.pi * np.arange(1200) / 15)).astype(np.int16)


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "rate"), [("mp4", 44_100), ("mkv", 48_000)])
def test_an_hour_drifts_by_nothing(suffix: str, rate: int, tmp_path: Path):
    events = tuple(round(second * NTSC) / NTSC for second in (3, 1801, 3597))
    source = probe(write_hour(tmp_path / f"a.{suffix}", rate, events))
    pieces = [range(int(event * 30) - 60, int(event * 30) + 60) for event in events]
    read = list(read_spans(source, pieces, FORM))
    sought = [decode_span(source, first_frame=piece.start, frames=120, spec=FORM) for piece in pieces]
    for spans in (read, sought):
        for span, event in zip(spans, events, strict=True):
            (flash,), (beep,) = flash_frames(span.yuv), beep_samples(span.audio)
            assert span.first_frame + flash == round(event * 30)
            assert abs(F(span.first_frame, 30) + F(beep, 44_100) - event) < F(1, 1000)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "flv"])
@pytest.mark.parametrize("pace", [F(1001, 1000), F(999, 1000), F(10_001, 10_000)], ids=str)
def test_a_sound_clock_at_another_pace_is_followed_within_2_ms(suffix: str, pace: F, tmp_path: Path):
    events = tuple(map(F, range(2, 38, 3)))
    whole = write_video(tmp_path / "a.mp4", Video(seconds=F(40), events=events, fps=F(12), width=32, height=32))

    def edit(packet: Any) -> bool:
        move(packet, F(1))  # writers that want no time below 0 move nothing more
        if packet.stream.type == "audio":
            packet.pts = packet.dts = round(packet.pts * pace)
        return True

    span = decode_span(probe(remux(whole, tmp_path / f"b.{suffix}", edit)), first_frame=0, frames=41 * 30, spec=FORM)
    for beep, event in zip(beep_samples(span.audio), events, strict=True):
        assert abs(F(beep, 44_100) - (event + 1) * pace) < F(2, 1000)
    assert span.repairs.audio_breaks == pytest.approx(float(abs(pace - 1) * 40_000), abs=3)  # one for each ms


SOUGHT = {  # what to write, and whether the file tells the sound's time to the sample
    "mp4": (Video(sample_rate=48_000), True),
    "mov": (Video(audio_codec="pcm_s16le", sample_rate=8_000), True),
    "mkv": (Video(), False),
    "webm": (Video(video_codec="libvpx", audio_codec="libopus", sample_rate=48_000), False),
}


def both_ways(source: Probe, first_frame: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Span, Span]:
    """The same four seconds, reached by seeking and by reading all before them."""
    assert source.seekable
    sought = decode_span(source, first_frame=first_frame, frames=120, spec=FORM)
    monkeypatch.setattr("sharding.media.stream.SEEK_FROM_S", 1000)
    return sought, decode_span(source, first_frame=first_frame, frames=120, spec=FORM)


@pytest.mark.parametrize("first_frame", [1150, 1151, 1164])
@pytest.mark.parametrize("suffix", SOUGHT)
def test_seeking_gives_the_pictures_and_the_sound_that_reading_gives(
    suffix: str, first_frame: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    video, exact = SOUGHT[suffix]
    video = replace(video, seconds=F(45), events=(F(40), F(41)), fps=F(12), width=32, height=32)
    source = probe(write_video(tmp_path / f"a.{suffix}", video))
    sought, read = both_ways(source, first_frame, monkeypatch)
    assert np.array_equal(sought.yuv, read.yuv)
    if exact:
        assert np.array_equal(sought.audio, read.audio)
    for one, other in zip(beep_samples(sought.audio), beep_samples(read.audio), strict=True):
        assert abs(one - other) <= 22  # half a millisecond
    assert sought.repairs == read.repairs


def test_seeking_after_an_edit_list_gives_what_reading_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    video = Video(seconds=F(45), events=(F(40), F(41)), fps=F(12), width=32, height=32, sample_rate=48_000)
    whole = write_video(tmp_path / "a.mp4", video)
    sought, read = both_ways(probe(cut_to(whole, tmp_path / "b.mp4", F(5, 3) + F(1, 90))), 1120, monkeypatch)
    assert np.array_equal(sought.yuv, read.yuv)
    assert np.array_equal(sought.audio, read.audio)
    assert flash_frames(sought.yuv) == [round((event - F(5, 3) - F(1, 90)) * 30) - 1120 for event in (40, 41)]
