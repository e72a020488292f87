"""A collection judged by a few of its videos: how many clips it gives, what they cost to decode, how large they get.

Sources are taken from all over the list. Many are looked at, which is cheap, for the number and length of the clips; a
few of them give one decoded clip each.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count
from math import gcd

from sharding.base.workers import Died, Done, Report, Workers, limit_cpu
from sharding.config import PackConfig
from sharding.containers.stretches import Stretch
from sharding.errors import InputError, RejectError, RejectReason
from sharding.faces.steady import find_faces
from sharding.format.clip import Clip
from sharding.format.codec import codec_named, members_of
from sharding.format.crop import BoxPath
from sharding.format.tar import BLOCK, padded
from sharding.media.probe import Probe
from sharding.pack.cut import SourceSurvey, survey
from sharding.pack.part import clips_of
from sharding.pack.schedule import Prepare, fault_of
from sharding.sources.source import Source

REFRESH_S = 0.5
LOOKED_AT, DECODED = 200, 16
"""Sources of a sample, at most: this many are looked at, and this many give a clip."""
MOST_FACES_S = 60
"""Seconds of a source in which its faces are looked for."""
PATIENCE = 3
"""Budgets after which the search for a first usable clip is given up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """What looking at one source, and perhaps decoding a clip of it, has shown."""

    frames: tuple[int, ...] = ()
    """Of each clip it would give."""
    look_cpu_s: float = 0.0
    decode_cpu_s: float = 0.0
    clip: Clip | None = None
    reject: RejectError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Try:
    """A task under the limits of packing: look at a source, and decode one clip of it if wanted."""

    source: Source
    config: PackConfig
    decode: bool

    def run(self, report: Report) -> Tried:
        """Never raises for what the source is to blame for."""
        limit_cpu(self.config.limit_s)
        started, frames, spent = time.thread_time(), (), 0.0
        try:
            sampled = _SampledFaces()
            found = survey(self.source, self.config, sampled)
            frames = tuple(len(piece) for part in found.parts for piece in part) * round(sampled.times)
            spent = (time.thread_time() - started) * sampled.times
            clip, decode_cpu_s = self._middle(found) if self.decode else (None, 0.0)
        except RejectError as reject:
            spent = spent or time.thread_time() - started
            return Tried(frames=frames, look_cpu_s=spent, reject=reject)
        finally:
            limit_cpu(0)
        return Tried(frames=frames, look_cpu_s=spent, decode_cpu_s=decode_cpu_s, clip=clip)

    def _middle(self, look: SourceSurvey) -> tuple[Clip, float]:
        """The middle clip, and the CPU time it took. Raises RejectError."""
        pieces = [piece for part in look.parts for piece in part]
        middle = len(pieces) // 2
        # the clip before it leads the way: entering a file is paid once for many clips
        clips = clips_of(self.source, look.found, pieces[max(0, middle - 1) : middle + 1], self.config)
        if middle:
            next(clips)
        started = time.thread_time()
        clip, span = next(clips)
        if span.damage:
            raise RejectError(RejectReason.CORRUPT, span.damage)
        return clip, time.thread_time() - started


@dataclass(slots=True)
class _SampledFaces:
    """Finds the faces of a minute in the middle of a long source: to look at all of it takes as long as to pack it."""

    times: float = 1.0
    """How much longer all of it is."""

    def __call__(self, found: Probe, stretches: Sequence[Stretch]) -> tuple[BoxPath, ...]:
        start, end = max(stretches, key=lambda stretch: stretch[1] - stretch[0])
        spare = max(Fraction(0), end - start - MOST_FACES_S) / 2
        taken = (start + spare, end - spare)
        self.times = float(sum(end - start for start, end in stretches) / (taken[1] - taken[0]))
        return find_faces(found, [taken])


def attempt(apart: Workers[Try], task: Try) -> Tried:
    """Have `task` done in a process of its own; when it dies, that is the source's reject."""
    apart.give(task)
    while True:
        for event in apart.news(REFRESH_S):
            if isinstance(event, Done):
                return event.result
            if isinstance(event, Died):
                fault = fault_of(event.code, task.config) or "its process was killed"
                return Tried(reject=RejectError(RejectReason.CORRUPT, fault))


