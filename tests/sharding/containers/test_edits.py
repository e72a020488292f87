"""Edit lists: read as written, whatever the boxes look like, and mapped exactly; lies are refused."""

import random
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction as F
from itertools import pairwise
from math import lcm
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharding.containers.edits import MOST_EDITS, Edit, EditList, edits_beyond_ffmpeg
from sharding.containers.movie_boxes import MOST_BOXES
from sharding.errors import RejectError, RejectReason
from sharding.media.frame_times import TimedFrame, played
from sharding.media.stream import tick_of
from tests.edits import Box, Edited, Play, Style, parsed, plays, with_edits
from tests.media import Video, write_video
from tests.remux import remux

SMALL = Video(seconds=F(5), events=(F(1), F(2), F(3), F(4)), flash_s=F(1, 20), width=48, height=32)
LONG = plays(("1.5", "0.51"), ("0.4", None), ("2", "2.503"), ("0.7", "0"))
OTHER = plays(("0.25", None), ("2.5", "2"), ("1", "0"))
STYLES = {
    "version 1": Style(version=1),
    "600 ticks": Style(timescale=600),
    "in front": Style(moov_first=True, timescale=90_000),
    "compressed": Style(compressed=True),
    "long sizes": Style(long_sizes=True, version=1),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("whole") / "a.mp4", SMALL)


@pytest.fixture(scope="module")
def fragmented(whole: Path) -> Path:
    flags = {"movflags": "frag_keyframe+delay_moov+default_base_moof"}
    return remux(whole, whole.with_name("fragmented.mp4"), lambda packet: True, options=flags)


def read(path: Path, *track_ids: int) -> tuple[EditList, ...]:
    lists = edits_beyond_ffmpeg(path, track_ids or (1, 2))
    assert lists is not None
    return lists


def as_played(edits: Edited) -> list[list[tuple[F, F, bool]]]:
    return [[(one.start, one.seconds, one.source is None) for one in track] for track in (edits.video, edits.audio)]


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_lists_are_read_as_they_were_written(style: Style, suffix: str, tmp_path: Path):
    source = write_video(tmp_path / f"a.{suffix}", replace(SMALL, seconds=F(1), events=()))
    edited = with_edits(source, tmp_path / f"b.{suffix}", video=LONG, audio=OTHER, style=style)
    lists = read(edited.path)
    found = [[(edit.start, edit.duration, edit.media is None) for edit in one.edits] for one in lists]
    assert found == as_played(edited)
    for one, track in zip(lists, (edited.video, edited.audio), strict=True):
        moved = {e.media - p.source for e, p in zip(one.edits, track, strict=True) if e.media and p.source is not None}
        assert len(moved) == 1, "all by the media time that was at 0 s"
    assert read(edited.path, 2, 1) == lists[::-1]


def test_ffmpeg_is_left_what_it_does_right(whole: Path, fragmented: Path, tmp_path: Path):
    good = [plays(("3", "1")), plays(("0.5", None), ("3", "1")), plays(("0", "1")), plays(("1", None)), (), None]
    for number, list_ in enumerate(good):
        for source in (whole, fragmented):
            edited = with_edits(source, tmp_path / f"{number}.mp4", video=list_, audio=good[0])
            assert edits_beyond_ffmpeg(edited.path, (1, 2)) is None, list_
    for list_ in (plays(("0.5", None), ("0.5", None), ("3", "1")), plays(("3", "1"), ("0", "2"), ("0", None))):
        assert edits_beyond_ffmpeg(with_edits(whole, tmp_path / "w.mp4", video=list_, audio=None).path, (1, 2)) is None
        assert read(with_edits(fragmented, tmp_path / "f.mp4", video=list_, audio=None).path)


def test_one_long_list_of_a_wanted_track_is_enough_for_all(whole: Path, tmp_path: Path):
    path = with_edits(whole, tmp_path / "a.mp4", video=None, audio=LONG).path
    assert read(path)[0].edits == (Edit(start=F(0), duration=None, media=F(0)),)
    assert edits_beyond_ffmpeg(path, (1,)) is None
    assert edits_beyond_ffmpeg(path, (1, 7)) is None
    for late in (plays(("3", "1"), ("1", None)), plays(("2", "0"), ("2", "2")), plays(("0", "1"), ("2", "2"))):
        assert read(with_edits(whole, tmp_path / "b.mp4", video=late, audio=None).path), late


