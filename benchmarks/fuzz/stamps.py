"""The timestamps of a file's packets, read and written where they stand: the media itself stays untouched.

MPEG-TS and PS (ISO/IEC 13818-1, 11172-1), Matroska, FLV, MP4 with its index behind the media, and fragmented MP4.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise

from benchmarks.fuzz.layout import LAYOUTS, Piece, flv, mp4

MPEG_TICK, MILLISECOND = Fraction(1, 90_000), Fraction(1, 1000)
MPEG_WRAP = 1 << 33
MOST_SAMPLES = 5_000
"""PCM has a sample of MP4 for each of its own; its times are left alone."""


@dataclass(slots=True)
class Stamp:
    """When one packet is shown, and decoded, in ticks; `at`: where that is written."""

    stream: str
    """video, audio, or clock: PCR and SCR."""
    tick: Fraction
    pts: int
    dts: int | None
    at: int
    base: int = 0
    """What is added to the number that is written: a cluster's time, a decode time."""

    def move(self, ticks: int) -> None:
        """Later, with its decode time."""
        self.pts += ticks
        self.dts = None if self.dts is None else self.dts + ticks


def _fit(value: int, bits: int) -> int:
    """The nearest number that fits, with a sign."""
    return max(-(1 << bits - 1), min((1 << bits - 1) - 1, value))


# MPEG


def _mpeg_time(data: Sequence[int]) -> int:
    return (data[0] >> 1 & 7) << 30 | data[1] << 22 | data[2] >> 1 << 15 | data[3] << 7 | data[4] >> 1


def _mpeg_bytes(value: int, mark: int) -> bytes:
    value %= MPEG_WRAP
    high = mark << 4 | value >> 30 << 1 | 1
    return bytes((high, value >> 22 & 255, (value >> 15 & 127) << 1 | 1, value >> 7 & 255, (value & 127) << 1 | 1))


def _pes(data: bytes, at: int) -> Stamp | None:
    """`at`: its start code. The stamp stands where its PTS is."""
    stream = "video" if data[at + 3] >> 4 == 0xE else "audio"
    if data[at + 6] >> 6 == 2:  # MPEG-2
        flags, where = data[at + 7] >> 6, at + 9
    else:
        where = at + 6
        while data[where] == 0xFF:
            where += 1
        where += 2 * (data[where] >> 6 == 1)
        flags = data[where] >> 4 if data[where] >> 4 in (2, 3) else 0
    if not flags:
        return None
    dts = _mpeg_time(data[where + 5 : where + 10]) if flags == 3 else None
    return Stamp(stream, MPEG_TICK, _mpeg_time(data[where : where + 5]), dts, where)


def _is_pes(data: bytes, at: int) -> bool:
    return data[at : at + 3] == b"\0\0\1" and (data[at + 3] in (0xBD, *range(0xC0, 0xF0)))


def _read_transport(data: bytes) -> list[Stamp]:
    found = list[Stamp]()
    for piece in LAYOUTS["ts"](data):
        at = piece.start
        if data[at + 3] & 0x20 and data[at + 4] and data[at + 5] & 0x10:
            found.append(Stamp("clock", MPEG_TICK, int.from_bytes(data[at + 6 : at + 11]) >> 7, None, at + 6))
        if data[at + 1] & 0x40 and _is_pes(data, piece.body) and (stamp := _pes(data, piece.body)):
            found.append(stamp)
    return found


def _read_program(data: bytes) -> list[Stamp]:
    found = list[Stamp]()
    for piece in LAYOUTS["mpg"](data):
        at = piece.start
        if piece.name == "ba" and data[at + 4] >> 6 != 1:  # MPEG-1; that of MPEG-2 stays
            found.append(Stamp("clock", MPEG_TICK, _mpeg_time(data[at + 4 : at + 9]), None, at + 4))
        if _is_pes(data, at) and (stamp := _pes(data, at)):
            found.append(stamp)
    return found


def _write_mpeg(data: bytes, stamps: Sequence[Stamp]) -> bytes:
    out = bytearray(data)
    for one in stamps:
        if one.stream == "clock" and out[one.at] >> 4 != 2:  # PCR
            rest = int.from_bytes(out[one.at : one.at + 6]) & 0x7FFF
            out[one.at : one.at + 6] = ((one.pts % MPEG_WRAP) << 15 | rest).to_bytes(6)
        elif one.dts is None:
            out[one.at : one.at + 5] = _mpeg_bytes(one.pts, 2)
        else:
            out[one.at : one.at + 10] = _mpeg_bytes(one.pts, 3) + _mpeg_bytes(one.dts, 1)
    return bytes(out)


# Matroska


def _read_matroska(data: bytes) -> list[Stamp]:
    found, cluster, kinds, track = list[Stamp](), 0, dict[int, str](), 0
    for piece in LAYOUTS["mkv"](data):
        value = int.from_bytes(data[piece.body : piece.end]) if piece.end - piece.body <= 8 else 0
        if piece.name == "d7":
            track = value
        elif piece.name == "83":
            kinds[track] = "video" if value == 1 else "audio"
        elif piece.name == "e7":
            cluster = value
        elif piece.name in ("a3", "a1"):
            when = cluster + int.from_bytes(data[piece.body + 1 : piece.body + 3], signed=True)
            found.append(Stamp(kinds[data[piece.body] & 0x7F], MILLISECOND, when, None, piece.body + 1, cluster))
    return found


