"""All that is known of one job: every attempt, what it measures, why it failed, and what to type next."""

import shlex
import time
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from launch.commands.flags import typed
from launch.job.attempts import Event
from launch.job.paths import JobPaths
from launch.watch import words
from launch.watch.find import short
from launch.watch.logs import log_files, tail
from launch.watch.status import OVER, JobStatus, Standing
from launch.watch.table import remarks
from sharding.base.text import duration, plain

TAIL = 15
"""Lines of the log under a failure."""


def show_page(console: Console, status: JobStatus) -> None:
    """Print it."""
    target = plain(short(Path(status.target)))
    numbers = f"job {', '.join(status.ids)}" if status.ids else "not in the queue"
    console.print(Text.assemble((target, "bold"), f"  {status.kind} on {status.cluster or 'a cluster'}, {numbers}"))
    said = f"{status.standing}: {plain(status.why)}" if status.why else str(status.standing)
    where = f" on {status.nodes}" if status.nodes else ""
    console.print(Text.assemble((said, words.COLOURS.get(status.standing, "")), where), soft_wrap=True)
    for label, value in _facts(status):
        if value:
            console.print(f"  {label:<13}{plain(value)}", soft_wrap=True)
    if status.attempts:
        console.print(_attempts(status))
    for line in remarks(status):
        console.print(line, soft_wrap=True)
    _show_failure(console, status)
    console.print(f"Next: {'   '.join(_next(status))}", soft_wrap=True)


def _facts(status: JobStatus) -> list[tuple[str, str]]:
    now, best = status.progress, status.progress.best if status.progress else None
    rates = [f"{words.pace(status)} clips/s"] if words.pace(status) else []
    rates += [f"data wait {words.waits(status)}"] if words.waits(status) else []
    rates += [f"GPU busy {words.gpu(status)}"] if words.gpu(status) else []
    loss = f"loss {now.loss:.4f}" if now and now.loss is not None else ""
    best_told = f"; best {best.accuracy if best.audited is None else best.audited:.1%} at {best.step:,}" if best else ""
    return [
        ("done", words.moved(status, 24)),
        ("saved", f"step {status.saved:,}" if now else ""),
        ("time left", words.eta(status)),
        ("pace", ", ".join(rates)),
        ("training", loss),
        ("validation", words.validated(status) + best_told),
        ("preflight", now.preflight if now else ""),
        ("heartbeat", f"{words.age(status)} ago" if words.age(status) else ""),
        ("submitted", _when(status.submitted)),
        ("folder", status.folder),
    ]


def _attempts(status: JobStatus) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("attempt", "job", "began", "took", "nodes", "from", "to", "ended", "then"):
        table.add_column(title, justify="right" if title in ("attempt", "from", "to", "took") else "left")
    for attempt in status.attempts:
        began, ended = attempt.began, attempt.ended
        until = ended.at if ended else status.asked
        reached = f"{ended.saved:,}" if ended else ""
        cells = (
            str(began.attempt), began.job, _when(began.at), duration(round(max(until - began.at, 0))), began.nodes,
            f"{began.saved:,}", reached, words.how_it_ended(attempt, status.standing), _then(ended),
        )  # fmt: skip
        table.add_row(*(Text(plain(cell)) for cell in cells))
    return table


def _then(ended: Event | None) -> str:
    return str(ended.action) if ended else ""


def _show_failure(console: Console, status: JobStatus) -> None:
    if status.standing not in (Standing.FAILED, Standing.SILENT):
        return
    kept = status.outcome.log_tail.splitlines()[-TAIL:] if status.outcome else []
    files = log_files(JobPaths(Path(status.folder)))
    lines = kept or (tail(files[-1].path, TAIL) if files else [])
    for line in lines:
        console.print(Text(f"  | {plain(line)}", "dim"), soft_wrap=True)


def _next(status: JobStatus) -> list[str]:
    """Commands that make sense now."""
    target = short(Path(status.target))
    if status.standing in (Standing.FAILED, Standing.SILENT):
        return [typed("logs", target, "--errors"), typed("resubmit", target)]
    if status.standing in (Standing.CANCELLED, Standing.UNSENT):
        return [typed("resubmit", target)]
    if status.standing in OVER:
        after = typed("board", target) if status.progress else f"cat {shlex.quote(status.folder)}/log.txt"
        return [typed("logs", target), after]
    return [
        typed("logs", target, "-f"),
        *([typed("board", target)] if status.progress else []),
        typed("cancel", target),
    ]


def _when(moment: float) -> str:
    return time.strftime("%a %d %b %H:%M", time.localtime(moment)) if moment else ""
