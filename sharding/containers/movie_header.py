"""Whether the header of MP4 and MOV speaks for the whole file: of every sample, and of all bytes.

The table of composition offsets counts samples in runs (ISO/IEC 14496-12, 8.6.1 and 8.7.3). Where it ends too early,
FFmpeg shows the rest when it is decoded: some pictures too early, and others not, in silence. And of two files that
were put one behind the other FFmpeg reads the first header only.
"""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sharding.containers.movie_boxes import MOST_FRAGMENT_BOXES, MovieBox, MovieBoxes, after_dates, movie_boxes
from sharding.containers.packet_times import PacketTimes
from sharding.errors import RejectError, RejectReason

LARGEST_TABLE = 256 * 2**20
"""Bytes; 33 million pictures that each have an offset of their own."""
SAMPLE_SIZES = (b"stsz", b"stz2")


def first_movie_ends(path: Path) -> int | None:
    """Byte at which a further movie was put behind the first, which FFmpeg does not play; None: there is none.

    Raises RejectError: unreadable.
    """
    with movie_boxes(path, MOST_FRAGMENT_BOXES) as boxes:
        level = list(boxes.inside(boxes.all))
        heads = [box for box in level if box.kind == b"moov"]
        if len(heads) < 2:
            return None
        files = [box.start for box in level if box.kind == b"ftyp"]
        return (files[1] if len(files) > 1 else heads[1].start) - 8


def check_sample_tables(path: Path, streams: Sequence[Any], times: Sequence[PacketTimes]) -> None:
    """Raises RejectError: corrupt when a stream has more samples than its composition offsets cover; unreadable."""
    del times  # of what is packed; the tables say what there should be
    kinds = {stream.id: stream.type for stream in streams}
    with movie_boxes(path, MOST_FRAGMENT_BOXES) as boxes:
        header = next(boxes.named(b"moov", boxes.all), None)  # FFmpeg reads no further one
        if header is None or next(boxes.named(b"mvex", header), None) is not None:  # fragments have tables of their own
            return
        for trak in boxes.named(b"trak", header):
            _check(boxes, trak, kinds)


def _check(boxes: MovieBoxes, trak: MovieBox, kinds: dict[int, str]) -> None:
    kind = kinds.get(next((after_dates(boxes.body(one, 24)) for one in boxes.named(b"tkhd", trak)), 0))
    tables = {box.kind: box for box in _tables(boxes, trak)}
    sizes = next((tables[name] for name in SAMPLE_SIZES if name in tables), None)
    if kind is None or sizes is None or b"ctts" not in tables:
        return
    samples = int.from_bytes(boxes.body(sizes, 12)[8:])
    table = boxes.body(tables[b"ctts"], LARGEST_TABLE)
    rows = min(int.from_bytes(table[4:8]), (len(table) - 8) // 8)
    covered = sum(count for count, _ in struct.iter_unpack(">Ii", table[8 : 8 + 8 * rows])) if rows > 0 else 0
    if 0 < covered < samples:
        raise RejectError(
            RejectReason.CORRUPT,
            f"its header says of {covered} of {samples} packets of {kind} when they are to be shown, and nothing of"
            " the others; copy it again from where it came from, or leave it out",
        )


def _tables(boxes: MovieBoxes, trak: MovieBox) -> list[MovieBox]:
    """The boxes of its stbl."""
    parents = [trak]
    for name in (b"mdia", b"minf", b"stbl"):
        parents = [box for parent in parents for box in boxes.named(name, parent)]
    return [box for parent in parents for box in boxes.inside(parent)]
