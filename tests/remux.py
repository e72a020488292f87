"""Files made from files by moving packets, not coding them again: cuts, wrong clocks, gaps and damaged packets."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.bitstream import BitStreamFilterContext

Edit = Callable[[Any], bool]
"""Changes a packet in place; False leaves it out."""


def remux(
    source: Path,
    target: Path,
    edit: Edit,
    container: str | None = None,
    *,
    options: dict[str, str] | None = None,
    checked: bool = True,
) -> Path:
    """Copy all streams of `source`, an mp4 or mov, to `target`, packet by packet, in decode order.

    `checked`: let FFmpeg refuse decode times that go back.
    """
    with av.open(str(source)) as old, av.open(str(target), "w", format=container, options=options or {}) as new:
        streams = {
            stream.index: new.add_stream_from_template(stream) for stream in old.streams if stream.type != "data"
        }
        for packet in old.demux():
            if not packet.size or packet.stream_index not in streams or not edit(packet):
                continue
            assert packet.dts is not None, "other containers store no decode times"
            packet.stream = streams[packet.stream_index]
            new.mux(packet)
    return target


def retag(source: Path, target: Path, tags: str) -> Path:
    """Copy an H.264 file with other facts in its sequence header, as FFmpeg's filter h264_metadata names them."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        video: Any = old.streams.video[0]
        write = BitStreamFilterContext(f"h264_metadata={tags}", video, streams[video.index])
        for packet in old.demux():
            if packet.size:
                for one in write.filter(packet) if packet.stream is video else [packet]:
                    one.stream = streams[packet.stream_index]
                    new.mux(one)
    return target


def move(packet: Any, seconds: Fraction) -> None:
    """Show or sound a packet later."""
    ticks = round(seconds / packet.time_base)
    packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks


def cut_to(source: Path, target: Path, start: Fraction) -> Path:
    """Leave out what comes before `start` seconds, as cutting without coding does.

    The picture still needs its key frame: in mp4 and mov it comes before time 0, hidden by an edit list.
    """
    with av.open(str(source)) as file:
        packets: list[Any] = [one for one in file.demux(video=0) if one.is_keyframe and one.size]
    times = [one.pts * one.time_base for one in packets]
    key = max(time for time in times if time <= start)

    def edit(packet: Any) -> bool:
        when = packet.pts * packet.time_base
        move(packet, -start)
        return when >= (key if packet.stream.type == "video" else start - Fraction(1, 10))

    return remux(source, target, edit)


def spoil(source: Path, target: Path, kind: str, start: Fraction, stop: Fraction) -> Path:
    """Make the decoder refuse the packets of the `video` or the `audio` from `start` to `stop` seconds."""

    def edit(packet: Any) -> bool:
        if packet.stream.type == kind and start <= packet.pts * packet.time_base < stop:
            packet.update(bytes(packet.size))
        return True

    return remux(source, target, edit)
