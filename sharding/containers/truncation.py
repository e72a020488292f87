"""Whether a file breaks off: by its own account it has more bytes, and shows longer, than there is.

A copy that was stopped opens and plays as if all were well. What is missing is known only where the container says how
long the file should be (MP4 with its index in front, Matroska, AVI, FLV); transport and program streams, Ogg and
fragmented MP4 without an index do not. Declared lengths alone are often wrong: two accounts must agree.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

from sharding.containers.packet_times import PacketTimes, StreamFacts
from sharding.containers.stretches import Stretch

LEAST_S = 1
LEAST_SHARE = Fraction(1, 100)
"""Less is missing from many a good file, by what it declares."""
MOST_TIMES, MOST_S = 4, 3600
"""A length above both, times what is there and seconds more than that, is a lie."""
APART_S = 3
"""Side by side in a file is hardly further apart in time: a stream that stops earlier had ended by itself."""
BREAK_S = Fraction(1, 2)
"""Pictures just before the break may refer to some that are missing."""
MICROSECOND = Fraction(1, 1_000_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class ObservedStream:
    """A stream and what its packets say."""

    stream: Any
    times: PacketTimes
    facts: StreamFacts


def missing_stretch(path: Path, container: Any, streams: Sequence[ObservedStream]) -> Stretch | None:
    """From where the file breaks off to where it should end, seconds as stored; None for a whole file.

    `streams`: its picture and its sound, not yet moved to the source's timeline.
    """
    declared = [_declared(container, one.stream) for one in streams]
    length = container.duration * MICROSECOND if container.duration else Fraction(0)
    longest = max(length, *(one or Fraction(0) for one in declared))
    latest = max(one.facts.end for one in streams)
    begin = end = max(longest, latest)
    for one, own in zip(streams, declared, strict=True):
        should, stops = own or longest, one.facts.end
        together = own is not None or latest - stops <= APART_S
        if together and should - stops > max(LEAST_S, should * LEAST_SHARE):
            begin, end = min(begin, stops), min(end, should)
        else:
            end = min(end, stops)
    if not begin + LEAST_S < end <= max(begin * MOST_TIMES, begin + MOST_S):
        return None
    tail = path.stat().st_size - max(one.times.reach for one in streams)
    unread = tail / path.stat().st_size > float((end - begin) / end) / 2
    begin = max(Fraction(0), begin - BREAK_S)
    return (begin, end) if unread or is_short(path, container.format.name) else None


def _declared(container: Any, stream: Any) -> Fraction | None:
    """When a stream should end; None when only the whole file has a length."""
    if container.format.name == "avi":  # FFmpeg bends AVI's durations to the file's size; its count is as written
        rate = stream.average_rate if stream.type == "video" else None
        return stream.frames / rate if rate else None
    if stream.duration is None:
        return None
    return ((stream.start_time or 0) + stream.duration) * stream.time_base


def is_short(path: Path, container: str) -> bool:
    """The outermost parts of a file reach beyond its end."""
    for name in container.split(","):
        if name in _WALKS:
            with path.open("rb") as file:
                return _WALKS[name](file) > path.stat().st_size
    return False


def _boxes(file: BinaryIO) -> int:
    """MP4 and MOV: where the last box ends."""
    end = 0
    while len(head := _at(file, end, 16)) >= 8:
        size = int.from_bytes(head[:4])
        size = int.from_bytes(head[8:16]) if size == 1 else size
        if size < 8:  # 0: to the end of the file
            break
        end += size
    return end


def _riff(file: BinaryIO) -> int:
    """AVI: where the last RIFF chunk ends; long files have several."""
    end = 0
    while len(head := _at(file, end, 8)) == 8 and head[:4] == b"RIFF":
        size = int.from_bytes(head[4:], "little")
        if size in (0, 2**32 - 1):  # never filled in
            break
        end += 8 + size
    return end


def _segment(file: BinaryIO) -> int:
    """Matroska and WebM: where the segment ends."""
    end, head = 0, _at(file, 0, 16)
    for name in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
        width = 9 - head[4].bit_length() if len(head) > 12 else 9
        if head[:4] != name or width > 8:
            return 0
        size = int.from_bytes(head[4 : 4 + width]) & ((1 << 7 * width) - 1)
        if size == (1 << 7 * width) - 1:  # unknown
            return 0
        end += 4 + width + size
        head = _at(file, end, 16) if name == b"\x1a\x45\xdf\xa3" else head
    return end


def _tags(file: BinaryIO) -> int:
    """FLV: where the last tag ends."""
    end = 13
    while len(head := _at(file, end, 4)) == 4 and head[0] & 0x1F in (8, 9, 18):
        end += 11 + int.from_bytes(head[1:]) + 4
    return end


def _at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


_WALKS: dict[str, Callable[[BinaryIO], int]] = {"mov": _boxes, "avi": _riff, "matroska": _segment, "flv": _tags}
"""First name of FFmpeg's demuxer -> where the file should end."""
