"""`avsync curate VIDEOS TABLE`: each source is looked at once, its answer kept; the table is made of all answers.

What was answered before, of the same file by the same network and settings, is not asked again: a call that was
stopped, by whatever, goes on. Calls with --share look at one part of the sources each, at the same time; a call without
looks at what is left, and writes the table.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from avsync.confidence.trust import reading_of
from avsync.curate.config import CurateConfig, CurateOptions
from avsync.curate.examiner import MEMORY, Prepared, SourceTask
from avsync.curate.report import print_plan, print_verdicts
from avsync.curate.rows import AnsweredSource, rows_of, settled
from avsync.curate.source_answer import AnswerFolder, SourceAnswer
from avsync.run.checkpoint import weights_of
from avsync.run.info import choose_step, read_run
from avsync.run.network import pick_device
from avsync.run.paths import RunPaths, run_of
from sharding.base.console import Bar, open_console
from sharding.base.environment import available_cores
from sharding.base.files import check_output, publish, to_json, writing
from sharding.base.guarded import claim, make_folder
from sharding.base.locks import folder_lock, share_lock
from sharding.base.share_progress import PROGRESS, ShareProgress, ShareTeller
from sharding.base.text import counted, first_few
from sharding.base.workers import CRASHES, OUT_OF_MEMORY, OUT_OF_TIME, Died, Done, Progress, Workers
from sharding.errors import AvsyncError, RejectReason
from sharding.format.crop import BoxPath
from sharding.sources.crops import write_boxes
from sharding.sources.curated import boxes_beside, write_curated
from sharding.sources.find import find_sources
from sharding.sources.source import Source

TRIES = 2
"""For a source whose process was ended from outside."""
REFRESH_S = 0.5


def curate(
    videos: Path,
    table: Path,
    config: CurateConfig,
    options: CurateOptions,
    console: Console | None = None,
) -> list[AnsweredSource]:
    """Write the table, or, with a share, the answers of that; returns what was found of all, or of the share.

    Raises InputError for wrong input, BusyError when another process works on the same table.
    """
    never = {"VIDEOS": videos} if videos.is_file() else {}
    check_output(table, "TABLE", (".csv",), never=never)
    if options.page:
        check_output(options.page, "--page", (".html",), never=never)
    listed = find_sources(videos, options.root)
    run = run_of(Path(config.network))
    folder = AnswerFolder(path=answers_beside(table), asked=question(run, config))
    mine = listed.sources if options.share is None else listed.sources[options.share :: options.shares]
    progress = console or open_console(stderr=True)
    for note in listed.notes:
        progress.print(note, soft_wrap=True)
    if options.dry_run:
        print_plan(mine, [source for source in mine if folder.read(source) is None], console or open_console())
        return []
    claim(folder.path)
    with writing(folder.path, "TABLE"):
        make_folder(folder.path)
    with _held(folder.path, options.share), writing(folder.path, "TABLE"):
        known = {source.id: answer for source in mine if (answer := folder.without_tracks(source)) is not None}
        todo = [source for source in mine if source.id not in known]
        begun = ShareProgress(
            asked=folder.about,
            shares=options.shares or 1,
            all_sources=len(listed.sources),
            sources=len(mine),
            done=len(known),
        )
        _look_at(todo, run, config, folder, progress, ShareTeller(folder.path / PROGRESS, options.share, begun))
        found = [AnsweredSource(source=one, answer=known.get(one.id) or what_became_of(folder, one)) for one in mine]
        if options.share is None:
            found = settled(found)
            _write(table, options.page, found, folder, config)
    if options.share is None:
        print_verdicts(found, console or open_console())
    else:
        looked = f"{counted(len(todo), 'source')} looked at, {len(known):,} known from before"
        line = f"share {options.share} of {options.shares} is answered: {looked}"
        (console or open_console()).print(line, soft_wrap=True)
    return found


def answers_beside(table: Path) -> Path:
    """The folder of answers that belongs to a table."""
    return table.with_suffix(".answers")


def _held(folder: Path, share: int | None) -> AbstractContextManager[None]:
    if share is None:
        return folder_lock(folder, "avsync curate")
    return share_lock(folder, f"avsync curate --share {share}", share)


def question(run: Path, config: CurateConfig) -> dict[str, str | int | float | None]:
    """What answers depend on: settings, the network's weights, and how its logits are read. Raises InputError."""
    paths = RunPaths(run)
    read_run(paths)
    step = choose_step(paths, config.checkpoint)
    weights = hashlib.sha256(weights_of(paths.checkpoint(step)).read_bytes()).hexdigest()
    reading = to_json(reading_of(run, step, config.trust).reading).decode()
    return {**config.decides_answers(), "weights": weights, "reading": reading, "version": VERSION}


VERSION = 2
"""Of how pieces are found and judged: what is made by another one is made anew."""


