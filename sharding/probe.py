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

FORMATS = "avi,asf,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegts,mxf,ogg"
"""Demuxers a source may use. Playlists are left out: they could open other files, or the network."""
OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
CLOCKLESS = frozenset(("mpeg", "mpegts"))
MAX_TAIL_S = {"video": Fraction(1), "audio": Fraction(1, 4)}
"""Longest believed duration of a stream's last packet: containers are known to write nonsense there."""
MAX_PIXELS = 8192 * 8192

SPACES: dict[int, ColorMatrix] = {1: "bt709", 5: "bt601", 6: "bt601", 7: "bt601", 9: "bt2020", 10: "bt2020"}
"""ISO/IEC 23091-2 matrix coefficients -> what clips call them; SMPTE 240M (7) is nearest to bt601."""
HD_HEIGHT = 720
"""Untagged video is taken as bt709 from this height on, as players do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamFacts:
    """One stream of a source."""

    index: int
    start: Fraction
    """First presentation time that is shown or heard, seconds."""
    end: Fraction
    """When its last packet is over, seconds."""
    packets: int
    timed: bool
    """Every packet has a presentation timestamp."""
    origin: Fraction = Fraction(0)
    """Subtract this from its stored timestamps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """A readable source with picture and sound."""

    path: Path
    video: StreamFacts
    audio: StreamFacts
    matrix: ColorMatrix
    seekable: bool
    """Seeking lands where it says."""

    @property
    def stream_offset_s(self) -> float:
        """When the first sound is heard, minus when the first picture is seen."""
        return float(self.audio.start - self.video.start)

    @property
    def overlap(self) -> tuple[Fraction, Fraction]:
        """When there is both picture and sound, from presentation time 0 on."""
        return max(self.video.start, self.audio.start, Fraction(0)), min(self.video.end, self.audio.end)


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
        times = {stream.index: _Times(kind=stream.type, tick=stream.time_base) for stream in (video, audio)}
        try:
            for packet in container.demux(video, audio):
                if packet.size:
                    times[packet.stream_index].add(packet)
        except (FFmpegError, MemoryError):
            pass  # a damaged tail: what came before counts, and the length check decides
        clockless = not CLOCKLESS.isdisjoint(container.format.name.split(","))
        facts = [times[stream.index].facts(stream) for stream in (video, audio)]
        origin = facts[0].start if clockless else Fraction(0)
        early = times[video.index].early(path, video)
        return Probe(
            path=path,
            video=_shifted(facts[0], origin - early),
            audio=_shifted(facts[1], origin),
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


def _shifted(facts: StreamFacts, origin: Fraction) -> StreamFacts:
    return replace(facts, start=facts.start - origin, end=facts.end - origin, origin=origin)


@dataclass(kw_only=True, slots=True)
class _Times:
    """First and last time of one stream, gathered packet by packet, in ticks of its time base."""

    kind: str
    tick: Fraction | None
    packets: int = 0
    untimed: int = 0
    head: tuple[int | None, int | None] = None, None
    """Byte and time of the very first, discarded or not."""
    discarded: int = 0
    first: int | None = None
    skipped: int = 0
    """Samples of the first packet that are not heard: an encoder's priming."""
    last: int | None = None
    last_duration: int = 0
    first_key: int | None = None
    usual_duration: int = 0

    def add(self, packet: "av.Packet[Any]") -> None:
        if not self.packets:
            self.head = packet.pos, packet.pts
        self.packets += 1
        self.discarded += packet.is_discard
        when = packet.pts if packet.pts is not None else packet.dts
        self.untimed += packet.pts is None
        if when is None:
            return
        if self.first_key is None and packet.is_keyframe:
            self.first_key = when  # a discarded key frame still starts the decoder
        if packet.is_discard:
            return
        if self.first is None and self.kind == "audio":
            self.skipped = _skipped(packet)
        self.first = when if self.first is None else min(self.first, when)
        if self.last is not None and when > self.last:
            self.usual_duration = when - self.last
        if self.last is None or when >= self.last:
            self.last, self.last_duration = when, packet.duration or 0

    def facts(self, stream: Any) -> StreamFacts:
        """Raises RejectError when no packet has a time at all."""
        if self.first is None or self.last is None or self.tick is None:
            reason = RejectReason.NO_VIDEO if self.kind == "video" else RejectReason.NO_AUDIO
            if self.packets:
                reason = RejectReason.CORRUPT
            raise RejectError(reason, f"its {self.kind} stream has {self.packets} packets, none with a usable time")
        start = self.first
        if self.kind == "video" and self.first_key is not None:
            start = max(start, self.first_key)  # pictures before the first key frame do not decode
        skipped = Fraction(self.skipped, stream.codec_context.sample_rate or 1) if self.skipped else 0
        tail = Fraction(self.last_duration or self.usual_duration) * self.tick
        return StreamFacts(
            index=stream.index,
            start=start * self.tick + skipped,
            end=self.last * self.tick + min(tail, MAX_TAIL_S[self.kind]),
            packets=self.packets,
            timed=self.untimed == 0,
        )

    def early(self, path: Path, stream: Any) -> Fraction:
        """How much too early FFmpeg shows this stream, seconds.

        When an edit list of mp4 or mov begins between two pictures, FFmpeg shows the later one at once, and with it
        all others up to a picture's time too early. Its simple rule for edit lists tells the first packet's true time.
        """
        place, shown = self.head
        if not self.discarded or shown is None or self.tick is None:
            return Fraction(0)
        with open_media(path, advanced_editlist="0") as container:
            head: Any = next(container.demux(container.streams[stream.index]), None)
        if head is None or head.pts is None or head.pos != place:
            return Fraction(0)
        early = Fraction(head.pts - shown) * self.tick
        return early if 0 < early < MAX_TAIL_S[self.kind] else Fraction(0)


def _skipped(packet: "av.Packet[Any]") -> int:
    """Samples that the container says to leave out at the start of a packet."""
    if not packet.has_sidedata("skip_samples"):
        return 0
    return int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:4], "little")
