"""MPEG transport streams put together from others, packet by packet."""

from itertools import chain, zip_longest
from pathlib import Path

SIZE = 188
PAT = 0


def two_programmes(target: Path, tv: Path, radio: Path, *, first: str = "tv", packet_bytes: int = SIZE) -> Path:
    """Both files as programmes 1 and 2 of one stream, and a new table of programmes; `first`: whose packets lead."""
    files = [_packets(path) for path in (tv, radio)]
    programmes = [(number, _table_pid(packets)) for number, packets in enumerate(files, 1)]
    bodies = [[packet for packet in packets if _pid(packet) not in (PAT, 17)] for packets in files]
    if first == "radio":
        bodies.reverse()
        programmes.reverse()
    mixed = [packet for packet in chain.from_iterable(zip_longest(*bodies)) if packet is not None]
    head = b"" if packet_bytes == SIZE else bytes(packet_bytes - SIZE)
    with target.open("wb") as file:
        for number, packet in enumerate(mixed):
            if number % 200 == 0:
                file.write(head + _pat(programmes, number // 200))
            file.write(head + packet)
    return target


def _packets(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [data[at : at + SIZE] for at in range(0, len(data), SIZE)]


def _pid(packet: bytes) -> int:
    return int.from_bytes(packet[1:3]) & 0x1FFF


def _table_pid(packets: list[bytes]) -> int:
    """Of the only programme that a file's own table names."""
    section = next(packet for packet in packets if _pid(packet) == PAT)[5:]
    return int.from_bytes(section[10:12]) & 0x1FFF


def _pat(programmes: list[tuple[int, int]], counter: int) -> bytes:
    """A packet with a table of (number, PID of its own table)."""
    body = bytes((0, 1, 0xC1, 0, 0)) + b"".join(
        number.to_bytes(2) + (0xE000 | pid).to_bytes(2) for number, pid in programmes
    )
    section = bytes((0,)) + (0xB000 | (len(body) + 4)).to_bytes(2) + body
    section += crc32_mpeg(section).to_bytes(4)
    return (bytes((0x47, 0x40, 0, 0x10 | counter & 15, 0)) + section).ljust(SIZE, b"\xff")


def crc_table() -> list[int]:
    """Of the polynomial that MPEG and Ogg share, without reflection."""
    table = list[int]()
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(crc)
    return table


TABLE = crc_table()


def crc32_mpeg(data: bytes) -> int:
    """ISO/IEC 13818-1, annex A."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc << 8 & 0xFFFFFFFF) ^ TABLE[crc >> 24 ^ byte]
    return crc
