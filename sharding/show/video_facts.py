"""One video before it is packed: its streams, which of them would be used and why not the others, what would be cut.

Packets are read once and nothing is decoded, but sound where there is a choice. So what only the decoder finds is not
here: whether it can be heard and moves, stray times, and a change of its sound's rate.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.stream import Disposition

from sharding.base.text import as_written
from sharding.config import PackConfig
from sharding.containers.choice import StreamWish, codec_name, language, passed_over
from sharding.containers.container import BrokenFile, decoding, demuxed, open_media
from sharding.containers.stretches import Stretch
from sharding.errors import InputError, RejectError, RejectReason
from sharding.format.records import SourceClock
from sharding.media.probe import Probe, probe
from sharding.pack.cut import cut


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamLine:
    """A stream, in words."""

    index: int
    """As ffprobe numbers it."""
    kind: str
    """`video`, `audio`, `subtitle`, `data`."""
    codec: str
    form: str
    """`1920x1080, 30000/1001 fps`; `48,000 Hz, 5.1`; empty of other kinds."""
    language: str
    title: str
    default: bool
    used: bool
    why: str
    """It is not used; empty of one that is, and where nothing can be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoFacts:
    """What a file holds, and what packing would make of it."""

    path: Path
    bytes: int
    container: str
    """FFmpeg's name of its format; empty when it cannot be opened."""
    streams: tuple[StreamLine, ...]
    found: Probe | None
    """None when it is rejected before its times are known."""
    stretches: tuple[Stretch, ...]
    """When picture and sound are both there, seconds, ascending; without holes, and without what is missing."""
    clock: SourceClock
    pieces: tuple[range, ...]
    """Clips, as frame numbers."""
    lost: int
    """Further clips, of what is missing."""
    reject: RejectError | None
    """Why packing would leave it out."""


def read_facts(path: Path, wish: StreamWish, config: PackConfig) -> VideoFacts:
    """Look at a video as packing with these settings would. Raises InputError when there is no such file."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; name a video, a dataset or a run") from error
    found, pieces, reject = None, (), None
    try:
        found = probe(path, wish)
        pieces = tuple(cut(found.shown, config))
    except RejectError as error:
        reject = error
    except MemoryError:
        reject = RejectError(RejectReason.CORRUPT, "to read it takes more memory than there is")
    container, streams = _streams(path, wish, found)
    shown = () if found is None else found.shown
    kept = tuple(one for one in pieces if found is None or not _is_missing(one, found, config))
    return VideoFacts(
        path=path,
        bytes=size,
        container=container,
        streams=streams,
        found=found,
        stretches=tuple(one for one in shown if found is None or one != found.missing),
        clock=SourceClock() if found is None else _clock(found),
        pieces=kept,
        lost=len(pieces) - len(kept),
        reject=reject,
    )


def _is_missing(piece: range, found: Probe, config: PackConfig) -> bool:
    return found.missing is not None and piece.start >= found.missing[0] * config.clock.fps


def _clock(found: Probe) -> SourceClock:
    return SourceClock(restarts=found.restarts, edits=found.edits, streams=found.choice)


def _streams(path: Path, wish: StreamWish, found: Probe | None) -> tuple[str, tuple[StreamLine, ...]]:
    """The container's name, and its streams; nothing of a file that cannot be opened."""
    try:
        with decoding(), open_media(path) as container:
            used = () if found is None else (found.video.index, found.audio.index)
            why = {} if found is None else _reasons(path, container, wish, found)
            lines = (_line(stream, used, why.get(stream.index, "")) for stream in container.streams)
            return container.format.name, tuple(lines)
    except (RejectError, MemoryError):
        return "", ()


def _reasons(path: Path, container: InputContainer, wish: StreamWish, found: Probe) -> dict[int, str]:
    """Why streams are not used, by index."""
    pictures = Counter[int]()
    if len(container.streams.video) > 1:
        try:
            for packet in demuxed(container, *container.streams.video):
                pictures[packet.stream_index] += packet.size > 0
        except BrokenFile:
            pass  # a damaged tail: what came before counts
    return dict(passed_over(path, container, (found.video.index, found.audio.index), wish, pictures))


def _line(stream: Any, used: tuple[int, ...], why: str) -> StreamLine:
    context = stream.codec_context
    return StreamLine(
        index=stream.index,
        kind=stream.type or "unknown",
        codec=codec_name(stream),
        form="" if context is None else _form(stream),
        language=language(stream),
        title=stream.metadata.get("title", ""),
        default=bool(stream.disposition & Disposition.default),
        used=stream.index in used,
        why=why,
    )


def _form(stream: Any) -> str:
    context = stream.codec_context
    if stream.type == "video":
        rate = stream.average_rate
        return f"{context.width}x{context.height}" + (f", {as_written(rate)} fps" if rate else "")
    return f"{context.sample_rate:,} Hz, {context.layout.name}" if stream.type == "audio" else ""
