"""Beside each rank a small process that looks whether it still moves, names it when it hangs, and ends it then.

A rank cannot do that itself: it may be stopped, or stand in a call that never returns with Python's lock in its hand.
Nor can the others: they only see that it does not come. So each rank writes what it is at into a page of memory
(sections.py), and its sentry reads that twice a second: no file, no message, while all is well. Only who waits for
other ranks and gives up asks further: it leaves word in RUN/waiting, and what the words of all tell is the report:
a rank without a word is gone with its node, one that is behind the others is to blame. No torch here.
"""

import os
import select
import signal
import struct
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from mmap import mmap
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec

from avsync.run.limits import FOR_CLIPS, ORDER, SECTIONS, WITH_OTHERS, HangRecord, Section, hang_text
from sharding.base.files import LARGEST_RECORD, Count, add_line, from_json, read_json, to_json_line, write_json
from sharding.base.guarded import make_folder
from sharding.base.housekeeping import below
from sharding.base.text import first_few, plain
from sharding.errors import AvsyncError

PROGRAM = (
    "import sys; sys.path[:] = sys.argv[2:]\nfrom avsync.train.sentry import main\nsys.exit(main(int(sys.argv[1])))"
)
TICK_S = 0.5
WORD_S = 6.0
"""All ranks that wait have left their word by then: they began to wait together."""
LATE_S = 2.0
"""A rank that waits for clips speaks first, when its limit is reached: it knows of each worker. Its sentry comes later,
by a tenth and this."""
ALL_ALIKE = "as does every other rank"
_HEAD = struct.Struct("<QBBddQ")
_BASIS, _SHARD, PAGE = 64, 512, 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Orders:
    """What a sentry is told when it starts."""

    pid: int
    rank: int
    ranks: int
    nodes: tuple[str, ...]
    """Of each rank."""
    attempt: int
    """Words of other attempts do not count."""
    hangs: Path
    waiting: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """What a rank is at."""

    number: int = 0
    """Changes with each sign of life."""
    section: Section = Section.NONE
    inside: Section = Section.NONE
    """Of a collective: what it is a part of."""
    stopped_s: float = 0.0
    """Limit of a rank that is stopped by a signal."""
    limit_s: float = 0.0
    """Limit of any other."""
    step: int = 0
    basis: str = ""
    shard: str = ""


