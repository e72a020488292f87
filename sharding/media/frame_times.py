"""When each decoded picture is shown, though times may be missing, wrong, or those of decoding.

A decoder hands out pictures in the order in which they are shown; that order is the stream's own (H.264, 8.2.1) and
owes nothing to the container. So of the times on them the longest rising row is believed. A time outside of it is
wrong, or there is none; that picture stands evenly between its neighbours, and no other one is moved by it.

Where a container stores times of decoding (AVI), the n-th picture shown appears at the n-th of them.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Any

from sharding.media.stream import PacketsInside

WINDOW, FEWEST = 8, 2
"""Pictures looked at after one, to judge its time."""
WINDOW_BYTES = 128 * 2**20
"""Of those pictures; of larger ones fewer are held."""
DEEPEST = 32
"""Pictures that wait for one that is decoded before them and shown after them; no codec keeps more."""
DEEPEST_BYTES = 512 * 2**20
PIXEL_BYTES = 3
"""Of a frame; 10 bits of 4:2:0."""


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
            frame.opaque = times[0] if times else None
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


def _is_next(when: int, inside: PacketsInside) -> bool:
    earliest = inside.earliest()
    return earliest is None or when <= earliest


def _moved(frame: Any, when: int) -> Any:
    frame.opaque = when
    return frame


def from_first_time(frames: Iterator[Any]) -> Iterator[Any]:
    """The same frames, without those that come too long before the first that has a time.

    Matroska as FFmpeg reads it has no times below 0. Counted from anywhere else they would push all others aside.
    """
    waiting = deque[Any]()
    for frame in frames:
        waiting.append(frame)
        if frame.opaque is not None:
            break
        if len(waiting) > _fit(WINDOW, WINDOW_BYTES, frame):
            waiting.popleft()
    yield from waiting
    yield from frames


def in_display_order(frames: Iterator[Any], usual: int) -> Iterator[TimedFrame]:
    """Frames, as decoders hand them out, with times that never fall; `usual`: ticks from one to the next."""
    window, last = deque[_Waiting](), None
    for frame in frames:
        window.append(_Waiting(frame.opaque, frame))
        if len(window) > _fit(WINDOW, WINDOW_BYTES, frame):
            yield (first := _first_of(window, last, usual))
            last = first.tick
    while window:
        yield (first := _first_of(window, last, usual))
        last = first.tick


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
