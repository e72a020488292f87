"""What a packing process is asked to do, and what comes next: parts of sources first, then the shard of them.

All processes are busy, and shards are finished in their order. Keeps what earlier calls left in DATASET/.parts; a
process's death becomes a reject, another try, or an open shard.
"""

import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from av import logging as av_logging
from av.error import FFmpegError

from sharding.base.files import LARGEST_SIDE_FILE, read_json, write_json
from sharding.base.guarded import InTheWay, claim, make_folder
from sharding.base.housekeeping import below, delete, why_refused
from sharding.base.text import first_few
from sharding.base.workers import CRASHES, OUT_OF_MEMORY, OUT_OF_TIME, Report, limit_cpu, limit_memory
from sharding.config import PackConfig
from sharding.containers.stretches import Stretch
from sharding.errors import FAILURES, AvsyncError, InputError, RejectError, RejectReason
from sharding.faces.steady import find_faces
from sharding.format.crop import BoxPath
from sharding.format.index import PARTS
from sharding.media.probe import Probe
from sharding.pack.assemble import DamagedPart, Parts, assemble, check
from sharding.pack.cut import PartCut, SourceSurvey, survey
from sharding.pack.part import PartName, PartRecord, pack_part, refuse
from sharding.plan.plan import ShardPlan
from sharding.sources.source import Source

RESUME = "run the same command again: what is finished is kept"
TRIES = 3
"""Of a task whose process was killed from outside."""
_PART = re.compile(r"\d{6}-\d{5}", re.ASCII)


@contextmanager
def writing(folder: Path, shard: str = "") -> Iterator[None]:
    """Errors of the disk, or of FFmpeg that encodes a clip of `shard`, as what a person can mend.

    Raises InputError, AvsyncError; MemoryError.
    """
    try:
        yield
    except MemoryError:
        raise MemoryError from None  # FFmpeg's own is an FFmpegError, too
    except FFmpegError as error:  # of the encoder: some of these are OSErrors too, but the disk is not to blame
        raise AvsyncError(f"FFmpeg cannot encode a clip of {shard}: {error.strerror}; {RESUME}") from error
    except InTheWay as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(
            f"cannot write {error.filename or folder}: {why_refused(error, f'mend that and {RESUME}')}"
        ) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepare:
    """First call in each process."""

    memory: int
    """Bytes it may take."""
    dataset: Path | None = None
    """Where it writes."""

    def __call__(self) -> None:
        if self.dataset:
            claim(self.dataset)
        av_logging.set_level(None)  # damaged sources are reported by their reason, not by decoder chatter
        limit_memory(self.memory)


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundFaces:
    """What looking for faces in a source has found."""

    LARGEST_FILE: ClassVar[int] = LARGEST_SIDE_FILE

    tracks: tuple[BoxPath, ...]


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
        """A SourceSurvey when there are several parts, the record of the part otherwise."""
        limit_cpu(self.config.limit_s)
        try:
            with writing(self.folder, self.shard):
                return self._packed(report)
        finally:
            limit_cpu(0)

    def _packed(self, report: Report) -> PartRecord | SourceSurvey:
        def alive(done: int, of: int) -> None:
            limit_cpu(self.config.limit_s)
            report(done, of)

        try:
            if self.cut is not None:
                return pack_part(self.source, self.cut, self.path, self.config, alive)
            found = survey(self.source, self.config, partial(self._faces, lambda: alive(0, 1)))
            if len(found.parts) > 1:
                return found
            return pack_part(self.source, found.part(0), self.path, self.config, alive)
        except RejectError as reject:
            return self.refuse(reject)

    def _faces(self, alive: Callable[[], None], found: Probe, stretches: Sequence[Stretch]) -> tuple[BoxPath, ...]:
        """Those of its source, kept beside its parts: to find them takes as long as to pack them."""
        kept = self.folder / f"{self.name.source:06d}-faces.json"
        with suppress(AvsyncError):
            return read_json(kept, FoundFaces).tracks
        tracks = find_faces(found, stretches, alive)
        write_json(kept, FoundFaces(tracks=tracks), lasting=False)
        return tracks

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
    strict: bool = False

    @property
    def shard(self) -> str:
        return self.plan.name

    def run(self, report: Report) -> PartName | None:
        """Nothing when the shard is on disk, or the part that is damaged and must be packed again."""
        try:
            with writing(self.dataset, self.shard):
                assemble(self.plan, self.parts, self.folder, self.dataset, strict=self.strict)
        except DamagedPart as damaged:
            return damaged.name
        return None


