"""Which picture and which sound of a file are used, and among which they were chosen.

The picture is the one FFmpeg would show, but never a cover or another single picture beside one that moves. The sound
is one of the picture's own programme; commentary, audio description and the like come last, and a track that is silent
from end to end comes after one that is not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from sharding.containers.container import BrokenFile, check_memory, demuxed, open_media
from sharding.containers.packet_times import PacketTimes
from sharding.containers.programmes import read_programmes
from sharding.errors import RejectError, RejectReason

RARE = 50
"""A stream that has so many times fewer pictures than another one is no video."""
NO_PICTURE = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
ASIDE = (
    Disposition.comment
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
    | Disposition.descriptions
    | Disposition.clean_effects
    | Disposition.karaoke
    | Disposition.lyrics
)
"""Sound made for something else than to go with the picture."""
ASIDE_WORDS = ("commentary", "audio description", "audiodescription", "descriptive", "described video")
"""The same, where only the track's title says so."""
SILENCE_DBFS = -60
"""Sound whose mean power is above this is heard; quiet recordings lie near -45."""
SILENCE_POWER = 10 ** (SILENCE_DBFS / 10)
"""The same, where full scale is 1."""
HEARD_S = 1
"""A track in which so much can be heard is not silent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamWish:
    """Streams that a person has named by their index; None: the best one."""

    video: int | None = None
    audio: int | None = None


def candidates(container: InputContainer, kind: str, wanted: int | None) -> list[Any]:
    """Streams of a kind that could be used, the wanted one only where one is wanted.

    Raises RejectError: no_video, no_audio.
    """
    name, reason = ("video", RejectReason.NO_VIDEO) if kind == "video" else ("audio", RejectReason.NO_AUDIO)
    streams: Sequence[Any] = container.streams.video if kind == "video" else container.streams.audio
    usable = [one for one in streams if one.codec_context is not None]
    if wanted is not None:
        if chosen := [one for one in usable if one.index == wanted]:
            return chosen
        there = ", ".join(str(one.index) for one in usable) or "none"
        raise RejectError(reason, f"stream {wanted} is no {name} that can be decoded; it has: {there}")
    usable = [one for one in usable if not one.disposition & Disposition.attached_pic]
    if not usable:
        raise RejectError(reason, f"it has no {name} stream that can be decoded")
    return usable


def choose_video(container: InputContainer, streams: Sequence[Any], times: Mapping[int, PacketTimes]) -> Any:
    """The one that FFmpeg would show, if it moves as others do; else the one with the most pictures."""
    most = max(times[one.index].pictures for one in streams)
    moving = [one for one in streams if not _stillness(one, times[one.index].pictures, most)] or list(streams)
    best = container.streams.best("video")
    if best in moving:
        return best
    return max(moving, key=lambda one: (bool(one.disposition & Disposition.default), times[one.index].pictures))


def _stillness(stream: Any, pictures: int, most: int) -> str:
    """Why a stream is no video to show; empty when it may be one."""
    if stream.disposition & NO_PICTURE:
        return "a cover, a thumbnail or a still picture"
    if pictures <= 1:
        return "a single picture" if pictures else "no picture"
    return f"{pictures:,} pictures, where another stream has {most:,}" if pictures * RARE < most else ""


def choose_audio(path: Path, container: InputContainer, streams: Sequence[Any], video: Any) -> Any:
    """The first of the picture's programme, in the order of `_ranked`, that is not silent throughout.

    Raises RejectError: no_audio when only other programmes have sound; unreadable.
    """
    own = _of_programme(path, container, streams, video)
    if not own:
        raise RejectError(RejectReason.NO_AUDIO, "its sound belongs to another programme than its picture")
    ranked = _ranked(container, own, video)
    if len(ranked) == 1:
        return ranked[0]
    return next((one for one in ranked if _sounds(path, one.index)), ranked[0])


def _ranked(container: InputContainer, streams: Sequence[Any], video: Any) -> list[Any]:
    """What goes with the picture before what is made for something else; then FFmpeg's choice, then by number."""
    best: Any = container.streams.best("audio", related=video)
    return sorted(streams, key=lambda one: (_is_aside(one), one != best, one.index))


