"""MPEG-1 and MPEG-2 whose pictures stay for two fields or three, in containers with times for all or some."""

from collections.abc import Sequence
from fractions import Fraction as F
from itertools import accumulate, pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharding.media.frame_times import WINDOW, at_own_pace
from sharding.media.probe import probe
from sharding.media.stream import SourceStream
from sharding.media.video import timed_frames
from tests.sharding.media.test_frame_times import USUAL, Frame

FIELD = F(1001, 60_000)
PICTURES = 60
FLAGS = {  # top_field_first, repeat_first_field, by number in display order
    "film on NTSC (3:2)": ((1, 1), (0, 0), (0, 1), (1, 0)),
    "no repeats": ((1, 0),),
    "one in ten": ((1, 1), *[(0, 0)] * 9, (0, 1), *[(1, 0)] * 9),
}
CONTAINERS = ("ts", "mpg", "vob", "mkv")
SPARSE = ("mpg", "vob")
STRAYS = {"a picture early": -3003, "two late": 6006, "a second late": 90_000, "five seconds early": -450_000}
"""By how many ticks of 90 kHz."""


def fields(flags: str) -> list[int]:
    """How long each picture stays."""
    pattern = FLAGS[flags]
    return [2 + pattern[n % len(pattern)][1] for n in range(PICTURES)]


def flagged(coded: bytes, shown: int, flags: str) -> bytes:
    """A coded picture that stays as `flags` has it, in a sequence of 29.97 (13818-2, 6.2.2, 6.2.3)."""
    bits = bytearray(coded)
    top, repeat = FLAGS[flags][shown % len(FLAGS[flags])]
    at = -1
    while (at := coded.find(b"\0\0\1", at + 1)) >= 0:
        kind, body = coded[at + 3], at + 4
        if kind == 0xB3:
            bits[body + 3] = bits[body + 3] & 0xF0 | 4
        elif kind == 0xB5 and coded[body] >> 4 == 1:
            bits[body + 1] &= ~0x08
        elif kind == 0xB5 and coded[body] >> 4 == 8:
            bits[body + 3] = bits[body + 3] & 0x7D | top << 7 | repeat << 1
    return bytes(bits)


