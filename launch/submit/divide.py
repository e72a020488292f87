"""How many tasks an array of packers gets: the dataset's missing shards are divided here, on the login node."""

from dataclasses import replace
from pathlib import Path

from launch.job.record import JobRecord
from launch.submit.kinds import MERGE, PACK
from launch.submit.plan import JobPlan


def divide(plans: list[JobPlan]) -> list[JobPlan]:
    """The plans with arrays as long as there are shares; those that have nothing to do are left out.

    Raises what packing raises: InputError, FormatError, BusyError.
    """
    shares = {plan.paths.target: _divide(plan) for plan in plans if plan.record.kind == PACK}
    return _fitted(plans, shares)


def foresee(plans: list[JobPlan]) -> list[JobPlan]:
    """The same, and nothing is written. Raises the same."""
    shares = {plan.paths.target: _foresee(plan) for plan in plans if plan.record.kind == PACK}
    return _fitted(plans, shares)


def _fitted(plans: list[JobPlan], shares: dict[Path, int]) -> list[JobPlan]:
    kept = list[JobPlan]()
    for plan in plans:
        count = shares.get(plan.paths.target, 0)
        if plan.record.kind == PACK and count:
            kept.append(replace(plan, record=_sized(plan.record, count)))
        elif plan.record.kind == MERGE and (count or not (plan.paths.target / "dataset.json").is_file()):
            kept.append(plan)
        elif plan.record.kind not in (PACK, MERGE):
            kept.append(plan)
    return kept


def _sized(record: JobRecord, count: int) -> JobRecord:
    return replace(record, array=count)


def _divide(plan: JobPlan) -> int:
    from rich.console import Console

    from sharding.pack.pack import divide as divide_shards

    pack = plan.command
    division = divide_shards(
        pack.videos, pack.dataset, pack.config, pack.wishes, plan.record.array, Console(stderr=True)
    )
    return len(division.shares)


def _foresee(plan: JobPlan) -> int:
    from rich.console import Console

    from sharding.plan.shares import divided
    from sharding.plan.todo import OnDisk, find_todo, listed

    pack = plan.command
    found, folder = listed(pack.videos, pack.config, pack.wishes), OnDisk(pack.dataset)
    folder.check()
    work = find_todo(found, folder, pack.config, pack.wishes, Console(stderr=True))
    return len(divided(work.todo, plan.record.array))
