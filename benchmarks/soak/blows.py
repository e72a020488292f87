"""What the gremlin does: one function for each kind of mischief, and the table of them all.

To add one: a line in BLOWS, with what may come of it (`excuses`, `fails`).
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from avsync.run.paths import RunPaths
from benchmarks.soak.gremlin import Blow, Gremlin
from benchmarks.soak.journal import Journal
from benchmarks.soak.look import Live, node_names, processes_of
from benchmarks.soak.work import Order
from launch.job.paths import JobPaths
from launch.watch.status import Standing

HOUR_S = 3600
Hit = Callable[[Gremlin, Live], str]

# Each of these does one thing to one job, or to the whole cluster, and returns what to note.


def _scontrol(verb: str) -> Hit:
    return lambda gremlin, victim: gremlin.cluster.run("scontrol", verb, victim.name)


def _suspend(gremlin: Gremlin, victim: Live) -> str:
    gremlin.cluster.run("scontrol", "suspend", victim.name)
    gremlin.later("resume", 25, lambda: gremlin.cluster.run("scontrol", "resume", victim.name, check=False), victim)
    return ""


def _scancel(*options: str) -> Hit:
    return lambda gremlin, victim: gremlin.cluster.run("scancel", *options, victim.name)


def _time_is_up(gremlin: Gremlin, victim: Live) -> str:
    """The next attempt gets its time again."""
    end, restarts = int(gremlin.random.integers(1, 40)), gremlin.cluster.job(victim.name).get("Restarts", "")
    gremlin.cluster.run("scontrol", "update", f"JobId={victim.name}", f"EndTime=now+{end}")
    gremlin.later("more time", 30, lambda: _until_ended(gremlin, victim, restarts), victim)
    return f"in {end} s"


def _until_ended(gremlin: Gremlin, victim: Live, restarts: str) -> None:
    fields = gremlin.cluster.job(victim.name)
    if fields["JobState"] in ("RUNNING", "COMPLETING") and fields.get("Restarts") == restarts:
        gremlin.later("more time", 30, lambda: _until_ended(gremlin, victim, restarts), victim)
        return
    gremlin.cluster.run("scontrol", "update", f"JobId={victim.name}", "TimeLimit=15", check=False)


def _cancel(gremlin: Gremlin, victim: Live) -> str:
    now = ["--now"] if gremlin.random.random() < 0.3 else []

    def work() -> None:
        done = victim.order.account.avsync("cancel", str(victim.target), "--kind", victim.kind, *now)
        if done.returncode == 0 and SAID_CANCELLED in done.stdout:
            victim.order.cancelled[victim.kind] = time.monotonic()
        gremlin.note("gremlin", "avsync cancel said", victim, f"exit {done.returncode}: {done.stdout}")

    gremlin.aside.submit(work)
    return " ".join(now)


def _resubmit(gremlin: Gremlin, victim: Live) -> str:
    """Somebody is impatient: it is refused while the job lives."""
    gremlin.aside.submit(again, gremlin.journal, "gremlin", victim.order, victim.kind)
    return ""


def again(journal: Journal, who: str, order: Order, kind: str) -> bool:
    """`avsync resubmit`, as the order's account; whether it was taken."""
    before, began = len(order.blows), time.monotonic()
    done = order.account.avsync(*order.again(kind))
    if taken := done.returncode == 0:
        order.queued_anew(kind, before, began)
    journal.note(who, "avsync resubmit said", order=order.name, detail=f"{kind}, exit {done.returncode}: {done.stdout}")
    return taken


def _kill_one(word: str) -> Hit:
    """SIGKILL to one process whose command line has that word."""

    def strike(gremlin: Gremlin, victim: Live) -> str:
        found = processes_of(victim.job, word)
        if not found:
            return "none there"
        chosen = found[int(gremlin.random.integers(len(found)))]
        with suppress(ProcessLookupError):
            os.kill(chosen, signal.SIGKILL)
        return f"process {chosen} of {len(found)}"

    return strike


def _freeze(gremlin: Gremlin, victim: Live) -> str:
    """A node that swaps: its process stands still for a while."""
    found = processes_of(victim.job, RANK)
    for process in found:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGSTOP)

    def thaw() -> None:
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)

    gremlin.later("thaw", 20, thaw, victim)
    return f"{len(found)} processes"


def _full_disk(gremlin: Gremlin, _: None) -> str:
    free = gremlin.stage.fill()
    gremlin.later("free the disk", 20, gremlin.stage.free)
    return f"{free / 2**20:.0f} MiB taken"


