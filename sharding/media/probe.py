"""What a video file holds and when: one pass over its packets, nothing decoded.

Times are exact seconds on the file's own timeline: presentation time 0 is where a player starts, edit lists applied.
MPEG program and transport streams carry an arbitrary clock, so theirs starts at their first picture.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from statistics import median_low
from typing import Any

from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import PictureType

from sharding.containers.avi_index import check_chunks
from sharding.containers.choice import StreamWish, candidates, choose_audio, choose_video, described
from sharding.containers.container import ENDS, STORED_TIMES, BrokenFile, check_disk, decoding, demuxed, open_media
from sharding.containers.edits import IGNORED, EditList, edits_beyond_ffmpeg
from sharding.containers.fragments import late_by_ffmpeg
from sharding.containers.movie_header import check_sample_tables, first_movie_ends
from sharding.containers.ogg_pages import check_pages
from sharding.containers.packet_times import MAX_TAIL_S, PacketTimes, StreamFacts
from sharding.containers.restarts import lay_out, restarts
from sharding.containers.stretches import HOLE_S, Stretch
from sharding.containers.truncation import ObservedStream, missing_stretch
from sharding.errors import RejectError, RejectReason
from sharding.format.clip import ColorMatrix
from sharding.media.colors import is_tagged, matrix_of

CLOCKLESS = frozenset(("mpeg", "mpegts"))
MAX_PIXELS = 8192 * 8192
CONNECTED = CLOCKLESS | {"flv", "ogg", "asf"}
UNREAD_BYTES, UNREAD_SHARE = 2**15, Fraction(1, 20)
"""So much of a file behind the last packets of picture and sound is more than padding."""
DECODE_TIMES = frozenset(("avi", "asf"))
"""Containers that store no times of presentation."""
DELAYED = frozenset(("asf",))
"""Of these, where the first picture is shown when the decoder has all that it waits for. In AVI, which counts pictures
and has no times at all, it is shown at once.
"""
LATEST_START_S = 24 * 3600
"""What begins later than this after its own time 0 counts from somewhere else: 1970, the start of a capture."""
ANY_STREAM = StreamWish()
MOST_TRIED = 250
"""Pictures decoded to see whether one is shown after a later one; encoders use B-frames from the beginning."""
SPARSE = "mpeg", frozenset(("mpeg1video", "mpeg2video"))
"""A container that stores one time for several pictures, and codecs whose pictures say how long they stay."""
COUNTED: dict[str, Callable[[Path, Sequence[Any], Sequence[PacketTimes]], None]] = {
    "avi": check_chunks,
    "ogg": check_pages,
    "mov,mp4,m4a,3gp,3g2,mj2": check_sample_tables,
}
"""FFmpeg's demuxer -> who counts what its file should hold: there FFmpeg counts on where something is missing."""


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
    parts: tuple[tuple[Stretch, Stretch], ...]
    """When there is picture, and when sound, from presentation time 0 on; one more after each restart of the clock."""
    restarts: int = 0
    """How often the file's clock starts again."""
    edits: int = 0
    """Further edits of its edit lists, beyond one a stream."""
    choice: str = ""
    """Which streams were chosen among which; empty when there was no choice."""
    missing: Stretch | None = None
    """Where the file breaks off: from the last moment that surely decodes to where it should end."""

    @property
    def stream_offset_s(self) -> float:
        """When the first sound is heard, minus when the first picture is seen."""
        return float(self.audio.start - self.video.start)

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """When there is both picture and sound."""
        return self._both(Fraction(0))

    @property
    def shown(self) -> tuple[Stretch, ...]:
        """What is cut into clips, ascending: `stretches` without holes in the picture, nearly always one.

        What is missing is one more, so that it is counted as lost; what is there is cut as if it were all.
        """
        return self.shown_with(Fraction(0))

    def shown_with(self, late: Fraction) -> tuple[Stretch, ...]:
        """The same when the sound is moved earlier by `late` seconds: only sound that the file has counts."""
        missing = self.missing_with(late)
        both = (
            (max(start, first), min(end, last if missing is None else min(last, missing[0])))
            for first, last in self._both(late)
            for start, end in self.runs
        )
        there = tuple((start, end) for start, end in both if start < end)
        return there if missing is None else (*there, missing)

    def missing_with(self, late: Fraction) -> Stretch | None:
        """What is `missing` when the sound is moved earlier by `late` seconds: what is late is missed earlier."""
        return self.missing and (max(Fraction(0), self.missing[0] - max(Fraction(0), late)), self.missing[1])

    def _both(self, late: Fraction) -> tuple[Stretch, ...]:
        both = ((max(seen[0], heard[0] - late), min(seen[1], heard[1] - late)) for seen, heard in self.parts)
        return tuple((start, end) for start, end in both if start < end)


