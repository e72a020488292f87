"""One clip as it passes on the tape: its three members, block by block, against its record in the side file.

Then whether pictures and sound are what its json says: by their headers, or decoded as training decodes them.
"""

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import RawIOBase

import numpy as np
from isal.isal_zlib import crc32

from sharding.base.files import from_json
from sharding.base.text import counted
from sharding.errors import FormatError, SkipClip, WrongClip
from sharding.format.blocks import PassingBlocks, tables_in
from sharding.format.claims import ClipShape, decoding
from sharding.format.clip import ClipMeta
from sharding.format.codec import Codec
from sharding.format.form import LONGEST_ERROR, largest_json, short_text
from sharding.format.index import DatasetInfo
from sharding.format.records import ClipRecord
from sharding.format.tar import BLOCK, member_header, padded

WINDOW_FRAMES = 120
"""Decoded at a time."""
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
    crc, wrong, members, blocks = 0, list[Mismatch](), list[_Member](), list[PassingBlocks]()
    for suffix, size in zip(suffixes, sizes, strict=True):
        head = _exactly(tape, BLOCK)
        crc = crc32(head, crc) if members else crc
        if difference := _header_difference(head, f"{clip.key}.{suffix}", size):
            wrong.append(difference)
        passing = blocks[len(members) - 1] if members and blocks else None
        member, crc = _payload(tape, size, _kept(suffix, size, clip.frames, form), crc, passing)
        members.append(member)
        if len(members) == 1:
            blocks = _blocks_of(member, clip, form)
        padding = _exactly(tape, padded(size) - size)
        crc = crc32(padding, crc) if len(members) < len(sizes) else crc
        if any(padding):
            wrong.append(Mismatch(f"zeros after the {suffix} member", "other bytes"))
    if crc != clip.crc32:
        return Mismatch(f"CRC-32 {clip.crc32:08x}", f"CRC-32 {crc:08x}")
    if wrong:
        return wrong[0]
    content = _content_difference(members, clip, form, heard) or _block_difference(blocks)
    return content and replace(content, of_bytes=False)


def _blocks_of(json: _Member, clip: ClipRecord, form: StoredForm) -> list[PassingBlocks]:
    """Of pictures and sound that follow a clip's json, where it tells of blocks."""
    shape = form.info.form.shape(clip.frames)
    if not (heads := form.codec.heads(shape)) or not (tables := tables_in(json.content, shape)):
        return []
    return [PassingBlocks(table, len(head)) for table, head in zip(tables, heads, strict=True)]


def _block_difference(blocks: list[PassingBlocks]) -> Mismatch | None:
    for passed, name in zip(blocks, ("pictures", "sound"), strict=False):
        if passed.wrong:
            return Mismatch(
                f"{name} with the checksums that its json says", f"{counted(len(passed.wrong), 'block')} with others"
            )
    return None


def _exactly(tape: Tape, size: int) -> bytes:
    data = tape.take(size)
    if len(data) < size:
        raise CutOff
    return data


def _kept(suffix: str, size: int, frames: int, form: StoredForm) -> int:
    """How many bytes of a member are needed to look into it; never more than a clip of so many frames can have."""
    if suffix == "json":
        return min(size, largest_json(frames))
    needs, most = form.codec.head_bytes, form.codec.most_bytes(form.info.form.shape(frames))
    most_of_it = min(size, most[suffix == form.codec.audio_suffix])
    return most_of_it if form.decode or needs is None else min(most_of_it, needs)


def _payload(tape: Tape, size: int, keep: int, crc: int, passing: PassingBlocks | None = None) -> tuple[_Member, int]:
    kept, missing, left = list[bytes](), keep, size
    for block in tape.blocks(size):
        crc = crc32(block, crc)
        if passing:
            passing.take(block)
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
    if about.size > (most := largest_json(clip.frames)):
        return Mismatch(f"at most {most} bytes of json", f"{about.size}")
    try:
        meta = from_json(about.content, ClipMeta, "its json")
    except FormatError as error:
        return Mismatch("the json of a clip", str(error))
    if difference := _meta_difference(meta, clip, form.info):
        return difference
    heard(meta)
    shape = form.info.form.shape(meta.frames, meta.matrix)
    if form.decode:
        problem = _problem_of_decoding(video.content, audio.content, shape, form.codec)
    else:
        problem = _problem_of_headers(video, audio, shape, form.codec)
    if not problem:
        try:
            form.info.form.check_lengths(clip.frames, about.size, video.size, audio.size)
        except WrongClip as error:
            problem = str(error)
    return Mismatch("pictures and sound as its json says", problem) if problem else None


def _meta_difference(meta: ClipMeta, clip: ClipRecord, info: DatasetInfo) -> Mismatch | None:
    if meta.group != clip.group:
        return Mismatch(f"group {short_text(clip.group)!r} of the side file", f"{short_text(meta.group)!r} in its json")
    for name, wanted, found in info.form.differences(meta, key=clip.key, action=clip.action, frames=clip.frames):
        return Mismatch(
            f"{name} {short_text(str(wanted))} as the dataset says", f"{short_text(str(found))} in its json"
        )
    return None


def _problem_of_headers(video: _Member, audio: _Member, shape: ClipShape, codec: Codec) -> str:
    """What the headers say that the json does not; empty when they agree."""
    checks: dict[str, tuple[Callable[[bytes, int, ClipShape], None], _Member]] = {
        codec.video_suffix: (codec.check_video, video),
        codec.audio_suffix: (codec.check_audio, audio),
    }
    for suffix, (check, member) in checks.items():
        try:
            with decoding(suffix, len(member.content)):
                check(member.content, member.size, shape)
        except WrongClip as error:
            opened = error.__cause__ is None
            why = str(error) if opened else f"{error.__cause__ or type(error.__cause__).__name__}"
            return f"a {suffix} member{': ' if opened else ' that does not open: '}{short_text(why, LONGEST_ERROR)}"
    return ""


def _problem_of_decoding(video: bytes, audio: bytes, shape: ClipShape, codec: Codec) -> str:
    """What keeps the clip from being decoded from its first to its last frame; empty when nothing does."""
    try:
        for first in range(0, shape.frames, WINDOW_FRAMES):
            frames = range(first, min(first + WINDOW_FRAMES, shape.frames))
            codec.decode_video(video, frames, np.empty((len(frames), *shape.pictures[1:]), np.uint8), shape)
        codec.decode_audio(audio, 0, np.empty(shape.sound, np.int16), shape)
    except SkipClip as error:
        return f"members that do not decode ({short_text(str(error), LONGEST_ERROR)})"
    return ""
