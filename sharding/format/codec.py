"""Stored forms of a clip: how its pictures and sound lie in the shard, and how a window of them is read back.

avsync/ may import it. To add one: a class with the methods of Codec, a line in CODECS; the tests loop over CODECS.
Every form keeps YUV 4:2:0: colour conversion on a CPU costs more than decoding, so it happens on the training device.
Numbers behind the choices: docs/log.md.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from msgspec import UnsetType

from sharding.base.files import to_json
from sharding.errors import InputError
from sharding.format.claims import ClipShape
from sharding.format.clip import BlockChecksums, Clip, Member
from sharding.format.decoded import Decoder
from sharding.format.h264 import H264
from sharding.format.raw import Raw, bytes_of


class Codec(Decoder, Protocol):
    """One stored form. Stateless and safe to call from many threads at once."""

    @property
    def video_suffix(self) -> str: ...
    @property
    def audio_suffix(self) -> str: ...

    def encode_video(self, clip: Clip) -> bytes:
        """The member that holds the pictures."""
        ...

    def encode_audio(self, clip: Clip) -> bytes:
        """The member that holds the sound."""
        ...

    def heads(self, shape: ClipShape) -> tuple[bytes, bytes] | None:
        """Of a form that keeps pictures and sound as they are: what their members begin with before they follow.

        None for a form that must be decoded.
        """
        ...

    def checksums(self, clip: Clip) -> BlockChecksums | UnsetType:
        """Of such a form, by the block: with these in its json a window is read by itself. UNSET of any other."""
        ...

    @property
    def head_bytes(self) -> int | None:
        """How many first bytes of a member tell what it is; None: all of it must be there."""
        ...

    def most_bytes(self, shape: ClipShape) -> tuple[int, int]:
        """Most bytes that pictures and sound of such a clip can take; generous, but of the clip's own order."""
        ...

    def check_video(self, member: Member, size: int, shape: ClipShape) -> None:
        """Whether a member says that it holds such a clip's pictures; `size`: its bytes, of which the first are given.

        Raises WrongClip, and whatever a library makes of foreign bytes.
        """
        ...

    def check_audio(self, member: Member, size: int, shape: ClipShape) -> None:
        """The same of its sound."""
        ...

    def decoder(self) -> Decoder:
        """For whoever reads many clips in one thread: what it opens stays open for the next."""
        ...


FAST = "subme=1:b-adapt=0:rc-lookahead=8:cabac=0:no-deblock=1"
"""Without arithmetic coding and deblocking: pictures decode in 3/5 of the CPU time, at 9/7 of the bytes (and 0.5 dB
better: a higher rate, where what is left out matters less). Any player opens it like `h264`."""

CODECS: dict[str, Codec] = {"h264": H264(), "h264-fast": H264(crf=19, tuning=FAST), "raw": Raw()}


def codec_named(name: str) -> Codec:
    """The stored form called `name`. Raises InputError listing the choices."""
    if name not in CODECS:
        raise InputError(f"stored form {name!r} is not known; choose one of {', '.join(CODECS)}")
    return CODECS[name]


def members_of(clip: Clip, codec: Codec) -> dict[str, bytes]:
    """A clip as its tar members, suffix -> bytes, in the order they are written: json first."""
    return {suffix: b"".join(pieces) for suffix, pieces in pieces_of(clip, codec).items()}


def pieces_of(clip: Clip, codec: Codec) -> dict[str, Sequence[Member]]:
    """The same, each member in pieces that follow each other: what is kept as it is is not copied to be written.

    A clip of 10 s is 30 MB, and memory is what raw packing waits for.
    """
    heads = codec.heads(ClipShape.of(clip.meta))
    video: Sequence[Member] = (heads[0], bytes_of(clip.yuv)) if heads else (codec.encode_video(clip),)
    audio: Sequence[Member] = (heads[1], bytes_of(clip.audio)) if heads else (codec.encode_audio(clip),)
    told = to_json(replace(clip.meta, checksums=codec.checksums(clip)))
    return {"json": (told,), codec.video_suffix: video, codec.audio_suffix: audio}