def probe(path: Path, wish: StreamWish = ANY_STREAM) -> Probe:
    """Read all packets of `path` once. Raises RejectError: unreadable, no_video, no_audio, corrupt; MemoryError."""
    try:
        with decoding(), open_media(path) as container:
            return _probed(path, container, wish)
    except RejectError as reject:
        if reject.reason is not RejectReason.UNREADABLE:
            check_disk(path, ENDS)  # what FFmpeg cannot read of the head, it takes for missing
        raise


def _probed(path: Path, container: InputContainer, wish: StreamWish) -> Probe:
    videos = candidates(container, "video", wish.video)
    audios = candidates(container, "audio", wish.audio)
    times = _packet_times(container, (*videos, *audios))
    video = choose_video(container, videos, times)
    audio = choose_audio(path, container, audios, video)
    if not 0 < video.width * video.height <= MAX_PIXELS:
        raise RejectError(RejectReason.CORRUPT, f"its picture is said to be {video.width}x{video.height}")
    times[audio.index].check_pace(audio)
    if container.format.name in COUNTED:
        COUNTED[container.format.name](path, (video, audio), (times[video.index], times[audio.index]))
    tag = int(video.codec_context.colorspace)
    matrix = matrix_of(tag, video.codec_context.format, video.height)
    choice = "; ".join(filter(None, (described(videos, video), described(audios, audio))))
    if "mov" in container.format.name.split(","):
        lists = edits_beyond_ffmpeg(path, (video.id, audio.id))
        if lists is not None:
            edited = _edited(path, (video.index, audio.index), lists, matrix)
            return replace(edited, tagged=is_tagged(tag, video.codec_context.name), choice=choice)
    clockless = not CLOCKLESS.isdisjoint(container.format.name.split(","))
    chosen = times[video.index], times[audio.index]
    if restarts(chosen[1]):  # FFmpeg has filled in times that are not stored, and may be wrong
        with open_media(path, **STORED_TIMES) as stored:
            streams = [stored.streams[one.index] for one in (*videos, *audios)]
            chosen = times[video.index], _packet_times(stored, streams)[audio.index]
    count = lay_out(*chosen)
    facts = [one.facts(stream) for one, stream in zip(chosen, (video, audio), strict=True)]
    own_clock = clockless or min(one.start for one in facts) > LATEST_START_S
    origin = facts[0].start if own_clock else Fraction(0)
    facts[0] = replace(facts[0], depth=_depth(path, video, chosen[0]), pace=chosen[0].pace)
    early = _early(path, video, chosen[0]) - _late(path, container, video) + _delay(container, video, chosen[0])
    reach = max(one.reach for one in chosen)
    reach = max(one.reach for one in times.values() if (one.head[0] or 0) < reach)
    end = _end_of_picture(chosen[0], *facts)
    observed = [
        ObservedStream(stream=stream, times=one, facts=its)
        for stream, one, its in zip((video, audio), chosen, facts, strict=True)
    ]
    return Probe(
        path=path,
        video=_shifted(
            replace(facts[0], end=end, timed_at=_timed_at(path, container, video, chosen[0])), origin - early
        ),
        audio=_shifted(facts[1], origin, hidden=not own_clock),
        runs=chosen[0].runs_until(end, origin - early),
        parts=_parts(audio, chosen, end, origin, early),
        matrix=matrix,
        tagged=is_tagged(tag, video.codec_context.name),
        seekable=not (clockless or count) and all(one.timed for one in facts) and container.format.name != "avi",
        missing=_missing(path, container, observed, end - origin, reach, whole=own_clock or count > 0),
        restarts=count,
        choice=choice,
    )


