"""Damage by a seeded generator: to bytes wherever they lie, to the parts of a container, and to timestamps.

What the damage may have done to the times that a file tells is kept with it: by that, a packed file is judged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from benchmarks.fuzz.layout import LAYOUTS, Piece
from benchmarks.fuzz.marks import FPS
from benchmarks.fuzz.originals import GOP
from benchmarks.fuzz.parts import changed_part
from benchmarks.fuzz.stamps import TIMINGS, Stamp, Timing

Rng = np.random.Generator
MOST_EDITS, MOST_FLIPS = 4, 6
LONGEST = 4096
"""Bytes of one edit, and never more than a tenth of the file."""
HEADERS = 5
"""Tags of FLV, or pages of Ogg, that hold no media yet."""
FINDS_ITS_WAY = frozenset(("ts", "ogg"))
"""Containers whose parts are found by a mark of their own."""
JUMP_PICTURES = 3
"""Pictures, or packets, that stand on both sides of a jump of the clock."""
STRAYS_S = (0.04, 0.08, 0.12, 0.3, 0.8, 1.5, 5, 30, 1000, 80_000)
JUMPS_S = (0.2, 0.7, 2.5, 9, 25, 3000)
FAR_S = (1_000, 90_000, 1_732_000_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Damaged:
    """A file's new bytes."""

    data: bytes
    family: str
    """bytes, parts or times."""
    what: str
    lost: int
    """Pictures that this may well put in the wrong place: one for each edit or wrong timestamp."""
    head: bool = False
    """It changed what the file declares of its own streams: their clocks, tables and codecs."""


def damage(container: str, data: bytes, rng: Rng) -> Damaged:
    """One of the families, and what it can do to this container."""
    families: list[Callable[[str, bytes, Rng], Damaged]] = [damaged_bytes, damaged_parts]
    if container in TIMINGS:
        families.append(damaged_times)
    return families[rng.integers(len(families))](container, data, rng)


def heads(container: str, data: bytes, pieces: Sequence[Piece]) -> list[tuple[int, int]]:
    """Where a file declares what holds for all of a stream, or for many packets."""
    if container in ("mp4", "mov"):
        return [(one.start, one.end) for one in pieces if one.name in ("moov", "moof", "ftyp")]
    first = {"mkv": "1f43b675", "webm": "1f43b675", "asf": "packet"}.get(container)
    if first is not None:
        return [(0, next(one.start for one in pieces if one.name == first))]
    if container == "avi":
        return [(one.start, one.end) for one in pieces if one.name in ("avih", "strh", "strf")]
    return [(0, pieces[HEADERS - 1].end)] if container in ("flv", "ogg") else []


def damaged_bytes(container: str, data: bytes, rng: Rng) -> Damaged:
    """Flips, runs of one byte, cuts, insertions, swaps, a lost end."""
    out, notes, at = bytearray(data), list[str](), list[tuple[int, int]]()
    lost = 0
    for _ in range(rng.integers(1, MOST_EDITS + 1)):
        edit = _EDITS[rng.integers(len(_EDITS))]
        before = len(out)
        name, where, count = edit(out, rng)
        shift = len(data) - before  # roughly where it was in the whole file
        at += [(start + max(0, shift), stop + max(0, shift)) for start, stop in where]
        lost += count
        notes.append(name)
    ranges = heads(container, data, list(LAYOUTS[container](data)))
    head = any(start < end and first < stop for start, stop in at for first, end in ranges)
    return Damaged(data=bytes(out), family="bytes", what="; ".join(notes), lost=lost, head=head)


_Edit = tuple[str, list[tuple[int, int]], int]


