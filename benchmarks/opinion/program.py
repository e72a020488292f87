"""The times that the program ffprobe shows, in its own way: each frame that it decodes, at the time it takes for best.

It is another build and another version than the libraries that packing uses, and knows nothing of this project.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks.opinion.frames import NO_BYTE, NOTHING, NS, Column, Frame, Frames

FRAME = ("frame", "pts", "best_effort_timestamp", "pkt_pos", "nb_samples")
PACKET = ("packet", "dts", "size")
NOT_SAID = "N/A"
FARTHEST_S = 2**33
"""Nanoseconds of this fit into 64 bits; FFmpeg shows a time that is missing in Ogg as a billion years."""


class Unread(Exception):
    """The program cannot read a file; says why, in a line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """What the program says of one."""

    index: int
    kind: str
    tick: Fraction
    rate: int
    """Samples a second, 0 for pictures."""


def find() -> str | None:
    """Where the program is; None where there is none."""
    return shutil.which("ffprobe")


def version() -> str:
    """Its first line."""
    done = subprocess.run([_program(), "-version"], capture_output=True, text=True, check=True)
    return " ".join(done.stdout.splitlines()[0].split()[:3])


def streams(path: Path) -> dict[int, Stream]:
    """By index. Raises Unread."""
    entries = "stream=index,codec_type,time_base,sample_rate"
    command = [_program(), "-v", "error", "-show_entries", entries, "-of", "json", _url(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unread(_last_line(done.stderr))
    found = (
        Stream(
            index=one["index"],
            kind=one.get("codec_type", ""),
            tick=Fraction(one["time_base"]),
            rate=int(one.get("sample_rate", 0)),
        )
        for one in json.loads(done.stdout)["streams"]
    )
    return {one.index: one for one in found}


def frames(path: Path, stream: Stream, *options: str) -> Frames:
    """All that it decodes of a stream, with further `options` if need be.

    Where it shows no time, the frame goes on where the one before is over. Raises Unread.
    """
    found, when = Frames(stream.kind), Fraction(0)
    for row in _rows(path, stream.index, FRAME, options):
        stored, best = (_time(row.get(name), stream.tick) for name in FRAME[1:3])
        byte, samples = (_number(row.get(name)) for name in FRAME[3:])
        said = stored if best is None else best
        when = when if said is None else said
        length = Fraction(samples or 0, stream.rate or 1)
        found.add(
            Frame(
                _ns(when),
                NO_BYTE if byte is None else byte,
                _ns(length),
                doubted=int(said is None),
                stored=NOTHING if stored is None else _ns(stored),
            )
        )
        when += length
    return found


def decode_times(path: Path, stream: Stream) -> Column:
    """(P,) of all packets that hold anything, nanoseconds, ascending. Raises Unread."""
    rows = (row.get("dts") for row in _rows(path, stream.index, PACKET, ()) if row.get("size") != "0")
    times = (_time(dts, stream.tick) for dts in rows)
    return np.array(sorted(_ns(when) for when in times if when is not None), np.int64)


def _number(text: str | None) -> int | None:
    return None if text is None or text == NOT_SAID else int(text)


def _time(text: str | None, tick: Fraction) -> Fraction | None:
    """Seconds; None where it says nothing, or what no clock reaches."""
    number = _number(text)
    return None if number is None or abs(number * tick) > FARTHEST_S else number * tick


def _ns(when: Fraction) -> int:
    return round(when * NS)


def _rows(path: Path, index: int, fields: Sequence[str], options: Sequence[str]) -> Iterator[dict[str, str]]:
    section, *names = fields
    command = [_program(), "-v", "error", "-threads", "1", *options, "-select_streams", str(index)]
    command += ["-show_entries", f"{section}={','.join(names)}", "-of", "compact=print_section=0", _url(path)]
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            assert process.stdout
            for line in process.stdout:
                pairs = (pair.partition("=") for pair in line.strip().split("|"))
                row = {name: value for name, equals, value in pairs if equals}
                if row:
                    yield row
        if process.returncode:
            errors.seek(0)
            raise Unread(_last_line(errors.read()))


def _program() -> str:
    program = find()
    if program is None:
        raise Unread("there is no program ffprobe on the path; install ffmpeg")
    return program


def _url(path: Path) -> str:
    return f"file:{os.path.abspath(path)}"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it says nothing"
