"""What submit says at its end: what is queued, when it may start, what to type next; or what a dry run shows."""

from collections.abc import Mapping, Sequence

from launch.commands.flags import typed
from launch.job.record import Queued, Resources
from launch.site.amounts import as_clock
from launch.submit.chain import sheets
from launch.submit.plan import JobPlan
from launch.submit.snapshot import snapshot_bytes
from launch.watch.hints import command
from launch.watch.jobs import short
from sharding.base.text import counted, size

RULE = "-" * 78


def queued_report(plans: Sequence[JobPlan], queued: Sequence[tuple[JobPlan, Queued]], starts: Mapping[str, str]) -> str:
    """Job numbers, and the next commands."""
    lines = [f"{_title(plan)}: done already, nothing to do" for plan in _left_out(plans, [plan for plan, _ in queued])]
    for plan, jobs in queued:
        lines.append(f"{_title(plan)}: job {', '.join(jobs.ids)}{_when(plan, jobs.depends_on, starts)}")
    if queued:
        targets = dict.fromkeys(plan.paths.target for plan, _ in queued)
        lines += [f"Next: {typed('status', *map(short, targets))}"]
        lines += [f"      {command('logs', queued[0][0].paths.root, '-f')}"]  # of what runs first
    return "\n".join(lines)


def dry_run_report(
    plans: Sequence[JobPlan], todo: Sequence[JobPlan], most: int, after: Sequence[str], starts: Mapping[str, str]
) -> str:
    """Every script word for word, and what would happen."""
    lines, well = list[str](), tuple(after)
    table = [f"{_title(plan)}: done already, nothing would be queued" for plan in _left_out(plans, todo)]
    for plan in todo:
        made = sheets(plan, most, well)
        for sheet in made:
            lines += [f"{RULE}\n{plan.paths.script(sheet.piece.number, sheet.piece.of)}\n{RULE}", sheet.text]
        table.append(_foreseen(plan, len(made), well, starts))
        well = (f"JOB-OF-{plan.paths.root.name}",)
    table.append(f"each keeps its own copy of avsync: {size(snapshot_bytes())}")
    table.append("dry run: nothing was written or queued")
    return "\n".join([*lines, RULE, *table])


def _foreseen(plan: JobPlan, sheets: int, well: Sequence[str], starts: Mapping[str, str]) -> str:
    array = f", an array of {counted(plan.record.array, 'task')}" if plan.record.array else ""
    several = f" in {sheets} jobs" if sheets > 1 else ""
    line = f", and {counted(plan.copies - 1, 'job')} in line behind it" if plan.copies > 1 else ""
    return f"{_title(plan)}{array}{several}{line}: {_asked(plan.record.resources)}{_when(plan, well, starts)}"


def _when(plan: JobPlan, well: Sequence[str], starts: Mapping[str, str]) -> str:
    if well:
        return f", begins when {', '.join(well)} ended well"
    start = starts.get(str(plan.paths.root), "")
    return f", SLURM expects it to start at {start.replace('T', ' ')}" if start else ""


def _asked(asked: Resources) -> str:
    counts = asked.node_counts
    nodes = f"{counted(asked.nodes, 'node')} with " if asked.nodes > 1 else ""
    nodes = f"{counts.least} to {counts.most} nodes, each with " if counts.is_range else nodes
    gpus = f"{counted(asked.gpus_per_node, 'GPU')}, " if asked.gpus_per_node else ""
    cpus = f"{counted(asked.cpus_per_task * asked.tasks_per_node, 'CPU')}, "
    memory = f"{asked.memory_mb:,} MiB, " if asked.memory_mb else ""
    return f"{nodes}{gpus}{cpus}{memory}{as_clock(asked.time_s)}" + (f", {asked.partition}" if asked.partition else "")


def _left_out(plans: Sequence[JobPlan], todo: Sequence[JobPlan]) -> list[JobPlan]:
    roots = {plan.paths.root for plan in todo}
    return [plan for plan in plans if plan.paths.root not in roots]


def _title(plan: JobPlan) -> str:
    return f"{plan.record.kind} {short(plan.paths.target)}"
