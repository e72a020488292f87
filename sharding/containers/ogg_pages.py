"""Whether all pages of an Ogg are there: each says when its last packet is over (granule position), FFmpeg counts on.

Where a page is lost or damaged FFmpeg drops it, and often has the next one too early, by as much as is missing. So its
times are compared with those of the pages. What is early behind a page whose number does not follow is out of step;
where the numbers go on, the writer has left out time. What is late, or begins before the packet before it is over,
contradicts the file, but for the last page: that may end within a packet.

Sources: RFC 3533, section 6; RFC 7845, section 4; the Vorbis I, Theora and FLAC mappings; WebM project, VP8 in Ogg.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from sharding.containers.packet_times import PacketTimes
from sharding.errors import RejectError, RejectReason

MARK, HEAD = b"OggS", 27
LARGEST_PAGE = HEAD + 255 + 255 * 255
CONTINUED, FIRST = 1, 2
"""Flags of a page."""
NO_GRANULE = -1
LEAST_S = Fraction(1, 100)
"""Nobody hears or sees less."""
FEWEST = 8
"""Pages; where most of so many disagree with their packets, its writer counts otherwise."""
REMEDY = "copy it again from where it came from, or leave it out"

_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Page:
    offset: int
    flags: int
    granule: int
    serial: int
    number: int
    goes_on: bool
    """Its last packet ends on a later page."""
    head: bytes
    """First bytes of its body, on a stream's first page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _PageEnd:
    """Where the packets that end on a page are."""

    page: _Page
    early: int
    """Ticks by which FFmpeg has the end of the last one before what the page says."""
    overlap: int
    """Ticks by which one begins before the one before it is over."""
    follows: bool
    """No page is missing or too many before it, by their numbers."""


_Packet = tuple[int, int]
"""Start and end, ticks."""


def check_pages(path: Path, streams: Sequence[Any], times: Sequence[PacketTimes]) -> None:
    """Raises RejectError, corrupt, when pages of `streams` are missing, or contradict their packets."""
    with path.open("rb") as file:
        pages = list(_pages(file))
    for stream, one in zip(streams, times, strict=True):
        ticks = _GRANULES.get(stream.codec_context.codec.canonical_name)
        if ticks is None:
            continue
        packets = _packets(one)
        for mine in _logical_streams(pages):
            _check(list(_page_ends(mine, packets, ticks)), stream)


def _check(ends: Sequence[_PageEnd], stream: Any) -> None:
    least = LEAST_S / stream.time_base
    lost = [one for one in ends if one.early > least and not one.follows]
    wrong = [one for one in ends if one.early < -least and not (one.follows and one is ends[-1])]
    wrong += [one for one in ends if one.overlap > least]
    if len(ends) >= FEWEST and 2 * len(wrong) > len(ends):
        return
    for one in (*lost, *wrong):
        seconds = float(max(abs(one.early), one.overlap) * stream.time_base)
        kind = "picture" if stream.type == "video" else "sound"
        if one.early > least:
            fact = f"{seconds:.2f} s of its {kind} are missing before byte {one.page.offset}: pages are lost or damaged"
        else:
            fact = f"the page at byte {one.page.offset} has {seconds:.2f} s more of {kind} than its time says"
        raise RejectError(RejectReason.CORRUPT, f"{fact}; what is near it is out of step; {REMEDY}")


def _logical_streams(pages: Sequence[_Page]) -> list[list[_Page]]:
    """The pages of each; chained files have one after the other, of which each should have its own serial number."""
    found, by_serial = list[list[_Page]](), dict[int, list[_Page]]()
    for page in pages:
        if page.flags & FIRST or page.serial not in by_serial:
            by_serial[page.serial] = []
            found.append(by_serial[page.serial])
        by_serial[page.serial].append(page)
    return found


def _packets(times: PacketTimes) -> dict[int, list[_Packet]]:
    """Byte of a page -> the packets that begin there; those without a time are left out."""
    found, rows = dict[int, list[_Packet]](), times.places()
    longest = max((duration for _, _, duration in rows[:-1]), default=0)
    for offset, start, duration in rows:  # FFmpeg lengthens the last one up to where its page says
        found.setdefault(offset, []).append((start, start + min(duration, longest)))
    return found


