"""Sound of every rate and layout, with gaps, overlaps and other streams: heard at its moment, repairs counted."""

from dataclasses import replace
from fractions import Fraction as F
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sharding.format.clip import Clock
from sharding.media.decode import OutputSpec, Span, decode_span
from sharding.media.probe import probe
from tests.media import Video, beep_samples, flash_frames, write_video
from tests.remux import move, remux

MONO = OutputSpec(clock=Clock(fps=F(30), sample_rate=44_100), width=32, height=32, channels=1)
STEREO = OutputSpec(clock=Clock(fps=F(30), sample_rate=44_100), width=32, height=32, channels=2)
TINY = Video(width=32, height=32, audio_codec="pcm_s16le")


def span_of(path: Path, form: OutputSpec = MONO) -> Span:
    return decode_span(probe(path), first_frame=0, frames=180, spec=form)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("codec", ["pcm_s16le", "aac"])
def test_sound_of_any_rate_is_heard_at_its_moment(rate: int, codec: str, tmp_path: Path):
    path = write_video(tmp_path / "a.mov", replace(TINY, sample_rate=rate, audio_codec=codec))
    for beep, event in zip(beep_samples(span_of(path).audio), (2, 4), strict=True):
        assert abs(beep - event * 44_100) < 44  # 1 ms


@pytest.mark.parametrize("form", [MONO, STEREO], ids=["to mono", "to stereo"])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_all_channels_at_once_are_mixed_without_clipping(channels: int, form: OutputSpec, tmp_path: Path):
    path = write_video(tmp_path / "a.mov", replace(TINY, channels=channels))
    audio = span_of(path, form).audio
    assert beep_samples(audio) == [2 * 44_100, 4 * 44_100]
    beep = audio[2 * 44_100 + 100 : 2 * 44_100 + 1100].astype(float)
    wave = np.cos(2 * np.pi * 3000 * (np.arange(1000) + 100) / 44_100)
    for channel in beep.T:
        assert np.corrcoef(channel, wave)[0, 1] > 0.999  # clipping would bend it
        assert 0.5 * 32768 < channel.max() < 32767


@pytest.mark.parametrize(("channel", "sides"), [(0, (0,)), (1, (1,)), (2, (0, 1)), (4, (0,)), (5, (1,))])
def test_every_channel_of_surround_sound_is_heard_on_its_side(channel: int, sides: tuple[int, ...], tmp_path: Path):
    path = write_video(tmp_path / "a.mov", replace(TINY, channels=6, channel=channel))
    for form in (MONO, STEREO):
        loudest = np.abs(span_of(path, form).audio[2 * 44_100 : 2 * 44_100 + 1000].astype(int)).max(axis=0)
        assert {side for side, level in enumerate(loudest) if level > 1000} == ({0} if form is MONO else set(sides))


GAPS = {  # how much later sound is from 3 s on -> samples of silence, samples dropped
    "a gap of half a second": (F(1, 2), 22_050, 0),
    "a lost packet": (F(1024, 44_100), 1024, 0),
    "an overlap of a fifth of a second": (F(-1, 5), 0, 8_820),
}


@pytest.mark.parametrize("name", GAPS)
def test_what_is_missing_is_silence_what_is_twice_is_dropped_and_both_are_counted(name: str, tmp_path: Path):
    by, silence, dropped = GAPS[name]
    video = replace(TINY, seconds=F(7), events=(F(2), F(5)))
    whole = write_video(tmp_path / "a.mov", video)

    def edit(packet: Any) -> bool:
        when = packet.pts * packet.time_base
        packet.pts += round(1 / packet.time_base)  # room for going back: writers want no dts above a pts
        if packet.stream.type == "audio" and when >= 3:
            packet.pts += round(by / packet.time_base)
        return True

    span = decode_span(probe(remux(whole, tmp_path / "b.mkv", edit)), first_frame=30, frames=180, spec=MONO)
    repairs = span.repairs
    assert repairs.audio_breaks == 1
    assert repairs.silence_samples == pytest.approx(silence, abs=90)
    assert repairs.samples_dropped == pytest.approx(dropped, abs=90)
    for beep, event in zip(beep_samples(span.audio), (F(2), 5 + by), strict=True):
        assert abs(F(beep, 44_100) - event) < F(2, 1000)
    assert flash_frames(span.yuv) == [60, 150]


