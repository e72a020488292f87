"""A split's shards as copies on a disk of this machine: one of each, for all ranks and jobs.

SCRATCH/avsync-<uid>/<fingerprint>/train/000000.tar            a whole copy, every clip checked while it came
SCRATCH/avsync-<uid>/<fingerprint>/train/000000.tar.part       one in the making (avsync/staging/part_file.py)
SCRATCH/avsync-<uid>/<fingerprint>/train/000000.tar.damaged    clips that the origin itself holds damaged
"""

import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from threading import Event, Thread
from typing import TypeVar

from avsync.staging.checksum import ClipRanges
from avsync.staging.copies import NOTE, discard, give, is_copy, release, touch
from avsync.staging.fetch import Fetch, Retries
from avsync.staging.location import Location
from avsync.staging.own_folder import PRIVATE
from avsync.staging.part_file import MODE, PartFile, last_moved
from avsync.staging.room import DISK_FULL, NoRoom, NoRoomYet, Room
from avsync.staging.shelf import Counts, Waiting, in_silence, shard_name
from sharding.base.files import read_json, write_json
from sharding.base.guarded import make_folder
from sharding.base.housekeeping import delete_file, file_size_limit, housekeeping
from sharding.base.text import counted, first_few
from sharding.errors import FormatError, InputError, SkipClip
from sharding.format.dataset import Dataset
from sharding.format.reader import ShardReader

# Work that somebody waits for, done on a thread of its own: who waits can look round meanwhile, and leave.

T = TypeVar("T")
LOOK_S = 0.05
LEAVE_S = 2
"""A thread in the middle of a slow read is left behind after this; nothing that it wrote counts."""


def wait_for(work: Callable[[Event], T], look: Callable[[], None]) -> T:
    """What `work` returns or raises; the event it is given says that nobody waits any more.

    `look` is called every LOOK_S until then; what it raises ends the wait.
    """
    result, left = Future[T](), Event()

    def run() -> None:
        try:
            result.set_result(work(left))
        except BaseException as error:
            result.set_exception(error)

    thread = Thread(target=run, name="avsync-wait", daemon=True)
    thread.start()
    try:
        while not wait([result], LOOK_S).done:
            look()
    finally:
        left.set()
        thread.join(LEAVE_S)
    return result.result()


GIVE_AGAIN_S = 1
"""A copy that is handed out again and again is marked so often (copies.GIVEN_S)."""
ROOM = "raise --runtime.scratch-gb, or give --runtime.scratch a folder on a larger disk"


class CopyOutcome(Enum):
    """What became of a wish to have a copy."""

    THERE = "there"
    BUSY = "somebody else is making it"
    NO_ROOM = "no room"


