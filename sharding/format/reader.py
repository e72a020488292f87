"""Reads clips out of shards, or what a window needs of them; checksums are taken on the way, memory is used again.

avsync/ may import it: its worker processes read with one of these each.
"""

import errno
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path

import numpy as np
from isal.isal_zlib import crc32, crc32_combine
from numpy.typing import NDArray

from sharding.base.files import from_json, open_file
from sharding.base.guarded import owner_name
from sharding.errors import AvsyncError, SkipClip, WrongClip
from sharding.format.blocks import Unread, tables_in, whole_tables
from sharding.format.claims import ClipShape
from sharding.format.clip import ClipMeta
from sharding.format.form import ClipForm
from sharding.format.tar import Layout

AT_ONCE = 1 << 18
"""Bytes read before their checksum is taken: they are still in the core's cache then."""
OPEN_FILES = 96
"""More than the shards that a training step's clips come from (avsync.data.order.BLOCK_SHARDS)."""
TOO_MANY_OPEN = (errno.EMFILE, errno.ENFILE)
OF_THE_MACHINE = {
    errno.EMFILE: "let it have more files open: ulimit -n 1024",
    errno.ENFILE: "end what else has files open, or raise the machine's limit, fs.file-max",
    errno.ENOMEM: "end what else takes memory, or work with fewer --runtime.workers",
}
"""What says nothing about the file, with its remedy: each file is like this then, and none is bad. (EINTR never comes
here: Python asks again.)"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipLocation:
    """Where one clip lies."""

    path: str
    offset: int
    """First byte of its json."""
    json_bytes: int
    video_bytes: int
    audio_bytes: int
    crc32: int
    frames: int
    """Pictures in the clip."""
    key: str
    action: str
    owner: int | None = None
    """Whose file it must be: a copy lies where others may exchange what has its name."""

    @property
    def layout(self) -> Layout:
        return Layout.of(self.json_bytes, self.video_bytes, self.audio_bytes)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClipWindow:
    """What is wanted of a clip whose members hold pictures and sound as they are."""

    shape: ClipShape
    """Of the whole clip."""
    heads: tuple[bytes, bytes]
    """What its members begin with, before pictures and sound."""
    frames: range
    """One after the other."""
    out: NDArray[np.uint8]
    """Where these go: (T, H*3/2, W)."""
    sounds: tuple[range, ...]
    """Samples."""

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes that the members of such a clip have."""
        return len(self.heads[0]) + self.shape.picture_bytes, len(self.heads[1]) + self.shape.sound_bytes

    @property
    def bytes_of_pictures(self) -> range:
        """From the first picture of the clip on."""
        return range(self.frames.start * self.shape.frame_bytes, self.frames.stop * self.shape.frame_bytes)

    @property
    def bytes_of_sounds(self) -> list[range]:
        """From the first sample of the clip on."""
        each = self.shape.sample_bytes
        return [range(samples.start * each, samples.stop * each) for samples in self.sounds]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StoredClip:
    """The bytes of one clip as read from its shard, checksum verified."""

    json: memoryview
    video: memoryview
    """Empty where the pictures were read straight into place."""
    audio: memoryview
    """Of a window: only the samples that it wants are there."""

    def meta(self) -> ClipMeta:
        return from_json(self.json, ClipMeta, "a clip's json")


