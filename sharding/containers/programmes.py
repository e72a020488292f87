"""Which streams of an MPEG transport stream belong together: its programmes (ISO/IEC 13818-1, 2.4.4).

A recording of a whole channel holds several; the sound of a picture is one of its own programme. FFmpeg knows them,
too, but PyAV does not tell which stream is in which.
"""

from collections.abc import Iterator
from pathlib import Path

READ_BYTES = 8 * 2**20
"""Tables come several times a second; this is a second of the richest stream."""
SYNC = 0x47
PACKET_BYTES = (188, 192, 204)
"""As broadcast, with an arrival time before each (m2ts), with error correction behind each."""
CONFIRM = 5
"""So many sync bytes in a row are no chance."""
PAT_PID, PAT_TABLE, PMT_TABLE = 0, 0, 2
HEAD_BYTES = 188

Programmes = tuple[frozenset[int], ...]
"""Of each, the PIDs of its streams."""


def read_programmes(path: Path) -> Programmes:
    """Those that the tables at the start of a file name; none when it has no tables. Raises OSError."""
    with path.open("rb") as file:
        data = file.read(READ_BYTES)
    found = dict[int, set[int]]()  # PID of a programme's table -> PIDs of its streams
    for pid, section in _sections(data, found):
        if pid == PAT_PID and section[0] == PAT_TABLE:
            for at in range(8, len(section) - 4, 4):
                number, table = int.from_bytes(section[at : at + 2]), int.from_bytes(section[at + 2 : at + 4]) & 0x1FFF
                if number:  # 0 names the network's own table
                    found.setdefault(table, set())
        elif pid != PAT_PID and section[0] == PMT_TABLE:
            found[pid].update(_streams(section))
    return tuple(frozenset(pids) for pids in found.values() if pids)


def _streams(section: bytes) -> Iterator[int]:
    """The PIDs in a programme's table."""
    at = 12 + (int.from_bytes(section[10:12]) & 0x0FFF)
    while at + 5 <= len(section) - 4:
        yield int.from_bytes(section[at + 1 : at + 3]) & 0x1FFF
        at += 5 + (int.from_bytes(section[at + 3 : at + 5]) & 0x0FFF)


def _sections(data: bytes, tables: dict[int, set[int]]) -> Iterator[tuple[int, bytes]]:
    """Whole sections of PID 0 and of the PIDs in `tables`, which may grow meanwhile."""
    open_ones = dict[int, bytes]()
    for packet in _packets(data):
        pid = int.from_bytes(packet[1:3]) & 0x1FFF
        if pid != PAT_PID and pid not in tables:
            continue
        adaptation = packet[3] >> 4 & 3
        start = 4 if adaptation == 1 else 5 + packet[4] if adaptation == 3 else HEAD_BYTES
        payload = packet[start:]
        if packet[1] & 0x40 and payload:  # a section begins in it, behind the rest of the one before
            begin = 1 + payload[0]
            yield from _whole(pid, open_ones.pop(pid, b"") + payload[1:begin])
            payload = payload[begin:]
            open_ones[pid] = b""
        if pid in open_ones:
            open_ones[pid] += payload
            if whole := list(_whole(pid, open_ones[pid])):
                yield from whole
                del open_ones[pid]


def _whole(pid: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    """The sections at the start of `data` that are complete."""
    while len(data) >= 3 and data[0] != 0xFF:
        length = 3 + (int.from_bytes(data[1:3]) & 0x0FFF)
        if len(data) < length or length < 12:
            return
        yield pid, data[:length]
        data = data[length:]


def _packets(data: bytes) -> Iterator[bytes]:
    """Transport packets of 188 bytes, from the first place on where they follow each other."""
    for at in range(min(len(data), max(PACKET_BYTES))):
        for size in PACKET_BYTES:
            if all(data[at + number * size : at + number * size + 1] == bytes((SYNC,)) for number in range(CONFIRM)):
                for start in range(at, len(data) - HEAD_BYTES + 1, size):
                    if data[start] == SYNC:
                        yield data[start : start + HEAD_BYTES]
                return