def _write_matroska(data: bytes, stamps: Sequence[Stamp]) -> bytes:
    out = bytearray(data)
    for one in stamps:
        out[one.at : one.at + 2] = _fit(one.pts - one.base, 16).to_bytes(2, signed=True)
    return bytes(out)


# FLV


def _read_flv(data: bytes) -> list[Stamp]:
    found = list[Stamp]()
    for piece in flv(data):
        at, body = piece.start, piece.body
        if piece.name not in ("8", "9"):
            continue
        dts = int.from_bytes(data[at + 7 : at + 8] + data[at + 4 : at + 7])
        offset = 0
        if piece.name == "9" and data[body] & 15 == 7:
            offset = int.from_bytes(data[body + 2 : body + 5], signed=True)
        found.append(Stamp("video" if piece.name == "9" else "audio", MILLISECOND, dts + offset, dts, at))
    return found


def _write_flv(data: bytes, stamps: Sequence[Stamp]) -> bytes:
    out = bytearray(data)
    for one in stamps:
        assert one.dts is not None
        time = (one.dts % (1 << 32)).to_bytes(4)
        out[one.at + 4 : one.at + 8] = time[1:] + time[:1]
        if one.stream == "video" and out[one.at + 11] & 15 == 7 and out[one.at + 12] == 1:
            out[one.at + 13 : one.at + 16] = _fit(one.pts - one.dts, 24).to_bytes(3, signed=True)
        elif one.pts != one.dts and one.stream != "video":
            out[one.at + 4 : one.at + 7] = (one.pts % (1 << 24)).to_bytes(3)
    return bytes(out)


# MP4


def _numbers(data: bytes, start: int, count: int) -> list[int]:
    return [int.from_bytes(data[at : at + 4]) for at in range(start, start + 4 * count, 4)]


def _runs(data: bytes, box: Piece) -> list[int]:
    """Values of stts or ctts, one for each sample."""
    count = int.from_bytes(data[box.body + 4 : box.body + 8])
    pairs = _numbers(data, box.body + 8, 2 * count)
    return [value for times, value in zip(pairs[::2], pairs[1::2], strict=True) for _ in range(times)]


def _track_kinds(data: bytes) -> list[tuple[str, Fraction, dict[str, Piece]]]:
    """Of each track: its stream, its tick and its boxes."""
    tracks = list[dict[str, Piece]]()
    for box in mp4(data):
        if box.name == "trak":
            tracks.append({})
        elif tracks and box.end <= next(one for one in mp4(data) if one.name == "moov").end:
            tracks[-1].setdefault(box.name, box)
    found = list[tuple[str, Fraction, dict[str, Piece]]]()
    for boxes in tracks:
        at = boxes["mdhd"].body + (20 if data[boxes["mdhd"].body] else 12)
        kind = "video" if "vmhd" in boxes else "audio"
        found.append((kind, Fraction(1, int.from_bytes(data[at : at + 4])), boxes))
    return found


def _read_mp4(data: bytes) -> list[Stamp]:
    names = [box.name for box in mp4(data)]
    if "moof" in names:
        return _read_fragments(data)
    if names.index("moov") < names.index("mdat"):  # its tables could not grow
        return []
    found = list[Stamp]()
    for kind, tick, boxes in _track_kinds(data):
        if int.from_bytes(data[boxes["stsz"].body + 8 : boxes["stsz"].body + 12]) > MOST_SAMPLES:
            continue
        steps = _runs(data, boxes["stts"])
        offsets = _runs(data, boxes["ctts"]) if "ctts" in boxes else [0] * len(steps)
        dts = 0
        for number, (step, offset) in enumerate(zip(steps, offsets, strict=True)):
            found.append(Stamp(kind, tick, dts + offset, dts, number))
            dts += step
    return found


def _table(name: bytes, values: Sequence[int], *, signed: bool) -> bytes:
    pairs = b"".join((1).to_bytes(4) + value.to_bytes(4, signed=signed) for value in values)
    body = bytes((signed, 0, 0, 0)) + len(values).to_bytes(4) + pairs
    return (8 + len(body)).to_bytes(4) + name + body


def _write_mp4(data: bytes, stamps: Sequence[Stamp]) -> bytes:
    names = {box.name for box in mp4(data)}
    if "moof" in names:
        return _write_fragments(data, stamps)
    tables = dict[int, bytes]()  # by the start of the box that it replaces
    for kind, _, boxes in _track_kinds(data):
        mine = [one for one in stamps if one.stream == kind]
        if not mine:
            continue
        times = list(accumulate((one.dts or 0 for one in mine), max))  # a table of steps cannot go back
        last = int.from_bytes(data[boxes["stts"].end - 4 : boxes["stts"].end])
        steps = [after - now for now, after in pairwise(times)] + [last]
        stts = _table(b"stts", steps, signed=False)
        ctts = _table(b"ctts", [_fit(one.pts - time, 32) for one, time in zip(mine, times, strict=True)], signed=True)
        tables[boxes["stts"].start] = stts + ctts
        if "ctts" in boxes:
            tables[boxes["ctts"].start] = b""
    return b"".join(_rebuilt(data, 0, len(data), tables))


