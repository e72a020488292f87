"""`avsync submit` and `avsync resubmit`: look first, then write the jobs' folders, then queue."""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shutil import which

from launch.queue.ask import QueueError
from launch.queue.site import USUAL_ARRAY, read_config
from launch.site.profiles import find_profile
from launch.submit.chain import queue_chain, sheets
from launch.submit.check import check_partition, check_writable, missing_folders, read_nodes, warnings
from launch.submit.kinds import INDEX, MERGE, PACK
from launch.submit.live import check_known, clear, held, is_done, queued_already, refusal, refuse_live
from launch.submit.messages import dry_run_report, queued_report
from launch.submit.plan import JobPlan, Link, check_snapshot, plan_again, plan_chain
from launch.submit.sbatch import try_script
from launch.submit.snapshot import take_snapshot, write_environment
from launch.watch.jobs import job_of
from sharding.base.environment import commit_of
from sharding.base.files import PRIVATE, write_json
from sharding.base.housekeeping import why_refused
from sharding.errors import InputError


def submit(chain: Sequence[Link], cluster: str, after: Sequence[str], *, dry_run: bool) -> str:
    """Queue a chain of commands; returns what to say. Raises AvsyncError before anything is queued, or afterwards
    with nothing left in the queue.
    """
    plans = plan_chain(chain, find_profile(cluster), commit_of())
    check_writable(plans)
    missing = missing_folders(plans)
    if missing and not after:
        raise InputError(missing[0])
    for warning in (*missing, *warnings(plans)):  # what is missing may be made by the jobs that it waits for
        sys.stderr.write(f"avsync: warning: {warning}\n")
    if dry_run:
        return _foreseen(foresee([plan for plan in plans if not is_done(plan)]), plans, after)
    return _queue([plan for plan in plans if not is_done(plan)], plans, after, new_code=True)


def resubmit(name: str, kind: str, *, new_code: bool, dry_run: bool) -> str:
    """Queue a job again as its folder tells, and of a packing what follows it. Raises AvsyncError as `submit` does."""
    plans = plan_again(job_of(name, kind))
    check_writable(plans)
    if missing := missing_folders(plans):
        raise InputError(missing[0])
    if dry_run:
        return _foreseen(foresee(plans), plans, ())
    if not new_code:
        for plan in plans:
            check_snapshot(plan)
    return _queue(plans, plans, (), new_code=new_code)


def _queue(todo: list[JobPlan], plans: list[JobPlan], after: Sequence[str], *, new_code: bool) -> str:
    starts = _asked(todo)
    check_known(after)
    with held(plans):
        refuse_live(plans)
        todo = divide(todo)
        for plan in todo:
            prepare(plan, new_code=new_code)
        queued = queue_chain(todo, read_config().largest_array, after)
    return queued_report(plans, list(zip(todo, queued, strict=True)), starts)


def _foreseen(todo: list[JobPlan], plans: list[JobPlan], after: Sequence[str]) -> str:
    """The dry run. It also works where there is no SLURM."""
    if which("sbatch") is None:
        sys.stderr.write("avsync: warning: nothing was checked against the cluster: there is no SLURM here\n")
        return dry_run_report(plans, todo, USUAL_ARRAY, after, {})
    message = dry_run_report(plans, todo, read_config().largest_array, after, _asked(todo))
    refused = [f"it would be refused: {refusal(plan, rows[0])}" for plan, rows in queued_already(plans)]
    return "\n".join([message, *refused])


def _asked(plans: Sequence[JobPlan]) -> dict[str, str]:
    """When each job would start if it were alone, by the name of its folder. Raises InputError, QueueError."""
    nodes, starts = read_nodes(), dict[str, str]()
    for plan in plans:
        check_partition(plan, nodes)
    for plan in plans:
        text = sheets(replace(plan, record=replace(plan.record, array=min(plan.record.array, 1))), 1, ())[0].text
        try:
            starts[str(plan.paths.root)] = try_script(text)
        except QueueError as error:
            site = plan.record.profile.name
            raise InputError(f"{plan.record.kind}: {error}; change what profile {site} or a flag asks for") from error
    return starts


def prepare(plan: JobPlan, *, new_code: bool) -> None:
    """Write the job's folder. Raises InputError when it cannot be written."""
    try:
        _write(plan, new_code=new_code)
    except OSError as error:  # the error itself may name the file that was to be copied
        why = why_refused(error, "make room, or name another folder")
        raise InputError(f"cannot write the job's folder {plan.paths.root}: {why}") from error


def _write(plan: JobPlan, *, new_code: bool) -> None:
    paths, record = plan.paths, plan.record
    paths.root.mkdir(parents=True, exist_ok=True)
    clear(paths)
    if new_code:
        record = replace(record, commit=commit_of())
        take_snapshot(paths.code)
    write_environment(paths.environment, record.commit)
    write_json(paths.record, replace(record, submitted=time.time()), mode=PRIVATE)


# How many tasks an array of packers gets: the dataset's missing shards are divided here, on the login node.


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
            kept.append(replace(plan, record=replace(plan.record, array=count)))
        elif plan.record.kind == MERGE and (count or not (plan.paths.target / INDEX).is_file()):
            kept.append(plan)
        elif plan.record.kind not in (PACK, MERGE):
            kept.append(plan)
    return kept


def _divide(plan: JobPlan) -> int:
    from sharding.base.console import open_console
    from sharding.pack.pack import divide as divide_shards

    pack, console = plan.command, open_console(stderr=True)
    return len(divide_shards(pack.videos, pack.dataset, pack.config, pack.options, plan.record.array, console).shares)


def _foresee(plan: JobPlan) -> int:
    from sharding.base.console import open_console
    from sharding.plan.shares import divided
    from sharding.plan.todo import OnDisk, find_todo, listed

    pack = plan.command
    found, folder = listed(pack.videos, pack.config, pack.options), OnDisk(pack.dataset)
    folder.check()
    work = find_todo(found, folder, pack.config, pack.options, open_console(stderr=True))
    return len(divided(work.todo, plan.record.array))
