"""What a video file holds and when: one pass over its packets, nothing decoded.

Times are exact seconds on the file's own timeline: presentation time 0 is where a player starts, edit lists applied.
MPEG program and transport streams carry an arbitrary clock, so theirs starts at their first picture.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.stream import Disposition

from sharding.errors import RejectError, RejectReason
from sharding.format.clip import ColorMatrix
from sharding.media.colors import is_tagged, matrix_of
from sharding.media.container import ENDS, BrokenFile, check_disk, decoding, demuxed, open_media
from sharding.media.packet_times import MAX_TAIL_S, PacketTimes, StreamFacts, Stretch
from sharding.media.truncation import ObservedStream, missing_stretch

CLOCKLESS = frozenset(("mpeg", "mpegts"))
MAX_PIXELS = 8192 * 8192


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """A readable source with picture and sound."""

    path: Path
    video: StreamFacts
    audio: StreamFacts
    matrix: ColorMatrix
    """That of the clips."""
    tagged: bool
    """The file names its matrix, and so may its pictures, each its own; else they follow its size."""
    seekable: bool
    """Seeking lands where it says."""
    runs: tuple[tuple[Fraction, Fraction], ...]
    """Times of the pictures, ascending, cut where none appears for longer than HOLE_S."""
    missing: Stretch | None = None
    """Where the file breaks off: from the last moment that surely decodes to where it should end."""

    @property
    def stream_offset_s(self) -> float:
        """When the first sound is heard, minus when the first picture is seen."""
        return float(self.audio.start - self.video.start)

    @property
    def overlap(self) -> tuple[Fraction, Fraction]:
        """When there is both picture and sound, from presentation time 0 on."""
        return max(self.video.start, self.audio.start, Fraction(0)), min(self.video.end, self.audio.end)

    @property
    def shown(self) -> tuple[Stretch, ...]:
        """What is cut into clips, ascending: `overlap` without holes in the picture, nearly always one stretch.

        What is missing is one more, so that it is counted as lost; what is there is cut as if it were all.
        """
        first, last = self.overlap
        last = last if self.missing is None else min(last, self.missing[0])
        stretches = ((max(start, first), min(end, last)) for start, end in self.runs)
        there = tuple((start, end) for start, end in stretches if start < end)
        return there if self.missing is None else (*there, self.missing)


def probe(path: Path) -> Probe:
    """Read all packets of `path` once. Raises RejectError: unreadable, no_video, no_audio, corrupt; MemoryError."""
    try:
        with decoding(), open_media(path) as container:
            return _probed(path, container)
    except RejectError as reject:
        if reject.reason is not RejectReason.UNREADABLE:
            check_disk(path, ENDS)  # what FFmpeg cannot read of the head, it takes for missing
        raise


def _probed(path: Path, container: InputContainer) -> Probe:
    video = _best(container, "video")
    if video is None:
        raise RejectError(RejectReason.NO_VIDEO, "it has no video stream that can be decoded")
    audio = _best(container, "audio")
    if audio is None:
        raise RejectError(RejectReason.NO_AUDIO, "it has no audio stream that can be decoded")
    if not 0 < video.width * video.height <= MAX_PIXELS:
        raise RejectError(RejectReason.CORRUPT, f"its picture is said to be {video.width}x{video.height}")
    tag = int(video.codec_context.colorspace)
    matrix = matrix_of(tag, video.codec_context.format, video.height)
    times = {stream.index: PacketTimes(kind=stream.type, tick=stream.time_base) for stream in (video, audio)}
    try:
        for packet in demuxed(container, video, audio):
            if packet.size:
                times[packet.stream_index].add(packet)
    except BrokenFile:
        pass  # a damaged tail: what came before counts, and the length check decides
    clockless = not CLOCKLESS.isdisjoint(container.format.name.split(","))
    facts = [times[stream.index].facts(stream) for stream in (video, audio)]
    observed = [
        ObservedStream(stream=one, times=times[one.index], facts=its)
        for one, its in zip((video, audio), facts, strict=True)
    ]
    origin = facts[0].start if clockless else Fraction(0)
    return Probe(
        path=path,
        video=_shifted(facts[0], origin - (early := _early(path, video, times[video.index]))),
        audio=_shifted(facts[1], origin, hidden=not clockless),
        runs=times[video.index].runs_until(facts[0].end, origin - early),
        matrix=matrix,
        tagged=is_tagged(tag, video.codec_context.name),
        seekable=not clockless and all(one.timed for one in facts) and container.format.name != "avi",
        missing=None if clockless else missing_stretch(path, container, observed),
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
    offset, shown = times.head
    if not times.discarded or shown is None:
        return Fraction(0)
    with open_media(path, advanced_editlist="0") as container:
        head: Any = _first(container, container.streams[stream.index])
        if head is None or head.pts is None or head.pos != offset:
            return Fraction(0)
    early = Fraction(head.pts - shown) * stream.time_base
    return early if 0 < early < MAX_TAIL_S["video"] else Fraction(0)


def _first(container: InputContainer, stream: Any) -> Any:
    try:
        return next(demuxed(container, stream), None)
    except BrokenFile:
        return None
