"""One clip as it passes on the tape: its three members, block by block, against its record in the side file."""

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import RawIOBase

from isal.isal_zlib import crc32

from sharding.base.files import from_json
from sharding.errors import FormatError
from sharding.format.clip import ClipMeta
from sharding.format.codec import Codec
from sharding.format.index import DatasetInfo
from sharding.format.records import ClipRecord
from sharding.format.tar import BLOCK, member_header, padded
from sharding.verify.member_content import header_of, problem_of_decoding, problem_of_headers

BLOCK_BYTES = 2 * 2**20
"""Large enough for any disk, small enough to stay in a core's cache between digest and checksum."""


class Tape:
    """The bytes of `file`, once, in large blocks; all of them are hashed. `passed` gets each block's length."""

    def __init__(self, file: RawIOBase, passed: Callable[[int], None]) -> None:
        self._file, self._passed = file, passed
        self._buffer = memoryview(bytearray(BLOCK_BYTES))
        self._waiting = self._buffer[:0]
        self._hash = hashlib.sha256()

    def blocks(self, size: int) -> Iterator[memoryview]:
        """The next `size` bytes, or what is left; a block is gone when the next one comes. Raises OSError."""
        while size > 0:
            if not self._waiting:
                self._fill()
            if not self._waiting:
                return
            block, self._waiting = self._waiting[:size], self._waiting[size:]
            size -= len(block)
            yield block

    def take(self, size: int) -> bytes:
        """The next `size` bytes, or what is left, to keep."""
        return b"".join(map(bytes, self.blocks(size)))

    def digest(self) -> str:
        """SHA-256 of what was read: of the whole file, once all of it was taken and nothing follows."""
        return self._hash.hexdigest()

    def _fill(self) -> None:
        count = self._file.readinto(self._buffer) or 0
        self._waiting = self._buffer[:count]
        self._hash.update(self._waiting)
        self._passed(count)


LARGEST_JSON = 2**26
"""Bytes. True positions of sounds, frame by frame, take a few hundred thousand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredForm:
    """What all clips of the dataset share, and how deep to look."""

    info: DatasetInfo
    codec: Codec
    decode: bool


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What a clip should have been, and what is there."""

    wanted: str
    found: str
    of_bytes: bool = True
    """Between the tar and its side file; otherwise between what is written in the clip and what should be."""


class CutOff(Exception):
    """The tar ends inside this clip."""


@dataclass(slots=True)
class _Member:
    """A member's payload as far as it was kept."""

    content: bytes
    size: int


def check_clip(tape: Tape, clip: ClipRecord, form: StoredForm, heard: Callable[[ClipMeta], None]) -> Mismatch | None:
    """Read one clip, from the header of its json to the padding after its sound. Raises CutOff, OSError.

    `heard` gets its json, when all is as it should be up to there.
    """
    suffixes = ("json", form.codec.video_suffix, form.codec.audio_suffix)
    sizes = (clip.json_bytes, clip.video[1], clip.audio[1])
    crc, wrong, members = 0, list[Mismatch](), list[_Member]()
    for suffix, size in zip(suffixes, sizes, strict=True):
        head = _exactly(tape, BLOCK)
        crc = crc32(head, crc) if members else crc
        if difference := _header_difference(head, f"{clip.key}.{suffix}", size):
            wrong.append(difference)
        member, crc = _payload(tape, size, _kept(suffix, size, form), crc)
        members.append(member)
        padding = _exactly(tape, padded(size) - size)
        crc = crc32(padding, crc) if len(members) < len(sizes) else crc
        if any(padding):
            wrong.append(Mismatch(f"zeros after the {suffix} member", "other bytes"))
    if crc != clip.crc32:
        return Mismatch(f"CRC-32 {clip.crc32:08x}", f"CRC-32 {crc:08x}")
    if wrong:
        return wrong[0]
    content = _content_difference(members, clip, form, heard)
    return content and replace(content, of_bytes=False)


def _exactly(tape: Tape, size: int) -> bytes:
    data = tape.take(size)
    if len(data) < size:
        raise CutOff
    return data


def _kept(suffix: str, size: int, form: StoredForm) -> int:
    """How many bytes of a member are needed to look into it."""
    if suffix == "json":
        return min(size, LARGEST_JSON)
    needs = header_of(suffix).needs
    return size if form.decode or needs is None else min(size, needs)


def _payload(tape: Tape, size: int, keep: int, crc: int) -> tuple[_Member, int]:
    kept, missing, left = list[bytes](), keep, size
    for block in tape.blocks(size):
        crc = crc32(block, crc)
        left -= len(block)
        if missing:
            kept.append(bytes(block[:missing]))
            missing -= len(kept[-1])
    if left:
        raise CutOff
    return _Member(b"".join(kept), size), crc


def _header_difference(head: bytes, name: str, size: int) -> Mismatch | None:
    if head == member_header(name, size):
        return None
    wanted = f"the tar header of {name}, {size} bytes"
    try:
        found = tarfile.TarInfo.frombuf(head, "utf-8", "replace")
    except tarfile.HeaderError:
        return Mismatch(wanted, "no tar header")
    if (found.name, found.size) == (name, size):
        return Mismatch(wanted, "one with another date, owner or kind")
    return Mismatch(wanted, f"that of {found.name}, {found.size} bytes")


def _content_difference(
    members: list[_Member], clip: ClipRecord, form: StoredForm, heard: Callable[[ClipMeta], None]
) -> Mismatch | None:
    """Of what is written in the members; their bytes are those that the side file lists."""
    about, video, audio = members
    try:
        meta = from_json(about.content, ClipMeta, "its json")
    except FormatError as error:
        return Mismatch("the json of a clip", str(error))
    if difference := _meta_difference(meta, clip, form.info):
        return difference
    heard(meta)
    if form.decode:
        problem = problem_of_decoding(video.content, audio.content, meta, form.codec)
    else:
        problem = problem_of_headers((video.content, video.size), (audio.content, audio.size), meta, form.codec)
    return Mismatch("pictures and sound as its json says", problem) if problem else None


def _meta_difference(meta: ClipMeta, clip: ClipRecord, info: DatasetInfo) -> Mismatch | None:
    for name in ("key", "action", "group", "frames"):
        if getattr(meta, name) != getattr(clip, name):
            return Mismatch(f"{name} {getattr(clip, name)!r} of the side file", f"{getattr(meta, name)!r} in its json")
    for name in ("clock", "width", "height", "channels"):
        if getattr(meta, name) != getattr(info, name):
            return Mismatch(f"{name} {getattr(info, name)} of dataset.json", f"{getattr(meta, name)} in its json")
    if not meta.key.endswith(f"/{meta.first_frame:08d}"):
        return Mismatch(f"the first frame that its key ends with, {meta.key}", f"{meta.first_frame} in its json")
    return None
