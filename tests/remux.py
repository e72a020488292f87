"""Files made from files by moving packets, not coding them again: cuts, wrong clocks, gaps and damaged packets."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

Edit = Callable[[Any], bool]
"""Changes a packet in place; False leaves it out."""


def remux(source: Path, target: Path, edit: Edit, container: str | None = None) -> Path:
    """Copy all streams of `source` to `target`, packet by packet. Its decode order stays, whatever `edit` does."""
    with av.open(str(source)) as old, av.open(str(target), "w", format=container) as new:
        streams = {
            stream.index: new.add_stream_from_template(stream) for stream in old.streams if stream.type != "data"
        }
        for packet in old.demux():
            if packet.dts is None or packet.stream_index not in streams or not edit(packet):
                continue
            packet.stream = streams[packet.stream_index]
            new.mux(packet)
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
        packets: list[Any] = [one for one in file.demux(video=0) if one.size and one.is_keyframe]
    times = [one.pts * one.time_base for one in packets]
    key = max(time for time in times if time <= start)

    def edit(packet: Any) -> bool:
        when = packet.pts * packet.time_base
        move(packet, -start)
        return when >= (key if packet.stream.type == "video" else start - Fraction(1, 10))

    return remux(source, target, edit)
