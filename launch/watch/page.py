"""All that is known of one job: every attempt, what it measures, why it failed, and what to type next."""

import time
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from launch.job.paths import JobPaths
from launch.watch import cells
from launch.watch.hints import next_of
from launch.watch.jobs import short
from launch.watch.log_files import log_files, printable, tail
from launch.watch.overview import remarks
from launch.watch.status import JobStatus, Standing
from sharding.base.text import LONGEST_MESSAGE, counted, duration, first_few, percent, plain, shown

TAIL, ATTEMPTS = 15, 50
"""Lines of the log under a failure; the last attempts that are shown."""


def show_page(console: Console, status: JobStatus) -> None:
    """Print it."""
    target = plain(short(Path(status.target)))
    numbers = f"job {first_few(status.ids, 8)}" if status.ids else "not in the queue"
    about = f"{shown(status.kind)} on {shown(status.cluster) or 'a cluster'}, {numbers}"
    console.print(Text.assemble((target, "bold"), f"  {about}"))
    state = f"{status.standing}: {shown(status.why, LONGEST_MESSAGE)}" if status.why else str(status.standing)
    asked = f" ({status.nodes_asked} were asked for)" if "-" in status.nodes_asked else ""
    where = f" on {shown(status.nodes)}{asked}" if status.nodes else ""
    console.print(Text.assemble((state, cells.COLOURS.get(status.standing, "")), where), soft_wrap=True)
    for label, value in _facts(status):
        if value:
            console.print(f"  {label:<13}{shown(value, LONGEST_MESSAGE)}", soft_wrap=True)
    if status.attempts:
        if status.tasks:
            console.print(f"Task {status.tasks.failing}, the first that did not end well:")
        if (more := len(status.attempts) - ATTEMPTS) > 0:
            console.print(f"{counted(more, 'attempt')} before these:")
        console.print(_attempts(status))
    for line in remarks(status):
        console.print(line, soft_wrap=True)
    _show_failure(console, status)
    if following := next_of(status):
        console.print(f"Next: {'   '.join(following)}", soft_wrap=True, highlight=False)


def _facts(status: JobStatus) -> list[tuple[str, str]]:
    now, best = status.progress, status.progress.best if status.progress else None
    rates = [f"{cells.pace(status)} clips/s"] if cells.pace(status) else []
    rates += [f"data wait {cells.waits(status)}"] if cells.waits(status) else []
    rates += [f"GPU busy {cells.gpu(status)}"] if cells.gpu(status) else []
    loss = f"loss {now.loss:.4f}" if now and now.loss is not None else ""
    best_text = (
        f"; best {percent(best.accuracy if best.audited is None else best.audited)} at {best.step:,}" if best else ""
    )
    return [
        ("done", cells.moved(status, 24)),
        ("saved", f"step {status.saved:,}" if now else ""),
        ("time left", cells.eta(status)),
        ("pace", ", ".join(rates)),
        ("training", loss),
        ("validation", cells.validated(status) + best_text),
        ("preflight", now.preflight if now else ""),
        ("heartbeat", f"{cells.age(status)} ago" if cells.age(status) else ""),
        ("submitted", _when(status.submitted)),
        ("folder", status.folder),
    ]


def _attempts(status: JobStatus) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("attempt", "job", "began", "took", "nodes", "from", "to", "ended", "then"):
        table.add_column(title, justify="right" if title in ("attempt", "from", "to", "took") else "left")
    for attempt in status.attempts[-ATTEMPTS:]:
        began, ended = attempt.began, attempt.ended
        took = (ended.at if ended else status.asked) - began.at
        row = [str(began.attempt), began.job, _when(began.at), duration(round(max(took, 0))), began.nodes]
        row += [f"{began.saved:,}", f"{ended.saved:,}" if ended else ""]
        row += [cells.how_it_ended(attempt, status.standing), str(ended.action) if ended else ""]
        table.add_row(*(Text(shown(cell)) for cell in row))
    return table


def _show_failure(console: Console, status: JobStatus) -> None:
    if status.standing not in (Standing.FAILED, Standing.SILENT):
        return
    kept = status.outcome.log_tail.splitlines()[-TAIL:] if status.outcome else []
    files = log_files(JobPaths(Path(status.folder)))
    lines = kept or (tail(files[-1].path, TAIL) if files else [])
    for line in lines:
        console.print(Text(f"  | {printable(line)}", "dim"), soft_wrap=True)


def _when(moment: float) -> str:
    return time.strftime("%a %d %b %H:%M", time.localtime(moment)) if moment else ""
