"""Why packing and the program may differ, and who is right: each reason with another reading that must agree with ours.

A reason is never believed for being named. It gives the times of the program's frames as they would be if it held, for
the most part by asking the program itself in another way; only differences that are gone by that are explained.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.opinion import program
from benchmarks.opinion.frames import NO_BYTE, NOTHING, NS, SOUND_NS, Apart, Column, Frame, Frames, Mask, aligned
from sharding.media.probe import Probe

MEDIA = ("-ignore_editlist", "1", "-flags2", "+skip_manual")
SIMPLE = ("-advanced_editlist", "0")
STORED = ("-fflags", "nofillin")
UNSKIPPED = ("-flags2", "+skip_manual")
MOVIES = ("mp4", "mov", "m4v", "m4a", "3gp", "3g2")
CLOCKLESS = ("ts", "mts", "m2ts", "mpg", "mpeg", "vob")
WITHIN = 200
"""Frames on either side, of which the median tells where they stand."""
JITTER_NS = 30_000_000
CHUNK = 4096
LAST = 2**62


@dataclass(slots=True)
class Case:
    """One file, as both see it."""

    path: Path
    source: Probe
    ours: dict[str, Frames]
    streams: dict[int, program.Stream]
    _asked: dict[tuple[str, ...], Frames] = field(default_factory=dict)

    def stream(self, kind: str) -> program.Stream:
        return self.streams[(self.source.video if kind == "video" else self.source.audio).index]

    def theirs(self, kind: str, *options: str) -> Frames:
        """What the program shows when it is asked so. Raises Unread."""
        key = (kind, *options)
        if key not in self._asked:
            self._asked[key] = program.frames(self.path, self.stream(kind), *options)
        return self._asked[key]

    def apart(self, kind: str, theirs: Frames | None = None) -> Apart:
        return Apart.of(self.ours[kind], self.theirs(kind) if theirs is None else theirs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why they differ."""

    name: str
    right: str
    """Who is."""
    why: str
    holds: Callable[[Case], bool]
    """May it be so, by what is known of the source?"""
    reading: Callable[[Case, str], Frames | None]
    """The program's frames of one kind as they are if it is so; None: as they were."""
    frames: Callable[[Frames], Mask] | None = None
    """Which of our frames it may explain; None: all."""
    most: int = LAST
    """Nanoseconds; what is further apart it does not explain."""


def of_video(options: tuple[str, ...]) -> Callable[[Case, str], Frames | None]:
    """The program, asked in another way about the pictures."""
    return lambda case, kind: case.theirs(kind, *options) if kind == "video" else None


def stored(case: Case, kind: str) -> Frames | None:
    """Presentation times as they are on the frames, where the program takes others for better."""
    theirs = case.theirs(kind)
    return theirs.at(np.where(theirs.stored == NOTHING, theirs.when, theirs.stored)) if kind == "video" else None


def between(case: Case, kind: str) -> Frames | None:
    """The same; those that we call strays halfway between their neighbours."""
    theirs, ours = stored(case, kind), case.ours[kind]
    if theirs is None or len(theirs) != len(ours):
        return None
    kept = np.flatnonzero(~ours.doubted)
    return theirs.at(np.interp(np.arange(len(ours)), kept, theirs.when[kept]).astype(np.int64))


def by_order(case: Case, kind: str) -> Frames | None:
    """The n-th picture shown at the n-th time of decoding."""
    theirs = case.theirs(kind)
    times = program.decode_times(case.path, case.stream(kind))
    return theirs.at(times) if kind == "video" and len(times) == len(theirs) else None


def by_end(*options: str) -> Callable[[Case, str], Frames | None]:
    """A frame of sound whose beginning was cut off ends where it did."""

    def reading(case: Case, kind: str) -> Frames | None:
        if kind == "video":
            return None
        theirs = case.theirs(kind, *options)
        mine, other = aligned(case.ours[kind], theirs)
        when = theirs.when.copy()
        when[other] += theirs.length[other] - case.ours[kind].length[mine]
        return theirs.at(when)

    return reading


def from_first(case: Case, kind: str) -> Frames | None:
    """Without sound that is over when ours begins."""
    theirs, constants = case.theirs(kind), case.apart(kind).constants
    if kind == "video" or not constants:
        return None
    begin = int(case.ours[kind].when[0]) - constants[min(constants)]
    heard = np.flatnonzero(theirs.when + theirs.length > begin + SOUND_NS)
    return Frames.of(kind, theirs.when[heard], theirs.byte[heard], theirs.length[heard])


