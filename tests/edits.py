"""MP4 and MOV files with other edit lists: box by box, nothing coded again, so that it is known what is played when.

`with_edits` takes a file of `write_video` (or one remuxed from it), and what of it is to be played, in the times of
that file as it was; what comes back tells when each moment of it is played in the new one.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

PARENTS = (b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl", b"mvex")
IDENTITY = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Play:
    """An edit to be written."""

    seconds: Fraction
    """How long it takes in the movie; 0: no length is written, which in a fragmented file is to the end."""
    source: Fraction | None
    """From which moment of the old file on; None: nothing is played."""
    rate: int = IDENTITY


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """An edit as it was written, in whole ticks."""

    start: Fraction
    """When it begins in the movie."""
    seconds: Fraction
    """ENDLESS where it lasts until the media ends."""
    source: Fraction | None = None
    media: Fraction | None = None
    """The same moment on the media's own clock."""


ENDLESS = Fraction(10**6)


@dataclass(frozen=True, kw_only=True, slots=True)
class Edited:
    """A file with new edit lists, and what they play."""

    path: Path
    video: tuple[Played, ...]
    audio: tuple[Played, ...]


def moments(played: Sequence[Played], event: Fraction, lasts: Fraction) -> list[Fraction]:
    """When the moment `event` of the old file is played in the new one, and all that is seen or heard of it."""
    return [
        one.start + event - one.source
        for one in played
        if one.source is not None and one.source <= event < one.source + one.seconds - lasts
    ]


def plays(*edits: tuple[str, str | None]) -> tuple[Play, ...]:
    """`("2.5", "1")`: 2.5 s of what was at 1 s; `("1", None)`: 1 s of nothing."""
    return tuple(
        Play(seconds=Fraction(seconds), source=None if source is None else Fraction(source))
        for seconds, source in edits
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """How boxes are written; every player must read all of these."""

    version: int = 0
    timescale: int = 1000
    """Ticks a second of the movie."""
    moov_first: bool = False
    compressed: bool = False
    """The movie header, as QuickTime did."""
    long_sizes: bool = False
    gapless: int = 0
    """Samples of priming by iTunes' own tag, which FFmpeg lets decoders skip, edit list or not."""


@dataclass(slots=True)
class Box:
    """Four letters, and bytes or further boxes."""

    kind: bytes
    body: bytes = b""
    boxes: "list[Box]" = field(default_factory=list)

    def find(self, *kinds: bytes) -> "Box":
        box = self
        for kind in kinds:
            box = next(one for one in box.boxes if one.kind == kind)
        return box

    def every(self, kind: bytes) -> "Iterator[Box]":
        for box in self.boxes:
            if box.kind == kind:
                yield box
            yield from box.every(kind)

    def written(self, *, long: bool = False) -> bytes:
        body = self.body + b"".join(box.written(long=long) for box in self.boxes)
        if long:
            return struct.pack(">I4sQ", 1, self.kind, 16 + len(body)) + body
        return struct.pack(">I4s", 8 + len(body), self.kind) + body


def parsed(data: bytes) -> list[Box]:
    """The boxes of a file, or of a payload; those of PARENTS entered."""
    boxes, start = list[Box](), 0
    while start < len(data):
        size, kind, width = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8], 8
        if size == 1:
            size, width = int.from_bytes(data[start + 8 : start + 16]), 16
        body = data[start + width : start + size if size else len(data)]
        boxes.append(Box(kind, boxes=parsed(body)) if kind in PARENTS else Box(kind, body))
        start += size or len(data)
    return boxes


def with_edits(
    source: Path,
    target: Path,
    *,
    video: Sequence[Play] | None,
    audio: Sequence[Play] | None,
    style: Style | None = None,
) -> Edited:
    """Write `source` with new edit lists; None: the track gets none, and plays all its media from 0 on."""
    style, boxes = style or Style(), parsed(source.read_bytes())
    moov = next(box for box in boxes if box.kind == b"moov")
    lists = {b"vide": video, b"soun": audio}
    played = dict[bytes, tuple[Played, ...]]()
    for trak in moov.every(b"trak"):
        kind = trak.find(b"mdia", b"hdlr").body[8:12]
        played[kind] = _edit(trak, lists[kind], _field(moov.find(b"mvhd")), style)
    _put_field(moov.find(b"mvhd"), style.timescale)
    _put_length(moov.find(b"mvhd"), [*played.values()], style.timescale)
    if style.gapless:
        moov.boxes.append(_gapless(style.gapless))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(_laid_out(boxes, style))
    return Edited(path=target, video=played[b"vide"], audio=played[b"soun"])


