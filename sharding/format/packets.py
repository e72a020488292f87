"""Where the packets lie in a video that pack wrote, found without a media library, in a tenth of its time.

Nothing is judged here: what is not laid out as our packing does it, or says anything else than such a clip does, gives
None, and whoever asked opens it with the library, which says what is wrong with it, if anything is.
"""

import struct
from dataclasses import dataclass
from operator import ge
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sharding.format.claims import ClipShape

Boxes = dict[str, memoryview]
"""Path of a box -> what it holds."""
_HOLDERS = {"moov", "moov/trak", "moov/trak/edts", "moov/trak/mdia", "moov/trak/mdia/minf", "moov/trak/mdia/minf/stbl"}
"""Boxes of which we look into what they hold."""
_STBL = "moov/trak/mdia/minf/stbl"
_TELLING = {
    "moov/trak/edts/elst",
    *(f"{_STBL}/{name}" for name in ("stsd", "stts", "stss", "ctts", "stsc", "stsz", "stco")),
}
_SILENT = {
    "ftyp",
    "free",
    "mdat",
    "moov/udta",
    "moov/trak/mdia/hdlr",
    "moov/trak/mdia/minf/vmhd",
    "moov/trak/mdia/minf/dinf",
}
"""What they say changes nothing for us."""
_KNOWN = _TELLING | _SILENT | _HOLDERS | {"moov/mvhd", "moov/trak/tkhd", "moov/trak/mdia/mdhd"}
_UPRIGHT = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
"""The matrix of a picture that is not turned."""
_ENTRY_BYTES = 86
"""Of a sample entry before the boxes in it."""
_SLICE, _KEY_SLICE, _REMARK = 1, 5, 6
"""Kinds of NAL units (ISO/IEC 14496-10, table 7-1): part of a picture, part of a key picture, SEI."""
_FREE_TEXT = 5
"""A kind of remark: user data that nobody has registered."""
_HEAD_BYTES, _BYTE_WEIGHTS = 5, np.array([1 << 24, 1 << 16, 1 << 8, 1])
"""Of the head of a NAL unit behind its length, and of the bytes of that."""
_KIND, _USED = 0x1F, 0x60
"""Bits of a NAL unit's head: its kind; of which one is set where other pictures are made from it."""


