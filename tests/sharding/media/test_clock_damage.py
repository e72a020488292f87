"""Damage costs the clips it lies in: every other clip of the file is what it would have been."""

from fractions import Fraction as F
from pathlib import Path

import numpy as np
import pytest

from sharding.errors import RejectError
from sharding.format.clip import Clock
from sharding.media.decode import OutputSpec, Span, decode_span, read_spans
from sharding.media.probe import Probe, probe
from tests.media import Video, write_video
from tests.remux import spoil

FORM = OutputSpec(clock=Clock(fps=F(30), sample_rate=44_100), width=32, height=32, channels=1)
PIECES = [range(start, start + 150) for start in range(0, 900, 150)]
"""5 s each."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    video = Video(seconds=F(30), events=(), width=32, height=32)
    return write_video(tmp_path_factory.mktemp("whole") / "a.mp4", video)


def spans(source: Probe) -> list[Span]:
    return list(read_spans(source, PIECES, FORM))


def same(one: Span, other: Span) -> bool:
    return np.array_equal(one.yuv, other.yuv) and np.array_equal(one.audio, other.audio)


DAMAGE = {  # what is refused: kind, from, to, and the pieces it costs
    "in the middle of a piece": ("video", F(12), F(14), {2}, r"the video decoder refused \d+ of 150 packets"),
    "across the edge of two": ("video", F(13), F(17), {2, 3}, "the video decoder refused 60 of 150 packets"),
    "sound": ("audio", F(11), F(13), {2}, r"the audio decoder refused \d+ of \d+ packets"),
    "to the end": ("video", F(23), F(30), {4, 5}, "the video decoder refused"),
    "two packets": ("video", F(12), F(12) + F(1, 15), set(), ""),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_costs_only_the_pieces_it_lies_in(name: str, whole: Path, tmp_path: Path):
    kind, start, stop, lost, told = DAMAGE[name]
    source = probe(spoil(whole, tmp_path / "b.mp4", kind, start, stop))
    found = spans(source)
    assert {number for number, span in enumerate(found) if span.damage} == lost
    touched = {number for number, span in enumerate(found) if span.repairs.decode_errors}
    assert touched >= lost
    for number, (span, sound) in enumerate(zip(found, spans(probe(whole)), strict=True)):
        assert number in touched or same(span, sound)
    for number in lost:
        with pytest.raises(RejectError, match=told) as caught:
            decode_span(source, first_frame=PIECES[number].start, frames=150, spec=FORM)
        assert str(caught.value.detail) == found[number].damage


def test_a_refused_packet_that_leaves_the_picture_standing_for_long_is_damage(tmp_path: Path):
    slow = Video(seconds=F(20), events=(), fps=F(1, 2), width=32, height=32)
    source = probe(spoil(write_video(tmp_path / "a.mp4", slow), tmp_path / "b.mp4", "video", F(8), F(9)))
    told = [span.damage for span in read_spans(source, PIECES[:4], FORM)]
    assert told[0] == told[2] == told[3] == ""
    assert told[1] == "the video decoder failed, and one picture stays for 4.0 s"


def test_when_nothing_decodes_every_piece_says_so(whole: Path, tmp_path: Path):
    source = probe(spoil(whole, tmp_path / "b.mp4", "video", F(-1), F(99)))
    assert {span.damage for span in spans(source)} == {"none of its pictures decodes"}