@dataclass(slots=True, kw_only=True)
class Sample:
    """What looking at some of `sources` has shown."""

    sources: int
    fps: Fraction
    looked_at: int = 0
    clips: int = 0
    """Of the sources looked at; `seconds` are theirs too."""
    seconds: float = 0.0
    look_cpu_s: float = 0.0
    decoded: int = 0
    """Clips decoded; `decoded_s` is their length together, `decode_cpu_s` what that took."""
    decoded_s: float = 0.0
    decode_cpu_s: float = 0.0
    rejects: list[tuple[str, RejectError]] = field(default_factory=list)
    """Path and reason of what gave no clip."""

    def add(self, source: Source, tried: Tried) -> Clip | None:
        """Count what one more source has shown; its clip, if it gave one."""
        self.looked_at += 1
        self.look_cpu_s += tried.look_cpu_s
        self.clips += len(tried.frames)
        self.seconds += sum(tried.frames) / float(self.fps)
        if tried.reject is not None:
            self.rejects.append((source.rel, tried.reject))
        if tried.clip is not None:
            self.decoded += 1
            self.decoded_s += tried.clip.meta.frames / float(self.fps)
            self.decode_cpu_s += tried.decode_cpu_s
        return tried.clip

    def all_of(self, amount: float) -> float:
        """What was counted on the sources looked at, for all of them."""
        return amount * self.sources / max(1, self.looked_at)

    @property
    def all_clips(self) -> int:
        return round(self.all_of(self.clips))

    @property
    def clip_s(self) -> float:
        """Mean length of a clip in seconds."""
        return self.seconds / max(1, self.clips)

    @property
    def clip_cpu_s(self) -> float:
        """CPU time to look for and decode a clip of mean length."""
        looking = self.look_cpu_s / max(1, self.clips)
        return looking + self.decode_cpu_s * self.clip_s / (self.decoded_s or 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What packing a collection would come to, judged by a sample of it."""

    sources: int
    looked_at: int
    rejected: int
    """Of those looked at."""
    clips: int
    seconds: float
    bytes: int
    """Of all tars."""
    cpu_s: float
    """CPU time to pack it all."""

    def minutes(self, processes: int) -> float:
        """How long so many processes, each with a core of its own, take."""
        return self.cpu_s / processes / 60


def estimate(sources: Sequence[Source], config: PackConfig, budget_s: float = 10.0) -> Estimate:
    """Pack a few clips in memory and multiply. Raises InputError when none of the sample can be packed."""
    codec = codec_named(config.codec)
    sizes, encode_cpu_s = 0, 0.0

    def encode(clip: Clip) -> None:
        nonlocal sizes, encode_cpu_s
        started = time.thread_time()
        sizes += tar_bytes(members_of(clip, codec))
        encode_cpu_s += time.thread_time() - started

    sample = take(sources, config, budget_s, encode)
    seconds = sample.all_of(sample.seconds)
    ratio = seconds / sample.decoded_s
    return Estimate(
        sources=sample.sources,
        looked_at=sample.looked_at,
        rejected=len(sample.rejects),
        clips=sample.all_clips,
        seconds=seconds,
        bytes=round(sizes * ratio),
        cpu_s=sample.all_of(sample.look_cpu_s) + (sample.decode_cpu_s + encode_cpu_s) * ratio,
    )


def tar_bytes(members: dict[str, bytes]) -> int:
    """What a clip's members take in a shard."""
    return sum(BLOCK + padded(len(payload)) for payload in members.values())


def take(
    sources: Sequence[Source],
    config: PackConfig,
    budget_s: float,
    use: Callable[[Clip], None],
    report: Callable[[Sample], None] = lambda _: None,
) -> Sample:
    """Look at a sample of `sources` for about `budget_s` seconds; each decoded clip goes to `use`, and is forgotten.

    Raises InputError when none of the sample gives a clip.
    """
    sample, started = Sample(sources=len(sources), fps=config.clock.fps), time.monotonic()
    most = min(LOOKED_AT, len(sources))
    every = max(1, most // DECODED)
    with Workers(1, Prepare(memory=config.memory)) as apart:  # a video that ends its process ends not the advice
        for number in spread(len(sources)):
            taken = time.monotonic() - started
            if sample.looked_at == most or taken > budget_s * (1 if sample.decoded else PATIENCE):
                break
            wanted = sample.decoded < DECODED and sample.decoded * every <= sample.looked_at
            task = Try(source=sources[number], config=config, decode=wanted)
            clip = sample.add(sources[number], attempt(apart, task))
            if clip is not None:
                use(clip)
            report(sample)
    if not sample.decoded:
        raise InputError(_nothing(sample))
    return sample


def spread(length: int) -> Iterator[int]:
    """All numbers below `length`, each once; however many are taken, they lie all over."""
    near = max(1, round(length * 0.618))  # by the golden ratio, each new one falls into a widest gap
    step = next(step for step in count(near) if gcd(step, length) == 1)
    return (number * step % length for number in range(length))


def _nothing(sample: Sample) -> str:
    if not sample.rejects:
        return f"none of the {sample.sources} videos could be looked at in time; name a smaller collection"
    path, reject = sample.rejects[0]
    return (
        f"none of the {sample.looked_at} videos looked at (of {sample.sources} found) can be packed, so there is "
        f"nothing to measure; the first, {path}, is {reject}"
    )
