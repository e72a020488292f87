"""One damaged file goes through packing, under packing's limits, and is judged by what its clips show and sound like.

A trial is a task for sharding's workers: who dies, hangs or takes too much memory is known, the others go on.
"""

import os
import signal
import time
import traceback
from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

from benchmarks.base.trials import forget_peak, highest_mb
from benchmarks.fuzz.damage import Damaged, damage
from benchmarks.fuzz.marks import FPS, Reading, appearances, numbers_of, reading
from benchmarks.fuzz.originals import ORIGINALS, Original
from sharding.base.workers import CRASHES, OUT_OF_MEMORY, OUT_OF_TIME, Report, limit_cpu
from sharding.config import PackConfig
from sharding.errors import RejectError, RejectReason
from sharding.format.codec import codec_named
from sharding.format.tar import ShardWriter
from sharding.pack.assemble import check
from sharding.pack.cut import PartCut, survey
from sharding.pack.part import LoudnessMeter, MotionMeter, PartRecord, clips_of
from sharding.sources.source import Source

CONFIG = PackConfig(
    fps="100", size=64, sample_rate=16_000, clip_s="4", min_clip_s="1", trim_s="0", codec="raw", limit_s=20
)
TOLERANCE_S = float(1 / FPS / 2) + 0.002
WALL_S = 120.0
"""A process that waits for so long will wait for ever."""
MOST_MB = 256
"""Of one process; a whole file takes 80 to 130."""
LONGEST_SAMPLES = 600 * 48_000
"""What FFmpeg itself makes of a file is looked at up to this length."""
AGREES = 0.75
"""Of the misplaced pictures, that a plain reader of the file misplaces by the same."""