def _page_ends(
    pages: Sequence[_Page], packets: dict[int, list[_Packet]], ticks: Callable[[int, bytes], int]
) -> Iterator[_PageEnd]:
    """Of one logical stream."""
    head = next((page.head for page in pages if page.flags & FIRST), b"")
    open_packet, ended, follows = list[_Packet](), list[_Packet](), True
    for last, page in pairwise((None, *pages)):
        assert page is not None
        follows = follows and (last is None or _follow(last, page))
        waiting = [*open_packet, *packets.get(page.offset, ())]
        open_packet = waiting[-1:] if page.goes_on else []
        over = waiting[:-1] if page.goes_on else waiting
        if page.granule == NO_GRANULE or not over:
            continue
        overlap = max((before[1] - after[0] for before, after in pairwise((*ended, *over))), default=0)
        early = ticks(page.granule, head) - over[-1][1]
        yield _PageEnd(page=page, early=early, overlap=overlap, follows=follows)
        ended, follows = over[-1:], True


def _follow(last: _Page, page: _Page) -> bool:
    """By their numbers, and a packet that is begun goes on."""
    return page.number == last.number + 1 and bool(page.flags & CONTINUED) == last.goes_on


def _pages(file: BinaryIO) -> Iterator[_Page]:
    """All that are whole, in order; what is between them is skipped, as FFmpeg does."""
    offset = 0
    while True:
        file.seek(offset)
        head = file.read(HEAD)
        if len(head) < HEAD:
            return
        if head[:4] == MARK and head[4] == 0:
            segments = file.read(head[26])
            body = file.read(sum(segments))
            if len(segments) == head[26] and len(body) == sum(segments) and _is_whole(head, segments, body):
                flags = head[5]
                yield _Page(
                    offset=offset,
                    flags=flags,
                    granule=int.from_bytes(head[6:14], "little", signed=True),
                    serial=int.from_bytes(head[14:18], "little"),
                    number=int.from_bytes(head[18:22], "little"),
                    goes_on=segments[-1:] == b"\xff",
                    head=body[:64] if flags & FIRST else b"",
                )
                offset += HEAD + len(segments) + len(body)
                continue
        offset = _next_mark(file, offset + 1)


def _next_mark(file: BinaryIO, offset: int) -> int:
    """Where the next page may begin; the end of the file when none does."""
    while True:
        file.seek(offset)
        block = file.read(LARGEST_PAGE)
        place = block.find(MARK)
        if place >= 0:
            return offset + place
        if len(block) < len(MARK):
            return offset + len(block)
        offset += len(block) - len(MARK) + 1


def _is_whole(head: bytes, segments: bytes, body: bytes) -> bool:
    """Its checksum is right: that of zlib, of bytes whose bits are in the other order."""
    page = b"".join((head[:22], bytes(4), head[26:], segments, body))
    crc = zlib.crc32(page.translate(_MIRROR), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2) == int.from_bytes(head[22:26], "little")


def _samples(granule: int, head: bytes) -> int:
    return granule


def _opus_samples(granule: int, head: bytes) -> int:
    """Those that are left out at the beginning count, too (RFC 7845, section 4.2)."""
    return granule - int.from_bytes(head[10:12], "little")


def _vp8_pictures(granule: int, head: bytes) -> int:
    return granule >> 32


def _theora_pictures(granule: int, head: bytes) -> int:
    """Number of the last key picture, and of pictures since; how they share the bits is in the first header.

    Before version 3.2.1 the first one was 0.
    """
    shift = (head[40] & 3) << 3 | head[41] >> 5 if len(head) > 41 else 0
    from_zero = head[7:10] < b"\3\2\1"
    return (granule >> shift) + (granule & (1 << shift) - 1) + from_zero


_GRANULES: dict[str, Callable[[int, bytes], int]] = {
    "opus": _opus_samples,
    "vorbis": _samples,
    "flac": _samples,
    "speex": _samples,
    "vp8": _vp8_pictures,
    "theora": _theora_pictures,
}
"""Codec -> granule position and first bytes of the stream to ticks of FFmpeg's clock."""