@dataclass(frozen=True, slots=True)
class VideoPackets:
    """The packets of an mp4 member, in the order of decoding."""

    extradata: bytes
    """What its decoder is opened with: the parameters of all its pictures."""
    matrix: int | None
    """That the container names; None where it names none."""
    ends: NDArray[np.int64]
    """Where each packet ends; the next begins there."""
    start: int
    """First byte of the first."""
    numbers: NDArray[np.int64]
    """Which picture each of them is, in the order of showing."""
    keys: NDArray[np.int64]
    """Which packets can be decoded without an earlier one."""

    @classmethod
    def find(cls, member: memoryview, shape: ClipShape) -> Self | None:
        """Those of an mp4 member that holds a clip of this shape."""
        try:
            return cls._found(member, shape)
        except (ValueError, IndexError, KeyError, struct.error):  # lengths and counts of anything
            return None

    @classmethod
    def _found(cls, member: memoryview, shape: ClipShape) -> Self | None:
        boxes = _boxes(member)
        stored = boxes["mdat"]
        sizes = _table(boxes[f"{_STBL}/stsz"], skip=8)
        ends = np.cumsum(sizes, dtype=np.int64)
        if len(sizes) != shape.frames or sizes.min() <= _HEAD_BYTES or ends[-1] != len(stored):
            return None
        start = int(_table(boxes[f"{_STBL}/stco"])[0])
        if bytes(member[start - 8 : start]) != struct.pack(">I4s", len(stored) + 8, b"mdat"):
            return None
        numbers = _numbers(boxes, shape)
        extradata, matrix = _entry(boxes[f"{_STBL}/stsd"], shape)
        if numbers is None or not extradata or not (_is_upright(boxes, shape) and _in_one_row(boxes, start, ends)):
            return None
        marked = boxes.get(f"{_STBL}/stss")  # not written where each packet is a key
        keys = np.arange(shape.frames) if marked is None else _table(marked).astype(np.int64) - 1
        if keys[0] != 0 or keys[-1] >= shape.frames or any(map(ge, keys.tolist(), keys[1:].tolist())):
            return None
        return cls(extradata, matrix, ends + start, start, numbers, keys)

    def needed(self, frames: range) -> range | None:
        """Packets from the last key before the first of these pictures to the last packet that shows one of them."""
        keys = self.keys[self.numbers[self.keys] <= frames.start]
        places = np.flatnonzero((self.numbers >= frames.start) & (self.numbers <= frames[-1]))
        if not len(keys) or len(places) != frames[-1] + 1 - frames.start or places[0] < keys[-1]:
            return None
        return range(int(keys[-1]), int(places[-1]) + 1)

    def pictures(self, member: memoryview, frames: range) -> "list[tuple[int, bytes]] | None":
        """Number and slices of each picture that must be decoded for these, in that order.

        Nothing else of a packet is handed on: remarks and parameters would stay in a decoder for the clips after this.
        Pictures that are not wanted, and that no other is made from, are left out.
        """
        needed, keys = self.needed(frames), set(self.keys.tolist())
        if needed is None:
            return None
        found, part = list[tuple[int, bytes]](), slice(needed.start, needed.stop)
        begins, ends = np.append(self.start, self.ends[:-1])[part], self.ends[part]
        heads = np.frombuffer(member, np.uint8)[begins[:, None] + np.arange(_HEAD_BYTES)]
        alone = heads[:, :4].astype(np.int64) @ _BYTE_WEIGHTS + 4 == ends - begins
        heads = np.where(alone, heads[:, 4], 0)
        columns = (needed, self.numbers[part].tolist(), begins.tolist(), ends.tolist(), heads.tolist())
        for packet, number, begin, end, head in zip(*columns, strict=True):
            wanted, used = _KEY_SLICE if packet in keys else _SLICE, bool(head & _USED)
            if head & _KIND != wanted:
                slices = _slices(bytes(member[begin:end]), wanted)
                if slices is None:
                    return None
                begin, used = begin + slices[0], slices[1]
            if used or number in frames:
                found.append((number, bytes(member[begin:end])))
        return found


def _slices(packet: bytes, wanted: int) -> tuple[int, bool] | None:
    """Where the slices of a picture begin in its packet, and whether other pictures are made from it."""
    place, begin, used = 0, -1, False
    while place + 5 < len(packet):
        head, end = packet[place + 4], place + 4 + int.from_bytes(packet[place : place + 4])
        if head & _KIND == wanted:
            begin, used = (place if begin < 0 else begin), used or bool(head & _USED)
        elif begin >= 0 or not _is_free_text(packet[place + 4 : end]):
            return None
        place = max(end, place + 5)
    return (begin, used) if begin >= 0 and place == len(packet) else None


def _is_free_text(unit: bytes) -> bool:
    """The encoder's own remark, and nothing behind it: SEI of one message, which no decoder must know."""
    if len(unit) < 3 or unit[0] & _KIND != _REMARK or unit[1] != _FREE_TEXT:
        return False
    place = size = 0
    while place + 2 < len(unit) and unit[place + 2] == 0xFF:
        place, size = place + 1, size + 0xFF
    return place + 2 < len(unit) and place + 3 + size + unit[place + 2] + 1 == len(unit)


def _boxes(member: memoryview) -> Boxes:
    """Those that packing writes. Raises ValueError for any other, for one that comes twice or is out of bounds."""
    found, waiting = Boxes(), [("", member)]
    while waiting:
        prefix, held = waiting.pop()
        while held:
            size, name = struct.unpack_from(">I4s", held)
            path = prefix + name.decode("ascii")
            if size < 8 or size > len(held) or path not in _KNOWN or path in found:
                raise ValueError(path)
            found[path], held = held[8:size], held[size:]
            if path in _HOLDERS:
                waiting.append((f"{path}/", found[path]))
    return found