class ShardReader:
    """For one thread. What it returns lies in its own memory and is valid until the next read."""

    def __init__(self, form: ClipForm | None = None) -> None:
        """form: no memory is taken for what no clip of it can be; without it, none for what a file does not hold."""
        self._form = form
        self._files: OrderedDict[str, RawIOBase] = OrderedDict()
        self._memory, self._skimmed = memoryview(bytearray(AT_ONCE)), memoryview(bytearray(AT_ONCE))

    def __enter__(self) -> "ShardReader":
        return self

    def __exit__(self, *_: object) -> None:
        for path in list(self._files):
            self._close(path)

    def read(self, location: ClipLocation) -> StoredClip:
        """The whole clip. Raises SkipClip when its shard is missing, short or changed; AvsyncError, see _trouble.

        WrongClip when the index says more bytes than such a clip can have.
        """
        return self._from_newest(location, lambda: self._read(location))

    def _read(self, location: ClipLocation) -> StoredClip:
        layout = location.layout
        with self._file(location) as file:
            memory = self._room(layout.size)
            checked = _Checked(file, location)
            checked.take(memory)
            if checked.crc32 != location.crc32:
                raise _changed(location)  # inside: the file is opened anew next time
        video, audio = (memory[start : start + length] for start, length in (layout.video, layout.audio))
        return StoredClip(json=memory[: layout.json_bytes], video=video, audio=audio)

    def read_window(self, location: ClipLocation, window: ClipWindow) -> StoredClip:
        """The clip, of which only what `window` wants is there: its pictures in place, its samples where they lie in
        the sound. No more is read than the blocks these lie in, where the clip tells of blocks (blocks.py).

        All of it instead, where those do not join to its checksum: its `video` is not empty then. Raises SkipClip.
        """
        return self._from_newest(location, lambda: self._read_window(location, window))

    def _from_newest(self, location: ClipLocation, read: Callable[[], StoredClip]) -> StoredClip:
        """A file kept open may be an older one of its name: what it does not hold is looked for in the newer one."""
        kept = location.path in self._files
        try:
            return read()
        except SkipClip as error:
            if not kept or isinstance(error, WrongClip):
                raise
        return read()

    def _read_window(self, location: ClipLocation, window: ClipWindow) -> StoredClip:
        layout, (head, sound_head) = location.layout, window.heads
        wanted, place = window.bytes_of_pictures, window.out.data.cast("B")
        if wanted.stop > layout.video[1] - len(head):
            raise WrongClip(f"its video member of {layout.video[1]} bytes ends before the frames that are wanted")
        pictures = layout.video[0] + len(head)
        between = layout.audio[0] + len(sound_head) - pictures - window.shape.picture_bytes
        with self._file(location) as file:
            memory, checked = self._room(pictures + between + window.shape.sound_bytes), _Checked(file, location)
            front, sound = memory[:pictures], memory[pictures + between :]
            checked.take(front)
            tables = tables_in(front[: layout.json_bytes], window.shape)
            video_table, audio_table = tables or whole_tables(window.shape)
            for run in video_table.around([wanted]):
                if isinstance(run, Unread):
                    checked.leave(run)
                else:
                    checked.skim(wanted.start - run.start, self._skimmed)
                    checked.take(place)
                    checked.skim(run.stop - wanted.stop, self._skimmed)
            checked.take(memory[pictures : pictures + between])
            for run in audio_table.around(window.bytes_of_sounds):
                checked.leave(run) if isinstance(run, Unread) else checked.take(sound[run.start : run.stop])
            if checked.crc32 != location.crc32:
                if tables is None:
                    raise _changed(location)
                return self._read(location)
        if front[layout.video[0] :] != head:
            raise WrongClip("its video member is not of the shape that the dataset tells")
        return StoredClip(
            json=front[: layout.json_bytes], video=front[:0], audio=memory[len(memory) - layout.audio[1] :]
        )

    @contextmanager
    def _file(self, location: ClipLocation) -> Iterator[int]:
        """The shard's file, kept open: opening is slow on network disks. One that gave trouble is opened anew."""
        try:
            yield self._open(location)
        except OSError as error:
            self._close(location.path)
            raise _trouble(location.path, error) from error
        except SkipClip:
            self._close(location.path)
            raise

    def _open(self, location: ClipLocation) -> int:
        path = location.path
        if path in self._files:
            self._files.move_to_end(path)
        else:
            self._files[path] = self._opened(Path(path))
            if len(self._files) > OPEN_FILES:
                self._close(next(iter(self._files)))
        file = self._files[path].fileno()
        status = os.fstat(file)
        if location.owner not in (None, status.st_uid):
            raise SkipClip(f"{path} is not ours any more: it belongs to {owner_name(status)}")
        if status.st_size < location.offset + location.layout.size:
            raise _changed(location)  # memory for what a damaged index claims is never asked for
        if self._form is not None:
            self._form.check_lengths(location.frames, location.json_bytes, location.video_bytes, location.audio_bytes)
        return file

    def _opened(self, path: Path) -> RawIOBase:
        """Where fewer files may be open than we keep, older ones go."""
        while True:
            try:
                return open_file(path)
            except OSError as error:
                if error.errno not in TOO_MANY_OPEN or not self._files:
                    raise
                self._close(next(iter(self._files)))

    def _close(self, path: str) -> None:
        if file := self._files.pop(path, None):
            file.close()

    def _room(self, size: int) -> memoryview:
        """Memory of the reader's own, grown to the largest clip so far."""
        if size > len(self._memory):
            self._memory = memoryview(bytearray(size))
        return self._memory[:size]


class _Checked:
    """A clip's bytes, from its first on, one after the other, and the checksum so far."""

    def __init__(self, file: int, location: ClipLocation) -> None:
        self._file, self._location = file, location
        self._position, self.crc32 = location.offset, 0

    def take(self, memory: memoryview) -> None:
        """Read the next bytes into memory. Raises SkipClip where the file ends, OSError."""
        done = 0
        while done < len(memory):
            done += self._read(memory[done : done + AT_ONCE])

    def skim(self, size: int, memory: memoryview) -> None:
        """Read so many for the checksum alone."""
        while size > 0:
            size -= self._read(memory[: min(size, AT_ONCE)])

    def leave(self, unread: Unread) -> None:
        """Read nothing: the checksum goes on as if these had been read."""
        self.crc32 = crc32_combine(self.crc32, unread.crc32, unread.bytes)
        self._position += unread.bytes

    def _read(self, memory: memoryview) -> int:
        got = os.preadv(self._file, [memory], self._position)
        if not got:
            raise _changed(self._location)
        self.crc32 = crc32(memory[:got], self.crc32)
        self._position += got
        return got


def _trouble(path: str, error: OSError) -> AvsyncError:
    """A SkipClip, unless it is the machine that has trouble: then going on would lose clip after clip."""
    fact = f"cannot read {path}: {error.strerror}"
    remedy = OF_THE_MACHINE.get(error.errno or 0)
    return AvsyncError(f"{fact}; {remedy}") if remedy else SkipClip(fact)


def _changed(location: ClipLocation) -> SkipClip:
    return SkipClip(
        f"its bytes in {location.path} are not those that were packed; delete {location.path}: "
        "a copy is fetched again, a dataset's own shard is made again by the same avsync pack"
    )
