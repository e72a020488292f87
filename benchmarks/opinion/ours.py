"""The times that packing uses: of pictures before they go to slots, of frames of sound before they are resampled."""

from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from benchmarks.opinion.frames import NO_BYTE, NOTHING, NS, Frame, Frames
from benchmarks.opinion.truth import BeepWatch, FlashWatch
from sharding.containers.edits import Edit
from sharding.media.probe import Probe
from sharding.media.sound_times import heard
from sharding.media.stream import SourceStream
from sharding.media.video import timed_frames


@dataclass(frozen=True, slots=True)
class _Mark:
    byte: int
    stretch: int


class Watched(SourceStream):
    """A stream that remembers from which packet each frame came."""

    def mark(self, frame: Any) -> _Mark:
        """Of a frame that it handed out."""
        return self._marks.pop(id(frame), _Mark(NO_BYTE, 0))

    def _open(self) -> None:
        super()._open()
        self._packets, self._marks = defaultdict[int, deque[_Mark]](deque), dict[int, _Mark]()
        self._stretches, self._shift, self._newest = list[int](), 0, 0

    def frames(self) -> Iterator[Any]:
        for frame in super().frames():
            waiting = self._packets.get(frame.opaque)
            self._marks[id(frame)] = waiting.popleft() if waiting else _Mark(NO_BYTE, self._newest)
            if waiting is not None and not waiting:
                del self._packets[frame.opaque]
            yield frame

    def _frames_of(self, packet: Any, shift: int) -> Iterator[Any]:
        if shift not in self._stretches:
            self._stretches.append(shift)
        self._shift = shift
        yield from super()._frames_of(packet, shift)

    def _decode(self, packet: Any) -> Iterator[Any]:
        if packet is not None:
            byte = NO_BYTE if packet.pos is None else packet.pos
            self._newest = self._stretches.index(self._shift)
            if packet.opaque is not None:
                self._packets[packet.opaque].append(_Mark(byte, self._newest))
        yield from super()._decode(packet)


def pictures(source: Probe, *, marks: bool = False) -> Frames:
    """Of a source, on its timeline; `marks`: look for flashes, too."""
    found, flash = Frames("video"), FlashWatch()
    with closing(Watched(source, source.video)) as stream:
        for timed in timed_frames(source, stream):
            mark = stream.mark(timed.frame)
            when = timed.tick * stream.tick - source.video.origin
            begins = flash.begins(timed.frame) if marks else NOTHING
            found.add(
                Frame(_ns(when), mark.byte, stretch=mark.stretch, doubted=int(timed.stray), begins=begins),
            )
    return found


def sounds(source: Probe, *, marks: bool = False) -> Frames:
    """Of a source, on its timeline: a frame without a time of its own follows the one before, sample by sample.

    `marks`: look for beeps, too.
    """
    found, beep = Frames("audio"), BeepWatch()
    with closing(Watched(source, source.audio)) as stream:
        for edit in stream.passes():
            for frame, when, stray in _positions(source, stream, edit):
                mark, length = stream.mark(frame), Fraction(frame.samples, frame.sample_rate)
                if edit is not None and not _plays(edit, when, when + length):
                    continue
                begins = beep.begins(frame) if marks else NOTHING
                shown = when if edit is None else max(when, edit.start)
                begins = begins if begins == NOTHING else max(0, begins - _ns(shown - when))
                found.add(Frame(_ns(shown), mark.byte, _ns(length), mark.stretch, int(stray), begins=begins))
    return found


def _positions(source: Probe, stream: Watched, edit: Edit | None) -> Iterator[tuple[Any, Fraction, bool]]:
    """Frames, when they begin, and whether they are strays: as AudioTimeline joins them."""
    facts, when = source.audio, Fraction(0)
    later = Fraction(0) if edit is None else edit.later(stream.stream.codec_context.sample_rate)
    for one in heard(stream.frames(), stream.stream.time_base):
        when = when if one.start is None else one.start - facts.origin + later
        yield one.frame, when, one.stray
        when += Fraction(one.frame.samples, one.frame.sample_rate)


def _plays(edit: Edit, when: Fraction, over: Fraction) -> bool:
    return over > edit.start and (edit.stop is None or when < edit.stop)


def _ns(when: Fraction) -> int:
    return round(when * NS)