class SectionPage:
    """A page of memory that a rank writes and its sentry reads."""

    def __init__(self, handle: int) -> None:
        self._map = mmap(handle, PAGE)

    def write(
        self, number: int, section: int, inside: int, limits: tuple[float, float], step: int, basis: bytes, shard: bytes
    ) -> None:
        """Odd while it is being written. Some microseconds, several times a step."""
        _HEAD.pack_into(self._map, 0, 2 * number + 1, section, inside, *limits, step)
        self._tell(_BASIS, basis[: _SHARD - _BASIS - 2])
        self._tell(_SHARD, shard[: PAGE - _SHARD - 2])
        _HEAD.pack_into(self._map, 0, 2 * number + 2, section, inside, *limits, step)

    def _tell(self, at: int, text: bytes) -> None:
        self._map[at : at + 2 + len(text)] = len(text).to_bytes(2, "little") + text

    def read(self) -> Mark | None:
        """None while it is being written."""
        number, section, inside, stopped_s, limit_s, step = _HEAD.unpack_from(self._map)
        basis, shard = self._text(_BASIS), self._text(_SHARD)
        if number % 2 or _HEAD.unpack_from(self._map)[0] != number:
            return None
        return Mark(
            number=number,
            section=SECTIONS[section],
            inside=SECTIONS[inside],
            stopped_s=stopped_s,
            limit_s=limit_s,
            step=step,
            basis=basis,
            shard=shard,
        )

    def _text(self, at: int) -> str:
        length = int.from_bytes(self._map[at : at + 2], "little")
        return plain(self._map[at + 2 : at + 2 + length].decode(errors="replace"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """RUN/waiting/ATTEMPT-RANK.json: where a rank is that has waited too long for others."""

    LARGEST_FILE: ClassVar[int] = LARGEST_RECORD

    rank: Count
    step: Count
    section: Section
    shard: Annotated[str, msgspec.Meta(max_length=4096)] = ""

    @property
    def position(self) -> tuple[int, int]:
        return self.step, ORDER[self.section]


def to_blame(words: Sequence[Word], ranks: int) -> list[Word | int]:
    """Which of `ranks` the others wait for: those without a word, by number, else those behind; none: all are alike."""
    silent = sorted(set(range(ranks)) - {word.rank for word in words})
    if silent:
        return list(silent)
    last = min(word.position for word in words)
    behind = [word for word in words if word.position == last]
    return list(behind) if len(behind) < len(words) else []


class Sentry:
    """Looks after one rank."""

    def __init__(self, orders: Orders, page: SectionPage) -> None:
        self.orders, self._page = orders, page
        self.mark, self.waited_s = Mark(), 0.0

    def look(self, passed_s: float) -> bool:
        """After so many seconds; whether the rank hangs. What the sentry itself has slept through does not count: the
        whole job was suspended then.
        """
        mark, state = self._page.read(), _state(self.orders.pid)
        if mark is None:
            return False
        if mark.number != self.mark.number:
            self.mark, self.waited_s = mark, 0.0
        elif state != "t" and (state != "T" or self.orders.ranks > 1):  # a debugger; a person who wants the machine
            self.waited_s += min(passed_s, 2 * TICK_S)
        if mark.section is Section.NONE:
            return False
        late = 0.1 * mark.limit_s + LATE_S if mark.section in FOR_CLIPS else 0.0
        return self.waited_s > (mark.stopped_s if state == "T" else mark.limit_s + late)

    def report(self) -> tuple[str, HangRecord | None]:
        """The line, and what to note; neither where another rank's sentry speaks."""
        mark, orders = self.mark, self.orders
        state = _state(orders.pid)
        if orders.ranks > 1 and mark.section in WITH_OTHERS and state != "T":
            return self._of_others()
        how = {"T": "stopped by a signal", "D": "in a system call that does not return"}.get(state, "no sign of life")
        return self._named(orders.rank, mark.section, mark.step, mark.shard, how)

    def _named(self, rank: int, section: Section, step: int, shard: str, how: str) -> tuple[str, HangRecord]:
        mark, orders = self.mark, self.orders
        stopped = rank == orders.rank and how.startswith("stopped")
        hang = HangRecord(
            rank=rank,
            node=orders.nodes[rank],
            section=section,
            step=step,
            shard=shard,
            seconds=round(self.waited_s, 1),
            limit_s=round(mark.stopped_s if stopped else mark.limit_s, 1),
            at=time.time(),
        )
        reads = "it waits for" if section in FOR_CLIPS else "its clips came from"
        return hang_text(hang, basis=mark.basis, how=how, shard=reads), hang

    def _of_others(self) -> tuple[str, HangRecord | None]:
        words, mark, orders = self._exchange(), self.mark, self.orders
        if orders.rank != min((word.rank for word in words), default=orders.rank):
            return "", None
        blamed = to_blame(words, orders.ranks)
        if not blamed:
            nodes = first_few(sorted(set(orders.nodes)))
            how = f"{ALL_ALIKE} (network between {nodes}, or a GPU), no sign of life"
            return self._named(orders.rank, mark.section, mark.step, mark.shard, how)
        first, more = blamed[0], f", as of {len(blamed) - 1} more," if len(blamed) > 1 else ""
        if isinstance(first, int):
            at = mark.inside if mark.section is Section.OTHERS else mark.section
            return self._named(first, at, mark.step, "", f"no word of it{more} while the others wait")
        how = f"behind all others{more}, no sign of life"
        return self._named(first.rank, first.section, first.step, first.shard, how)

    def _exchange(self) -> list[Word]:
        """Leave word, and read those of the others; a disk that does not answer is not waited for."""
        mark, orders = self.mark, self.orders
        own = Word(rank=orders.rank, step=mark.step, section=mark.section, shard=mark.shard)
        words = {own.rank: own}

        def on_disk() -> None:
            with suppress(OSError):
                make_folder(orders.waiting)
                write_json(orders.waiting / f"{orders.attempt}-{own.rank:05d}.json", own, lasting=False)
            end = time.monotonic() + WORD_S
            while time.monotonic() < end and len(words) < orders.ranks:
                time.sleep(TICK_S)
                for path in below(orders.waiting, f"{orders.attempt}-?????.json"):
                    with suppress(AvsyncError):
                        word = read_json(path, Word)
                        if word.rank < orders.ranks:
                            words[word.rank] = word

        reader = threading.Thread(target=on_disk, daemon=True)
        reader.start()
        reader.join(2 * WORD_S)
        return list(words.values())

    def end(self) -> None:
        """Name it, end it, note it: in this order, for the disk may be what hangs."""
        line, hang = self.report()
        if line:
            sys.stderr.write(f"avsync: error: {line}\n")
            sys.stderr.flush()
        elif self.orders.ranks > 1:
            time.sleep(WORD_S)  # for the one that speaks to be heard first
        with suppress(ProcessLookupError):
            os.kill(self.orders.pid, signal.SIGKILL)
        if hang:
            note_hang(self.orders.hangs, hang)


def note_hang(path: Path, hang: HangRecord) -> None:
    """For the next attempt. What cannot be noted was told."""
    with suppress(OSError):
        add_line(path, to_json_line(replace(hang, shard=hang.shard[:1024])))


def _state(pid: int) -> str:
    """Of the process, as Linux shows it: T stopped, t traced, D in a system call; empty elsewhere."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def main(handle: int) -> int:
    """Until the rank closes its end of the line, however it ends."""
    orders = from_json(sys.stdin.buffer.readline(), Orders, "its orders")
    sentry, last = Sentry(orders, SectionPage(handle)), time.monotonic()
    while not select.select([sys.stdin], [], [], TICK_S)[0]:
        now = time.monotonic()
        if sentry.look(now - last):
            sentry.end()
            return 1
        last = now
    return 0