def _table(box: memoryview, skip: int = 4, columns: int = 1) -> NDArray[np.uint32]:
    """Numbers of 32 bits behind their count, `skip` bytes on. Raises ValueError where they do not fill the box."""
    (count,) = struct.unpack_from(">I", box, skip)
    if any(box[:skip]) or len(box) != skip + 4 + 4 * columns * count:
        raise ValueError(count)
    numbers = np.frombuffer(box, ">u4", offset=skip + 4).astype(np.uint32)
    return numbers.reshape(-1, columns) if columns > 1 else numbers


def _numbers(boxes: Boxes, shape: ClipShape) -> NDArray[np.int64] | None:
    """Of each packet which picture it is: all of them once, each at its exact time, the first at 0."""
    version, _, _, scale = struct.unpack_from(">IIII", boxes["moov/trak/mdia/mdhd"])
    movie_version, _, _, movie_scale = struct.unpack_from(">IIII", boxes["moov/mvhd"])
    ((count, ticks),) = _table(boxes[f"{_STBL}/stts"], columns=2).tolist()
    edits, edit_ticks, begins, rate = struct.unpack(">4xIIII", boxes["moov/trak/edts/elst"])
    if (version, movie_version, edits, rate) != (0, 0, 1, 1 << 16) or count != shape.frames:
        return None
    if not ticks or ticks * shape.clock.fps != scale:
        return None
    if (
        abs(edit_ticks * scale - count * ticks * movie_scale) > scale
    ):  # the edit is all of it, to a tick of the movie's clock
        return None
    times = np.arange(count, dtype=np.int64) * ticks - begins
    if (name := f"{_STBL}/ctts") in boxes:
        rows = _table(boxes[name], columns=2).astype(np.int64)
        if rows[:, 0].sum() != count:
            return None
        times += np.repeat(rows[:, 1], rows[:, 0])
    numbers, off = np.divmod(times, ticks)
    return None if off.any() or not np.array_equal(np.sort(numbers), np.arange(count)) else numbers


def _entry(box: memoryview, shape: ClipShape) -> tuple[bytes, int | None]:
    """The decoder's parameters, and the colour matrix that stands beside them; none where it is no such entry."""
    count, size, kind = struct.unpack_from(">4xII4s", box)
    width, height = struct.unpack_from(">HH", box, 8 + 32)
    if (count, size, kind) != (1, len(box) - 8, b"avc1") or (width, height) != (shape.width, shape.height):
        return b"", None
    held, extradata, matrix = box[8 + _ENTRY_BYTES :], b"", None
    while held:
        size, name = struct.unpack_from(">I4s", held)
        if not 8 <= size <= len(held):
            return b"", None
        if name == b"avcC":
            extradata = bytes(held[8:size])
        elif name == b"colr" and bytes(held[8:12]) == b"nclx":
            matrix = int.from_bytes(held[16:18])
        elif name not in (b"pasp", b"btrt"):
            return b"", None
        held = held[size:]
    return (extradata, matrix) if len(extradata) > 4 and extradata[4] & 3 == 3 else (b"", None)  # lengths of 4 bytes


def _is_upright(boxes: Boxes, shape: ClipShape) -> bool:
    track = boxes["moov/trak/tkhd"]
    sides = struct.pack(">II", shape.width << 16, shape.height << 16)
    turned = (boxes["moov/mvhd"][36:72], track[40:76])
    return all(matrix == _UPRIGHT for matrix in turned) and track[76:84] == sides and not track[0]


def _in_one_row(boxes: Boxes, start: int, ends: NDArray[np.int64]) -> bool:
    """Whether the packets lie one behind the other, as their chunks say."""
    offsets = _table(boxes[f"{_STBL}/stco"]).astype(np.int64)
    rows = _table(boxes[f"{_STBL}/stsc"], columns=3).astype(np.int64)
    if len(offsets) == 1:
        return rows.tolist() == [[1, len(ends), 1]]
    firsts = np.append(rows[:, 0], len(offsets) + 1)
    lengths = np.diff(firsts)
    if firsts[0] != 1 or (lengths < 1).any() or (rows[:, 2] != 1).any() or len(offsets) > len(ends):
        return False
    packets = np.repeat(rows[:, 1], lengths).cumsum()
    if packets[-1] != len(ends) or (packets < 1).any() or (np.diff(packets) < 1).any():
        return False
    return np.array_equal(offsets, start + np.append(0, ends[packets[:-1] - 1]))
