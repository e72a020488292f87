"""Jobs put into the queue one after the other, each waiting for those before it; all of them, or none."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from launch.job.record import Queued
from launch.submit.plan import JobPlan
from launch.submit.sbatch import submit_script, withdraw
from launch.submit.script import Piece, Waits, pieces, script
from sharding.base.files import OWN, OWN_FOLDER, PRIVATE, publish, write_json
from sharding.base.guarded import make_folder, remove
from sharding.errors import AvsyncError


@dataclass(frozen=True, kw_only=True, slots=True)
class JobScript:
    """One call of sbatch."""

    piece: Piece
    text: str


def sheets(plan: JobPlan, most: int, well: Sequence[str]) -> list[JobScript]:
    """The scripts of a job, without its copies: one, or of a long array several. `well`: jobs it waits for."""
    waits = Waits(well=tuple(well))
    return [
        JobScript(piece=piece, text=script(plan.record, plan.paths, piece, waits))
        for piece in pieces(plan.record.array, most)
    ]


def queue_chain(plans: Sequence[JobPlan], most: int, after: Sequence[str]) -> list[Queued]:
    """Queue jobs whose folders are ready. `most`: tasks of one array job; `after`: jobs that all wait for.

    Raises QueueError, OSError; then nothing of it is left in the queue.
    """
    queued, well = list[Queued](), tuple(after)
    try:
        for plan in plans:
            queued.append(Queued(ids=(), depends_on=well))
            for ids in _queue(plan, most, well):
                queued[-1] = Queued(ids=ids, depends_on=well)
                # after each: what is queued must be known at any moment
                write_json(plan.paths.queued, queued[-1], mode=OWN)
            well = _last(plan, queued[-1].ids)
    except BaseException:
        _withdraw(plans, queued)
        raise
    return queued


def _queue(plan: JobPlan, most: int, well: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """SLURM's numbers so far, after each call of sbatch."""
    ids = list[str]()
    make_folder(plan.paths.logs, mode=OWN_FOLDER)
    for sheet in sheets(plan, most, well):
        path = plan.paths.script(sheet.piece.number, sheet.piece.of)
        with publish(path, lasting=False, mode=PRIVATE) as file:
            file.write(sheet.text.encode())
        before = ""
        for _ in range(plan.copies):
            waits = Waits(well=well, over=before)
            before = submit_script(script(plan.record, plan.paths, sheet.piece, waits) if before else sheet.text)
            ids.append(before)
            yield tuple(ids)


def _last(plan: JobPlan, ids: Sequence[str]) -> tuple[str, ...]:
    """The jobs whose good end means that all is done: of a line of copies the last."""
    return tuple(ids[plan.copies - 1 :: plan.copies])


def _withdraw(plans: Sequence[JobPlan], queued: Sequence[Queued]) -> None:
    ids = tuple(job for one in queued for job in one.ids)
    try:
        withdraw(ids)
    except AvsyncError as error:
        sys.stderr.write(f"avsync: these jobs are still in the queue: {', '.join(ids)} ({error})\n")
        return
    for plan in plans[: len(queued)]:
        remove(plan.paths.queued)