class Verdict(StrEnum):
    """What became of a file."""

    RIGHT = "right"
    TOLD = "as told"
    """Apart, but so its own tables say, and nothing in it says otherwise."""
    UNREAD = "unread"
    """Packed, but no picture can be compared with its sound."""
    REJECTED = "rejected"
    WRONG = "wrong"
    CRASH = "crash"
    """An exception that is no reject."""
    DIED = "died"
    """FFmpeg ended the process; pack makes a reject of it."""
    HANG = "hang"
    MEMORY = "memory"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A verdict and what it stands on."""

    verdict: Verdict
    what: str = ""
    """The damage."""
    family: str = ""
    why: str = ""
    apart: float = 0.0
    """Misplaced pictures, as a part of those that could be judged."""
    peak_mb: float = 0.0
    cpu_s: float = 0.0


@dataclass(slots=True)
class Shown:
    """What the clips of a file show."""

    readings: list[Reading] = field(default_factory=list)
    seconds: float = 0.0

    def judged(self) -> int:
        return sum(len(one.late_s) for one in self.readings)

    def apart(self) -> dict[int, float]:
        """The misplaced pictures."""
        return {number: late for one in self.readings for number, late in one.apart(TOLERANCE_S).items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A file and its damage, both told by two numbers; number -1 - n is the n-th original, whole."""

    seed: int
    number: int
    originals: Path
    folder: Path
    """For the damaged file."""

    @property
    def original(self) -> Original:
        return ORIGINALS[-1 - self.number if self.number < 0 else self.number % len(ORIGINALS)]

    @property
    def path(self) -> Path:
        """Where its file is written."""
        return self.folder / f"{'whole' if self.number < 0 else f'{self.number:06d}'}-{self.original.name}"

    def damaged(self) -> Damaged:
        """Its bytes."""
        data = (self.originals / self.original.name).read_bytes()
        if self.number < 0:
            return Damaged(data=data, family="whole", what="nothing", lost=0)
        return damage(self.original.container, data, np.random.default_rng((self.seed, self.number)))

    def run(self, report: Report) -> Outcome:
        """Never raises but MemoryError."""
        damaged = self.damaged()
        self.path.write_bytes(damaged.data)
        forget_peak()
        started = time.process_time()
        limit_cpu(CONFIG.limit_s)
        signal.setitimer(signal.ITIMER_REAL, WALL_S)
        clips, verdict, why, apart = None, Verdict.UNREAD, "", 0.0
        try:
            clips = packed(self.path)
        except RejectError as reject:
            verdict, why = Verdict.REJECTED, str(reject)
        except MemoryError:
            raise
        except Exception as error:  # whatever it is, it is what is looked for
            verdict, why = Verdict.CRASH, _last_lines(error)
        peak_mb, cpu_s = highest_mb(), time.process_time() - started
        if clips is not None:
            verdict, why, apart = self._judged(clips, damaged)
        limit_cpu(0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if peak_mb > MOST_MB and verdict in (Verdict.RIGHT, Verdict.REJECTED, Verdict.UNREAD, Verdict.TOLD):
            verdict, why = Verdict.MEMORY, f"{peak_mb:.0f} MB; {verdict} {why}"
        return Outcome(
            verdict=verdict,
            what=damaged.what,
            family=damaged.family,
            why=why,
            apart=apart,
            peak_mb=peak_mb,
            cpu_s=cpu_s,
        )

    def died(self, code: int) -> Outcome:
        """What the end of its process by `code` means."""
        if code in (OUT_OF_TIME, -signal.SIGALRM):
            verdict, why = Verdict.HANG, f"more than {CONFIG.limit_s} s of CPU time, or {WALL_S:.0f} s by the clock"
        elif code == OUT_OF_MEMORY:
            verdict, why = Verdict.MEMORY, f"more than {CONFIG.memory / 2**30:.1f} GiB"
        else:
            verdict = Verdict.DIED if code in CRASHES else Verdict.CRASH
            why = f"its process ended by {code}"
        damaged = self.damaged()
        return Outcome(verdict=verdict, what=damaged.what, family=damaged.family, why=why)

    def _judged(self, clips: Shown, damaged: Damaged) -> tuple[Verdict, str, float]:
        """Verdict, why, and the share of misplaced pictures."""
        apart, judged = clips.apart(), clips.judged()
        if not judged:
            return Verdict.UNREAD, f"{clips.seconds:.2f} s packed", 0.0
        if len(apart) <= damaged.lost:
            return Verdict.RIGHT, f"{judged} pictures, {len(apart)} misplaced", 0.0
        some = " ".join(
            f"{number}:{1000 * late:+.0f}" for number, late in sorted(apart.items())[:: -(-len(apart) // 6)]
        )
        why = f"{len(apart)} of {judged} pictures; number:ms by which its sound is late {some}"
        if damaged.head and _told(self.path, apart):
            return Verdict.TOLD, why, len(apart) / judged
        return Verdict.WRONG, why, len(apart) / judged


def packed(path: Path) -> Shown:
    """What pack would write for one file, but for the disk. Raises RejectError."""
    source = Source(id=path.stem, path=path, rel=path.name, action="fuzz", group=path.name)
    found, clips, records = survey(source, CONFIG), Shown(), list[PartRecord]()
    for part in range(len(found.parts)):
        records.append(_packed_part(source, found.part(part), clips))
    check(tuple(records), strict=False)
    return clips


def _packed_part(source: Source, part: PartCut, clips: Shown) -> PartRecord:
    """As sharding.pack.part.pack_part does it, with an eye on the clips."""
    loudness, motion, damage = LoudnessMeter(CONFIG.sample_rate), MotionMeter(), ""
    with open(os.devnull, "wb") as nowhere:
        writer = ShardWriter(nowhere, codec_named(CONFIG.codec))
        for clip, span in clips_of(source, part.found, part.pieces, CONFIG):
            why = span.damage
            damage = damage or why
            if why:
                continue
            luma = clip.yuv[:, : clip.meta.height]
            loudness.add(clip.audio)
            motion.add(luma)
            writer.add(clip)
            moments = appearances(numbers_of(luma), CONFIG.clock.fps)
            clips.readings.append(reading(moments, clip.audio[:, 0], CONFIG.sample_rate))
            clips.seconds += float(clip.meta.frames / CONFIG.clock.fps)
    return PartRecord(
        of=part.of,
        bytes=writer.size,
        clips=tuple(writer.clips),
        damage=damage or RejectReason.CORRUPT,
        blocks=loudness.blocks,
        heard=loudness.heard,
        moved=motion.moved,
    )


def _told(path: Path, apart: dict[int, float]) -> bool:
    """A plain reader that believes every timestamp misplaces the same pictures by the same, and sees nothing odd."""
    plain = _plainly(path)
    if plain is None:
        return False
    same = sum(abs(plain.late_s.get(number, np.inf) - late) < TOLERANCE_S for number, late in apart.items())
    return same >= AGREES * len(apart)


def _plainly(path: Path) -> Reading | None:
    """Every frame at its own timestamp; None where these do not ascend, or lie too far apart."""
    shown, heard = list[tuple[float, np.ndarray]](), list[tuple[float, int, np.ndarray]]()
    try:
        with av.open(str(path)) as container:
            streams: Any = [container.streams.video[0], container.streams.audio[0]]
            for frame in (frame for packet in container.demux(*streams) for frame in _decoded(packet)):
                if frame.pts is None:
                    return None
                when = float(frame.pts * frame.time_base)
                if isinstance(frame, av.VideoFrame):
                    shown.append((when, frame.reformat(64, 64, "yuv420p").to_ndarray()[:64]))
                else:
                    heard.append((when, frame.sample_rate, _mono(frame)))
    except (FFmpegError, IndexError, ValueError):
        return None
    if not shown or not heard:
        return None
    times = [when for when, _ in shown]
    origin, rate = min(times[0], heard[0][0]), heard[0][1]
    end = max(heard[-1][0], times[-1]) - origin
    if sorted(times) != times or end * rate > LONGEST_SAMPLES:
        return None
    wave = np.zeros(int((end + 1) * rate), np.int16)
    for when, _, samples in heard:
        place = round((when - origin) * rate)
        wave[max(0, place) : place + len(samples)] = samples[max(0, -place) :][: max(0, len(wave) - place)]
    numbers = numbers_of(np.stack([luma for _, luma in shown])).tolist()
    moments = defaultdict[int, float](float)
    for number, when in zip(numbers, times, strict=True):
        moments.setdefault(number, when - origin)
    return reading(list(moments.items()), wave, rate)


def _decoded(packet: Any) -> list[Any]:
    try:
        return packet.decode()
    except FFmpegError:
        return []


def _mono(frame: av.AudioFrame) -> np.ndarray:
    """(S,) int16"""
    samples = frame.to_ndarray().reshape(-1, 1)[:: 1 if frame.format.is_planar else len(frame.layout.channels), 0]
    samples = samples[: frame.samples]
    return samples if samples.dtype == np.int16 else (samples * 32767).clip(-32768, 32767).astype(np.int16)


def _last_lines(error: Exception) -> str:
    """Where it was raised, in a line."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    ours = [one for one in traceback.extract_tb(error.__traceback__) if "sharding" in one.filename]
    where = (ours or [frame])[-1]
    return f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno} {where.name})"
