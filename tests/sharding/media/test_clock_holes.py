"""Timestamps that claim what cannot be: hours without a picture, single ones far away, times that run backwards."""

from fractions import Fraction as F
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sharding.errors import RejectError
from sharding.format.clip import Clock
from sharding.media.decode import OutputSpec, decode_span, read_spans
from sharding.media.probe import probe
from tests.media import Video, beep_samples, flash_frames, write_video
from tests.remux import Edit, move, remux

FORM = OutputSpec(clock=Clock(fps=F(30), sample_rate=44_100), width=32, height=32, channels=1)
DAYS, MINUTES = F(1_000_000), F(1_000)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    video = Video(seconds=F(12), events=(F(2), F(4), F(10)), width=32, height=32)
    return write_video(tmp_path_factory.mktemp("whole") / "a.mp4", video)


def later(start: F, by: F, *kinds: str) -> Edit:
    """What comes after `start` comes later; and all by a second, for writers that want no time below 0."""

    def edit(packet: Any) -> bool:
        moved = packet.stream.type in kinds and packet.pts * packet.time_base >= start
        move(packet, 1 + by if moved else F(1))
        return True

    return edit


def test_a_hole_of_minutes_is_not_shown_and_what_follows_is_exact(whole: Path, tmp_path: Path):
    source = probe(remux(whole, tmp_path / "b.mkv", later(F(6), MINUTES, "video", "audio")))
    (first, second) = source.shown
    assert [float(edge) for edge in first] == pytest.approx([1, 7], abs=0.06)
    assert [float(edge) for edge in second] == pytest.approx([MINUTES + 7, MINUTES + 13], abs=0.06)
    far = int(MINUTES * 30)
    before, after = read_spans(source, [range(30, 210), range(far + 220, far + 380)], FORM)
    assert flash_frames(before.yuv) == [60, 120]
    assert flash_frames(after.yuv) == [110]
    assert abs(beep_samples(after.audio)[0] - 110 * 1470) <= 45
    assert before.damage == after.damage == ""
    sought = decode_span(source, first_frame=far + 220, frames=160, spec=FORM)
    assert np.array_equal(sought.yuv, after.yuv)
    assert beep_samples(sought.audio)[0] == pytest.approx(beep_samples(after.audio)[0], abs=22)


def test_a_clock_that_leaps_by_days_has_been_set_anew_and_no_position_is_far(whole: Path, tmp_path: Path):
    source = probe(remux(whole, tmp_path / "b.mkv", later(F(6), DAYS, "video", "audio")))
    assert source.restarts == 1
    (first, second) = source.shown
    assert first[1] - first[0] == pytest.approx(6, abs=0.06)
    assert 5 < second[1] - second[0] < 6.06  # from the next key frame on
    start = ceil(second[0] * 30)
    assert start < 60 * 30
    after = decode_span(source, first_frame=start, frames=160, spec=FORM)
    (flash,), (beep,) = flash_frames(after.yuv), beep_samples(after.audio)
    assert abs(F(flash, 30) - F(beep, 44_100)) <= F(1, 60) + F(1, 500)


def test_pieces_inside_a_hole_say_so(whole: Path, tmp_path: Path):
    source = probe(remux(whole, tmp_path / "b.mkv", later(F(6), F(60), "video")))
    assert len(source.shown) == 1  # the sound ends before the pictures go on
    with pytest.raises(RejectError, match=r"no picture appears for 60\.0 s"):
        decode_span(source, first_frame=230, frames=120, spec=FORM)
    source = probe(remux(whole, tmp_path / "c.mkv", later(F(6), F(60), "audio")))
    with pytest.raises(RejectError, match="it has no sound there"):
        decode_span(source, first_frame=230, frames=120, spec=FORM)


@pytest.mark.parametrize("kind", ["video", "audio"])
@pytest.mark.parametrize("by", [F(30), DAYS, F(-3)], ids=str)
def test_one_wrong_timestamp_does_not_hide_what_follows(kind: str, by: F, whole: Path, tmp_path: Path):
    def edit(packet: Any) -> bool:
        when = packet.pts * packet.time_base
        packet.pts += round(F(5) / packet.time_base)  # room for going back: writers want no dts above a pts
        if packet.stream.type == kind and F(5) <= when < F(5) + F(1, 40):
            packet.pts += round(by / packet.time_base)
        return True

    source = probe(remux(whole, tmp_path / "b.mkv", edit))
    span = decode_span(source, first_frame=150, frames=340, spec=FORM)
    assert flash_frames(span.yuv) == [60, 120, 300]
    for beep, event in zip(beep_samples(span.audio), (2, 4, 10), strict=True):
        assert abs(beep - event * 44_100) <= 45
    assert span.repairs.longest_still <= 3
    assert span.repairs.silence_samples <= 2048