def write_fields(path: Path, flags: str) -> Path:
    """A file of PICTURES whose brightness is their number, and of noise."""
    starts = [0, *accumulate(fields(flags))]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=F(30_000, 1001), options={"bf": "2", "g": "12"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 32, "yuv420p", 130_000
        stream.time_base = F(1, 90_000)
        sound = container.add_stream("mp2", rate=48_000, layout="mono")
        packets = []
        texture = np.random.default_rng(0).integers(-12, 12, (32, 64))
        for number in [*range(PICTURES), None]:
            frame = None
            if number is not None:
                luma = np.full((48, 64), 128, np.uint8)
                luma[:32] = 30 + 3 * number + np.roll(texture - round(texture.mean()), number, axis=1)
                frame = av.VideoFrame.from_ndarray(luma, format="yuv420p")
                frame.pts, frame.time_base = number, F(1001, 30_000)
            packets += stream.encode(frame)
        decoded = -2
        for coded, packet in enumerate(packets):
            shown = round(packet.pts * packet.time_base / F(1001, 30_000))
            new = av.Packet(flagged(bytes(packet), shown, flags))
            decoded = max(decoded + 1, min(decoded + 3, starts[max(0, coded - 1)]))
            new.stream, new.time_base, new.is_keyframe = stream, F(1, 90_000), packet.is_keyframe
            new.pts = int((starts[shown] * FIELD + F(1, 2)) * 90_000)
            new.dts = min(new.pts, int((decoded * FIELD + F(1, 2)) * 90_000) - 6000)
            packets[coded] = new
        for number in range(int(starts[-1] * FIELD * 48_000) // 1152):
            noise = np.random.default_rng(number).normal(0, 900, (1, 1152)).astype(np.int16)
            heard = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = 48_000, 24_000 + number * 1152, F(1, 48_000)
            packets += sound.encode(heard)
        for packet in sorted(packets, key=lambda one: one.dts * one.time_base):
            container.mux(packet)
    return path


def shown_at(path: Path) -> dict[int, F]:
    """Number of each picture -> seconds."""
    source = probe(path)
    stream = SourceStream(source, source.video)
    try:
        timed = list(timed_frames(source, stream))
    finally:
        stream.close()
    numbers = [round((float(one.frame.to_ndarray()[:32].mean()) - 30) / 3) for one in timed]
    return {number: one.tick * stream.tick for number, one in zip(numbers, timed, strict=True)}


def far_off(got: dict[int, F], flags: str) -> list[int]:
    """Pictures that are more than 2 ms from where they belong, by the first one."""
    starts = [0, *accumulate(fields(flags))]
    zero = got[0]
    return [n for n, when in got.items() if abs(when - zero - starts[n] * FIELD) > F(2, 1000)]


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("flags", FLAGS)
def test_a_picture_stays_for_its_two_fields_or_three(container, flags, tmp_path):
    got = shown_at(write_fields(tmp_path / f"film.{container}", flags))
    assert list(got) == list(range(PICTURES))
    assert far_off(got, flags) == []


@pytest.mark.parametrize("container", SPARSE)
@pytest.mark.parametrize("by", STRAYS)
def test_a_stray_time_of_a_packet_that_holds_several_pictures_moves_none(container, by, tmp_path):
    right = write_fields(tmp_path / f"right.{container}", flags := "no repeats")
    places = stored_times(right.read_bytes())
    assert len(places) * 2 < PICTURES  # or each picture has its own
    for wrong in ([1], [len(places) // 2], [len(places) - 1], [3, 9]):
        path = with_times(right, tmp_path / f"wrong.{container}", [places[n] for n in wrong], STRAYS[by])
        assert far_off(shown_at(path), flags) == [], wrong


def stored_times(file: bytes) -> list[int]:
    """Where times of the picture stand (ISO/IEC 13818-1, 2.4.3.6; in MPEG-1 ISO/IEC 11172-1, 2.4.3.3)."""
    places = []
    for head in (place for place in range(len(file)) if file.startswith(b"\0\0\1\xe0", place)):
        at = head + 6
        if file[at] >> 6 == 2:
            places += [at + 3] * bool(file[at + 1] & 0x80)
            continue
        while file[at] == 0xFF:
            at += 1
        at += 2 * (file[at] >> 6 == 1)
        places += [at] * (file[at] >> 4 in (2, 3))
    return places


def with_times(source: Path, target: Path, places: list[int], by: int) -> Path:
    """The same file, where these times of presentation, not those of decoding, are others."""
    file = bytearray(source.read_bytes())
    for place in places:
        when = (file[place] >> 1 & 7) << 30 | int.from_bytes(file[place + 1 : place + 3]) >> 1 << 15
        when = (when | int.from_bytes(file[place + 3 : place + 5]) >> 1) + by
        file[place] = file[place] & 0xF0 | (when >> 30 & 7) << 1 | 1
        file[place + 1 : place + 3] = ((when >> 15 & 0x7FFF) << 1 | 1).to_bytes(2)
        file[place + 3 : place + 5] = ((when & 0x7FFF) << 1 | 1).to_bytes(2)
    target.write_bytes(file)
    return target


def paced(opaque: Sequence[int | None], stays: Sequence[int]) -> list[tuple[int, bool]]:
    frames = [Frame(n, when, duration=lasts) for n, (when, lasts) in enumerate(zip(opaque, stays, strict=True))]
    return [(one.tick, one.stray) for one in at_own_pace(iter(frames), USUAL)]


STAYS = st.lists(st.sampled_from((USUAL, USUAL * 3 // 2)), min_size=40, max_size=90)


@given(STAYS, st.integers(2, 14), st.data())
def test_few_times_place_all_pictures_and_wrong_ones_none(stays, every, data):
    times = [0, *accumulate(stays)][:-1]
    known: list[int | None] = [when if n % every == 0 else None for n, when in enumerate(times)]
    said = range(every, len(times), every)
    wrong = data.draw(st.sets(st.sampled_from(said), max_size=2)) if len(said) > 4 else set()
    offset = data.draw(st.integers(USUAL, 500))
    for number, place in enumerate(sorted(wrong)):  # no two bear each other out
        known[place] = times[place] + offset * (number + 1)
    got = paced(known, stays)
    assert [tick for tick, _ in got] == times
    strays = [n for n, (_, stray) in enumerate(got) if stray]
    assert set(strays) <= wrong
    if offset > WINDOW * USUAL * 2:  # or it may be the time of a neighbour, which FFmpeg gives to the wrong one
        assert strays == sorted(wrong)


@given(STAYS, st.integers(2, 6), st.integers(12, 20), st.integers(USUAL, 10**6))
def test_from_a_hole_on_the_new_times_count(stays, every, place, hole):
    """Up to the next stored time nobody knows of it."""
    place -= place % every
    times = [when + hole * (n >= place) for n, when in enumerate([0, *accumulate(stays)][:-1])]
    known: list[int | None] = [when if n % every == 0 else None for n, when in enumerate(times)]
    assert [tick for tick, _ in paced(known, stays)] == times


@given(st.lists(st.tuples(st.integers(-(2**40), 2**40) | st.none(), st.integers(0, 10**6)), max_size=80))
def test_no_times_and_lengths_however_wild_come_out_of_order(rows):
    got = [tick for tick, _ in paced([when for when, _ in rows], [lasts for _, lasts in rows])]
    assert all(one <= other for one, other in pairwise(got))
