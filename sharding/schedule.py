"""What to do next: all processes are busy, shards are finished in their order; parts first, then the shard of them.

Keeps what earlier calls left in DATASET/.parts; makes of a process's death a reject, another try, or an open shard.
"""

import shutil
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from sharding.assemble import Parts, check
from sharding.config import PackConfig
from sharding.errors import AvsyncError, RejectError, RejectReason
from sharding.failures import FailureRun
from sharding.files import read_json
from sharding.limits import CRASHES, OUT_OF_MEMORY, OUT_OF_TIME
from sharding.part import PARTS, PartName, PartRecord, Survey
from sharding.plan import ShardPlan
from sharding.tasks import Assemble, Pack

TRIES = 3
"""Of a task whose process was killed from outside."""
Task = Pack | Assemble


class Schedule:
    """The tasks of all `plans`, in order, as the results of earlier ones allow."""

    def __init__(self, plans: Sequence[ShardPlan], dataset: Path, config: PackConfig) -> None:
        self._coming = deque(plans)
        self._dataset, self._config = dataset, config
        self._ready: deque[Task] = deque()
        self._open: dict[str, _Shard] = {}
        self._tries: dict[Task, int] = {}
        self._failures = FailureRun(config.stop_after)
        self.sources_done = self.sources_rejected = 0
        self.bytes_done = 0.0
        """Of the sources' bytes, for a progress bar."""
        self.unfinished: set[str] = set()
        """Shards that lost their process too often."""

    def next(self) -> Task | None:
        """The next task; None when there is none at the moment."""
        while not self._ready and self._coming:
            self._begin(self._coming.popleft())
        return self._ready.popleft() if self._ready else None

    def done(self, task: Task, result: object) -> None:
        """A task is through. Raises AvsyncError when too many sources in a row could not be read."""
        if isinstance(task, Assemble):
            shard = self._open.pop(task.shard)
            shutil.rmtree(shard.folder)
            return
        shard = self._open[task.shard]
        number = task.name.source
        if isinstance(result, Survey):
            missing = [part for part in range(len(result.parts)) if part not in shard.parts[number]]
            self._ready.extendleft(shard.task(number, part, self._config, result) for part in reversed(missing))
        elif isinstance(result, PartRecord):
            self._have(shard, number, task.name.part, result)

    def died(self, task: Task, code: int) -> None:
        """The process of a task ended with exit code `code`."""
        tries = self._tries[task] = self._tries.get(task, 0) + 1
        fault = _fault(code, self._config) if isinstance(task, Pack) else ""
        if isinstance(task, Pack) and fault and (tries > 1 or code == OUT_OF_TIME):
            self.done(task, task.refuse(RejectError(RejectReason.CORRUPT, fault)))
        elif tries < TRIES:
            self._ready.appendleft(task)
        else:
            self.unfinished.add(task.shard)

    def _begin(self, plan: ShardPlan) -> None:
        shard = _Shard(plan, self._dataset)
        self._open[plan.name] = shard
        for number, known in enumerate(shard.known()):
            for part, record in known.items():
                self._have(shard, number, part, record)
            if not shard.whole(number):
                self._ready.append(shard.task(number, 0, self._config))

    def _have(self, shard: "_Shard", number: int, part: int, record: PartRecord) -> None:
        shard.parts[number][part] = record
        size = shard.plan.sizes[number]
        self.bytes_done += (size + 1) / record.of
        if not shard.whole(number):
            return
        self.sources_done += 1
        try:
            check(shard.records(number))
        except RejectError as reject:
            self.sources_rejected += 1
            self._failures.failed(reject, shard.files(number, self._dataset), existed=size > 0)
        else:
            self._failures.passed()
        if all(map(shard.whole, range(len(shard.plan.sources)))):
            self._ready.appendleft(shard.assembly(self._dataset))


class _Shard:
    """A shard on its way, and what is there of it."""

    def __init__(self, plan: ShardPlan, dataset: Path) -> None:
        self.plan = plan
        self.folder = dataset / PARTS / plan.digest[:16]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.parts: list[dict[int, PartRecord]] = [{} for _ in plan.sources]

    def known(self) -> list[dict[int, PartRecord]]:
        """Whole parts of an earlier call, by source; what could not be read then gets another chance."""
        found: list[dict[int, PartRecord]] = [{} for _ in self.plan.sources]
        for path in sorted(self.folder.glob("*.json")):
            number, _, part = path.stem.partition("-")
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

    def task(self, number: int, part: int, config: PackConfig, seen: Survey | None = None) -> Pack:
        return Pack(
            shard=self.plan.name,
            source=self.plan.sources[number],
            name=PartName(source=number, part=part),
            folder=self.folder,
            config=config,
            size=self.plan.sizes[number] // (len(seen.parts) if seen else 1),
            seen=seen,
        )

    def assembly(self, dataset: Path) -> Assemble:
        parts = tuple(self.records(number) for number in range(len(self.plan.sources)))
        return Assemble(plan=self.plan, parts=parts, folder=self.folder, dataset=dataset)


def _fault(code: int, config: PackConfig) -> str:
    """What a source did to its process; empty when the process was killed from outside."""
    if code == OUT_OF_TIME:
        return f"no clip came of it in {config.limit_s} s of CPU time (--limit-s)"
    if code == OUT_OF_MEMORY:
        return f"decoding it needs more than {config.memory / 2**30:.1f} GiB of memory (--memory-gb)"
    return f"FFmpeg crashes on it (signal {-code})" if code in CRASHES else ""