def passed_over(
    path: Path, container: InputContainer, chosen: tuple[int, int], wish: StreamWish, pictures: Mapping[int, int]
) -> Iterator[tuple[int, str]]:
    """(index, why it is not used) of each other video and audio stream.

    chosen: indexes of the picture and the sound, as a probe with `wish` has found them. pictures: of each video stream.
    """
    video, audio = (container.streams[index] for index in chosen)
    most = max(pictures.values(), default=0)
    later = _later(container.streams.best("video"), video)
    for one in container.streams.video:
        if one.index != video.index:
            why = _undecodable(one) or _asked(wish.video) or _stillness(one, pictures.get(one.index, 0), most)
            yield one.index, why or later
    sounds = [one for one in container.streams.audio if not _undecodable(one)]
    own = _of_programme(path, container, sounds, video)
    before = [one.index for one in _ranked(container, own, video)]
    before = before[: before.index(audio.index)] if audio.index in before else []
    later = _later(container.streams.best("audio", related=video), audio)
    for one in container.streams.audio:
        if one.index != audio.index:
            why = _undecodable(one) or _asked(wish.audio) or _unfit(one, own, before)
            yield one.index, why or later


def _later(best: Any, chosen: Any) -> str:
    return f"FFmpeg would play stream {chosen.index}" if chosen == best else f"stream {chosen.index} comes first"


def _undecodable(stream: Any) -> str:
    return "FFmpeg has no decoder for it" if stream.codec_context is None else ""


def _asked(wanted: int | None) -> str:
    return "" if wanted is None else f"stream {wanted} was asked for"


def _unfit(stream: Any, own: Sequence[Any], before: Sequence[int]) -> str:
    """before: those of `own` that would have been taken, were they not silent."""
    if stream not in own:
        return "it belongs to another programme than the picture"
    if stream.index in before:
        return "it is silent from end to end"
    return "commentary, audio description or the like" if _is_aside(stream) else ""


def _of_programme(path: Path, container: InputContainer, streams: Sequence[Any], video: Any) -> list[Any]:
    if container.format.name != "mpegts":
        return list(streams)
    together = set[int]().union(*(pids for pids in read_programmes(path) if video.id in pids))
    return [one for one in streams if not together or one.id in together]


def _is_aside(stream: Any) -> bool:
    title = " ".join(stream.metadata.get(key, "") for key in ("title", "handler_name")).lower()
    return bool(stream.disposition & ASIDE) or any(word in title for word in ASIDE_WORDS)


def _sounds(path: Path, index: int) -> bool:
    """HEARD_S of a track can be heard; it is decoded until then."""
    with open_media(path) as container:
        stream: Any = container.streams[index]
        stream.codec_context.thread_count = 1
        resampler, heard = av.AudioResampler("flt", None, None), 0.0
        try:
            for packet in demuxed(container, stream):
                for frame in _frames(packet):
                    for plain in resampler.resample(frame):
                        power = np.square(plain.to_ndarray()).mean()
                        heard += plain.samples / plain.sample_rate if power > SILENCE_POWER else 0
                if heard >= HEARD_S:
                    return True
        except BrokenFile:
            pass
    return False


def _frames(packet: Any) -> list[Any]:
    try:
        return packet.decode() if packet.size else []
    except MemoryError:
        raise
    except FFmpegError as error:
        check_memory(error)
        return []


def described(streams: Sequence[Any], chosen: Any) -> str:
    """What was chosen among what, for people; empty when there was no choice."""
    if len(streams) < 2:
        return ""
    others = "; ".join(_name(one) for one in streams if one is not chosen)
    return f"{_name(chosen)}, not {others}"


def language(stream: Any) -> str:
    """As the file has it; empty where it says that it does not know."""
    named = stream.metadata.get("language", "")
    return "" if named == "und" else named


def codec_name(stream: Any) -> str:
    """As ffprobe calls it, whichever decoder FFmpeg takes: `mp3`, not `mp3float`. Empty when there is no decoder."""
    return "" if stream.codec_context is None else stream.codec_context.codec.canonical_name


def _name(stream: Any) -> str:
    context = stream.codec_context
    kind = f"{context.width}x{context.height}" if stream.type == "video" else f"{context.sample_rate} Hz"
    words = [f"{stream.type} {stream.index}", codec_name(stream), kind]
    words += [language(stream), stream.metadata.get("title", "")]
    return " ".join(filter(None, words))
