"""One source of a sample, looked at and perhaps decoded in another process, under the limits of packing."""

import time
from dataclasses import dataclass

from sharding.base.limits import limit_cpu
from sharding.base.workers import (
    Died,
    Done,
    Tell,
    Workers,
)
from sharding.config import PackConfig
from sharding.errors import RejectError, RejectReason
from sharding.format.clip import Clip
from sharding.pack.part import Survey, clips_of, survey
from sharding.pack.tasks import fault_of
from sharding.sources.source import Source

REFRESH_S = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """What looking at one source, and perhaps decoding a clip of it, told."""

    frames: tuple[int, ...] = ()
    """Of each clip it would give."""
    look_cpu_s: float = 0.0
    decode_cpu_s: float = 0.0
    clip: Clip | None = None
    reject: RejectError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Try:
    """A task: look at a source, and decode one clip of it if wanted."""

    source: Source
    config: PackConfig
    decode: bool

    def run(self, tell: Tell) -> Tried:
        """Never raises for what the source is to blame for."""
        limit_cpu(self.config.limit_s)
        started, frames, spent = time.thread_time(), (), 0.0
        try:
            seen = survey(self.source, self.config)
            frames = tuple(len(piece) for part in seen.parts for piece in part)
            spent = time.thread_time() - started
            clip, decode_cpu_s = self._middle(seen) if self.decode else (None, 0.0)
        except RejectError as reject:
            spent = spent or time.thread_time() - started
            return Tried(frames=frames, look_cpu_s=spent, reject=reject)
        finally:
            limit_cpu(0)
        return Tried(frames=frames, look_cpu_s=spent, decode_cpu_s=decode_cpu_s, clip=clip)

    def _middle(self, seen: Survey) -> tuple[Clip, float]:
        """The middle clip, and the CPU time it took. Raises RejectError."""
        pieces = [piece for part in seen.parts for piece in part]
        middle = len(pieces) // 2
        # the clip before it leads the way: entering a file is paid once for many clips
        clips = clips_of(self.source, seen.found, pieces[max(0, middle - 1) : middle + 1], self.config)
        if middle:
            next(clips)
        started = time.thread_time()
        clip, damage = next(clips)
        if damage:
            raise RejectError(RejectReason.CORRUPT, damage)
        return clip, time.thread_time() - started


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
