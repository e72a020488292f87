"""A source's pictures and sound, piece by piece, on one exact clock; each stream is decoded once, in bounded memory.

`read_spans` serves packing (many clips of one source in order), `decode_span` whoever wants one stretch of a file:

    spec = OutputSpec(clock=clock, width=224, height=224, channels=1)
    span = decode_span(probe(path), first_frame=300, frames=120, spec=spec)
    span.yuv, span.audio      # picture k appears when sample clock.sample_at(k) is heard

Frame 0 is presentation time 0. The two timelines open the file separately: bad interleaving costs no memory.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

import numpy as np
from numpy.typing import NDArray

from sharding.containers.container import decoding
from sharding.containers.stretches import HOLE_S
from sharding.errors import RejectError, RejectReason
from sharding.format.clip import Clock, ColorMatrix, Fit, Repairs
from sharding.format.crop import Taken, Where
from sharding.media.audio import AudioTimeline, Sound
from sharding.media.probe import Probe
from sharding.media.stream import SEEK_FROM_S
from sharding.media.video import Pictures, VideoTimeline

MAX_ERROR_SHARE = Fraction(1, 10)
"""Of a stretch's packets; when the decoder refuses more, the stretch is damaged."""
MOST_STRAYS = 2
"""Pictures with a wrong time in a stretch; or MAX_ERROR_SHARE of all."""
MAX_STILL_S = 1
"""When the decoder refused a packet, and one picture stays for so long, pictures are missing there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputSpec:
    """What decoded spans look like."""

    clock: Clock
    width: int
    height: int
    channels: int
    fit: Fit = "squash"
    sound_late: int = 0
    """Samples by which the sound is late in the source; it is moved earlier by as many."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Span:
    """Decoded frames first_frame ... first_frame + T - 1 of a source, and the sound heard with them."""

    first_frame: int
    yuv: NDArray[np.uint8]
    """(T, H*3/2, W) I420, limited range."""
    audio: NDArray[np.int16]
    """(S, C), S = clock.sample_at(T)"""
    matrix: ColorMatrix
    repairs: Repairs
    taken: tuple[Taken, ...] = ()
    """The part of the source's picture that each frame shows."""
    changes: int = 0
    """Times the rate or layout of the sound changes."""
    strays: int = 0
    """Pictures and frames of sound whose own timestamp could not be believed."""
    damage: str = ""
    """Why this stretch must not be used: the source is damaged there. Empty when it is fine."""


def read_spans(
    source: Probe, pieces: Sequence[range], spec: OutputSpec, where: Sequence[Where | None] = ()
) -> Iterator[Span]:
    """Decode `pieces`, ascending ranges of frame numbers that do not overlap, in one pass over each stream.

    where: for each piece the part of the picture that is wanted; nothing for all of it.

    Outside the streams the first and last pictures stay, and there is silence (counted in repairs).
    A damaged stretch is noted in its span's `damage`, and the next one is read. So is one that reaches to where a file
    breaks off; nothing is decoded for it. Raises RejectError: unreadable, corrupt; MemoryError.
    """
    there = [piece for piece in pieces if not _missing(source, piece, spec)]
    if there:
        yield from _decoded(source, there, spec, where or (None,) * len(pieces))
    for piece in pieces[len(there) :]:
        yield _nothing(source, piece, spec)


def _decoded(source: Probe, pieces: Sequence[range], spec: OutputSpec, where: Sequence[Where | None]) -> Iterator[Span]:
    clock, first = spec.clock, pieces[0].start
    with (
        decoding(),
        closing(_timeline(source, spec, first)) as video,
        closing(_SpanSound(source, spec)) as audio,
    ):
        for piece, part in zip(pieces, where, strict=False):  # `pieces` are those that are there
            pictures = video.read(piece.start, len(piece), part)
            sound = audio.read(clock.sample_at(piece.start) + spec.sound_late, clock.sample_at(len(piece)))
            yield Span(
                first_frame=piece.start,
                yuv=pictures.yuv,
                audio=sound.audio,
                matrix=source.matrix,
                repairs=_repairs(pictures, sound),
                taken=pictures.taken,
                damage=_damage(pictures, sound, clock),
                changes=sound.changes,
                strays=pictures.strays + sound.strays,
            )


