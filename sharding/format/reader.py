"""Reads clips out of shards: one contiguous read each, its checksum taken on the way, into memory that is used again.

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
from isal.isal_zlib import crc32
from numpy.typing import NDArray

from sharding.base.files import from_json, open_file
from sharding.base.guarded import owner_name
from sharding.errors import AvsyncError, SkipClip, WrongClip
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
class StoredClip:
    """The bytes of one clip as read from its shard, checksum verified."""

    json: memoryview
    video: memoryview
    """Empty where the pictures were read straight into place."""
    audio: memoryview

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
            _fill(file, location, [memory], self._skimmed)
        video, audio = (memory[start : start + length] for start, length in (layout.video, layout.audio))
        return StoredClip(json=memory[: layout.json_bytes], video=video, audio=audio)

    def read_into(self, location: ClipLocation, head: bytes, first: int, out: NDArray[np.uint8]) -> StoredClip:
        """The clip, its pictures from byte `first` of them on straight into `out`. Raises SkipClip.

        head: what the video member must begin with; the bytes of the pictures follow.
        """
        return self._from_newest(location, lambda: self._read_into(location, head, first, out))

    def _from_newest(self, location: ClipLocation, read: Callable[[], StoredClip]) -> StoredClip:
        """A file kept open may be an older one of its name: what it does not hold is looked for in the newer one."""
        kept = location.path in self._files
        try:
            return read()
        except SkipClip as error:
            if not kept or isinstance(error, WrongClip):
                raise
        return read()

    def _read_into(self, location: ClipLocation, head: bytes, first: int, out: NDArray[np.uint8]) -> StoredClip:
        layout = location.layout
        pictures, sound = layout.video[0] + len(head), layout.audio[0]
        after = sound - pictures - first - out.nbytes
        if len(head) + first + out.nbytes > layout.video[1]:
            raise WrongClip(f"its video member of {layout.video[1]} bytes ends before the frames that are wanted")
        with self._file(location) as file:
            memory = self._room(pictures + layout.audio[1])
            front, audio = memory[:pictures], memory[pictures:]
            _fill(file, location, [front, first, out.data.cast("B"), after, audio], self._skimmed)
        if front[layout.video[0] :] != head:
            raise WrongClip("its video member is not of the shape that the dataset tells")
        return StoredClip(json=front[: layout.json_bytes], video=front[:0], audio=audio)

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


def _fill(file: int, location: ClipLocation, pieces: list[memoryview | int], skimmed: memoryview) -> None:
    """Read a clip's bytes one after the other: into memory or, so many of them, for the checksum alone."""
    position, checksum = location.offset, 0
    for piece in pieces:
        size = piece if isinstance(piece, int) else len(piece)
        done = 0
        while done < size:
            step = min(size - done, AT_ONCE)
            part = skimmed[:step] if isinstance(piece, int) else piece[done : done + step]
            got = os.preadv(file, [part], position + done)
            if not got:
                raise _changed(location)
            checksum, done = crc32(part[:got], checksum), done + got
        position += size
    if checksum != location.crc32:
        raise _changed(location)


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
