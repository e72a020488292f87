"""What a video file holds and when: one pass over its packets, nothing decoded.

Times are exact seconds on the file's own timeline: presentation time 0 is where a player starts, edit lists applied.
MPEG program and transport streams carry an arbitrary clock, so theirs starts at their first picture.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from sharding.clip import ColorMatrix
from sharding.errors import RejectError, RejectReason
from sharding.packet_times import MAX_TAIL_S, PacketTimes, StreamFacts

FORMATS = "avi,asf,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegts,mxf,ogg"
"""Demuxers a source may use. Playlists are left out: they could open other files, or the network."""
OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
CLOCKLESS = frozenset(("mpeg", "mpegts"))
MAX_PIXELS = 8192 * 8192

SPACES: dict[int, ColorMatrix] = {1: "bt709", 5: "bt601", 6: "bt601", 7: "bt601", 9: "bt2020", 10: "bt2020"}
"""ISO/IEC 23091-2 matrix coefficients -> what clips call them; SMPTE 240M (7) is nearest to bt601."""
HD_HEIGHT = 720
"""Untagged video is taken as bt709 from this height on, as players do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """A readable source with picture and sound."""

    path: Path
    video: StreamFacts
    audio: StreamFacts
    matrix: ColorMatrix
    seekable: bool
    """Seeking lands where it says."""
    runs: tuple[tuple[Fraction, Fraction], ...]
    """Times of the pictures, ascending, cut where none appears for longer than HOLE_S."""

    @property
    def stream_offset_s(self) -> float:
        """When the first sound is heard, minus when the first picture is seen."""
        return float(self.audio.start - self.video.start)

    @property
    def overlap(self) -> tuple[Fraction, Fraction]:
        """When there is both picture and sound, from presentation time 0 on."""
        return max(self.video.start, self.audio.start, Fraction(0)), min(self.video.end, self.audio.end)

    @property
    def shown(self) -> tuple[tuple[Fraction, Fraction], ...]:
        """`overlap` without holes in the picture: what can be packed, ascending. Nearly always one stretch."""
        first, last = self.overlap
        stretches = ((max(start, first), min(end, last)) for start, end in self.runs)
        return tuple((start, end) for start, end in stretches if start < end)


def open_media(path: Path, **options: str) -> InputContainer:
    """Open a source for reading, with more FFmpeg `options` if need be.

    Raises RejectError when it is missing, locked, a pipe or no video file.
    """
    # FFmpeg takes what stands before a colon for a protocol: "Lecture: intro.mp4", "concat:a|b"
    url = f"file:{os.path.abspath(path)}"
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # FFmpeg would wait at a pipe for ever
            raise RejectError(RejectReason.UNREADABLE, "is not a regular file")
        return av.open(url, metadata_errors="replace", options=OPTIONS | options, timeout=None)
    except (FFmpegError, OSError, ValueError, IndexError) as error:
        missing = isinstance(error, FileNotFoundError) and not path.exists()
        fact = "no such file" if missing else getattr(error, "strerror", None) or str(error)
        raise RejectError(RejectReason.UNREADABLE, f"cannot be opened: {fact}") from error


def demuxed(container: InputContainer, *streams: Any) -> Iterator[Any]:
    """The packets of some streams, and an empty one each at the end.

    When FFmpeg has met further streams on the way (MPEG-TS), PyAV asks those for a last packet, too, and knows no such.
    """
    try:
        yield from container.demux(*streams)
    except IndexError:
        return


@contextmanager
def decoding() -> Iterator[None]:
    """What FFmpeg says while it reads a source is the source's fault: RejectError, corrupt.

    Some of its errors are OSErrors too; those must not pass for a fault of the disk that is written to.
    """
    try:
        yield
    except FFmpegError as error:
        raise RejectError(
            RejectReason.CORRUPT, f"FFmpeg fails on it: {error.strerror or type(error).__name__}"
        ) from error


@decoding()
def probe(path: Path) -> Probe:
    """Read all packets of `path` once. Raises RejectError: unreadable, no_video, no_audio, corrupt."""
    with open_media(path) as container:
        video = _best(container, "video")
        if video is None:
            raise RejectError(RejectReason.NO_VIDEO, "it has no video stream that can be decoded")
        audio = _best(container, "audio")
        if audio is None:
            raise RejectError(RejectReason.NO_AUDIO, "it has no audio stream that can be decoded")
        if not 0 < video.width * video.height <= MAX_PIXELS:
            raise RejectError(RejectReason.CORRUPT, f"its picture is said to be {video.width}x{video.height}")
        times = {stream.index: PacketTimes(kind=stream.type, tick=stream.time_base) for stream in (video, audio)}
        try:
            for packet in demuxed(container, video, audio):
                if packet.size:
                    times[packet.stream_index].add(packet)
        except (FFmpegError, MemoryError):
            pass  # a damaged tail: what came before counts, and the length check decides
        clockless = not CLOCKLESS.isdisjoint(container.format.name.split(","))
        facts = [times[stream.index].facts(stream) for stream in (video, audio)]
        origin = facts[0].start if clockless else Fraction(0)
        early = _early(path, video, times[video.index])
        return Probe(
            path=path,
            video=_shifted(facts[0], origin - early),
            audio=_shifted(facts[1], origin, hidden=not clockless),
            runs=times[video.index].runs_until(facts[0].end, origin - early),
            matrix=SPACES.get(int(video.codec_context.colorspace), "bt709" if video.height >= HD_HEIGHT else "bt601"),
            seekable=not clockless and all(one.timed for one in facts) and container.format.name != "avi",
        )


def _best(container: InputContainer, kind: str) -> Any:
    """The stream FFmpeg would choose; covers and streams without a decoder do not count."""
    usable = [
        stream
        for stream in (container.streams.video if kind == "video" else container.streams.audio)
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic
    ]
    best = container.streams.best(kind)  # pyright: ignore[reportArgumentType]
    return best if best in usable else next(iter(usable), None)


def _shifted(facts: StreamFacts, origin: Fraction, *, hidden: bool = True) -> StreamFacts:
    """On the source's timeline; what comes before time 0 is `hidden` where the file says so."""
    start = facts.start - origin
    return replace(facts, start=max(start, Fraction(0)) if hidden else start, end=facts.end - origin, origin=origin)


def _early(path: Path, stream: Any, times: PacketTimes) -> Fraction:
    """How much too early FFmpeg shows a stream, seconds.

    When an edit list of mp4 or mov begins between two pictures, FFmpeg shows the later one at once, and with it
    all others up to a picture's time too early. Its simple rule for edit lists tells the first packet's true time.
    """
    place, shown = times.head
    if not times.discarded or shown is None:
        return Fraction(0)
    with open_media(path, advanced_editlist="0") as container:
        head: Any = next(demuxed(container, container.streams[stream.index]), None)
        if head is None or head.pts is None or head.pos != place:
            return Fraction(0)
    early = Fraction(head.pts - shown) * stream.time_base
    return early if 0 < early < MAX_TAIL_S["video"] else Fraction(0)