def _no_rights(gremlin: Gremlin, victim: Live) -> str:
    """A folder of the job, or of what it works on, can neither be read nor written."""
    target = victim.target
    there = [target, JobPaths.of(target, victim.kind).root, RunPaths(target).checkpoints, RunPaths(target).tensorboard]
    folders = [folder for folder in there if folder.is_dir()]
    folder = folders[int(gremlin.random.integers(len(folders)))]
    before = folder.stat().st_mode & 0o7777
    mode = int(gremlin.random.choice([0o000, 0o555]))
    folder.chmod(mode)

    def give_back() -> None:
        if folder.is_dir():
            folder.chmod(before or 0o755)

    gremlin.later("rights back", 20, give_back, victim)
    return f"{folder.relative_to(gremlin.stage.disk)} {mode:o}"


def _wrong_clock(gremlin: Gremlin, victim: Live) -> str:
    """The heartbeat's file says another hour, as where the clocks of a node and of the disk's server disagree."""
    file = RunPaths(victim.target).progress
    if not file.exists():
        return "no heartbeat yet"
    by = int(gremlin.random.choice([-HOUR_S, HOUR_S]))
    moved = time.time() + by
    os.utime(file, (moved, moved))
    return f"{by} s"


def _controller_gone(gremlin: Gremlin, _: None) -> str:
    gremlin.cluster.kill_controller()
    gremlin.later("slurmctld starts", 12, gremlin.cluster.start_controller)
    return ""


def _node_down(gremlin: Gremlin, _: None) -> str:
    node = _any_node(gremlin)
    gremlin.cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=soak")
    again = ("scontrol", "update", f"nodename={node}", "state=resume")
    gremlin.later(f"{node} is up", 15, lambda: gremlin.cluster.run(*again, check=False))
    return node


def _node_dies(gremlin: Gremlin, _: None) -> str:
    node = _any_node(gremlin)
    gremlin.cluster.kill_node(node)
    gremlin.later(f"{node} is on", 20, lambda: gremlin.cluster.start_node(node, wait=False))
    return node


def _preempt(gremlin: Gremlin, _: None) -> str:
    node = _any_node(gremlin)
    return f"{node}, by job {gremlin.cluster.preempt(node, seconds=3, wait=False)}"


def _any_node(gremlin: Gremlin) -> str:
    nodes = node_names(gremlin.cluster)
    return nodes[int(gremlin.random.integers(len(nodes)))]


SAID_CANCELLED = ": cancelled"
RANK, SUPERVISOR, SRUN = "-m\0launch\0", "launch.job.supervise", "srun\0"
GIVEN_UP, SILENT, CANCELLED = (
    frozenset({standing}) for standing in (Standing.FAILED, Standing.SILENT, Standing.CANCELLED)
)
LEFT = GIVEN_UP | SILENT
"""An attempt that could not even write down how it ended."""
BLOWS = (
    Blow(name="requeue", strike=_scontrol("requeue")),
    Blow(name="suspend", strike=_suspend),
    Blow(name="scancel", strike=_scancel(), of="any", excuses=CANCELLED),
    Blow(name="scancel task", strike=_scancel(), of="any", arrays=True, excuses=CANCELLED | GIVEN_UP),
    Blow(name="signal USR1", strike=_scancel("--signal=USR1"), fails=1),
    Blow(name="signal USR2", strike=_scancel("--signal=USR2"), fails=1),
    Blow(name="signal TERM", strike=_scancel("--signal=TERM"), fails=1),
    Blow(name="batch signal USR2", strike=_scancel("--batch", "--signal=USR2"), fails=1),
    Blow(name="batch signal TERM", strike=_scancel("--batch", "--signal=TERM"), fails=1),
    Blow(name="time limit", strike=_time_is_up, fails=3),
    Blow(name="avsync cancel", strike=_cancel, of="any", excuses=CANCELLED),
    Blow(name="avsync resubmit", strike=_resubmit, of="any"),
    Blow(name="kill a rank", strike=_kill_one(RANK), fails=1),
    Blow(name="kill srun", strike=_kill_one(SRUN), fails=1),
    Blow(name="kill the batch script", strike=_kill_one(SUPERVISOR), excuses=SILENT),
    Blow(name="freeze", strike=_freeze, fails=1),
    Blow(name="full disk", strike=_full_disk, of="", everybody=True, excuses=LEFT, fails=3),
    Blow(name="no rights", strike=_no_rights, excuses=LEFT, fails=3),
    Blow(name="wrong clock", strike=_wrong_clock, fails=1),
    Blow(name="slurmctld dies", strike=_controller_gone, of="", everybody=True, silences=True, fails=1),
    Blow(name="node down", strike=_node_down, of=""),
    Blow(name="node dies", strike=_node_dies, of=""),
    Blow(name="preempt", strike=_preempt, of=""),
)
BLOW = {blow.name: blow for blow in BLOWS}
