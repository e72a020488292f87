"""What the signal probes noted: which process hears of its end, how long before, and whether a job can come back."""

from pathlib import Path

from launch.doctor.results import (
    Signals,
    SiteFinding,
    SiteVerdict,
    fine,
    judged,
    noted,
    read_signals,
    unknown,
)
from launch.doctor.scripts import LEAD_S, Looks
from launch.site.profile import ClusterProfile

IN_LINE = {"scontrol": "[]", "successors": "3"}
"""For a job that cannot queue itself again."""


def of_signals(profile: ClusterProfile, folder: Path, cancelled: float | None, looks: Looks) -> list[SiteFinding]:
    """`cancelled`: UNIX seconds of scancel; None: it was not sent."""
    limit, cancel = (
        {who: read_signals(folder, f"{job}-{who}") for who in ("batch", "task")} for job in ("limit", "cancel")
    )
    return [
        *([_warning(limit["batch"])] if looks.limit else []),
        *(_end("time limit", who, limit[who]) for who in limit if looks.limit),
        *(_end("scancel", who, cancel[who] if cancelled else Signals(())) for who in cancel),
        _requeue(profile, read_signals(folder, "requeue-batch")),
    ]


def _warning(batch: Signals) -> SiteFinding:
    """--signal=B:USR2@40."""
    check = "signal before the time limit"
    if batch.first("ready") is None:
        return unknown(check, "its job did not run")
    came, ended = batch.first("signal", "SIGUSR2"), batch.first("signal", "SIGTERM") or batch.last
    if came is None or ended is None:
        advice = "nothing is lost: the job looks at the clock itself, signal_lead before its end"
        return noted(check, "it never came", False, advice)
    return fine(check, f"it comes; {LEAD_S} s were asked for, {ended - came:.0f} s were given")


def _end(what: str, who: str, signals: Signals) -> SiteFinding:
    """SIGTERM, and SIGKILL after it."""
    check = f"{what}: {'batch script' if who == 'batch' else 'tasks'}"
    if signals.first("ready") is None:
        return unknown(check, "its job did not run")
    lived = signals.after("SIGTERM")
    if lived is None:
        advice = "ask why SIGTERM does not come: a run that is preempted cannot save"
        return judged(check, "SIGKILL without SIGTERM", False, advice)
    return fine(check, f"SIGTERM, and {lived:.0f} s until SIGKILL")


def _requeue(profile: ClusterProfile, batch: Signals) -> SiteFinding:
    check, readies = "requeue from within", [line for line in batch.lines if line.word == "ready"]
    asked = next((line for line in batch.lines if line.word == "asked"), None)
    if asked is None:
        return unknown(check, "its job did not run")
    back = [line for line in readies if line.at > asked.at and line.rest.split()[-1] != "0"]
    if back:
        same = back[0].rest.split()[0] == readies[0].rest.split()[0]
        number = "under the same number" if same else "under another number"
        return fine(check, f"it is back after {back[0].at - asked.at:.0f} s, {number}")
    code, _, answer = asked.rest.partition(" ")
    if code == "0":
        return SiteFinding(
            check=check, found="SLURM took it, but the job did not come back in time", verdict=SiteVerdict.UNKNOWN
        )
    settled = not profile.scontrol and profile.successors > 0
    return judged(
        check,
        f"refused: {answer or code}",
        settled,
        "ask for JobRequeue=1, or let other jobs wait in line behind each",
        IN_LINE,
    )
