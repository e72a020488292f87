"""A source looked at and cut: which of its frames become clips, which part of the picture each shows, in which parts.

A source is cut by a pure function of its usable time; where boxes are wanted, of that of each track. Two tracks that
are there at once give clips of the same time, each in a pass of its own over the file.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise
from math import ceil
from typing import TypeVar

from sharding.base.text import as_written
from sharding.config import PackConfig
from sharding.containers.choice import StreamWish
from sharding.containers.stretches import Stretch
from sharding.errors import RejectError, RejectReason
from sharding.faces.steady import find_faces
from sharding.format.clip import KEY_DIGITS
from sharding.format.crop import BoxPath, Size, Where
from sharding.media.probe import Probe, probe
from sharding.media.video import upright_size
from sharding.sources.source import Source

PART_CLIPS = 12
"""Longer sources are packed by several processes; entering by seeking costs a few percent of so many clips."""
SHORT_PIECE = Fraction(3, 5)
"""A pair needs its window and room for the shift, 6 s of 10 by default: one long clip serves, two short ones do not."""
LAST_FRAME = 10**KEY_DIGITS - 1
"""That a key of a clip can name."""
NO_SIZE: Size = (Fraction(0), Fraction(0))
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """What becomes one clip."""

    frames: range
    path: BoxPath | None = None
    """The part of the picture that it shows; None: all of it."""
    picture: Size = NO_SIZE
    """That the path is measured on."""

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def where(self) -> Where | None:
        return None if self.path is None else partial(self.path.region, picture=self.picture)


@dataclass(frozen=True, kw_only=True, slots=True)
class PartCut:
    """What a part is to hold."""

    found: Probe
    pieces: tuple[ClipPlan, ...]
    of: int = 1
    """Parts of its source."""
    tracks: tuple[BoxPath, ...] = ()
    """Of the whole source; in its first part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceSurvey:
    """A source looked at and cut."""

    found: Probe
    parts: tuple[tuple[ClipPlan, ...], ...]
    tracks: tuple[BoxPath, ...] = ()
    """The boxes that its clips were cut by."""

    def part(self, number: int) -> PartCut:
        """One of its parts."""
        tracks = self.tracks if number == 0 else ()
        return PartCut(found=self.found, pieces=self.parts[number], of=len(self.parts), tracks=tracks)


Finder = Callable[[Probe, Sequence[Stretch]], tuple[BoxPath, ...]]
"""Finds the faces in stretches of a source."""


def survey(source: Source, config: PackConfig, finder: Finder = find_faces) -> SourceSurvey:
    """Look at a source and cut it. Raises RejectError; InputError where faces are wanted and there is no detector."""
    if source.absent:
        raise RejectError(RejectReason.UNREADABLE, source.absent)
    found = probe(source.path, StreamWish(video=source.video_stream, audio=source.audio_stream))
    late = Fraction(source.sound_late(config.clock), config.sample_rate)
    stretches, missing = wanted_of(source, found, late), found.missing_with(late)
    if source.crops is None and not config.finds_faces:
        return _in_parts(found, [ClipPlan(piece) for piece in cut(stretches, config)])
    there = [stretch for stretch in stretches if stretch != missing]
    if not there:
        raise _too_short("picture and sound overlap", there, config)
    tracks, picture = tracks_of(source, found, there, config, finder)
    pieces = _along(tracks, picture, there, config)
    if missing in stretches:  # nothing can be found there, but it is counted as lost
        pieces += [ClipPlan(piece) for piece in _equal(missing, config)]
    pieces = _spread(_apart(pieces), config.max_clips_per_source)
    return _in_parts(found, pieces, tracks)