def _edit(trak: Box, plays: Sequence[Play] | None, old_timescale: int, style: Style) -> tuple[Played, ...]:
    media_timescale = _field(trak.find(b"mdia", b"mdhd"))
    origin = _origin(trak, old_timescale, media_timescale)
    trak.boxes = [box for box in trak.boxes if box.kind != b"edts"]
    if plays is None:
        length = Fraction(_length(trak.find(b"mdia", b"mdhd")), media_timescale)
        _put_length(trak.find(b"tkhd"), [(Played(start=Fraction(0), seconds=length),)], style.timescale)
        return (Played(start=Fraction(0), seconds=ENDLESS, source=-origin, media=Fraction(0)),)
    rows, played, start = b"", list[Played](), 0
    for play in plays:
        ticks = round(play.seconds * style.timescale)
        media = -1 if play.source is None else round((play.source + origin) * media_timescale)
        rows += struct.pack(">QqI" if style.version else ">IiI", ticks, media, play.rate)
        one = Played(start=Fraction(start, style.timescale), seconds=Fraction(ticks, style.timescale) or ENDLESS)
        if play.source is not None:
            when = Fraction(media, media_timescale)
            one = replace(one, source=when - origin, media=when)
        played.append(one)
        start += ticks
    elst = Box(b"elst", struct.pack(">B3xI", style.version, len(plays)) + rows)
    trak.boxes.insert(1, Box(b"edts", boxes=[elst]))
    _put_length(trak.find(b"tkhd"), [tuple(played)], style.timescale)
    return tuple(played)


def _origin(trak: Box, timescale: int, media_timescale: int) -> Fraction:
    """Media time of what the old file plays at 0 s."""
    if not any(trak.every(b"elst")):
        return Fraction(0)
    body = trak.find(b"edts", b"elst").body
    assert body[0] == 0, "FFmpeg writes version 0 where it suffices"
    rows = list(struct.iter_unpack(">Ii4x", body[8:]))
    delay = sum(duration for duration, media in rows if media == -1)
    return Fraction(rows[-1][1], media_timescale) - Fraction(delay, timescale)


def _field(header: Box) -> int:
    """Ticks a second."""
    return int.from_bytes(header.body[12:16] if header.body[0] == 0 else header.body[20:24])


def _put_field(header: Box, value: int) -> None:
    assert header.body[0] == 0
    header.body = header.body[:12] + value.to_bytes(4) + header.body[16:]


def _length(header: Box) -> int:
    return int.from_bytes(header.body[16:20] if header.body[0] == 0 else header.body[24:32])


def _put_length(header: Box, played: Sequence[tuple[Played, ...]], timescale: int) -> None:
    """What mvhd and tkhd say the movie, or the track, takes."""
    place = 20 if header.kind == b"tkhd" else 16
    ends = (one.start + one.seconds for edits in played for one in edits if one.seconds < ENDLESS)
    ticks = round(max(ends, default=Fraction(0)) * timescale)
    assert header.body[0] == 0
    header.body = header.body[:place] + ticks.to_bytes(4) + header.body[place + 4 :]


def _gapless(samples: int) -> Box:
    """The tag iTunSMPB."""
    value = struct.pack(">II", 1, 0) + f" 00000000 {samples:08X} 00000000 {0:016X}".encode()
    name, mean = Box(b"name", bytes(4) + b"iTunSMPB"), Box(b"mean", bytes(4) + b"com.apple.iTunes")
    tags = Box(b"ilst", boxes=[Box(b"----", boxes=[mean, name, Box(b"data", value)])])
    handler = Box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    return Box(b"udta", boxes=[Box(b"meta", bytes(4), [handler, tags])])


def _laid_out(boxes: list[Box], style: Style) -> bytes:
    """The file: offsets of chunks moved with the data; those of fragments are their own, and an index of them goes."""
    boxes = [box for box in boxes if box.kind != b"mfra"]
    moov = next(box for box in boxes if box.kind == b"moov")
    old = _data_start(boxes)
    rest = [box for box in boxes if box is not moov]
    fragmented = any(box.kind == b"moof" for box in boxes)  # their offsets begin before their mdat
    first, long = style.moov_first or fragmented, style.long_sizes and not fragmented
    place = next(n for n, box in enumerate(rest) if box.kind in (b"moof", b"mdat")) if first else len(rest)
    order = [*rest[:place], moov, *rest[place:]]
    headers = {b"moov": _header(moov, style)}
    data = b""
    for _ in range(2):  # the second time with right offsets, in as many bytes
        data, start = b"", 0
        for box in order:
            start = len(data) if box.kind == b"mdat" and not start else start
            data += headers.get(box.kind) or box.written(long=long and box.kind == b"mdat")
        shift = start + (16 if long else 8) - old
        for stco in moov.every(b"stco"):
            offsets = [one + shift for (one,) in struct.iter_unpack(">I", stco.body[8:])]
            stco.body = stco.body[:8] + b"".join(one.to_bytes(4) for one in offsets)
        old += shift
        headers = {b"moov": _header(moov, style)}
    return data


def _data_start(boxes: Sequence[Box]) -> int:
    start = 0
    for box in boxes:
        if box.kind == b"mdat":
            return start + 8
        start += len(box.written())
    raise ValueError("no mdat")


def _header(moov: Box, style: Style) -> bytes:
    whole = moov.written(long=style.long_sizes)
    if not style.compressed:
        return whole
    packed = len(whole).to_bytes(4) + zlib.compress(whole)
    return Box(b"moov", boxes=[Box(b"cmov", boxes=[Box(b"dcom", b"zlib"), Box(b"cmvd", packed)])]).written()