def fault_of(code: int, config: PackConfig) -> str:
    """What a source did to its process; empty when the process was killed from outside."""
    if code == OUT_OF_TIME:
        return f"no clip came of it in {config.limit_s} s of CPU time (--limit-s)"
    if code == OUT_OF_MEMORY:
        return f"decoding it needs more than {config.memory / 2**30:.1f} GiB of memory (--memory-gb)"
    return f"FFmpeg crashes on it (signal {-code})" if code in CRASHES else ""


PackTask = PackPart | Assemble


class TooManyFailures(InputError):
    """The work was stopped. What `records` keep is to be forgotten, once nobody writes any more."""

    def __init__(self, message: str, records: tuple[Path, ...]) -> None:
        super().__init__(message)
        self.records = records


class FailureRun:
    """Counts failures in a row; `most` of them stop the work, 0 never do.

    So many sources in a row that cannot be read mean that a disk went away, before more are taken for bad videos.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._run: list[tuple[RejectReason, tuple[Path, ...]]] = []

    def passed(self) -> None:
        """A source could be read."""
        self._run.clear()

    def failed(self, reject: RejectError, records: tuple[Path, ...], *, existed: bool) -> None:
        """A source was rejected, as the files `records` say. Raises TooManyFailures when it was one too many.

        What was missing when the work was planned is no sign of anything.
        """
        if reject.reason not in FAILURES:
            self.passed()
        elif existed:
            self._run.append((reject.reason, records))
        if not self._most or len(self._run) < self._most:
            return
        counts = Counter(str(reason) for reason, _ in self._run).most_common()
        which = first_few([f"{count} {reason}" for reason, count in counts])
        raise TooManyFailures(
            f"{len(self._run)} sources in a row could not be read ({which}; the last one: {reject.detail}): look "
            "whether their disk is still there, then run the same command again; --stop-after 0 goes on whatever comes",
            tuple(path for _, records in self._run for path in records),
        )


class Schedule:
    """The tasks of all `plans`, in order, as the results of earlier ones allow."""

    def __init__(self, plans: Sequence[ShardPlan], dataset: Path, config: PackConfig) -> None:
        self._coming = deque(plans)
        self._dataset, self._config = dataset, config
        self._ready: deque[PackTask] = deque()
        self._open: dict[str, _Shard] = {}
        self._tries: Counter[tuple[PackTask, str]] = Counter()
        self._failures = FailureRun(config.stop_after)
        self.sources_done = self.sources_rejected = 0
        self.bytes_done = 0.0
        """Of the sources' bytes, for a progress bar."""
        self.given_up: list[str] = []
        """Sources, or shards, that lost their process too often."""

    def next(self) -> PackTask | None:
        """The next task; None when there is none at the moment."""
        while not self._ready and self._coming:
            self._begin(self._coming.popleft())
        return self._ready.popleft() if self._ready else None

    def done(self, task: PackTask, result: object) -> None:
        """A task is through. Raises TooManyFailures when too many sources in a row could not be read."""
        shard = self._open[task.shard]
        if isinstance(task, Assemble) and isinstance(result, PartName):
            self.sources_done -= 1
            shard.parts[result.source].pop(result.part)
            self._ready.appendleft(shard.task(result.source, 0, self._config))
        elif isinstance(task, Assemble):
            del self._open[task.shard]
            delete(shard.folder)  # what stays is tried again by the next call
        elif isinstance(result, SourceSurvey):
            self._cut(shard, task.name.source, result)
        elif isinstance(result, PartRecord):
            self._have(shard, task.name, result)

    def died(self, task: PackTask, code: int) -> None:
        """The process of a task ended with exit code `code`."""
        fault = fault_of(code, self._config) if isinstance(task, PackPart) else ""
        self._tries[task, fault] += 1
        tries = self._tries[task, fault]
        if isinstance(task, PackPart) and fault and (tries > 1 or code == OUT_OF_TIME):
            self.done(task, task.refuse(RejectError(RejectReason.CORRUPT, fault)))
        elif tries < TRIES:
            self._ready.appendleft(task)
        else:
            self.given_up.append(task.source.rel if isinstance(task, PackPart) else task.shard)

    def _begin(self, plan: ShardPlan) -> None:
        shard = _Shard(plan, self._dataset)
        self._open[plan.name] = shard
        for number, known in enumerate(shard.known()):
            for part, record in known.items():
                self._have(shard, PartName(source=number, part=part), record)
            if not shard.whole(number):
                self._ready.append(shard.task(number, 0, self._config))

    def _cut(self, shard: "_Shard", number: int, survey: SourceSurvey) -> None:
        """A source turned out to have several parts: those that are missing come next."""
        known = shard.parts[number]
        if any(record.of != len(survey.parts) for record in known.values()):
            known.clear()  # of a look that saw something else
        missing = [part for part in range(len(survey.parts)) if part not in known]
        self._ready.extendleft(shard.task(number, part, self._config, survey.part(part)) for part in reversed(missing))

    def _have(self, shard: "_Shard", name: PartName, record: PartRecord) -> None:
        number, parts = name.source, shard.parts[name.source]
        if any(other.of != record.of for other in parts.values()):
            parts.clear()
        parts[name.part] = record
        size = shard.plan.sources[number].size
        self.bytes_done += (size + 1) / record.of
        if not shard.whole(number):
            return
        self.sources_done += 1
        try:
            check(shard.records(number), strict=self._config.strict)
        except RejectError as reject:
            self.sources_rejected += 1
            self._failures.failed(reject, shard.files(number, self._dataset), existed=size > 0)
        else:
            self._failures.passed()
        if all(map(shard.whole, range(len(shard.plan.sources)))):
            self._ready.appendleft(shard.assembly(self._dataset, strict=self._config.strict))


