"""When each decoded picture is shown, though times may be missing, wrong, or those of decoding.

A decoder hands out pictures in the order in which they are shown; that order is the stream's own (H.264, 8.2.1) and
owes nothing to the container. So of the times on them the longest rising row is believed. A time outside of it is
wrong, or there is none; that picture stands evenly between its neighbours, and no other one is moved by it.

Where a container stores times of decoding (AVI), the n-th picture shown appears at the n-th of them; where pictures are
held, when as many more have been decoded as the decoder waits for.

Where it stores one time for several pictures (a PES packet of a program stream, ISO/IEC 13818-1, 2.4.3.7), the pictures
themselves say how long they stay: two fields, or three (ISO/IEC 13818-2, repeat_first_field). A time that contradicts
most others, counted so, is wrong.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Any

from sharding.containers.packet_times import StreamFacts
from sharding.media.stream import PacketsInside, Stamp

WINDOW, FEWEST = 8, 2
"""Pictures looked at after one, to judge its time."""
WINDOW_BYTES = 128 * 2**20
"""Of those pictures; of larger ones fewer are held."""
DEEPEST = 32
"""Pictures that wait for one that is decoded before them and shown after them; no codec keeps more."""
DEEPEST_BYTES = 512 * 2**20
PIXEL_BYTES = 3
"""Of a frame; 10 bits of 4:2:0."""
PACED = 64
"""Pictures looked at after one, to judge the few times among them: a DVD has a time for every 12 to 18 pictures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedFrame:
    """A decoded picture and when it is shown."""

    tick: int
    frame: Any
    stray: bool
    """Its own time could not be believed."""


@dataclass(slots=True)
class _Waiting:
    tick: int | None
    frame: Any


def by_decode_times(frames: Iterator[Any], inside: PacketsInside) -> Iterator[Any]:
    """The same frames; the n-th gets the n-th of all their times in `opaque`, in order.

    It waits for as long as a packet with an earlier time is in the decoder.
    """
    waiting, times = deque[Any](), list[int]()
    for frame in frames:
        if frame.opaque is None:
            frame.opaque = Stamp(times[0]) if times else None
        if frame.opaque is None:
            yield frame
            continue
        inside.remove(frame.opaque)
        heappush(times, frame.opaque)
        waiting.append(frame)
        deepest = _fit(DEEPEST, DEEPEST_BYTES, frame)
        while waiting and (len(waiting) > deepest or _is_next(times[0], inside)):
            inside.forget_before(times[0])
            yield _moved(waiting.popleft(), heappop(times))
    while waiting:
        yield _moved(waiting.popleft(), heappop(times))


def decoded_before_shown(frames: Iterator[Any], inside: PacketsInside, video: StreamFacts) -> Iterator[Any]:
    """The same frames, whose `opaque` ascends and is a time of decoding: each is shown `depth` packets later.

    Less `depth` times the usual `pace`, so that nothing changes where all packets stand evenly: a writer decodes a
    picture when one is shown that was decoded so much earlier, and what is held is held at its time of display.
    """
    waiting = deque[Any]()
    for frame in frames:
        waiting.append(frame)
        while waiting and (waiting[0].opaque is None or inside.later(waiting[0].opaque, video.depth) is not None):
            yield _later(waiting.popleft(), inside, video)
    while waiting:
        yield _later(waiting.popleft(), inside, video)


def _later(frame: Any, inside: PacketsInside, video: StreamFacts) -> Any:
    if frame.opaque is None:
        return frame
    there = video.depth
    while (when := inside.later(frame.opaque, there)) is None and there > 0:  # behind the last one all go on as usual
        there -= 1
    return frame if when is None else _moved(frame, when - there * video.pace)


def _is_next(when: int, inside: PacketsInside) -> bool:
    earliest = inside.earliest()
    return earliest is None or when <= earliest


def _moved(frame: Any, when: int) -> Any:
    frame.opaque = Stamp(when)
    return frame


def in_display_order(frames: Iterator[Any], usual: int) -> Iterator[TimedFrame]:
    """Frames, as decoders hand them out, with times that never fall; `usual`: ticks from one to the next.

    Nobody knows when pictures are shown long before the first one that has a time: they are left out.
    """
    window, last = deque[_Waiting](), None
    for frame in frames:
        window.append(_Waiting(frame.opaque, frame))
        if len(window) <= _fit(WINDOW, WINDOW_BYTES, frame):
            continue
        if last is None and all(one.tick is None for one in window):
            window.popleft()
            continue
        yield (first := _first_of(window, last, usual))
        last = first.tick
    if last is None and all(one.tick is None for one in window):
        return
    while window:
        yield (first := _first_of(window, last, usual))
        last = first.tick


