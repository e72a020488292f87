"""A copy of a file with its sound moved: nothing is coded again, every picture keeps its bytes.

The copy gets its name only when it has been read again and found to be right.
"""

from array import array
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, cast
from zlib import crc32

import av
from av.error import FFmpegError
from av.stream import Disposition

from avsync.score.result import Verdict
from sharding.base.files import check_output, publish, writing
from sharding.base.text import first_few, plain
from sharding.errors import InputError, RejectError
from sharding.media.probe import Probe, open_media, probe

FORMATS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".3gp": "3gp",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
    ".flv": "flv",
    ".ts": "mpegts",
    ".mts": "mpegts",
    ".m2ts": "mpegts",
    ".mpg": "mpeg",
    ".mpeg": "mpeg",
    ".ogv": "ogg",
    ".wmv": "asf",
}
"""Suffix -> what FFmpeg writes."""
INSTEAD = {".avi": ".mkv"}
"""Suffix -> that of the copy: AVI counts packets, and cannot store when a sound begins."""
EDIT_LISTS = frozenset((".mp4", ".m4v", ".mov", ".3gp"))
"""They can say that sound begins in the middle of a packet."""
FINE = Fraction(1, 90_000)
"""A tick that moves no sound audibly when a move is rounded to it."""
MOST_TICKS = 1_000_000
"""A second; more would let a long file overflow the 32 bits of some fields."""
SLACK_S = Fraction(3, 1000)
"""How far the move may miss: Matroska counts whole milliseconds, and so each of two streams is up to one off."""


WHY_NOT: dict[Verdict, str] = {
    "in sync": "it is in sync already",
    "can't tell": "it can't be told how far to move the sound",
    "changes": "one move cannot mend an offset that changes; cut the file where it does, and fix the pieces",
}
"""Verdict -> why there is nothing to mend, or no knowing how."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fixed:
    """What was written."""

    path: Path
    offset_ms: int
    """So much earlier its sound is than the video's."""
    left_out: tuple[str, ...]
    """Streams that the copy does not have, in words."""

    @property
    def text(self) -> str:
        """What was done."""
        without = f", without its {first_few(self.left_out)}" if self.left_out else ""
        way = "earlier" if self.offset_ms > 0 else "later"
        return f"Fixed copy, its sound {abs(self.offset_ms)} ms {way}{without}: {plain(str(self.path))}"


def fixed_path(video: Path, wanted: str) -> Path:
    """Where the copy goes. Raises InputError when it cannot."""
    suffix = INSTEAD.get(video.suffix.lower(), video.suffix)
    copy = Path(wanted) if wanted else video.with_name(f"{video.stem}.fixed{suffix}")
    check_output(copy, "--fix-to", FORMATS, never={"the video": video}, new=True)
    return copy


def fix(video: Path, copy: Path, offset_ms: int) -> Fixed:
    """Copy `video` to `copy` with its sound `offset_ms` earlier. Raises InputError, RejectError."""
    source, move, suffix = probe(video), Fraction(-offset_ms, 1000), copy.suffix.lower()
    with writing(copy, "--fix-to"):
        try:
            with publish(copy) as file:
                left_out = _copy(source, file, suffix, move)
                file.flush()
                _check(video, copy.with_name(file.name), move, same_kind=suffix == video.suffix.lower())
        except FFmpegError as error:
            raise InputError(
                f"{copy} cannot be written without coding anew: {error.strerror or error}; try --fix-to NAME.mkv"
            ) from error
    return Fixed(path=copy, offset_ms=offset_ms, left_out=left_out)


def _copy(source: Probe, file: BinaryIO, suffix: str, move: Fraction) -> tuple[str, ...]:
    """Every packet, in the order of the file; returns what the copy leaves out."""
    left_out = list[str]()
    options = {"movie_timescale": str(_scale(source))} if suffix in EDIT_LISTS else {}
    with open_media(source.path) as old, av.open(file, "w", format=FORMATS[suffix], options=options) as new:
        streams = dict[int, Any]()
        for stream in old.streams:
            if (made := _made(new, stream)) is None:
                left_out.append(f"{stream.type} stream {stream.index}")
            else:
                streams[stream.index] = made
        if not {source.video.index, source.audio.index} <= streams.keys():
            raise InputError(f"{suffix} takes not both picture and sound of {source.path}; try --fix-to NAME.mkv")
        new.metadata.update(old.metadata)
        with suppress(FFmpegError, ValueError, NotImplementedError):  # many containers have no chapters
            new.set_chapters(old.chapters())
        edit = _mover(move, source.video.origin, cuts_packets=suffix in EDIT_LISTS)
        for packet in old.demux(*(old.streams[index] for index in streams)):
            if packet.size and edit(packet):
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    return tuple(left_out)