def _edited(path: Path, indexes: tuple[int, int], lists: tuple[EditList, ...], matrix: ColorMatrix) -> Probe:
    """A source whose edit lists FFmpeg cannot play: what is there by the media's own clocks, when it is played."""
    lists = tuple(_as_late_as_ffmpeg(path, edits) for edits in lists)
    with open_media(path, **IGNORED) as container:
        streams = [container.streams[index] for index in indexes]
        by_index = _packet_times(container, streams)
        times = [by_index[index] for index in indexes]
        times[1].skipped = 0  # samples that a tag of iTunes hides
        facts = [one.facts(stream) for one, stream in zip(times, streams, strict=True)]
        observed = [
            ObservedStream(stream=stream, times=one, facts=its)
            for stream, one, its in zip(streams, times, facts, strict=True)
        ]
        missing = missing_stretch(path, container, observed)
    played = [edits.until(its.end) for edits, its in zip(lists, facts, strict=True)]
    (start, end), heard = (edits.bounds(its.start, its.end) for edits, its in zip(played, facts, strict=True))
    video = replace(facts[0], start=start, end=end, edits=played[0].edits)
    return Probe(
        path=path,
        video=video,
        audio=replace(facts[1], start=heard[0], end=heard[1], edits=played[1].edits),
        matrix=matrix,
        tagged=False,
        seekable=all(one.timed for one in facts),
        runs=played[0].runs(times[0].runs_until(facts[0].end, Fraction(0))),
        parts=(((start, end), heard),),
        missing=None if missing is None else _unplayed(lists, missing),
        edits=sum(max(0, len(edits.edits) - 1) for edits in played),
    )


def _missing(
    path: Path, container: InputContainer, observed: Sequence[ObservedStream], end: Fraction, reach: int, *, whole: bool
) -> Stretch | None:
    """What a file should have and has not; `end` of its picture on the timeline.

    `whole`: its lengths are declared on another clock, if at all. What lies behind `reach`, the last packet of any
    stream that begins before it, may be a further recording that FFmpeg does not connect with them.
    """
    if not whole and (missing := missing_stretch(path, container, observed)) is not None:
        return missing
    size, names = path.stat().st_size, container.format.name.split(",")
    if "mov" in names:
        movie = first_movie_ends(path)
        return None if movie is None else (end, end * size / movie)
    if CONNECTED.isdisjoint(names):
        return None
    return (end, end * size / reach) if size - reach > max(UNREAD_BYTES, size * UNREAD_SHARE) else None


def _late(path: Path, container: InputContainer, video: Any) -> Fraction:
    """How much too late FFmpeg shows the picture of fragmented MP4, seconds."""
    late = late_by_ffmpeg(path, video.id) if "mov" in container.format.name.split(",") else None
    return Fraction(0) if late is None else late.seconds


def _delay(container: InputContainer, video: Any, times: PacketTimes) -> Fraction:
    """From a picture's time of decoding, in the order they are shown, to when it is shown; seconds."""
    if container.format.name not in DELAYED:
        return Fraction(0)
    steps = [part.usual for part in times.parts() if part is not None]
    return video.codec_context.reorder_depth * median_low(steps or [0]) * times.tick