def at_own_pace(frames: Iterator[Any], usual: int) -> Iterator[TimedFrame]:
    """Frames with ticks that never fall, each as long after the one before as that one stays; `usual`: where none says.

    A stored time moves this clock only when most of the times that follow agree with it. A picture whose head lies
    across two packets has, from FFmpeg, the time of the one behind it; that is no stray. Nobody knows when pictures
    are shown long before the first one that has a time: they are left out.
    """
    window, untimed, expected, last = deque[Any](), deque[int](maxlen=WINDOW), None, None
    ended = False
    while window or not ended:
        while not ended and (not window or len(window) <= _fit(PACED, WINDOW_BYTES, window[0])):
            frame = next(frames, None)
            ended = frame is None
            if frame is not None:
                window.append(frame)
        if not window:
            return
        clock = _clock(window, expected, usual)
        frame = window.popleft()
        if clock is None:
            continue
        tick = clock if frame.opaque is None or not _agree(frame.opaque, clock, usual) else frame.opaque
        expected = tick + (frame.duration or usual)
        if frame.opaque is None:
            untimed.append(tick)
        others = [*untimed, *(other.opaque for other in window if other.opaque is not None)]
        if window and window[0].opaque is None:
            others.append(expected)
        stray = frame.opaque not in (None, tick) and not any(_agree(frame.opaque, other, usual) for other in others)
        last = tick if last is None else max(tick, last)
        yield TimedFrame(tick=last, frame=frame, stray=stray)


def _clock(window: deque[Any], expected: int | None, usual: int) -> int | None:
    """When the first of the window is shown: as `expected`, unless its time says otherwise and most others agree."""
    first = window[0].opaque
    if expected is not None and (first is None or _agree(first, expected, usual)):
        return expected
    later, said = 0, list[int]()  # when each time of the window says that the first one is shown
    for frame in window:
        if frame.opaque is not None:
            said.append(frame.opaque - later)
        later += frame.duration or usual
    if expected is None:  # the first that a second one bears out: what comes later may stand behind a hole
        return next((one for one in said if _votes(one, said, usual) > 1), said[0] if said else None)
    said.append(expected)  # it speaks for itself, too: a single time moves nothing
    return max((expected, said[0]), key=lambda one: _votes(one, said, usual))


def _votes(one: int, said: list[int], usual: int) -> int:
    return sum(_agree(one, other, usual) for other in said)


def _agree(one: int, other: int, usual: int) -> bool:
    """They are not half a picture apart."""
    return 2 * abs(one - other) < usual


def played(timed: Iterator[TimedFrame], first: int, stop: int) -> Iterator[TimedFrame]:
    """From `first` to before `stop`, of pictures from earlier on; the one that stands at `first` appears then."""
    standing: TimedFrame | None = None
    for one in timed:
        if one.tick >= stop:
            break
        if one.tick <= first:
            standing = one
            continue
        if standing is not None:
            yield replace(standing, tick=first)
            standing = None
        yield one
    if standing is not None:
        yield replace(standing, tick=first)


def _first_of(window: deque[_Waiting], last: int | None, usual: int) -> TimedFrame:
    """The first of the window, which it leaves, with its time."""
    start = 0 if _rises(window, last) else _start_of_row(window, last, usual)
    first = window.popleft()
    if start == 0 and first.tick is not None:
        return TimedFrame(tick=first.tick, frame=first.frame, stray=False)
    following = window[start - 1].tick if start else None
    if following is None:
        tick = 0 if last is None else last + usual
    elif last is None:
        tick = following - usual * (start or 0)
    else:
        tick = last + (following - last) // ((start or 0) + 1)
    return TimedFrame(tick=tick, frame=first.frame, stray=first.tick is not None)


def _rises(window: deque[_Waiting], last: int | None) -> bool:
    """All times are there and none falls: nearly always."""
    for one in window:
        if one.tick is None or (last is not None and one.tick < last):
            return False
        last = one.tick
    return True


def _start_of_row(window: deque[_Waiting], last: int | None, usual: int) -> int | None:
    """Where the longest row of times that never falls begins; of two as long, the one nearer to the usual pace.

    None when there is no time to believe.
    """
    known = [(place, one.tick) for place, one in enumerate(window) if one.tick is not None]
    known = [(place, tick) for place, tick in known if last is None or tick >= last]
    lengths = list[int]()  # of the longest row from each on, the last one first
    for at in range(len(known) - 1, -1, -1):
        behind = zip(known[at + 1 :], reversed(lengths), strict=True)
        lengths.append(1 + max((length for (_, tick), length in behind if tick >= known[at][1]), default=0))
    if not known:
        return None

    def worth(one: tuple[tuple[int, int], int]) -> tuple[int, int]:
        (place, tick), length = one
        return length, 0 if last is None else -abs(tick - last - usual * (place + 1))

    return max(zip(known, reversed(lengths), strict=True), key=worth)[0][0]


def _fit(most: int, room: int, frame: Any) -> int:
    """As many frames as fit into the room, at most `most`."""
    return max(FEWEST, min(most, room // max(1, frame.width * frame.height * PIXEL_BYTES)))