def tracks_of(
    source: Source, found: Probe, stretches: Sequence[Stretch], config: PackConfig, finder: Finder
) -> tuple[tuple[BoxPath, ...], Size]:
    """The boxes to cut by, and the size of the picture that they are measured on. Raises RejectError."""
    if source.crop_fault:
        raise RejectError(RejectReason.BAD_BOX, source.crop_fault)
    picture = upright_size(found)
    if picture is None:
        raise RejectError(RejectReason.CORRUPT, "none of its pictures decodes")
    if source.crops is not None:
        for path in source.crops:
            _check_box(path, picture)
        return source.crops, picture
    faces = source.own_numbers(finder(found, stretches))
    large = tuple(path for path in faces if path.width >= config.min_crop)
    if not large:
        widest = max((float(path.width) for path in faces), default=0.0)
        small = f"the largest mouth's box is {widest:.0f} pixels wide, --min-crop wants {config.min_crop}"
        raise RejectError(RejectReason.NO_FACE, small if faces else "no face is seen in it for a second or more")
    return large, picture


def _check_box(path: BoxPath, picture: Size) -> None:
    """Raises RejectError for a box that does not fit into the picture, or has its middle outside of it."""
    size, whole = (" x ".join(map(as_written, sides)) for sides in ((path.width, path.height), picture))
    if path.width > picture[0] or path.height > picture[1]:
        raise RejectError(
            RejectReason.BAD_BOX, f"track {path.track}: a box of {size} is larger than its picture, {whole}"
        )
    for knot in path.knots:
        if not (0 <= knot.x + path.width / 2 <= picture[0] and 0 <= knot.y + path.height / 2 <= picture[1]):
            raise RejectError(
                RejectReason.BAD_BOX,
                f"track {path.track} at {as_written(knot.time)} s: a box of {size} at {as_written(knot.x)}, "
                f"{as_written(knot.y)} has its middle outside of its picture, {whole}",
            )


def _along(
    tracks: Sequence[BoxPath], picture: Size, stretches: Sequence[Stretch], config: PackConfig
) -> list[ClipPlan]:
    """Each track cut as if it were a source. Raises RejectError when none is long enough."""
    lasting = {path.track: _inside(path, stretches) for path in tracks}
    pieces = [
        ClipPlan(piece, path, picture)
        for path in tracks
        for stretch in lasting[path.track]
        for piece in _equal(stretch, config)
    ]
    if not pieces:
        seen = [stretch for one in lasting.values() for stretch in one]
        raise _too_short("its longest track is there with picture and sound", seen, config)
    _check_frames([piece.frames for piece in sorted(pieces, key=lambda piece: piece.frames.stop)], stretches)
    return pieces


def _inside(path: BoxPath, stretches: Sequence[Stretch]) -> list[Stretch]:
    """When it is there while there is picture and sound."""
    if path.stretch is None:
        return list(stretches)
    first, last = path.stretch
    both = ((max(first, start), min(last, end)) for start, end in stretches)
    return [(start, end) for start, end in both if start < end]


def _apart(pieces: Sequence[ClipPlan]) -> list[ClipPlan]:
    """In the order they begin, no two at the same frame, for a clip is named by its first: the later track waits."""
    taken, apart = set[int](), list[ClipPlan]()
    for piece in sorted(pieces, key=lambda piece: (piece.frames.start, piece.path.track if piece.path else 0)):
        start = piece.frames.start
        while start in taken:
            start += 1
        if piece.frames.stop - start < 2:
            continue  # so many at once are no faces
        taken.add(start)
        apart.append(ClipPlan(range(start, piece.frames.stop), piece.path, piece.picture))
    return apart