@dataclass(kw_only=True, slots=True)
class Scratch:
    """A Shelf of copies. Copies are made by `stage`, which a Stager calls ahead of time."""

    location: Location
    folder: Path
    """SCRATCH/avsync-<uid>/<fingerprint>."""
    dataset: Dataset
    """The split, its index loaded."""
    room: Room
    retries: Retries = field(default_factory=Retries)
    quiet: bool = False
    """Say nothing: another rank of this machine says it."""
    counts: Counts = field(default_factory=Counts)
    _found_at: dict[int, float] = field(default_factory=dict)
    """When a copy was last found there and handed out."""
    _announced: set[str] = field(default_factory=set)

    def path(self, shard: int, waiting: Waiting = in_silence) -> Path:
        now, copy = time.monotonic(), self.copy(shard)
        if now - self._found_at.get(shard, -GIVE_AGAIN_S) < GIVE_AGAIN_S:
            return copy
        if give(copy):
            self._found_at[shard] = now
            return copy
        self._found_at.pop(shard, None)
        if self.location.folder is not None:
            self.counts.from_origin += 1
            return self.location.folder / shard_name(self.dataset.split, shard)
        wait_for(lambda left: self._stage_now(shard, left), lambda: waiting(self._wish(shard)))
        self._found_at.clear()  # others may have had to go for it
        self._found_at[shard] = time.monotonic()
        return copy

    def instead(self, path: Path, shard: int, clip: int, waiting: Waiting = in_silence) -> Path | None:
        copy = self.copy(shard)
        if path != copy or clip in self._damaged(shard):
            return None
        self._found_at.pop(shard, None)  # else it is believed to be there
        if is_copy(copy) and not self._holds(copy, clip):
            discard(copy)
            self.counts.distrusted += 1
            self.say(f"{copy} did not stay as it came, and was removed; if others follow, look after that disk", "bad")
        return self.path(shard, waiting)

    def _holds(self, copy: Path, clip: int) -> bool:
        """The copy has this clip as packed: what could not be read was an older file of that name."""
        try:
            with ShardReader() as reader:
                reader.read(self.dataset.location(clip, copy))
        except SkipClip:
            return False
        return True

    def copy(self, shard: int) -> Path:
        """Where the copy of a shard is, or would be."""
        return self.folder / shard_name(self.dataset.split, shard)

    def in_use(self, shards: Iterable[int]) -> set[int]:
        """These will be needed soon: their copies are the last to go. Returns those that have one."""
        names = {self.copy(shard).name: shard for shard in shards}
        return {names[name] for name in touch(self.folder / self.dataset.split, names)}

    def done_with(self, shards: Iterable[int]) -> None:
        """These will not be needed soon: their copies are the first to go."""
        for shard in shards:
            release(self.copy(shard))

    def stage(self, shard: int, *, urgent: bool = False, stop: Event | None = None) -> CopyOutcome:
        """Make the copy of a shard, unless it is there.

        Raises InputError when the origin does not give it; Stopped.
        """
        target = self.copy(shard)
        if is_copy(target):
            return CopyOutcome.THERE
        try:
            make_folder(target.parent, mode=PRIVATE)  # whoever cleans such disks may take all of it
            part = PartFile.take(target)
            if part is None:
                return CopyOutcome.BUSY
            try:
                return self._fill(part, shard, urgent, stop or Event())
            except BaseException:
                with housekeeping("delete", target):
                    part.drop()
                raise
        except (NoRoom, OSError) as error:
            if not urgent or not isinstance(error, NoRoomYet):
                self._no_room(shard, *self._why(error), urgent)
            return CopyOutcome.NO_ROOM

    def _why(self, error: NoRoom | OSError) -> tuple[str, str]:
        """Why there is no copy, and what to do."""
        if isinstance(error, NoRoom):
            return str(error), ROOM
        if error.filename:  # what lies there is the trouble, not how much
            return f"{error.filename}: {error.strerror or error}", "mend that, or give --runtime.scratch another folder"
        remedy = "; ".join(filter(None, (ROOM, file_size_limit(error))))
        return f"{self.room.scratch}: {error.strerror or error}", remedy

    def _fill(self, part: PartFile, shard: int, urgent: bool, stop: Event) -> CopyOutcome:
        if is_copy(part.target) or self.room.take_over(part.target):  # made between our look and our lock, or long ago
            part.drop()
            return CopyOutcome.THERE
        ranges = ClipRanges.of(self.dataset.index, shard)
        self.room.reserve(part, ranges.size, urgent=urgent)
        fetch = Fetch(location=self.location, retries=self.retries, stop=stop, moved=part.moved, say=self._say_again)
        while True:
            try:
                came = fetch.copy(shard_name(self.dataset.split, shard), part.file, ranges)
                break
            except OSError as error:
                if error.errno not in DISK_FULL:
                    raise
                part.file.truncate(0)
                self.room.reserve(part, ranges.size, urgent=urgent, full=True)
        self._note_damage(shard, came.damaged)
        part.moved()  # whoever waits for it has a moment
        self.room.publish(part)
        self.counts.shards += 1
        self.counts.bytes += came.size
        self.counts.tries_more += came.tries - 1
        return CopyOutcome.THERE

    def _name(self, shard: int) -> str:
        return self.location.name_of(shard_name(self.dataset.split, shard))

    def _note_damage(self, shard: int, damaged: tuple[int, ...]) -> None:
        """Clips that come damaged each time are not worth another copy when the loader finds them so."""
        note = _note_beside(self.copy(shard))
        if not damaged:
            delete_file(note)
            return
        with housekeeping("write", note):
            write_json(note, damaged, lasting=False, mode=MODE)
        self.counts.damaged_clips += len(damaged)
        keys = first_few([self.dataset.index.key(clip) for clip in damaged[:4]])
        self.say(
            f"{self._name(shard)}: {counted(len(damaged), 'clip')} in it not as packed ({keys}): skipped; "
            "pack that shard again"
        )

    def _damaged(self, shard: int) -> tuple[int, ...]:
        note = _note_beside(self.copy(shard))
        try:
            return read_json(note, tuple[int, ...]) if is_copy(note) else ()
        except (InputError, FormatError):
            return ()  # removed this moment, or never whole: the copy is fetched again and checked again

    def _stage_now(self, shard: int, left: Event) -> None:
        """Until there is a copy, ours or another's, or nobody waits: there is no other way to read from a URL."""
        since = time.time()
        while (outcome := self.stage(shard, urgent=True, stop=left)) is not CopyOutcome.THERE:
            moved = last_moved(self.copy(shard)) if outcome is CopyOutcome.BUSY else self.room.last_moved()
            still = time.time() - max(moved or 0, since)
            if still > self.retries.longest_s:
                raise InputError(self._stands_still(shard, outcome, still))
            if left.wait(LOOK_S):
                return

    def _stands_still(self, shard: int, outcome: CopyOutcome, still: float) -> str:
        if outcome is CopyOutcome.BUSY:
            return (
                f"{self._name(shard)} is being copied by another process of this machine, in which nothing has "
                f"moved for {still:.0f} s: end it, or give --runtime.scratch another folder"
            )
        return (
            f"no copy of {self._name(shard)} can be made: {self.room.folder} is full of copies in the making, in "
            f"which nothing has moved for {still:.0f} s: end the processes that make them, or {ROOM}"
        )

    def _wish(self, shard: int) -> str:
        """What is waited for, in words."""
        moved = last_moved(self.copy(shard))
        news = f", for which something came {max(0, time.time() - moved):.0f} s ago" if moved else ""
        return f"waiting for a copy of {self._name(shard)}{news}"

    def _no_room(self, shard: int, fact: str, remedy: str, urgent: bool) -> None:
        if urgent:
            raise InputError(f"no copy of {self._name(shard)} can be made, {fact}: {remedy}")
        if self.location.folder is not None:
            self.say(f"{fact}: shards without a copy are read from {self.location}; {remedy}", once="room")

    def _say_again(self, problem: str) -> None:
        """The first shard that does not come at once: of what stays, the end of its tries tells."""
        self.say(problem, once="again")

    def say(self, message: str, once: str = "") -> None:
        """A line for whoever watches; only the first about `once`, when given, else only the first that says so."""
        if not self.quiet and (subject := once or message) not in self._announced:
            self._announced.add(subject)
            with suppress(OSError):  # nobody may hear it
                sys.stderr.write(f"avsync: warning: {message}\n")


def _note_beside(copy: Path) -> Path:
    return copy.with_name(copy.name + NOTE)
