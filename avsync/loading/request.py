"""What parent and worker say to each other: plain values as msgpack, nothing pickled."""

from dataclasses import dataclass
from enum import IntEnum

from avsync.loading.shape import SlotLayout
from sharding.format.reader import Place


class Stage(IntEnum):
    """What a worker is doing."""

    IDLE = 0
    READ = 1
    DECODE = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """The first message to a worker."""

    worker: int
    codec: str
    layout: SlotLayout


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One row: which clip, what of it, and where it goes."""

    number: int
    """Counts the requests of a pass; names this one."""
    slot: int
    row: int
    place: Place
    frames: tuple[int, int, int]
    """First picture, end, step."""
    sounds: tuple[tuple[int, int], ...]
    """Of each sound window: its first sample, and the samples by which it is turned round cyclically."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """The row is there, or why not."""

    number: int
    json: bytes = b""
    """The clip's json member."""
    error: str = ""
    """Why the clip could not be read: a fault of the data."""
    trouble: str = ""
    """Why no clip can be read: the machine's fault, and the end of the pass."""
    bug: str = ""
    """A traceback: a fault of the program."""
    read_ns: int = 0
    decode_ns: int = 0
