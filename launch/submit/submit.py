"""`avsync submit` and `avsync resubmit`: look first, then write the jobs' folders, then queue."""

import os
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import which

from launch.job.own import foreign, make_own
from launch.job.paths import JobPaths
from launch.queue.ask import QueueError, Unasked
from launch.queue.site import USUAL_ARRAY, SiteConfig, read_config
from launch.site.profiles import find_profile
from launch.submit.chain import queue_chain, sheets
from launch.submit.check import (
    check_partition,
    check_requeue,
    check_scratch_folders,
    check_writable,
    missing_folders,
    no_partition,
    read_nodes,
    warnings,
)
from launch.submit.feasible import problems
from launch.submit.kinds import INDEX, MERGE, PACK
from launch.submit.live import (
    NOT_LIVE,
    check_known,
    clear,
    held,
    is_done,
    make_way_for_log,
    note_done,
    queued_already,
    refusal,
    refuse_live,
)
from launch.submit.lost import lost_of
from launch.submit.messages import dry_run_report, queued_report
from launch.submit.plan import JobPlan, Link, check_snapshot, plan_all_again, plan_chain
from launch.submit.sbatch import try_script, withdraw
from launch.submit.snapshot import make_caches, take_snapshot, write_environment
from launch.submit.takeover import check_owners, move_aside, plan_taken, refuse_foreign
from launch.watch.hints import again
from sharding.base.environment import commit_of
from sharding.base.files import PRIVATE, write_json
from sharding.base.guarded import claim
from sharding.base.housekeeping import housekeeping, why_refused
from sharding.base.text import LONGEST_MESSAGE, shown
from sharding.errors import InputError


def submit(chain: Sequence[Link], cluster: str, after: Sequence[str], *, of: str, dry_run: bool) -> str:
    """Queue a chain of commands; returns what to say. of: whose jobs may lose their place. Raises AvsyncError before
    anything is queued, or afterwards with nothing left in the queue.
    """
    plans = plan_chain(chain, find_profile(cluster), commit_of())
    check_owners([plan.paths for plan in plans], of)
    _look(plans, after)
    for warning in warnings(plans):
        sys.stderr.write(f"avsync: warning: {shown(warning, LONGEST_MESSAGE)}\n")
    for note in sorted({plan.note for plan in plans if plan.note}):
        sys.stderr.write(f"avsync: note: {shown(note, LONGEST_MESSAGE)}\n")
    if dry_run:
        return _foreseen(foresee([plan for plan in plans if not is_done(plan)]), plans, after)
    return _queue([plan for plan in plans if not is_done(plan)], plans, after, new_code=True)


def _look(plans: list[JobPlan], after: Sequence[str]) -> None:
    """At the folders. Raises InputError; what jobs that are waited for may yet make is warned of only."""
    for plan in plans:
        claim(plan.paths.target)
    check_writable(plans)
    check_scratch_folders(plans)
    _judge(missing_folders(plans), after)


def _check_feasible(plans: list[JobPlan], after: Sequence[str]) -> None:
    """By the work's own checks, when all else is well: they may take some seconds. Raises InputError."""
    impossible, unasked = problems([plan for plan in plans if not is_done(plan)])
    _judge(impossible, after)
    for warning in unasked:
        sys.stderr.write(f"avsync: warning: {shown(warning, LONGEST_MESSAGE)}\n")


def _judge(wrong: Sequence[str], after: Sequence[str]) -> None:
    if wrong and not after:
        raise InputError(wrong[0])
    for warning in wrong:
        sys.stderr.write(f"avsync: warning: {shown(warning, LONGEST_MESSAGE)}\n")


def resubmit(name: str, kind: str, *, new_code: bool, of: str, dry_run: bool) -> str:
    """Queue again what is meant, as its folders tell: each job behind those before it in its chain that live.

    of: whose jobs they are; they become one's own. Raises AvsyncError as `submit` does.
    """
    lost = lost_of(name, kind)
    roots = [JobPaths(root) for root in lost.roots]
    if of:
        theirs = [paths for paths in roots if foreign(paths)]
        if not theirs:
            raise InputError(f"--of {of}: what is lost of {name} is your own; leave it out")
        check_owners(theirs, of)
        lost, new_code = replace(lost, stuck=()), True  # theirs in the queue are theirs to take out
        own = plan_all_again(paths for paths in roots if paths not in theirs)
        plans = [*plan_taken(theirs), *own]
        order = list(lost.roots)
        plans.sort(key=lambda plan: order.index(plan.paths.root) if plan.paths.root in order else len(order))
    else:
        refuse_foreign(roots)
        plans = plan_all_again(roots)
    plans = [plan for plan in plans if plan.paths.root not in lost.alone]
    _look(plans, lost.after)
    if dry_run:
        return _foreseen(foresee(plans), plans, lost.after, but=lost.stuck)
    if not new_code:
        for plan in plans:
            check_snapshot(plan)
    report = _queue(plans, plans, lost.after, new_code=new_code, instead_of=lost.stuck)
    if not lost.left:
        return report
    following = again(str(plans[0].paths.target))
    return "\n".join([report, f"Not queued with it: {lost.left}", *(f"Next: {line}" for line in following)])


