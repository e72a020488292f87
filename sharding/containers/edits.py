"""Edit lists of MP4, MOV: what of a track's media is played when (ISO/IEC 14496-12, 8.6.5 and 8.6.6; QuickTime too).

Media has a clock of its own, from 0 on. Edits, one after the other, say from which media time on it is played in the
movie, and for how long; an empty one plays nothing. So they cut, repeat and change order, picture and sound each by
their own list. What comes before the media time of the first, such as an encoder's priming, is not played.

Nearly all files have one edit, after nothing or a delay, and FFmpeg plays it right. It pastes longer lists together
from whole packets, and so moves sound against picture. Those are read and applied here; FFmpeg, opened with
IGNORED, then gives media times, leaves out nothing and seeks by them.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path

from sharding.containers.movie_boxes import MovieBox, MovieBoxes, after_dates, movie_boxes
from sharding.containers.stretches import Stretch, joined
from sharding.errors import RejectError, RejectReason

IGNORED = {"ignore_editlist": "1"}
"""Option of FFmpeg's demuxer."""
UNSKIPPED = {"flags2": "+skip_manual"}
"""Option of its decoders: a tag of iTunes has them skip samples, edit list or not."""
NEVER = 2**62
MOST_EDITS = 100_000
MOST_TIMES = 100
"""A list that plays longer than this many times its media would make days of clips from seconds."""
LARGEST_HEADER = 64 * 2**20
"""Bytes of a compressed movie header, packed or not."""
LONGEST_S = 7 * 24 * 3600
"""Of the movie; what plays later lies."""
JOIN_S = Fraction(2, 1000)
"""An edit that begins so near to where the one before ends was rounded to a tick of the movie: it goes on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """A stretch of the movie, and what is played there, all in seconds."""

    start: Fraction
    """When it begins in the movie."""
    duration: Fraction | None
    """None: until the media ends."""
    media: Fraction | None
    """From which media time on; None: nothing is played."""

    @property
    def stop(self) -> Fraction | None:
        """When it is over in the movie; None: when the media is."""
        return None if self.duration is None else self.start + self.duration

    @property
    def media_stop(self) -> Fraction | None:
        """Up to which media time it plays; None: to the end, or nothing."""
        return None if self.media is None or self.duration is None else self.media + self.duration

    def shows(self, begin: Fraction, end: Fraction) -> Stretch | None:
        """When the media from `begin` to `end` is played in the movie; None: not by this edit."""
        if self.media is None:
            return None
        first, last = max(begin, self.media), end if self.media_stop is None else min(end, self.media_stop)
        later = self.start - self.media
        return (first + later, last + later) if first < last else None

    def samples(self, rate: int) -> tuple[int, int]:
        """First and past the last of the movie's samples, at `rate` Hz, that it covers: the nearest to its bounds.

        Edits that follow each other have each sample once.
        """
        return round(self.start * rate), NEVER if self.stop is None else round(self.stop * rate)

    def later(self, rate: int) -> Fraction:
        """How much later than media time it plays, seconds, to the nearest sample of the media at `rate` Hz."""
        return Fraction(round((self.start - (self.media or 0)) * rate), rate)


@dataclass(frozen=True, kw_only=True, slots=True)
class EditList:
    """All edits of one track: the first begins at 0, each where the one before is over."""

    track_id: int
    edits: tuple[Edit, ...]

    def shows(self, begin: Fraction, end: Fraction) -> tuple[Stretch, ...]:
        """When the media from `begin` to `end` is played in the movie, seconds; ascending, as often as it is played."""
        shown = (edit.shows(begin, end) for edit in self.edits)
        return tuple(stretch for stretch in shown if stretch is not None)

    def bounds(self, begin: Fraction, end: Fraction) -> Stretch:
        """First and last moment in the movie at which media from `begin` to `end` is played.

        Raises RejectError, corrupt, when none of it is.
        """
        shown = self.shows(begin, end)
        if not shown:
            raise _corrupt("its edit list plays nothing of what is there")
        return shown[0][0], shown[-1][1]

    def runs(self, runs: Iterable[Stretch]) -> tuple[Stretch, ...]:
        """When `runs` of the media are played, ascending, cut where nothing is for longer than HOLE_S."""
        return tuple(joined(sorted(shown for run in runs for shown in self.shows(*run))))

    def moved(self, later: Fraction) -> "EditList":
        """The same for media times that are all `later`."""
        edits = (edit if edit.media is None else replace(edit, media=edit.media + later) for edit in self.edits)
        return replace(self, edits=tuple(edits))

    def until(self, end: Fraction) -> "EditList":
        """Nothing is played from media time `end` on, where the media ends. What follows in the movie stays there.

        Raises RejectError, corrupt, when even so it plays far longer than there is media, or too late.
        """
        edits = list[Edit]()
        for edit in self.edits:
            if edit.media is None:
                edits.append(edit)
                continue
            there = max(Fraction(0), end - edit.media)
            if edit.duration is None or there < edit.duration:
                edits.append(replace(edit, duration=there))
                if edit.stop is not None:
                    edits.append(Edit(start=edit.start + there, duration=edit.stop - edit.start - there, media=None))
            else:
                edits.append(edit)
        played = sum(edit.duration or 0 for edit in edits if edit.media is not None)
        if played > MOST_TIMES * max(end, 1):
            raise _corrupt(f"its edit list plays {float(end):.1f} s for {float(played):.0f} s")
        latest = max((edit.start for edit in edits if edit.media is not None and edit.duration), default=0)
        if latest > LONGEST_S:
            raise _corrupt(f"its edit list plays something after {float(latest) / 86400:.0f} days")
        return replace(self, edits=tuple(edit for edit in edits if edit.duration))


def edits_beyond_ffmpeg(path: Path, track_ids: Sequence[int]) -> tuple[EditList, ...] | None:
    """The edit lists of some tracks of an mp4 or mov; None where FFmpeg's handling is right for all of them.

    PyAV's `stream.id` is the track's. A track without a list plays from media time 0 on, at movie time 0.
    Raises RejectError: corrupt, when a list lies, or asks for another pace than the media's; unreadable.
    """
    with movie_boxes(path) as boxes:
        movie = _read_movie(boxes, frozenset(track_ids))
    tracks = [[track for track in movie.tracks if track.track_id == track_id] for track_id in track_ids]
    for same in tracks:
        for track in same:
            _check_pace(track)
    if all(_is_simple(track, movie) for same in tracks for track in same):
        return None
    return tuple(_edit_list(movie, number, same) for number, same in zip(track_ids, tracks, strict=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    """One edit as it is written."""

    duration: int
    """Ticks of the movie."""
    media: int
    """Ticks of the media; -1: nothing is played."""
    rate: int
    """Of 65536: the pace of the media. 0 holds one picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Track:
    track_id: int
    timescale: int
    """Ticks a second of its media."""
    entries: tuple[_Entry, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Movie:
    timescale: int
    """Ticks a second."""
    fragmented: bool
    tracks: tuple[_Track, ...]


def _corrupt(detail: str) -> RejectError:
    return RejectError(RejectReason.CORRUPT, detail)


def _check_pace(track: _Track) -> None:
    """Raises RejectError when an edit plays faster or slower than the media, backwards, or holds one picture."""
    for entry in track.entries:
        if entry.media != -1 and entry.rate != 65536:
            raise _corrupt(f"its edit list plays at rate {entry.rate / 65536:g}, and only 1 can be followed")


def _is_simple(track: _Track, movie: _Movie) -> bool:
    """At most one edit plays something, and it is the last but for some of no length: FFmpeg does that right.

    In fragmented files it knows of one empty edit before it only.
    """
    entries = list(track.entries)
    while len(entries) > 1 and not entries[-1].duration and not movie.fragmented:
        entries.pop()
    if movie.fragmented and len(entries) > 2:
        return False
    return all(entry.media == -1 for entry in entries[:-1])


def _edit_list(movie: _Movie, track_id: int, same: Sequence[_Track]) -> EditList:
    """Raises RejectError where a time has no unit."""
    if len(same) > 1:
        raise _corrupt(f"{len(same)} of its tracks have the number {track_id}: their edit lists cannot be told apart")
    if not same or not same[0].entries:
        return EditList(track_id=track_id, edits=(Edit(start=Fraction(0), duration=None, media=Fraction(0)),))
    (track,) = same
    if not movie.timescale or not track.timescale:
        raise _corrupt("its edit list cannot be read: the movie, or its media, has 0 ticks a second")
    edits, start, last = list[Edit](), 0, len(track.entries) - 1
    for number, entry in enumerate(track.entries):
        media = None if entry.media == -1 else Fraction(entry.media, track.timescale)
        duration = Fraction(entry.duration, movie.timescale)
        if not duration and movie.fragmented and number == last and media is not None:
            edits.append(Edit(start=Fraction(start, movie.timescale), duration=None, media=media))
        elif duration:
            edits.append(Edit(start=Fraction(start, movie.timescale), duration=duration, media=media))
        start += entry.duration
    return EditList(track_id=track_id, edits=tuple(_joined(edits, min(JOIN_S, Fraction(1, movie.timescale)))))


def _joined(edits: Iterable[Edit], tolerance: Fraction) -> list[Edit]:
    """Edits that go on where the one before ends become one with it."""
    joined = list[Edit]()
    for edit in edits:
        before = joined[-1] if joined else None
        if before is None or not _goes_on(before, edit, tolerance):
            joined.append(edit)
        else:
            joined[-1] = replace(before, duration=None if edit.stop is None else edit.stop - before.start)
    return joined


def _goes_on(before: Edit, edit: Edit, tolerance: Fraction) -> bool:
    if before.media is None or edit.media is None:
        return before.media is edit.media
    return abs(edit.media - before.media - (edit.start - before.start)) <= tolerance


def _read_movie(boxes: MovieBoxes, track_ids: frozenset[int]) -> _Movie:
    """What the movie header says of edits of some tracks; no tracks where there is none."""
    header = next(boxes.named(b"moov", boxes.all), None)
    packed = None if header is None else next(boxes.named(b"cmov", header), None)
    if packed is not None:
        boxes = _unpacked(boxes, packed)
        header = next(boxes.named(b"moov", boxes.all), None)
    timescale, fragmented, tracks = 0, False, list[_Track]()
    for box in () if header is None else boxes.inside(header):
        if box.kind == b"mvhd":
            timescale = after_dates(boxes.body(box, 24))
        elif box.kind == b"mvex":
            fragmented = True
        elif box.kind == b"trak":
            tracks += _read_track(boxes, box, track_ids)
    return _Movie(timescale=timescale, fragmented=fragmented, tracks=tuple(tracks))


def _read_track(boxes: MovieBoxes, track: MovieBox, track_ids: frozenset[int]) -> Iterator[_Track]:
    """The track, if it is one of these; what others say is not looked at."""
    track_id, timescale, body = 0, 0, bytes(8)
    for box in boxes.inside(track):
        if box.kind == b"tkhd":
            track_id = after_dates(boxes.body(box, 24))
        elif box.kind == b"mdia":
            timescale = next((after_dates(boxes.body(one, 24)) for one in boxes.named(b"mdhd", box)), 0)
        elif box.kind == b"edts":
            for one in boxes.named(b"elst", box):  # of several, FFmpeg takes the last, too
                body = boxes.body(one, 8 + (MOST_EDITS + 1) * 20)
    if track_id in track_ids:
        yield _Track(track_id=track_id, timescale=timescale, entries=_entries(body))


def _entries(body: bytes) -> tuple[_Entry, ...]:
    """Raises RejectError when a list is longer or shorter than it says, or than anyone makes it."""
    wide = 8 if body[:1] == b"\1" else 4
    count, room = int.from_bytes(body[4:8]), (len(body) - 8) // (2 * wide + 4)
    if room > MOST_EDITS:
        raise _corrupt(f"its edit list has more than {MOST_EDITS} edits")
    if len(body) < 8 or count != room:
        raise _corrupt(f"its edit list says that it has {count} edits, and holds {max(0, room)}")
    places = range(8, 8 + count * (2 * wide + 4), 2 * wide + 4)
    return tuple(
        _Entry(
            duration=int.from_bytes(body[place : place + wide]),
            media=int.from_bytes(body[place + wide : place + 2 * wide], signed=True),
            rate=int.from_bytes(body[place + 2 * wide : place + 2 * wide + 4], signed=True),
        )
        for place in places
    )


def _unpacked(boxes: MovieBoxes, packed: MovieBox) -> MovieBoxes:
    """The movie header that QuickTime has compressed (cmov). Raises RejectError when it is damaged."""
    data = next(boxes.named(b"cmvd", packed), None)
    unpacker = zlib.decompressobj()
    try:
        header = unpacker.decompress(boxes.body(data, LARGEST_HEADER)[4:] if data else b"", LARGEST_HEADER)
    except zlib.error as error:
        raise _corrupt("its compressed header cannot be read") from error
    if not unpacker.eof:
        raise _corrupt(f"its compressed header breaks off, or has more than {LARGEST_HEADER} bytes")
    return MovieBoxes(BytesIO(header))
