"""One file copied from its origin: large reads, a time limit on every wait, and a few tries.

What the origin itself holds damaged comes the same twice; then it is kept, and the caller learns which clips are
not as packed. What only went wrong on the way is fetched again, from the start.
"""

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from io import RawIOBase
from threading import Event

from isal.isal_zlib import crc32

from avsync.staging.checksum import ClipCheck, ClipRanges
from avsync.staging.location import Location
from avsync.staging.streams import PIECE, ByteStream, Refused
from sharding.base.text import counted, duration
from sharding.errors import InputError

LONGEST_PAUSE_S = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Retries:
    """How long an origin may fail before we give up: by default, three to four minutes."""

    stall_s: float = 30
    """Longest wait for `slowest_bytes` more."""
    slowest_bytes: int = 1 << 15
    """So many must come in that time: one byte now and then is a stall, too."""
    tries: int = 6
    pause_s: float = 1
    """Pause after the first try; each next one is twice as long, up to LONGEST_PAUSE_S."""

    def pause_after(self, tried: int) -> float:
        """`tried`: tries so far, at least 1."""
        return min(self.pause_s * 2 ** (tried - 1), LONGEST_PAUSE_S)

    @property
    def longest_s(self) -> float:
        """A copy in which nothing has moved for so long is given up by its own process."""
        return self.tries * (self.stall_s + LONGEST_PAUSE_S)


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A file that has come."""

    size: int
    """Bytes."""
    tries: int
    damaged: tuple[int, ...] = ()
    """Ids of clips that the origin itself does not hold as they were packed."""


class FetchStopped(Exception):
    """Whoever wanted the file does not any more."""


class TooLong(Exception):
    """More came than the file may have. The rest was not asked for."""


@dataclass(frozen=True, slots=True)
class _Came:
    """One try that went through to the end."""

    size: int
    crc: int
    wrong: tuple[int, ...] = ()


class _Broke(Exception):
    """One try did not go through. Not an OSError: those are the scratch disk's."""


@dataclass(slots=True, kw_only=True)
class Fetch:
    """How files are fetched from one origin."""

    location: Location
    retries: Retries = field(default_factory=Retries)
    stop: Event = field(default_factory=Event)
    moved: Callable[[], None] = lambda: None
    """Called with every piece that has come."""
    say: Callable[[str], None] = lambda _: None
    """Called with what went wrong when it will be tried again."""

    def copy(self, name: str, file: RawIOBase, expected: ClipRanges | int) -> FetchedFile:
        """The file `name` of the origin, written to `file`, an empty one.

        expected: of a shard, where its clips lie; of any other file, how many bytes it may have. An origin need not
        end by itself: what comes beyond is neither written nor waited for.

        Raises InputError, naming the file and what to do, when it cannot be had; TooLong; OSError when `file` cannot
        be written; FetchStopped when `stop` was set.
        """
        ranges, most = (None, expected) if isinstance(expected, int) else (expected, expected.size)
        before, problem = None, ""
        for tried in range(1, self.retries.tries + 1):
            try:
                came = self._try(name, file, ranges, most)
            except Refused as error:
                raise self._gone(name, str(error), tried) from error
            except _Broke as error:
                problem = str(error)
            else:
                if not came.wrong or came == before:
                    return self._whole(name, came, tried, ranges)
                clips = f"{counted(len(came.wrong), 'clip')} in it came other than packed"
                before, problem = came, f"more came than its {most:,} bytes" if came.size > most else clips
            pause = self.retries.pause_after(tried) if tried < self.retries.tries else 0
            if pause:
                again = f"trying again in {duration(pause)} (try {tried} of {self.retries.tries})"
                self.say(f"{self.location.name_of(name)}: {problem}; {again}")
            if self.stop.wait(pause):
                raise FetchStopped
        raise self._gone(name, problem, self.retries.tries)

    def _try(self, name: str, file: RawIOBase, ranges: ClipRanges | None, most: int) -> _Came:
        check, whole, size = ClipCheck(ranges) if ranges else None, 0, 0
        file.seek(0)
        with closing(self._pieces(name)) as pieces:
            for piece in pieces:
                if size + len(piece) > most:
                    if not ranges:
                        raise TooLong
                    return _Came(most + 1, crc32(piece[: most - size], whole), tuple(ranges.clips))
                if check:
                    check.take(piece)
                whole, size = crc32(piece, whole), size + len(piece)
                _write(file, piece)
        file.truncate()
        return _Came(size, whole, check.finish() if check else ())

    def _pieces(self, name: str) -> Generator[memoryview, None, None]:
        """The file in large pieces; each is valid until the next."""
        view, pace = memoryview(bytearray(PIECE)), _Pace(self.retries)
        try:
            with self.location.open(name, self.retries.stall_s, self.stop) as stream:
                while filled := self._fill(view, stream, pace):
                    yield view[:filled]
        except Refused:
            raise
        except OSError as error:
            raise _Broke(str(error)) from error

    def _fill(self, view: memoryview, stream: ByteStream, pace: "_Pace") -> int:
        filled = 0
        while filled < len(view) and (got := stream.read_some(view[filled:])):
            filled += got
            if pace.came(got):
                self.moved()
            if self.stop.is_set():
                raise FetchStopped
        return filled

    def _whole(self, name: str, came: _Came, tries: int, ranges: ClipRanges | None) -> FetchedFile:
        if ranges and came.wrong and len(came.wrong) == len(ranges.clips):
            fact = f"no clip in it is as packed (it has {came.size:,} bytes, {ranges.size:,} are expected)"
            if came.size > ranges.size:
                fact = f"it is not as packed (it has more than the {ranges.size:,} bytes that are expected)"
            raise InputError(
                f"{self.location.name_of(name)}: {fact}: was the dataset packed again, or is this another file? Put "
                "the shard back, or start training again to read the new index"
            )
        return FetchedFile(came.size, tries, came.wrong)

    def _gone(self, name: str, problem: str, tries: int) -> InputError:
        look = "the address and the network" if self.location.folder is None else "that disk"
        file = self.location.name_of(name)
        after = f" ({tries} tries)" if tries > 1 else ""
        return InputError(f"cannot get {file}: {problem}{after}; check {look}, then run the same command again")


def _write(file: RawIOBase, piece: memoryview) -> None:
    """All of it: a raw write may take less, and fails only when asked for the rest."""
    while piece:
        piece = piece[file.write(piece) or 0 :]


class _Pace:
    """Tells a file that comes slowly from one that does not come."""

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._since, self._bytes, self._reported = time.monotonic(), 0, 0.0

    def came(self, count: int) -> bool:
        """True once a second. Raises TimeoutError when too little has come for too long."""
        now, least = time.monotonic(), self._retries.slowest_bytes
        self._bytes += count
        if self._bytes >= least:
            self._since, self._bytes = now, 0
        elif now - self._since > self._retries.stall_s:
            raise TimeoutError(f"only {self._bytes:,} bytes came in {now - self._since:.0f} s")
        if now - self._reported < 1:
            return False
        self._reported = now
        return True