_ON_THE_WAY = frozenset("moov trak mdia minf stbl".split())


def _rebuilt(data: bytes, start: int, end: int, tables: dict[int, bytes]) -> list[bytes]:
    out, at = list[bytes](), start
    while at + 8 <= end:
        size, name = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if at in tables:
            out.append(tables[at])
        elif name.decode("latin-1") in _ON_THE_WAY:
            inner = b"".join(_rebuilt(data, at + 8, at + size, tables))
            out.append((8 + len(inner)).to_bytes(4) + name + inner)
        else:
            out.append(data[at : at + size])
        at += size
    return out


def _fragment_tables(data: bytes) -> list[tuple[str, Fraction, Piece, Piece, int]]:
    """Of each fragment of a track: stream, tick, tfdt, trun and the usual duration."""
    tracks = _track_kinds(data)
    found, current = list[tuple[str, Fraction, Piece, Piece, int]](), dict[str, Piece]()
    for box in mp4(data):
        if box.name == "traf":
            current = {}
        current[box.name] = box
        if box.name == "trun" and "tfdt" in current:
            head = current["tfhd"].body
            flags = int.from_bytes(data[head + 1 : head + 4])
            track = int.from_bytes(data[head + 4 : head + 8])
            where = head + 8 + 8 * (flags & 1) + 4 * (flags >> 1 & 1)
            usual = int.from_bytes(data[where : where + 4]) if flags & 8 else 0
            found.append((*tracks[track - 1][:2], current["tfdt"], box, usual))
    return found


def _trun(data: bytes, box: Piece) -> tuple[int, int, int]:
    """Its flags, where its first sample stands, and the bytes of each."""
    flags = int.from_bytes(data[box.body + 1 : box.body + 4])
    return flags, box.body + 8 + 4 * (flags & 1) + 4 * (flags >> 2 & 1), 4 * bin(flags >> 8 & 15).count("1")


def _read_fragments(data: bytes) -> list[Stamp]:
    found = list[Stamp]()
    for kind, tick, tfdt, trun, usual in _fragment_tables(data):
        dts = int.from_bytes(data[tfdt.body + 4 : tfdt.end])
        flags, at, size = _trun(data, trun)
        for _ in range(int.from_bytes(data[trun.body + 4 : trun.body + 8])):
            offset = int.from_bytes(data[at + size - 4 : at + size], signed=True) if flags & 0x800 else 0
            found.append(Stamp(kind, tick, dts + offset, dts, at))
            dts += int.from_bytes(data[at : at + 4]) if flags & 0x100 else usual
            at += size
    return found


def _write_fragments(data: bytes, stamps: Sequence[Stamp]) -> bytes:
    out, by_place = bytearray(data), {one.at: one for one in stamps}
    for _, _, tfdt, trun, _ in _fragment_tables(data):
        flags, at, size = _trun(data, trun)
        first = by_place.get(at)
        if first is not None and first.dts is not None:
            wide = tfdt.end - tfdt.body - 4
            out[tfdt.body + 4 : tfdt.end] = max(0, min(first.dts, (1 << 8 * wide) - 1)).to_bytes(wide)
        for _ in range(int.from_bytes(data[trun.body + 4 : trun.body + 8]) if flags & 0x800 else 0):
            one = by_place[at]
            out[at + size - 4 : at + size] = _fit(one.pts - (one.dts or 0), 32).to_bytes(4, signed=True)
            at += size
    return bytes(out)


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """How a container's timestamps are read and written."""

    read: Callable[[bytes], list[Stamp]]
    write: Callable[[bytes, Sequence[Stamp]], bytes]
    decode_times: bool = False
    """They may be anything."""
    backward: bool = True
    """Both streams may go back in time together."""
    farthest_s: int = 10**10
    """What moves both streams, at most; Matroska's blocks are 33 s from their cluster at most."""


TIMINGS = {
    "ts": Timing(read=_read_transport, write=_write_mpeg, decode_times=True),
    "mpg": Timing(read=_read_program, write=_write_mpeg, decode_times=True),
    "vob": Timing(read=_read_program, write=_write_mpeg, decode_times=True),
    "mkv": Timing(read=_read_matroska, write=_write_matroska, farthest_s=25),
    "webm": Timing(read=_read_matroska, write=_write_matroska, farthest_s=25),
    "flv": Timing(read=_read_flv, write=_write_flv, decode_times=True),
    "mp4": Timing(read=_read_mp4, write=_write_mp4, backward=False),
    "mov": Timing(read=_read_mp4, write=_write_mp4, backward=False),
}
"""Container -> its timestamps; AVI counts, and pages of Ogg and packets of ASF are changed as parts of the layout."""