def read_views(
    source: Probe, pieces: Sequence[range], spec: OutputSpec, parts: Sequence[Sequence[Where | None]]
) -> Generator[tuple[NDArray[np.uint8], ...]]:
    """The pictures alone of `pieces`, (T, H*3/2, W), for each piece of all the parts of the picture that it names.

    Pieces ascend and do not overlap; a long way to the next one is sought. As `read_spans` in all else.
    """
    video: VideoTimeline | None = None
    reached = 0
    with decoding():
        try:
            for piece, wanted in zip(pieces, parts, strict=True):
                if _missing(source, piece, spec):
                    yield tuple(np.zeros((len(piece), spec.height * 3 // 2, spec.width), np.uint8) for _ in wanted)
                    continue
                if video is not None and piece.start - reached > SEEK_FROM_S * spec.clock.fps:
                    video.close()
                    video = None
                video = video or _timeline(source, spec, piece.start)
                yield video.views(piece.start, len(piece), wanted)
                reached = piece.stop
        finally:
            if video is not None:
                video.close()


def read_sound(source: Probe, pieces: Sequence[range], spec: OutputSpec) -> Generator[NDArray[np.int16]]:
    """The sound alone of `pieces`, (S, C): from each one's first frame for as long as its frames last."""
    clock = spec.clock
    with decoding(), closing(_SpanSound(source, spec)) as audio:
        for piece in pieces:
            samples = clock.sample_at(len(piece))
            if _missing(source, piece, spec):
                yield np.zeros((samples, spec.channels), np.int16)
            else:
                yield audio.read(clock.sample_at(piece.start) + spec.sound_late, samples).audio


def _timeline(source: Probe, spec: OutputSpec, first: int) -> VideoTimeline:
    return VideoTimeline(
        source, fps=spec.clock.fps, width=spec.width, height=spec.height, fit=spec.fit, first_slot=first
    )


class _SpanSound:
    """The sound of ascending stretches; where channels cancel each other when mixed to one, the louder of two."""

    def __init__(self, source: Probe, spec: OutputSpec) -> None:
        self._source, self._spec = source, spec
        self._mixed: AudioTimeline | None = None
        self._apart: AudioTimeline | None = None

    def close(self) -> None:
        for timeline in (self._mixed, self._apart):
            if timeline is not None:
                timeline.close()

    def read(self, first: int, count: int) -> Sound:
        """Samples first ... first + count - 1."""
        self._mixed = self._mixed or self._opened(self._spec.channels, first)
        sound = self._mixed.read(first, count)
        if not sound.cancels:
            return sound
        self._apart = self._apart or self._opened(2, first)
        both = self._apart.read(first, count).audio
        left, right = np.square(both.astype(np.float64)).sum(axis=0)
        return replace(sound, audio=np.ascontiguousarray(both[:, 1:] if right > 2 * left else both[:, :1]))

    def _opened(self, channels: int, first: int) -> AudioTimeline:
        rate = self._spec.clock.sample_rate
        return AudioTimeline(self._source, sample_rate=rate, channels=channels, first_sample=first)


def _missing(source: Probe, piece: range, spec: OutputSpec) -> bool:
    """The file breaks off, and `piece` begins behind that, or reaches beyond all that is there."""
    clock = spec.clock
    missing = source.missing_with(Fraction(spec.sound_late, clock.sample_rate))
    if missing is None:
        return False
    last = max(source.video.end, source.audio.end)
    return piece.start >= missing[0] * clock.fps or piece.stop > ceil(last * clock.fps)


def _nothing(source: Probe, piece: range, spec: OutputSpec) -> Span:
    assert source.missing is not None
    return Span(
        first_frame=piece.start,
        yuv=np.zeros((len(piece), spec.height * 3 // 2, spec.width), np.uint8),
        audio=np.zeros((spec.clock.sample_at(len(piece)), spec.channels), np.int16),
        matrix=source.matrix,
        repairs=Repairs(),
        damage="the file ends at {:.1f} s of {:.1f} s".format(*map(float, source.missing)),
    )


def decode_span(source: Probe, *, first_frame: int, frames: int, spec: OutputSpec) -> Span:
    """Decode one stretch of a source; long files are entered by seeking. Raises RejectError, if it is damaged too."""
    span = next(read_spans(source, [range(first_frame, first_frame + frames)], spec))
    if span.damage:
        raise RejectError(RejectReason.CORRUPT, span.damage)
    return span


def _repairs(pictures: Pictures, sound: Sound) -> Repairs:
    return Repairs(
        frames_repeated=pictures.repeated,
        frames_dropped=pictures.dropped,
        longest_still=pictures.longest_still,
        silence_samples=sound.silence_samples,
        samples_dropped=sound.samples_dropped,
        audio_breaks=sound.breaks,
        decode_errors=pictures.packets.refused + sound.packets.refused,
    )


def _damage(pictures: Pictures, sound: Sound, clock: Clock) -> str:
    """Why these must not become a clip; empty when they may."""
    if not pictures.longest_still:
        return "none of its pictures decodes"
    for name, stats in (("video", pictures.packets), ("audio", sound.packets)):
        if stats.refused > max(1, stats.packets * MAX_ERROR_SHARE):
            return f"the {name} decoder refused {stats.refused} of {stats.packets} packets"
    if pictures.strays > max(MOST_STRAYS, len(pictures.yuv) * MAX_ERROR_SHARE):
        return f"the times of {pictures.strays} pictures contradict the order they are shown in"
    standing = Fraction(pictures.standing) / clock.fps
    if standing > HOLE_S:
        return f"no picture appears for {float(standing):.1f} s"
    if sound.silence_samples == len(sound.audio):
        return "it has no sound there"
    still = Fraction(pictures.longest_still) / clock.fps
    if pictures.packets.refused and still > MAX_STILL_S:
        return f"the video decoder failed, and one picture stays for {float(still):.1f} s"
    return ""