def _length(out: bytearray, rng: Rng) -> int:
    longest = max(2, min(LONGEST, len(out) // 10))
    return int(np.exp(rng.uniform(0, np.log(longest))))


def _place(out: bytearray, rng: Rng, length: int) -> int:
    """Anywhere, or as often in the first hundredth: that is where most is declared."""
    room = max(1, len(out) - length)
    return int(rng.integers(room if rng.integers(4) else max(1, room // 50)))


def _flips(out: bytearray, rng: Rng) -> _Edit:
    count = int(rng.integers(1, MOST_FLIPS + 1))
    places = [_place(out, rng, 1) for _ in range(count)]
    for place in places:
        out[place] ^= 1 << int(rng.integers(8))
    return f"bits flipped at {places}", [(place, place + 1) for place in places], count


def _run(out: bytearray, rng: Rng) -> _Edit:
    length, byte = _length(out, rng), (0, 255)[rng.integers(2)]
    start = _place(out, rng, length)
    out[start : start + length] = bytes([byte]) * length
    return f"{length} bytes of {byte} at {start}", [(start, start + length)], 1


def _noise(out: bytearray, rng: Rng) -> _Edit:
    length = _length(out, rng)
    start = _place(out, rng, length)
    out[start : start + length] = rng.bytes(length)
    return f"{length} random bytes at {start}", [(start, start + length)], 1


def _cut(out: bytearray, rng: Rng) -> _Edit:
    length = _length(out, rng)
    start = _place(out, rng, length)
    del out[start : start + length]
    return f"{length} bytes cut out at {start}", [(start, start + length)], 1


def _insertion(out: bytearray, rng: Rng) -> _Edit:
    length = _length(out, rng)
    start = _place(out, rng, length)
    out[start:start] = rng.bytes(length)
    return f"{length} bytes put in at {start}", [(start, start + length)], 1


def _swap(out: bytearray, rng: Rng) -> _Edit:
    length = _length(out, rng)
    one, other = sorted(_place(out, rng, 2 * length) for _ in range(2))
    other = max(other, one + length)
    first, second = bytes(out[one : one + length]), bytes(out[other : other + length])
    out[one : one + len(second)], out[other : other + len(second)] = second, first[: len(second)]
    return f"{length} bytes at {one} and {other} exchanged", [(one, one + length), (other, other + length)], 2


def _truncation(out: bytearray, rng: Rng) -> _Edit:
    kept = int(len(out) * rng.uniform(0.3, 1))
    del out[kept:]
    return f"ends at byte {kept}", [(kept, kept)], 1


_EDITS: tuple[Callable[[bytearray, Rng], _Edit], ...] = (
    _flips,
    _flips,
    _run,
    _noise,
    _cut,
    _insertion,
    _swap,
    _truncation,
)


def damaged_parts(container: str, data: bytes, rng: Rng) -> Damaged:
    """Sizes, counts, types and places of a container's own parts; one, where sizes lead from part to part."""
    notes, head = list[str](), False
    ranges = heads(container, data, list(LAYOUTS[container](data)))
    for _ in range(rng.integers(1, 1 + MOST_EDITS) if container in FINDS_ITS_WAY else 1):
        pieces = list(LAYOUTS[container](data))
        if not pieces:
            break
        change = changed_part(container, data, pieces, rng)
        data = change.data
        notes.append(change.what)
        head = head or any(first <= change.at < end for first, end in ranges)
    return Damaged(data=data, family="parts", what="; ".join(notes), lost=len(notes), head=head)


def damaged_times(container: str, data: bytes, rng: Rng) -> Damaged:
    """Stray timestamps, or one clock that jumps, restarts, wraps or stands far away for both streams."""
    timing = TIMINGS[container]
    stamps = timing.read(data)
    shared = {"video", "audio"} <= {one.stream for one in stamps}
    ways = [_strays, _strays, _equal, *([_jump, _jump, _far] if shared else [])]
    if not stamps:
        return damaged_bytes(container, data, rng)
    what, lost = ways[rng.integers(len(ways))](stamps, timing, rng)
    return Damaged(data=timing.write(data, stamps), family="times", what=what, lost=lost)


def _chosen(stamps: list[Stamp], timing: Timing, rng: Rng) -> list[Stamp]:
    """The packets of one stream whose time may be anything."""
    streams = sorted({one.stream for one in stamps} - {"clock"} - (set() if timing.backward else {"audio"}))
    stream = streams[rng.integers(len(streams))]
    return [one for one in stamps if one.stream == stream]


def _strays(stamps: list[Stamp], timing: Timing, rng: Rng) -> tuple[str, int]:
    mine, notes = _chosen(stamps, timing, rng), list[str]()
    for _ in range(rng.integers(1, 4)):
        number = int(rng.integers(len(mine)))
        one = mine[number]
        seconds = float(rng.choice(STRAYS_S)) * (1, -1)[rng.integers(2)]
        ticks = round(seconds / one.tick)
        kind = ("pts", "dts", "both")[rng.integers(3)] if timing.decode_times and one.dts is not None else "pts"
        if kind != "dts":
            one.pts += ticks
        if kind != "pts":
            assert one.dts is not None
            one.dts += ticks
        notes.append(f"{kind} of {one.stream} packet {number} by {seconds:+g} s")
    return "; ".join(notes), len(notes)


def _equal(stamps: list[Stamp], timing: Timing, rng: Rng) -> tuple[str, int]:
    mine, numbers = _chosen(stamps, timing, rng), list[int]()
    for _ in range(rng.integers(1, 3)):
        number = int(rng.integers(1, len(mine)))
        mine[number].pts = mine[number - 1].pts
        if timing.decode_times:
            mine[number].dts = mine[number - 1].dts
        numbers.append(number)
    return f"{mine[0].stream} packets {numbers} have the times of those before", len(numbers)


def _jump(stamps: list[Stamp], timing: Timing, rng: Rng) -> tuple[str, int]:
    """Both streams, from a key picture on."""
    start = min(one.pts * one.tick for one in stamps if one.stream == "video")
    moment = start + int(rng.integers(1, 6)) * GOP / FPS
    seconds = min(Fraction(str(rng.choice(JUMPS_S))), timing.farthest_s)
    back = timing.backward and rng.integers(2)
    if back:
        seconds = -min(seconds, moment) if rng.integers(2) else -moment
    moved = False
    for one in stamps:
        if (moved and one.stream == "clock") or (one.stream != "clock" and one.pts * one.tick >= moment):
            one.move(round(seconds / one.tick))
            moved = True
    return f"all from {float(moment):.2f} s on by {float(seconds):+g} s", JUMP_PICTURES


def _far(stamps: list[Stamp], timing: Timing, rng: Rng) -> tuple[str, int]:
    """Both streams by the same; in MPEG, also so far that its 33 bits run over on the way."""
    if any(one.stream == "clock" for one in stamps) and rng.integers(2):
        seconds = Fraction((1 << 33) - 2 * 90_000, 90_000)
    else:
        seconds = Fraction(min(FAR_S[rng.integers(len(FAR_S))], timing.farthest_s))
    if timing.backward and not rng.integers(4):
        seconds = -Fraction(int(rng.integers(1, 4)))
    for one in stamps:
        one.move(round(seconds / one.tick))
    return f"all by {float(seconds):+g} s", 1