def _scale(source: Probe) -> int:
    """Ticks a second of an edit list, in which sound is moved: as fine as the sound's own."""
    with open_media(source.path) as container:
        tick = container.streams[source.audio.index].time_base or FINE
    return tick.denominator if tick.denominator < MOST_TICKS else FINE.denominator


def _made(new: Any, stream: Any) -> Any:
    """The copy's stream; None where containers are known to refuse it."""
    if stream.type not in ("video", "audio", "subtitle") or stream.disposition & Disposition.attached_pic:
        return None
    try:
        made = new.add_stream_from_template(stream, opaque=True)
    except (FFmpegError, ValueError):
        return None
    made.metadata.update(stream.metadata)
    made.disposition = stream.disposition
    return made


def _mover(move: Fraction, begin: Fraction, *, cuts_packets: bool) -> Callable[[Any], bool]:
    """Moves packets of sound; False for those that are over before `begin`, where players start.

    Nor can a packet begin before that, unless the container `cuts_packets`: all else would be moved to make room.
    """

    def edit(packet: Any) -> bool:
        if packet.stream.type != "audio":
            return True
        old = packet.time_base
        tick = min(old, FINE)  # MP3 in AVI counts in packets of 26 ms
        moved = [when if when is None else round((when * old + move) / tick) for when in (packet.pts, packet.dts)]
        duration = round((packet.duration or 0) * old / tick)
        packet.time_base, packet.duration = tick, duration
        packet.pts, packet.dts = moved
        when = packet.pts if packet.pts is not None else packet.dts
        if when is None or move > 0:
            return True
        return (when + duration) * tick > begin and (cuts_packets or when * tick >= begin)

    return edit


@dataclass(kw_only=True, slots=True)
class _Prints:
    """The packets of one stream: what they hold, and when."""

    tick: Fraction
    marks: "array[int]"
    times: "array[int]"

    def moved_from(self, older: "_Prints", skipped: int) -> tuple[Fraction, Fraction]:
        """Least and most by which packets are later than those of `older` after its first `skipped`, seconds."""
        moves = [new * self.tick - old * older.tick for new, old in zip(self.times, older.times[skipped:], strict=True)]
        return min(moves), max(moves)


def _prints(path: Path) -> tuple[_Prints, _Prints]:
    """Of the picture and of the sound that a player takes."""
    source = probe(path)
    with open_media(path) as container:
        picked = [container.streams[facts.index] for facts in (source.video, source.audio)]
        prints = {
            stream.index: _Prints(tick=cast(Fraction, stream.time_base), marks=array("Q"), times=array("q"))
            for stream in picked
        }
        for packet in container.demux(*picked):
            if packet.size:
                one = prints[packet.stream_index]
                one.marks.append(crc32(bytes(packet)))
                one.times.append(cast(int, packet.pts if packet.pts is not None else packet.dts))
    return prints[source.video.index], prints[source.audio.index]


def _check(old: Path, new: Path, move: Fraction, *, same_kind: bool) -> None:
    """Raises InputError when the copy is not what it should be."""
    try:
        (old_video, old_audio), (video, audio) = _prints(old), _prints(new)
    except RejectError as error:
        raise InputError(_failed("the copy cannot be read again")) from error
    if len(video.marks) != len(old_video.marks) or (same_kind and video.marks != old_video.marks):
        raise InputError(_failed("not every picture arrived in the copy as it was"))
    skipped = len(old_audio.marks) - len(audio.marks)
    if skipped < 0 or (same_kind and audio.marks != old_audio.marks[skipped:]):
        raise InputError(_failed("not all of the sound arrived in the copy as it was"))
    (low, high), (first, last) = video.moved_from(old_video, 0), audio.moved_from(old_audio, skipped)
    if first - high < move - SLACK_S or last - low > move + SLACK_S:
        got = ", ".join(str(round(float(one) * 1000)) for one in (first - high, last - low))
        raise InputError(_failed(f"its sound moved by {got} ms, not by {round(float(move) * 1000)}"))


def _failed(fact: str) -> str:
    return f"the fixed copy was thrown away: {fact}; another container may do it, try --fix-to NAME.mkv"
