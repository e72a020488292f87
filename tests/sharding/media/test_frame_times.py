"""Whatever times stand on decoded pictures: they come out in order, and a wrong one moves its own picture only."""

from dataclasses import dataclass

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharding.media.frame_times import DEEPEST, WINDOW, by_decode_times, in_display_order
from sharding.media.stream import PacketsInside, Stamp

USUAL = 10


@dataclass(slots=True)
class Frame:
    number: int
    opaque: int | None
    width: int = 16
    height: int = 16
    duration: int = USUAL


def placed(times: list[int | None]) -> list[int]:
    frames = [Frame(number, when) for number, when in enumerate(times)]
    timed = list(in_display_order(iter(frames), USUAL))
    assert [one.frame.number for one in timed] == list(range(len(times)))
    return [one.tick for one in timed]


def strays(times: list[int | None]) -> int:
    return sum(one.stray for one in in_display_order(iter([Frame(0, when) for when in times]), USUAL))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60))
def test_times_that_never_fall_are_kept_whatever_the_distances(steps):
    times = [sum(steps[: n + 1]) for n in range(len(steps))]
    assert placed(list(times)) == times
    assert strays(list(times)) == 0


@given(st.integers(0, 59), st.integers(-1000, 1000))
def test_one_wrong_time_moves_no_other_picture(place, by):
    times = [USUAL * n for n in range(60)]
    wrong: list[int | None] = list(times)
    wrong[place] = times[place] + by
    got = placed(wrong)
    assert [tick for n, tick in enumerate(got) if n != place] == [tick for n, tick in enumerate(times) if n != place]
    if 0 < place < 59:
        assert abs(got[place] - times[place]) <= USUAL
    assert strays(wrong) <= 1


@pytest.mark.parametrize("by", [3 * USUAL, 100 * USUAL, -3 * USUAL, -100 * USUAL])
@pytest.mark.parametrize("places", [(5, 30), (5, 6), (20, 21, 40)])
def test_several_wrong_times_move_no_others(places, by):
    times = [USUAL * n for n in range(60)]
    wrong: list[int | None] = [tick + by * (n in places) for n, tick in enumerate(times)]
    got = placed(wrong)
    assert [tick for n, tick in enumerate(got) if n not in places] == [
        tick for n, tick in enumerate(times) if n not in places
    ]
    assert strays(wrong) == len(places)


@given(st.sets(st.integers(0, 59), max_size=6))
def test_pictures_without_a_time_stand_evenly_between_their_neighbours(unknown):
    times: list[int | None] = [None if n in unknown else USUAL * n for n in range(60)]
    if unknown == set(range(60)):
        return
    assert placed(times) == [USUAL * n for n in range(60)]
    assert strays(times) == 0


def test_pictures_long_before_the_first_time_are_left_out():
    times: list[int | None] = [None] * 30 + [USUAL * n for n in range(30, 60)]
    frames = [Frame(number, when) for number, when in enumerate(times)]
    got = [(one.frame.number, one.tick) for one in in_display_order(iter(frames), USUAL)]
    assert got == [(n, USUAL * n) for n in range(30 - WINDOW, 60)]
    assert list(in_display_order(iter([Frame(n, None) for n in range(3 * WINDOW)]), USUAL)) == []


@given(st.lists(st.integers(-(2**40), 2**40) | st.none(), max_size=80))
def test_no_times_however_wild_come_out_of_order(times):
    frames = [Frame(number, when) for number, when in enumerate(times)]
    got = [one.tick for one in in_display_order(iter(frames), USUAL)]
    assert got == sorted(got)


def display_order(depths: list[int]) -> list[int]:
    """Numbers of packets in the order their pictures are shown: groups of one that waits for so many after it."""
    shown, packet = list[int](), 0
    for depth in depths:
        shown += [*range(packet + 1, packet + 1 + depth), packet]
        packet += depth + 1
    return shown


@given(st.lists(st.integers(0, 16), min_size=1, max_size=12), st.sets(st.integers(0, 40), max_size=3), st.booleans())
def test_the_nth_picture_shown_gets_the_nth_time_of_decoding(depths, lost, is_told):
    """Also where packets give no picture: only their own group of pictures may be moved."""
    shown = [packet for packet in display_order(depths) if packet not in lost]
    inside = PacketsInside()

    def frames():
        fed = 0
        for packet in shown:
            deepest = max([packet, *(one for one in shown[: shown.index(packet)])])
            while fed <= deepest:
                inside.add(fed * USUAL)
                if fed in lost and is_told:
                    inside.remove(fed * USUAL)
                fed += 1
            yield Frame(packet, packet * USUAL)

    got = list(by_decode_times(frames(), inside))
    assert [frame.number for frame in got] == shown
    assert [frame.opaque for frame in got] == sorted(packet * USUAL for packet in shown)


def test_what_waits_for_a_picture_that_never_comes_is_bounded():
    inside = PacketsInside()
    taken = 0

    def frames():
        nonlocal taken
        inside.add(0)  # never comes out, and nobody says so
        for number in range(1, 10 * DEEPEST):
            inside.add(number)
            taken = number
            yield Frame(number, number)

    for given_out, frame in enumerate(by_decode_times(frames(), inside), 1):
        assert frame.opaque == given_out
        assert taken - given_out <= DEEPEST + 1


@pytest.mark.parametrize("when", [0, 7, 10**6])
def test_the_time_on_a_packet_outlives_an_equal_one_on_another(when):
    one, other, number = av.Packet(4), av.Packet(4), int(when)
    one.opaque, other.opaque = Stamp(number), Stamp(number)
    del one
    assert other.opaque == when