def evenly(case: Case, kind: str) -> Frames | None:
    """Pictures that have no presentation time stand at the usual pace between or beside those that have one."""
    theirs, ours = case.theirs(kind), case.ours[kind]
    if kind == "audio" or len(theirs) != len(ours):
        return None
    when, told = theirs.when.copy(), theirs.stored != NOTHING
    for one in np.unique(ours.stretch):
        here = np.flatnonzero(ours.stretch == one)
        kept = here[told[here]]
        if len(kept) > 1:
            pace = int(np.median(np.diff(theirs.stored[kept]) // np.diff(kept)))
            late = theirs.stored[kept] - kept * pace
            when[here] = here * pace + np.interp(here, kept, late - late[0]).astype(np.int64) + late[0]
    return theirs.at(when)


def split(case: Case, kind: str) -> Frames | None:
    """Frames that nobody says the byte of follow the one before, from the same packet."""
    ours, apart = case.ours[kind], case.apart(kind)
    if kind == "video" or apart.only_theirs or not len(apart.mine) or apart.mine[0] != 0:
        return None
    when = np.zeros(len(ours), np.int64)
    when[apart.mine] = apart.theirs.when[apart.other]
    lost = np.setdiff1d(np.flatnonzero(ours.byte == NO_BYTE), apart.mine)
    for number in lost.tolist():
        when[number] = when[number - 1] + int(ours.length[number - 1])
    known = np.union1d(apart.mine, lost)
    return Frames.of(kind, when, ours.byte, ours.length) if len(known) == len(ours) else None


def counted(case: Case, kind: str) -> Frames | None:
    """Sound goes on from frame to frame, sample by sample; the times of many frames together say where it stands."""
    theirs, ours = case.theirs(kind), case.ours[kind]
    if kind == "video" or len(theirs) != len(ours):
        return None
    begins, told = np.concatenate([[0], np.cumsum(ours.length)[:-1]]), ~theirs.doubted
    if not told.any():
        return None
    late, when = theirs.when - begins, theirs.when.copy()
    for one in np.unique(ours.stretch):
        here = ours.stretch == one
        numbers = np.flatnonzero(here & told)
        if len(numbers):
            middle = _median(late[numbers])
            when[here] = (
                begins[here] + middle[np.clip(np.searchsorted(numbers, np.flatnonzero(here)), 0, len(middle) - 1)]
            )
    return theirs.at(when)


def as_stored(case: Case, kind: str) -> Frames | None:
    """Each frame without a time of its own in the file follows the one before, by what it holds."""
    theirs, ours = case.theirs(kind, *STORED), case.ours[kind]
    if kind == "video" or len(theirs) != len(ours):
        return None
    when = theirs.when.tolist()
    for number in np.flatnonzero(theirs.doubted[1:]) + 1:
        when[number] = when[number - 1] + int(ours.length[number - 1])
    return theirs.at(np.array(when, np.int64))


def edited(case: Case, kind: str) -> Frames | None:
    """Frames of the media, played one after the other as the list says."""
    media = case.theirs(kind, *MEDIA)
    facts = case.source.video if kind == "video" else case.source.audio
    following = np.append(media.when[1:], LAST)
    over = following if kind == "video" else media.when + media.length
    played = Frames(kind)
    for edit in facts.edits:
        if edit.media is None or edit.stop is None:
            continue
        first, stop = (round(one * NS) for one in (edit.media, edit.media + edit.stop - edit.start))
        later = round((edit.start - edit.media) * NS)
        for number in np.flatnonzero((over > first) & (media.when < stop)):
            when = max(int(media.when[number]), first) + later
            played.add(Frame(when, int(media.byte[number]), int(media.length[number])))
    return played


def _median(values: Column) -> Column:
    """(V,) of each with WITHIN more on either side."""
    width = min(WITHIN, max(1, len(values) // 2))
    windows: Any = np.lib.stride_tricks.sliding_window_view(np.pad(values, width, mode="reflect"), 2 * width + 1)
    parts = [np.median(windows[at : at + CHUNK] - values[0], axis=1) for at in range(0, len(windows), CHUNK)]
    return np.concatenate(parts).astype(np.int64) + values[0]


def _none(ours: Frames) -> Mask:
    return np.zeros(len(ours), bool)


def _first(ours: Frames) -> Mask:
    return np.arange(len(ours)) == 0


def _strays(ours: Frames) -> Mask:
    """What was not believed, and what follows it without a time of its own."""
    strays = ours.doubted.copy()
    for number in np.flatnonzero(ours.byte == NO_BYTE).tolist():
        strays[number] |= number > 0 and strays[number - 1]
    return strays


def _formats(*names: str) -> Callable[[Case], bool]:
    return lambda case: case.path.suffix.lower().lstrip(".") in names


REASONS = (
    Reason(
        name="edit list of several edits",
        right="pack",
        why="ffprobe pastes whole packets together; played by the list, its own media times are ours",
        holds=lambda case: bool(case.source.video.edits or case.source.audio.edits),
        reading=edited,
    ),
    Reason(
        name="edit list begins between two pictures",
        right="pack",
        why="ffprobe shows the later one at once and all others as much too early; with -advanced_editlist 0 it agrees",
        holds=_formats(*MOVIES),
        reading=of_video(SIMPLE),
    ),
    Reason(
        name="AVI stores no presentation times",
        right="pack",
        why="ffprobe keeps the decoder's delay; the n-th picture is shown at the n-th time",
        holds=lambda case: case.source.video.by_decode_times,
        reading=by_order,
    ),
    Reason(
        name="decode times taken for best",
        right="pack",
        why="after one odd time ffprobe's best_effort_timestamp follows decode times; its own pts are ours",
        holds=lambda case: not case.source.video.by_decode_times,
        reading=stored,
    ),
    Reason(
        name="picture without a time",
        right="pack",
        why="where a stretch of the clock ends, one has none, and ffprobe takes another one's; ours follows the pace",
        holds=_formats(*CLOCKLESS),
        reading=evenly,
    ),
    Reason(
        name="stray time of a picture",
        right="pack",
        why="decoders hand out pictures in the order they are shown; one out of order stands between others",
        holds=lambda case: bool(case.ours["video"].doubted.any()),
        reading=between,
        frames=lambda ours: ours.doubted,
    ),
    Reason(
        name="priming left out twice",
        right="pack",
        why="ffprobe 5.1 drops packets before time 0 and as many samples after it; with -flags2 +skip_manual it agrees",
        holds=_formats(*MOVIES),
        reading=by_end(*UNSKIPPED),
    ),
    Reason(
        name="priming shown",
        right="both",
        why="ffprobe 5.1 shows what an encoder needs to begin, FFmpeg 8.1 leaves it out; no other frame is concerned",
        holds=lambda case: True,
        reading=from_first,
        frames=_none,
    ),
    Reason(
        name="several frames in a packet",
        right="pack",
        why="ffprobe 5.1 decodes the first of them alone",
        holds=lambda case: True,
        reading=split,
    ),
    Reason(
        name="beginning of a frame cut off",
        right="both",
        why="ffprobe leaves out samples at its beginning, pack those before time 0; it ends at the same time",
        holds=lambda case: True,
        reading=by_end(),
    ),
    Reason(
        name="times filled in by the first rate",
        right="pack",
        why="few times are stored, and ffprobe fills in others by the rate that the sound had at first; "
        "with -fflags nofillin and by counting samples it agrees",
        holds=_formats(*CLOCKLESS),
        reading=as_stored,
    ),
    Reason(
        name="stray time of sound",
        right="pack",
        why="a time disagrees with those before and after it, and sound goes on sample by sample",
        holds=lambda case: bool(case.ours["audio"].doubted.any()),
        reading=counted,
        frames=_strays,
    ),
    Reason(
        name="first time of the sound alone is odd",
        right="pack, likely",
        why="all others follow sample by sample; phones write into the length of the first when the sound begins, "
        "and copies that were cut set its time to 0; one frame of sound is concerned",
        holds=lambda case: True,
        reading=counted,
        frames=_first,
    ),
    Reason(
        name="times of sound jitter",
        right="pack",
        why="they move to and fro by up to 30 ms while samples follow each other: counted from the median they agree",
        holds=lambda case: True,
        reading=counted,
        most=JITTER_NS,
    ),
)