def _queue(
    todo: list[JobPlan],
    plans: list[JobPlan],
    after: Sequence[str],
    *,
    new_code: bool,
    instead_of: tuple[str, ...] = (),
) -> str:
    """`instead_of`: jobs in the queue that can never start; they go first."""
    unasked = Unasked()
    starts = _asked(todo, unasked)
    check_known(after, unasked)
    _check_feasible(plans, after)
    with held(plans):
        withdraw(instead_of)
        refuse_live(plans, unasked)
        most = _largest_array(unasked)
        unasked.warn()
        todo, wanted = divide(todo), todo
        _note_done([plan for plan in wanted if plan.paths.root not in {one.paths.root for one in todo}])
        for plan in todo:
            prepare(plan, new_code=new_code)
        queued = queue_chain(todo, most, after)
    return queued_report(plans, list(zip(todo, queued, strict=True)), starts)


def _note_done(plans: Sequence[JobPlan]) -> None:
    """Packings of which no shard is missing, whoever made them."""
    for plan in plans:
        if not os.path.lexists(plan.paths.record):
            continue
        with housekeeping("note the end in", plan.paths.root):
            note_done(plan.paths)


def _foreseen(todo: list[JobPlan], plans: list[JobPlan], after: Sequence[str], *, but: Collection[str] = ()) -> str:
    """The dry run. It also works where there is no SLURM."""
    if which("sbatch") is None:
        sys.stderr.write("avsync: warning: nothing was checked against the cluster: there is no SLURM here\n")
        _check_feasible(plans, after)
        return dry_run_report(plans, todo, USUAL_ARRAY, after, {})
    unasked = Unasked()
    message = dry_run_report(plans, todo, _largest_array(unasked), after, _asked(todo, unasked))
    _check_feasible(plans, after)
    live = unasked.ask(lambda: queued_already(plans), [], NOT_LIVE)
    alive = [(plan, row) for plan, rows in live for row in rows[:1] if row.job not in but]
    refused = [f"it would be refused: {refusal(plan, row)}" for plan, row in alive]
    unasked.warn()
    return "\n".join([message, *refused])


def _largest_array(unasked: Unasked) -> int:
    config = unasked.ask(read_config, SiteConfig({}), LONGEST_ARRAY)
    if not config.settings and not unasked.warning:
        unasked.note("scontrol show config says nothing", LONGEST_ARRAY)
    return config.largest_array


NO_SUCH_NODE = "node configuration is not available"
"""What sbatch says, also while nodes have yet to answer a controller that was started anew."""
LONGEST_ARRAY, NODES = "how long an array may be", "partitions and their nodes: sbatch --test-only is the judge"


def _asked(plans: Sequence[JobPlan], unasked: Unasked) -> dict[str, str]:
    """When each job would start if it were alone, by the name of its folder. What sinfo does not show need not be
    missing: then sbatch is the judge. Raises InputError, QueueError.
    """
    check_requeue(plans, unasked)
    nodes, starts = unasked.ask(read_nodes, [], NODES), dict[str, str]()
    if not nodes and not unasked.warning:
        unasked.note("sinfo shows no nodes", NODES)
    missing = {str(plan.paths.root): no_partition(plan, nodes) if nodes else "" for plan in plans}
    for plan in plans:
        if nodes and not missing[str(plan.paths.root)]:
            check_partition(plan, nodes)
    for plan in plans:
        text = sheets(replace(plan, record=replace(plan.record, array=min(plan.record.array, 1))), 1, ())[0].text
        try:
            starts[str(plan.paths.root)] = try_script(text)
        except QueueError as error:
            if missing[str(plan.paths.root)]:
                raise InputError(missing[str(plan.paths.root)]) from error
            change = f"change what profile {plan.record.profile.name} or a flag asks for"
            if nodes and NO_SUCH_NODE in str(error):  # by size, sinfo shows some
                change = f"if SLURM's controller has just started, try again in a minute; else {change} (--constraint?)"
            raise InputError(f"{plan.record.kind}: {error}; {change}") from error
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
    move_aside(paths)
    make_own(paths)
    clear(paths)
    make_way_for_log(paths.log)
    if new_code:
        record = replace(record, commit=commit_of())
        take_snapshot(paths.code)
    make_caches(paths.code)
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
    (found, config), folder = listed(pack.videos, pack.config, pack.options), OnDisk(pack.dataset)
    folder.check()
    work = find_todo(found, folder, config, pack.options, open_console(stderr=True))
    return len(divided(work.todo, plan.record.array))