def _look_at(
    todo: Sequence[Source],
    run: Path,
    config: CurateConfig,
    folder: AnswerFolder,
    console: Console,
    teller: ShareTeller,
) -> None:
    """Answer all of `todo`. Raises AvsyncError: the network cannot be used; or processes died."""
    if not todo:
        return
    on_cpu = pick_device(config.device).type == "cpu"
    processes = min(config.processes, len(todo))
    threads = max(1, available_cores() // processes)
    tasks = [SourceTask(source=one, run_folder=run, config=config, threads=threads, size=_size(one)) for one in todo]
    digests = {task.source.id: folder.digest(task.source) for task in tasks}
    waiting, tries, lost = tasks[::-1], dict[str, int](), list[str]()
    progress = _Progress(tasks)
    with (
        Bar("curating", progress.total, unit=None, console=console, always_ends=True) as bar,
        Workers[SourceTask](processes, Prepared(limited=on_cpu)) as workers,
    ):
        while waiting or workers.busy:
            while waiting and workers.room:
                workers.give(waiting.pop())
            for event in workers.news(REFRESH_S):
                task = event.task
                if isinstance(event, Progress):
                    progress.under_way(task, event.done / event.of)
                    continue
                tries[task.source.id] = tries.get(task.source.id, 0) + 1
                answer = event.result if isinstance(event, Done) else _of_death(event, config)
                if answer is not None:
                    folder.write(task.source, replace(answer, asked=digests[task.source.id]))
                elif tries[task.source.id] < TRIES:
                    waiting.append(task)
                    continue
                else:
                    lost.append(task.source.rel)
                progress.done(task, rejected=bool(answer and answer.reject))
            bar.update(progress.bytes, state=progress.state)
            teller.tell(progress.count, bar.left_s)
    if lost:
        raise AvsyncError(
            f"a process died again and again while it looked at {first_few(sorted(lost))}: killed from outside, or for "
            "want of memory (fewer --workers need less); all else is answered, and the same command again goes on"
        )


def _of_death(event: Died[SourceTask], config: CurateConfig) -> SourceAnswer | None:
    """What a source did to its process; None when the process was killed from outside."""
    faults = {
        OUT_OF_TIME: f"it came no further in {config.limit_s} s of CPU time (--limit-s)",
        OUT_OF_MEMORY: f"it needs more than {MEMORY >> 30} GiB of memory",
        **{code: f"a library crashes on it (signal {-code})" for code in CRASHES},
    }
    if event.code not in faults:
        return None
    return SourceAnswer(asked="", reject=RejectReason.CORRUPT, detail=faults[event.code])


def what_became_of(folder: AnswerFolder, source: Source) -> SourceAnswer:
    """Its answer; of a file that is not there, or was changed while it was looked at, that."""
    if answer := folder.without_tracks(source):
        return answer
    if (last := folder.last(source)) and last.reject:
        return last
    return SourceAnswer(asked="", reject=RejectReason.UNREADABLE, detail="it was changed while it was looked at")


def _size(source: Source) -> int:
    try:
        return source.path.stat().st_size
    except OSError:
        return 0


@dataclass(slots=True)
class _Progress:
    """How far it is, by bytes of source."""

    tasks: Sequence[SourceTask]
    _parts: dict[str, float] = field(default_factory=dict)
    """Bytes that are done of what is under way."""
    _bytes: float = 0.0
    count: int = 0
    """Of sources that are done."""
    _rejected: int = 0

    @property
    def total(self) -> float:
        return sum(task.size for task in self.tasks) + len(self.tasks)

    @property
    def bytes(self) -> float:
        return self._bytes + sum(self._parts.values())

    @property
    def state(self) -> str:
        return f"{self.count:,} of {counted(len(self.tasks), 'video')}, {self._rejected:,} cannot be used"

    def under_way(self, task: SourceTask, share: float) -> None:
        """So much of it is done."""
        self._parts[task.source.id] = share * task.size

    def done(self, task: SourceTask, *, rejected: bool) -> None:
        """All of it."""
        self._parts.pop(task.source.id, None)
        self._bytes += task.size + 1
        self.count += 1
        self._rejected += rejected


def _write(
    table: Path, onto: Path | None, found: Sequence[AnsweredSource], folder: AnswerFolder, config: CurateConfig
) -> None:
    """The table of boxes first: the other one names its tracks."""
    with writing(table, "TABLE"):
        if any(_tracks(one) for one in found):
            write_boxes(boxes_beside(table), _boxes(found, folder))
        else:
            boxes_beside(table).unlink(missing_ok=True)
        write_curated(table, (row for one in found for row in rows_of(one)))
    if onto:
        from avsync.curate.page import page  # late: matplotlib and jinja2

        with writing(onto, "--page"), publish(onto) as file:
            file.write(page(found, folder, table, config).encode())


def _boxes(found: Sequence[AnsweredSource], folder: AnswerFolder) -> Iterator[tuple[str, Sequence[BoxPath]]]:
    """Those that rows name. Of one source at a time: of many hours of film they fill the memory."""
    for one in found:
        if numbers := _tracks(one):
            yield one.source.rel, [path for path in folder.tracks(one.source) if path.track in numbers]


def _tracks(one: AnsweredSource) -> set[int]:
    return {piece.track for piece in one.answer.pieces if piece.track is not None}