def _in_parts(found: Probe, pieces: Sequence[ClipPlan], tracks: tuple[BoxPath, ...] = ()) -> SourceSurvey:
    """What is there at once goes into different passes over the file, and a long pass into several parts."""
    passes = _passes(pieces)
    if not found.seekable:
        return SourceSurvey(found=found, parts=(tuple(piece for one in passes for piece in one),), tracks=tracks)
    parts = list[tuple[ClipPlan, ...]]()
    for one in passes:
        count = -(-len(one) // PART_CLIPS)
        edges = [number * len(one) // count for number in range(count + 1)]
        parts += [tuple(one[first:stop]) for first, stop in pairwise(edges)]
    return SourceSurvey(found=found, parts=tuple(parts), tracks=tracks)


def _passes(pieces: Sequence[ClipPlan]) -> list[list[ClipPlan]]:
    """As few ascending runs as can be, none with two pieces that overlap. pieces: in the order they begin."""
    passes = list[list[ClipPlan]]()
    for piece in pieces:
        free = (one for one in passes if one[-1].frames.stop <= piece.frames.start)
        one = next(free, None)
        if one is None:
            passes.append(one := [])
        one.append(piece)
    return passes


def runs(pieces: Sequence[ClipPlan]) -> Iterator[list[ClipPlan]]:
    """The passes that pieces of one part need, one after the other."""
    run = list[ClipPlan]()
    for piece in pieces:
        if run and piece.frames.start < run[-1].frames.stop:
            yield run
            run = []
        run.append(piece)
    if run:
        yield run


def wanted_of(source: Source, found: Probe, late: Fraction = Fraction(0)) -> list[Stretch]:
    """When there is picture, and sound moved earlier by `late` seconds, inside the part a CSV row asks for."""
    shown = found.shown_with(late)
    if source.span is None:
        return list(shown)
    first, last = source.span
    stretches = ((max(start, first), end if last is None else min(end, last)) for start, end in shown)
    return [(start, end) for start, end in stretches if start < end]


def cut(stretches: Sequence[Stretch], config: PackConfig) -> list[range]:
    """The clips of a source with picture and sound in `stretches` (ascending, apart), as ranges of frame numbers.

    Each stretch gives the fewest equal pieces of at most `clip_s` (they differ by a frame at most); if
    these were shorter than `min_clip_s` or SHORT_PIECE of `clip_s`, it gives as many of `clip_s` as fit.
    Raises RejectError when none fits.
    """
    pieces = [piece for stretch in stretches for piece in _equal(stretch, config)]
    if not pieces:
        raise _too_short("picture and sound overlap", stretches, config)
    _check_frames(pieces, stretches)
    return _spread(pieces, config.max_clips_per_source)


def _too_short(what: str, stretches: Sequence[Stretch], config: PackConfig) -> RejectError:
    longest = max((end - start for start, end in stretches), default=Fraction(0))
    return RejectError(
        RejectReason.TOO_SHORT,
        f"{what} for {max(0.0, float(longest)):.2f} s; trimmed by {config.trim_s} s "
        f"at both ends they give less than a clip of {config.min_clip_s} s",
    )


def _check_frames(pieces: Sequence[range], stretches: Sequence[Stretch]) -> None:
    if pieces[-1].stop > LAST_FRAME:
        raise RejectError(
            RejectReason.CORRUPT,
            f"its clock runs to {float(stretches[-1][1]):,.0f} s, frame {pieces[-1].stop:,}; a key holds "
            f"{LAST_FRAME:,}: cut it, or pack it at a lower --fps",
        )


def _equal(stretch: Stretch, config: PackConfig) -> list[range]:
    fps = config.clock.fps
    first, stop = ceil((stretch[0] + config.trim) * fps), int((stretch[1] - config.trim) * fps)
    total = stop - first
    if total < config.min_clip_frames:
        return []
    count = ceil(total / config.clip_frames)
    if count > 1 and total // count < max(config.min_clip_frames, SHORT_PIECE * config.clip_frames):
        count = total // config.clip_frames
        total = count * config.clip_frames
    edges = [first + number * total // count for number in range(count + 1)]
    return [range(start, end) for start, end in pairwise(edges)]


def _spread(pieces: list[T], most: int | None) -> list[T]:
    if most is None or len(pieces) <= most:
        return pieces
    return [pieces[(2 * number + 1) * len(pieces) // (2 * most)] for number in range(most)]