def test_an_edit_that_goes_on_where_the_one_before_ends_is_one_with_it(whole: Path, tmp_path: Path):
    going_on = plays(("0.5", None), ("0.5", None), ("1.0004", "1"), ("1.0004", "2.0004"), ("1", "3.004"), ("1", "1"))
    (video,) = read(with_edits(whole, tmp_path / "a.mp4", video=going_on, audio=None).path, 1)
    assert [(edit.start, edit.duration) for edit in video.edits] == [(0, 1), (1, 2), (3, 1), (4, 1)]
    coarse = with_edits(whole, tmp_path / "b.mp4", video=plays(("1", "0"), ("1", "1.04")), audio=None)
    assert len(read(coarse.path, 1)[0].edits) == 2
    frames = with_edits(
        whole, coarse.path, video=plays(("1", "0"), ("1", "1.04")), audio=None, style=Style(timescale=5)
    )
    assert len(read(frames.path, 1)[0].edits) == 2, "a tick is no excuse for a picture"


def test_an_edit_without_a_length_lasts_to_the_end_in_a_fragmented_file_and_is_none_in_another(
    whole: Path, fragmented: Path, tmp_path: Path
):
    open_end = plays(("0.5", "1"), ("1", "2"), ("0", "0.5"))
    (video,) = read(with_edits(fragmented, tmp_path / "a.mp4", video=open_end, audio=None).path, 1)
    assert [edit.duration for edit in video.edits] == [F(1, 2), 1, None]
    assert (video.edits[2].stop, video.edits[2].media_stop) == (None, None)
    (video,) = read(with_edits(whole, tmp_path / "b.mp4", video=open_end, audio=None).path, 1)
    assert [edit.duration for edit in video.edits] == [F(1, 2), 1]


@pytest.mark.parametrize("rate", [0, 1 << 15, 2 << 16, (1 << 32) - (1 << 16)], ids=["0", "0.5", "2", "-1"])
def test_another_pace_is_refused_in_words(rate: int, whole: Path, tmp_path: Path):
    edits = (Play(seconds=F(2), source=F(1), rate=rate),)
    path = with_edits(whole, tmp_path / "a.mp4", video=None, audio=edits).path
    with pytest.raises(RejectError, match="its edit list plays at rate") as told:
        edits_beyond_ffmpeg(path, (1, 2))
    assert told.value.reason is RejectReason.CORRUPT
    assert edits_beyond_ffmpeg(path, (1,)) is None


def lying(source: Path, target: Path, kind: bytes, change: "Sequence[tuple[int, bytes]]") -> Path:
    """Bytes put into the payloads of every box of a kind."""
    boxes = parsed(source.read_bytes())
    for box in next(one for one in boxes if one.kind == b"moov").every(kind):
        for place, new in change:
            box.body = box.body[:place] + new + box.body[place + len(new) :]
    target.write_bytes(b"".join(box.written() for box in boxes))
    return target