class _Shard:
    """A shard on its way, and what is there of it."""

    def __init__(self, plan: ShardPlan, dataset: Path) -> None:
        self.plan = plan
        self.folder = dataset / PARTS / plan.parts_folder
        make_folder(self.folder)
        self.parts: list[dict[int, PartRecord]] = [{} for _ in plan.sources]

    def known(self) -> list[dict[int, PartRecord]]:
        """Whole parts of an earlier call, by source; what could not be read then gets another chance."""
        found: list[dict[int, PartRecord]] = [{} for _ in self.plan.sources]
        for path in below(self.folder, "*.json"):
            number, _, part = path.stem.partition("-")
            if not _PART.fullmatch(path.stem) or int(number) >= len(found):
                continue
            try:
                record = read_json(path, PartRecord)
                whole = not record.bytes or path.with_suffix(".tar").stat().st_size == record.bytes
            except (AvsyncError, OSError):
                continue
            if whole and not (record.reject and record.reject[0] == RejectReason.UNREADABLE):
                found[int(number)][int(part)] = record
        return found

    def whole(self, number: int) -> bool:
        """Every part of a source is there."""
        parts = self.parts[number]
        return bool(parts) and len(parts) == next(iter(parts.values())).of

    def records(self, number: int) -> Parts:
        parts = self.parts[number]
        return tuple(parts[part] for part in sorted(parts))

    def files(self, number: int, dataset: Path) -> tuple[Path, ...]:
        """All that keeps what became of a source."""
        parts = (PartName(source=number, part=part).path(self.folder) for part in self.parts[number])
        return *parts, dataset / f"{self.plan.name}.json"

    def task(self, number: int, part: int, config: PackConfig, cut: PartCut | None = None) -> PackPart:
        return PackPart(
            shard=self.plan.name,
            source=self.plan.sources[number],
            name=PartName(source=number, part=part),
            folder=self.folder,
            config=config,
            size=self.plan.sources[number].size // (cut.of if cut else 1),
            cut=cut,
        )

    def assembly(self, dataset: Path, *, strict: bool) -> Assemble:
        parts = tuple(self.records(number) for number in range(len(self.plan.sources)))
        return Assemble(plan=self.plan, parts=parts, folder=self.folder, dataset=dataset, strict=strict)
