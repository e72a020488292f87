"""By how much FFmpeg shows a track of fragmented MP4 too late: composition offsets below 0 (CMAF, DASH, live encoders).

A sample is shown at its decode time plus its offset (ISO/IEC 14496-12, 8.8.8). Where offsets are negative FFmpeg takes
the lowest off all decode times, and adds it to all presentation times again; in fragments it does the second only. So
pictures come one or two too late, and their sound seems early.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from sharding.containers.movie_boxes import MOST_FRAGMENT_BOXES, MovieBox, MovieBoxes, after_dates, movie_boxes
from sharding.errors import RejectError, RejectReason

LARGEST_RUN = 16 * 2**20
"""Bytes of the table of one run of samples: a million."""
DURATION, SIZE, FLAGS, OFFSET = 0x100, 0x200, 0x400, 0x800
"""What the table has of every sample, in this order, 4 bytes each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lateness:
    """Of a track, as FFmpeg reads it."""

    seconds: Fraction
    """How much too late, once it has met the lowest offset."""
    met: Fraction
    """Decode time of the fragment that has it. With an index of fragments (sidx) FFmpeg reads one after the other,
    and what came before is less late; else it reads all at once. To have all alike, seek there first.
    """


def late_by_ffmpeg(path: Path, track_id: int) -> Lateness | None:
    """None when FFmpeg is right, or `path` is not fragmented. Raises RejectError: corrupt, unreadable."""
    with movie_boxes(path, MOST_FRAGMENT_BOXES) as boxes:
        header = next(boxes.named(b"moov", boxes.all), None)
        if header is None or next(boxes.named(b"mvex", header), None) is None:
            return None
        timescale = _timescale(boxes, header, track_id)
        lowest, met = min(_lowest_offsets(boxes, track_id), default=(0, 0))
    if lowest >= 0 or not timescale:
        return None
    return Lateness(seconds=Fraction(-lowest, timescale), met=Fraction(met, timescale))


def _timescale(boxes: MovieBoxes, header: MovieBox, track_id: int) -> int:
    """Ticks a second of the track's media; 0 where it is missing."""
    for trak in boxes.named(b"trak", header):
        numbers = [after_dates(boxes.body(one, 24)) for one in boxes.named(b"tkhd", trak)]
        if numbers == [track_id]:
            for mdia in boxes.named(b"mdia", trak):
                return next((after_dates(boxes.body(one, 24)) for one in boxes.named(b"mdhd", mdia)), 0)
    return 0


def _lowest_offsets(boxes: MovieBoxes, track_id: int) -> Iterator[tuple[int, int]]:
    """Lowest composition offset and decode time of each run of samples, ticks."""
    for moof in boxes.named(b"moof", boxes.all):
        for traf in boxes.named(b"traf", moof):
            number, when = 0, 0
            for box in boxes.inside(traf):
                if box.kind == b"tfhd":
                    number = int.from_bytes(boxes.body(box, 8)[4:])
                elif box.kind == b"tfdt":
                    when = int.from_bytes(boxes.body(box, 12)[4:])
                elif box.kind == b"trun" and number == track_id:
                    yield _lowest(boxes, box), when


def _lowest(boxes: MovieBoxes, trun: MovieBox) -> int:
    """Lowest composition offset of one run; signed in every version, as FFmpeg takes it."""
    head = boxes.body(trun, 8)
    flags, count = int.from_bytes(head[1:4]), int.from_bytes(head[4:8])
    if not flags & OFFSET:
        return 0
    start = 8 + 4 * bool(flags & 0x1) + 4 * bool(flags & 0x4)  # offset of the data, flags of the first sample
    before = 4 * sum(bool(flags & field) for field in (DURATION, SIZE, FLAGS))
    table = boxes.body(trun, LARGEST_RUN + 1)
    if len(table) > LARGEST_RUN:
        raise RejectError(RejectReason.CORRUPT, f"a fragment's table of samples has more than {LARGEST_RUN} bytes")
    rows = min(count, max(0, len(table) - start) // (before + 4))
    offsets = struct.iter_unpack(f">{before}xi", table[start : start + rows * (before + 4)])
    return min((offset for (offset,) in offsets), default=0)