LIES = {
    "more edits than there are": (b"elst", [(4, b"\0\0\0\x05")], "says that it has 5 edits, and holds 4"),
    "fewer": (b"elst", [(4, b"\0\0\0\x01")], "says that it has 1 edits, and holds 4"),
    "millions": (b"elst", [(4, b"\xff\xff\xff\xff")], "4294967295 edits"),
    "no ticks in the movie": (b"mvhd", [(12, bytes(4))], "0 ticks a second"),
    "no ticks in the media": (b"mdhd", [(12, bytes(4))], "0 ticks a second"),
    "one number for all": (b"tkhd", [(12, b"\0\0\0\x01")], "2 of its tracks have the number 1"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_list_that_lies_is_refused_and_only_where_it_is_needed(
    lie: tuple[bytes, list[tuple[int, bytes]], str], whole: Path, tmp_path: Path
):
    kind, change, words = lie
    edited = with_edits(whole, tmp_path / "a.mp4", video=LONG, audio=LONG)
    with pytest.raises(RejectError, match=words):
        edits_beyond_ffmpeg(lying(edited.path, tmp_path / "b.mp4", kind, change), (1,))
    if kind != b"elst":
        assert edits_beyond_ffmpeg(lying(whole, tmp_path / "c.mp4", kind, change), (1, 2)) is None


def test_what_has_too_much_is_refused_soon(tmp_path: Path):
    def file(*moov: Box) -> Path:
        (tmp_path / "a.mp4").write_bytes(Box(b"moov", boxes=[*moov]).written())
        return tmp_path / "a.mp4"

    tkhd, row = Box(b"tkhd", bytes(15) + b"\1"), struct.pack(">IiI", 1, 0, 1 << 16)
    elst = Box(b"elst", struct.pack(">II", 0, MOST_EDITS + 1) + row * (MOST_EDITS + 1))
    with pytest.raises(RejectError, match=f"more than {MOST_EDITS} edits"):
        edits_beyond_ffmpeg(file(Box(b"trak", boxes=[tkhd, Box(b"edts", boxes=[elst])])), (1,))
    with pytest.raises(RejectError, match=f"more than {MOST_BOXES} boxes"):
        edits_beyond_ffmpeg(file(Box(b"udta", boxes=[]), *[Box(b"free")] * MOST_BOXES), (1,))
    bomb = zlib.compress(bytes(2**27))
    packed = Box(b"cmov", boxes=[Box(b"cmvd", bytes(4) + bomb)])
    with pytest.raises(RejectError, match="compressed header"):
        edits_beyond_ffmpeg(file(packed), (1,))
    inner = Box(b"moov", boxes=[packed]).written()
    again = Box(b"cmov", boxes=[Box(b"cmvd", bytes(4) + zlib.compress(inner))])
    assert edits_beyond_ffmpeg(file(again), (1,)) is None


def test_damage_anywhere_in_the_header_raises_nothing_else(whole: Path, tmp_path: Path):
    edited = with_edits(whole, tmp_path / "a.mp4", video=LONG, audio=LONG, style=Style(moov_first=True))
    data = edited.path.read_bytes()
    start, stop, rng = data.index(b"moov") - 4, data.index(b"mdat"), random.Random(1)
    places = [data.index(kind, start) for kind in (b"mvhd", b"trak", b"tkhd", b"edts", b"elst", b"mdia", b"mdhd")]
    for number in range(400):
        broken = bytearray(data if number % 4 else data[: rng.randrange(start, stop)])
        for _ in range(rng.randrange(1, 4)):
            place = rng.choice(places) + rng.randrange(-4, 40) if number % 2 else rng.randrange(start, stop)
            broken[place % len(broken)] = rng.choice((0, 1, 0x7F, 0xFF, rng.randrange(256)))
        (tmp_path / "b.mp4").write_bytes(broken)
        with suppress(RejectError):
            edits_beyond_ffmpeg(tmp_path / "b.mp4", (1, 2))
    for other in (b"", b"moov", bytes(100), b"\x1a\x45\xdf\xa3" + bytes(50), rng.randbytes(3_000)):
        (tmp_path / "b.mp4").write_bytes(other)
        assert edits_beyond_ffmpeg(tmp_path / "b.mp4", (1, 2)) is None
    with pytest.raises(RejectError) as told:
        edits_beyond_ffmpeg(tmp_path / "missing.mp4", (1, 2))
    assert told.value.reason is RejectReason.UNREADABLE


TIMES = st.fractions(F(0), F(12), max_denominator=1001)
LENGTHS = st.fractions(F(1, 1000), F(5), max_denominator=1000)


@st.composite
def lists(draw: st.DrawFn) -> EditList:
    edits, start = list[Edit](), F(0)
    for length in draw(st.lists(LENGTHS, min_size=1, max_size=6)):
        edits.append(Edit(start=start, duration=length, media=draw(st.none() | TIMES)))
        start += length
    return EditList(track_id=1, edits=tuple(edits))


def media_at(edits: EditList, when: F) -> F | None:
    """The media time played at a moment of the movie, by definition."""
    for edit in edits.edits:
        if edit.start <= when and (edit.stop is None or when < edit.stop):
            return None if edit.media is None else edit.media + when - edit.start
    return None


@given(lists(), TIMES, LENGTHS, st.fractions(F(0), F(1), max_denominator=97))
def test_media_is_shown_just_when_an_edit_plays_it(edits: EditList, begin: F, length: F, where: F):
    shown = edits.shows(begin, begin + length)
    total = sum((edit.duration or F(0) for edit in edits.edits), F(0))
    moment = where * total
    played = media_at(edits, moment)
    inside = played is not None and begin <= played < begin + length
    assert inside == any(first <= moment < last for first, last in shown)
    assert all(0 <= first < last <= total for first, last in shown)


@given(lists(), TIMES, st.fractions(F(0), F(1), max_denominator=97))
def test_behind_the_end_of_the_media_nothing_is_played_and_nothing_moves(edits: EditList, end: F, where: F):
    total = sum((edit.duration or F(0) for edit in edits.edits), F(0))
    moment = where * total
    played = media_at(edits, moment)
    assert media_at(edits.until(end), moment) == (None if played is None or played >= end else played)
    opened = EditList(track_id=1, edits=(Edit(start=F(1), duration=None, media=end / 2),))
    assert opened.until(end).edits == ((Edit(start=F(1), duration=end / 2, media=end / 2),) if end else ())


def test_a_list_that_makes_hours_of_seconds_is_refused():
    edits = tuple(Edit(start=F(5 * n), duration=F(5), media=F(0)) for n in range(101))
    with pytest.raises(RejectError, match=r"plays 5\.0 s for 505 s"):
        EditList(track_id=1, edits=edits).until(F(5))
    assert EditList(track_id=1, edits=edits[:100]).until(F(5)).edits == edits[:100]
    days = Edit(start=F(0), duration=F(10**9), media=F(0))
    assert EditList(track_id=1, edits=(days,)).until(F(5)).edits[0].duration == 5


@given(lists(), st.integers(1, 40), st.integers(0, 60), st.integers(2, 12))
def test_the_picture_in_force_is_shown_from_the_start_of_an_edit(edits: EditList, gap: int, offset: int, fps: int):
    pictures = [F(offset, 60) + F(n, fps) for n in range(60) if n % gap or not n]
    tick = tick_of(edits.edits, F(1, 60 * lcm(*range(2, 13))))
    appear = list[TimedFrame]()
    for edit in (one for one in edits.edits if one.media is not None):
        assert edit.stop is not None
        later = edit.start - (edit.media or 0)
        timed = [TimedFrame(tick=int((when + later) / tick), frame=when, stray=False) for when in pictures]
        assert [when.tick * tick - later for when in timed] == pictures
        appear += played(iter(timed), int(edit.start / tick), int(edit.stop / tick))
    assert all(before.tick < after.tick for before, after in pairwise(appear))
    for edit in edits.edits:
        assert edit.stop is not None
        for moment in (edit.start, edit.start + (edit.stop - edit.start) * F(2, 3)):
            media = media_at(edits, moment)
            standing = [when for when in pictures if media is not None and when <= media]
            newest = [one.frame for one in appear if edit.start <= one.tick * tick <= moment]
            assert newest[-1:] == standing[-1:]


@given(lists(), st.sampled_from([8_000, 44_100, 48_000]))
def test_edits_that_follow_each_other_have_each_sample_once(edits: EditList, rate: int):
    bounds = [edit.samples(rate) for edit in edits.edits]
    assert bounds[0][0] == 0
    assert all(before[1] == after[0] for before, after in pairwise(bounds))
    for edit in edits.edits:
        assert abs(edit.start - (edit.media or 0) - edit.later(rate)) <= F(1, 2 * rate)
        assert (edit.later(rate) * rate).denominator == 1
