"""What the site's settings mean for a run, as SLURM's controller tells them on the login node."""

from collections.abc import Sequence
from contextlib import suppress

from launch.doctor.results import (
    SiteFinding,
    fine,
    judged,
    noted,
    unknown,
)
from launch.queue.site import WITH_DELAY, Partition, SiteConfig
from launch.site.profile import ClusterProfile
from launch.submit.check import clock_s, not_expedited
from sharding.errors import AvsyncError

ENOUGH_S = 20
"""A checkpoint of a small network on a busy disk."""
LONG_WAIT_S = 30
"""Before a requeued job may start: more is worth a word."""


def of_site(
    profile: ClusterProfile, config: SiteConfig, partitions: Sequence[Partition], books: bool
) -> list[SiteFinding]:
    """From the configuration alone."""
    wanted = profile.train.partition or profile.partition
    found = [one for one in partitions if one.name == wanted or (not wanted and one.default)]
    return [
        fine("SLURM", config.word("SLURM_VERSION") or "version not known"),
        *(_of_partition(profile, config, found[0]) if found else [_no_partition(wanted, partitions)]),
        _requeue(profile, config),
        fine("array jobs", f"up to {config.largest_array} tasks each; more are submitted in pieces"),
        noted(
            "book-keeping",
            "sacct answers" if books else "sacct does not answer",
            books,
            "avsync status cannot say how a job ended that was killed by force; nothing else needs it",
        ),
        noted(
            "mail",
            config.word("MailProg") or "none",
            bool(config.word("MailProg")),
            "let avsync tell you: [notify] webhook or command in the profile",
        ),
    ]


def _no_partition(wanted: str, partitions: Sequence[Partition]) -> SiteFinding:
    if not partitions:  # a site need not show them; sbatch is asked by the probes
        return unknown("partition", f"{wanted or 'the default'}: SLURM does not show its partitions to you")
    found = f"{wanted or 'no default'}; there are {', '.join(one.name for one in partitions)}"
    return judged("partition", found, False, "name one of these", {"partition": f'"{partitions[0].name}"'})


def _of_partition(profile: ClusterProfile, config: SiteConfig, partition: Partition) -> list[SiteFinding]:
    state = partition.settings.get("State", "?")
    return [
        judged("partition", f"{partition.name} is {state}", state == "UP", "ask why, or choose another partition"),
        _limit(profile, partition),
        _preemption(profile, config, partition),
    ]


def _requeue(profile: ClusterProfile, config: SiteConfig) -> SiteFinding:
    """How long a job waits after it was requeued, and who decides that."""
    check, delay = "wait after a requeue", config.requeue_delay
    if not config.settings:
        return fine(check, "not known")
    if profile.requeue == "expedite" and config.expedites:
        return fine(check, "none: jobs are expedited")
    setting = "SchedulerParameters=requeue_delay" if delay.own else "AuthInfo=cred_expire"
    found = f"{delay.seconds} s ({setting}, and a second)"
    if profile.requeue == "expedite":
        advice = f"{not_expedited(config)}: no job would be taken"
        return judged(check, found, False, advice, {"requeue": '"plain"'})
    if config.expedites:
        advice = "jobs may be expedited here: without that wait, and before all others when a node has failed"
        return noted(check, found, False, advice, {"requeue": '"expedite"'})
    return noted(check, found, delay.seconds <= LONG_WAIT_S, _shorter(config))


def _shorter(config: SiteConfig) -> str:
    """What to ask for. A setting must not be lowered for what it is not there for."""
    if config.requeue_delay.own:
        return "ask for a shorter SchedulerParameters=requeue_delay; cred_expire has no part in it"
    if config.version and config.version < WITH_DELAY:
        return (
            "ask for a shorter AuthInfo=cred_expire, in which the longest prolog must still fit: it is how long a "
            "job's credentials are good, and before SLURM 25.11 nothing else decides the wait"
        )
    return (
        "ask for SchedulerParameters=requeue_delay=5, and SlurmctldParameters=enable_expedited_requeue; "
        "AuthInfo=cred_expire, how long a job's credentials are good, may stay as it is"
    )


def _limit(profile: ClusterProfile, partition: Partition) -> SiteFinding:
    longest: int | None = None
    with suppress(AvsyncError):  # UNLIMITED
        longest = clock_s(partition.longest)
    found = f"partition {partition.longest or '?'}, profile {profile.time}"
    if longest is None or profile.time_s <= longest:
        return fine("time limit", found)
    return judged("time limit", found, False, "ask for no more than there is", {"time": f'"{partition.longest}"'})


def _preemption(profile: ClusterProfile, config: SiteConfig, partition: Partition) -> SiteFinding:
    """What happens when somebody more important comes."""
    if config.word("PreemptType") in ("", "preempt/none"):
        return fine("preemption", "nobody is preempted here")
    mode, grace, wait = partition.preempt_mode, partition.grace_s, config.number("KillWait")
    if mode == "OFF":
        return fine("preemption", "jobs of this partition are not preempted")
    if wait is None:
        return unknown("preemption", f"{mode}; KillWait is not known")
    time = grace + wait
    found = f"{mode}; {time} s to save: GraceTime {grace} s, KillWait {wait} s"
    if "CANCEL" in mode and not profile.scontrol and not profile.successors:
        # with scontrol a job requeues itself in the time it has; without, and with nobody in line, it is over
        return judged(
            "preemption",
            found,
            False,
            "SLURM does not requeue here, nor can the job: say in the profile how to reach scontrol, or set successors",
        )
    return noted(
        "preemption",
        found,
        time >= ENOUGH_S,
        "ask for a GraceTime longer than a checkpoint takes; else what came after the last one is lost",
    )