def test_a_gap_soon_after_the_start_moves_nothing_before_it(tmp_path: Path):
    whole = write_video(tmp_path / "a.mov", replace(TINY, events=(F(1, 5), F(3))))

    def edit(packet: Any) -> bool:
        late = packet.stream.type == "audio" and packet.pts * packet.time_base >= F(2, 5)
        move(packet, F(4, 5) if late else F(0))
        return True

    span = span_of(remux(whole, tmp_path / "b.mkv", edit))
    assert beep_samples(span.audio) == pytest.approx([0.2 * 44_100, 3.8 * 44_100], abs=44)


@pytest.mark.parametrize("audio_codec", ["pcm_s16le", "aac"])
@pytest.mark.parametrize("video_codec", ["mpeg4", "libx264"])
@pytest.mark.parametrize("early", [F(1, 5), F(3, 2)])
def test_what_comes_before_time_0_of_matroska_moves_nothing_after_it(
    audio_codec: str, video_codec: str, early: F, tmp_path: Path
):
    made = replace(TINY, audio_codec=audio_codec, video_codec=video_codec, events=(F(2), F(3)), sample_rate=48_000)
    whole = write_video(tmp_path / "a.mov", made)

    def edit(packet: Any) -> bool:
        move(packet, -early)
        return True

    options = {"avoid_negative_ts": "disabled"}
    source = probe(remux(whole, tmp_path / "b.mkv", edit, options=options))
    span = decode_span(source, first_frame=0, frames=120, spec=MONO)
    assert flash_frames(span.yuv) == [round((event - early) * 30) for event in (2, 3)]
    assert beep_samples(span.audio) == pytest.approx([float(event - early) * 44_100 for event in (2, 3)], abs=88)
    assert span.repairs.audio_breaks == 0


def test_the_second_picture_and_the_second_sound_of_a_file_are_not_taken(tmp_path: Path):
    first = write_video(tmp_path / "1.mov", TINY)
    second = write_video(tmp_path / "2.mov", replace(TINY, events=(F(1), F(3)), width=16, height=16))
    with av.open(str(tmp_path / "both.mkv"), "w") as new:
        packets = list[Any]()
        with av.open(str(first)) as one, av.open(str(second)) as two:
            for old in (one, two):
                streams = [new.add_stream_from_template(stream) for stream in old.streams]
                for packet in old.demux():
                    if packet.size:
                        packet.stream = streams[packet.stream_index]
                        packets.append(packet)
            new.mux(sorted(packets, key=lambda one: one.dts * one.time_base))
    span = span_of(tmp_path / "both.mkv")
    assert flash_frames(span.yuv) == [60, 120]
    assert beep_samples(span.audio) == pytest.approx([2 * 44_100, 4 * 44_100], abs=2)


@pytest.mark.parametrize("straying", [range(0, 200, 7), range(3), range(50, 52)], ids=["often", "at first", "once"])
def test_timestamps_that_stray_and_come_back_move_nothing(straying: range, tmp_path: Path):
    whole = write_video(tmp_path / "a.mov", replace(TINY, sample_rate=48_000))
    number = iter(range(1000))

    def edit(packet: Any) -> bool:
        packet.pts += round(1 / packet.time_base)
        if packet.stream.type == "audio" and next(number) in straying:
            packet.pts -= round(F(21, 1000) / packet.time_base)
        return True

    span = decode_span(probe(remux(whole, tmp_path / "b.mkv", edit)), first_frame=30, frames=170, spec=MONO)
    assert beep_samples(span.audio) == pytest.approx([2 * 44_100, 4 * 44_100], abs=44)
    assert span.repairs.audio_breaks == 0


def test_a_picture_with_its_predecessors_time_takes_its_place(tmp_path: Path):
    whole = write_video(tmp_path / "a.mp4", replace(TINY, audio_codec="aac", video_codec="mpeg4"))

    def edit(packet: Any) -> bool:
        move(packet, F(1))
        if packet.stream.type == "video" and packet.pts * packet.time_base == 3:  # the flash
            packet.pts -= round(F(1, 30) / packet.time_base)
        packet.dts -= round(F(1, 2) / packet.time_base)
        return True

    span = decode_span(probe(remux(whole, tmp_path / "b.mkv", edit)), first_frame=30, frames=170, spec=MONO)
    assert flash_frames(span.yuv) == [59, 120]
    assert (span.repairs.frames_dropped, span.repairs.frames_repeated) == (1, 1)
