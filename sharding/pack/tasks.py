"""What a packing process is asked to do: look at a source, pack a part of it, put a shard together."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from av import logging as av_logging
from av.error import FFmpegError

from sharding.base.workers import CRASHES, OUT_OF_MEMORY, OUT_OF_TIME, Report, limit_cpu, limit_memory
from sharding.config import PackConfig
from sharding.errors import AvsyncError, InputError, RejectError
from sharding.pack.assemble import DamagedPart, Parts, assemble
from sharding.pack.part import PartCut, PartName, PartRecord, SourceSurvey, pack_part, refuse, survey
from sharding.plan.plan import ShardPlan
from sharding.sources.source import Source

RESUME = "run the same command again: what is finished is kept"


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepare:
    """First call in each process."""

    memory: int
    """Bytes it may take."""

    def __call__(self) -> None:
        av_logging.set_level(None)  # damaged sources are reported by their reason, not by decoder chatter
        limit_memory(self.memory)


@dataclass(frozen=True, kw_only=True, slots=True)
class PackPart:
    """One part of a source; without `cut`, look at the source first, and pack it if it has one part only."""

    shard: str
    source: Source
    name: PartName
    folder: Path
    config: PackConfig
    size: int
    """Bytes of the source; for progress."""
    cut: PartCut | None = None

    @property
    def path(self) -> Path:
        return self.name.path(self.folder)

    def run(self, report: Report) -> PartRecord | SourceSurvey:
        """A Survey when there are several parts, the record of the part otherwise."""
        limit_cpu(self.config.limit_s)
        try:
            with _writing(self.folder, self.shard):
                return self._packed(tell)
        finally:
            limit_cpu(0)

    def _packed(self, tell: Report) -> PartRecord | SourceSurvey:
        def alive(done: int, of: int) -> None:
            limit_cpu(self.config.limit_s)
            report(done, of)

        try:
            if self.cut is not None:
                return pack_part(self.source, self.cut, self.path, self.config, alive)
            seen = survey(self.source, self.config)
            if len(seen.parts) > 1:
                return seen
            return pack_part(self.source, seen.part(0), self.path, self.config, alive)
        except RejectError as reject:
            return self.refuse(reject)

    def refuse(self, reject: RejectError) -> PartRecord:
        """Note that the part cannot be had."""
        if self.cut is None:
            return refuse(self.path, reject)
        return refuse(self.path, reject, of=self.cut.of, clips=len(self.cut.pieces))


@dataclass(frozen=True, kw_only=True, slots=True)
class Assemble:
    """A shard whose parts are all there."""

    plan: ShardPlan
    parts: tuple[Parts, ...]
    folder: Path
    dataset: Path

    @property
    def shard(self) -> str:
        return self.plan.name

    def run(self, report: Report) -> PartName | None:
        """Nothing when the shard is on disk, or the part that is damaged and must be packed again."""
        try:
            with _writing(self.dataset, self.shard):
                assemble(self.plan, self.parts, self.folder, self.dataset)
        except DamagedPart as damaged:
            return damaged.name
        return None


@contextmanager
def _writing(folder: Path, shard: str) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise MemoryError from None  # FFmpeg's own is an FFmpegError, too
    except FFmpegError as error:  # of the encoder: some of these are OSErrors too, but the disk is not to blame
        raise AvsyncError(f"FFmpeg cannot encode a clip of {shard}: {error.strerror}; {RESUME}") from error
    except OSError as error:
        where = error.filename or folder
        raise InputError(f"cannot write {where}: {error.strerror}; mend that and {RESUME}") from error


def fault_of(code: int, config: PackConfig) -> str:
    """What a source did to its process; empty when the process was killed from outside."""
    if code == OUT_OF_TIME:
        return f"no clip came of it in {config.limit_s} s of CPU time (--limit-s)"
    if code == OUT_OF_MEMORY:
        return f"decoding it needs more than {config.memory / 2**30:.1f} GiB of memory (--memory-gb)"
    return f"FFmpeg crashes on it (signal {-code})" if code in CRASHES else ""