def _depth(path: Path, video: Any, times: PacketTimes) -> int:
    """See StreamFacts; decoders wait for pictures that the stream may have, and need not."""
    if not times.by_decode_times or times.is_even or not video.codec_context.reorder_depth:
        return 0
    with open_media(path) as container:
        seen = False
        try:
            for frame in islice(container.decode(container.streams[video.index]), MOST_TRIED):
                if seen := frame.pict_type == PictureType.B:
                    break
        except MemoryError:
            raise
        except (FFmpegError, IndexError):
            pass  # damaged: what came before has told
        return video.codec_context.reorder_depth if seen else 0


def _as_late_as_ffmpeg(path: Path, edits: EditList) -> EditList:
    late = late_by_ffmpeg(path, edits.track_id)
    return edits if late is None else edits.moved(late.seconds)


def _unplayed(lists: tuple[EditList, ...], missing: Stretch) -> Stretch | None:
    """From the first moment that plays what is missing of the media to the last; None when none does."""
    shown = [stretch for edits in lists for stretch in edits.shows(*missing)]
    return (min(start for start, _ in shown), max(end for _, end in shown)) if shown else None


def _packet_times(container: InputContainer, streams: Sequence[Any]) -> dict[int, PacketTimes]:
    """Of all candidates, by index."""
    by_decode_times = container.format.name in DECODE_TIMES
    times = {
        one.index: PacketTimes(kind=one.type, tick=one.time_base, by_decode_times=by_decode_times) for one in streams
    }
    try:
        for number, packet in enumerate(demuxed(container, *streams)):
            if packet.size or packet.pts is not None or packet.dts is not None:
                times[packet.stream_index].add(number, packet)
    except BrokenFile:
        pass  # a damaged tail: what came before counts, and the length check decides
    return times


def _timed_at(path: Path, container: InputContainer, video: Any, filled: PacketTimes) -> frozenset[int] | None:
    """See StreamFacts. Raises RejectError, corrupt, when few pictures have a time, and those are no clock of theirs."""
    if container.format.name != SPARSE[0] or video.codec_context.name not in SPARSE[1]:
        return None
    with open_media(path, **STORED_TIMES) as stored:
        times = _packet_times(stored, [stored.streams[video.index]])[video.index]
    places = frozenset(byte for byte, _, _ in times.places())
    if times.keeps_pace_of(filled):
        return places
    if 2 * len(places) > times.packets:
        return None
    raise RejectError(
        RejectReason.CORRUPT,
        f"only {len(places)} of its {times.packets} pictures have a time, and between those they last otherwise:"
        " nobody knows when each is shown; encode it again from where it came from, or leave it out",
    )


def _parts(
    audio: Any, times: tuple[PacketTimes, PacketTimes], last: Fraction, origin: Fraction, early: Fraction
) -> tuple[tuple[Stretch, Stretch], ...]:
    """When each stream is there, between one restart and the next; `last`: when the picture ends."""
    found, parts = list[tuple[Stretch, Stretch]](), list(zip(*(one.parts() for one in times), strict=True))
    for number, (seen, heard) in enumerate(parts):
        if seen is None or heard is None:
            continue
        priming = 0 if number else times[1].priming(audio)
        over = last if number == len(parts) - 1 else seen.end("video", times[0].tick)
        picture = seen.start("video") * times[0].tick + early, over + early
        sound = heard.first * times[1].tick + priming, heard.end("audio", times[1].tick)
        found.append((_from(origin, picture), _from(origin, sound)))
    return tuple(found)


def _from(origin: Fraction, stretch: Stretch) -> Stretch:
    """On the source's timeline, from its time 0 on; what lies before that ends before it begins."""
    return max(stretch[0] - origin, Fraction(0)), stretch[1] - origin


def _end_of_picture(times: PacketTimes, video: StreamFacts, audio: StreamFacts) -> Fraction:
    """An encoder that writes nothing for a picture that stays does so at the end, too, where nothing follows."""
    repeats = times.packets - times.pictures
    return max(video.end, min(audio.end, video.end + HOLE_S)) if repeats else video.end


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
