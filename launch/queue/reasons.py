"""Why a job waits, in plain words: SLURM's own words for it are one CamelCase word each."""

import re

PLAIN = {
    "Priority": "others come first",
    "Resources": "waits for free nodes",
    "BeginTime": "requeued, starts soon",
    "Dependency": "waits for another job",
    "DependencyNeverSatisfied": "never starts: the job it waits for did not end well",
    "JobHeldUser": "held by you; scontrol release lets it go",
    "JobHeldAdmin": "held by an administrator; ask why",
    "JobLaunchFailure": "held: a node could not start it; scontrol release lets it go",
    "launch_failed_requeued_held": "held: a node could not start it; scontrol release lets it go",
    "NodeDown": "its node is down",
    "NodeFailure": "its node failed",
    "Cleaning": "its last attempt is being cleared away",
    "Prolog": "the node gets ready",
    "PartitionDown": "the partition is closed",
    "PartitionInactive": "the partition is closed",
    "PartitionTimeLimit": "its time limit is above the partition's",
    "PartitionNodeLimit": "wants more nodes than the partition gives",
    "PartitionConfig": "wants what the partition does not give",
    "ReqNodeNotAvail": "nodes that it needs are down, or reserved for maintenance",
    "Reservation": "waits for its reservation",
    "ReservationDeleted": "its reservation is gone",
    "BadConstraints": "no node has what it wants",
    "InvalidAccount": "the account is not valid",
    "InvalidQOS": "the qos is not valid",
    "Licenses": "waits for a licence",
    "JobArrayTaskLimit": "as many of its tasks run as may at once",
    "MaxRequeueReached": "requeued too often for this site; ask the administrator",
    "Reserved": "waits for nodes that are reserved for it",
    "FrontEndDown": "SLURM's front end is down",
    "NonZeroExitCode": "it failed",
    "TimeLimit": "its time was over",
    "OutOfMemory": "it ran out of memory",
    "SystemFailure": "SLURM failed",
    "RaisedSignal": "it was killed by a signal",
}
_LIMIT = re.compile(r"(?P<whose>QOS|Assoc)(?P<scope>Grp|Max)(?P<what>\w*)")
_WHOSE = {"QOS": "qos", "Assoc": "account"}
_ALL_LISTED = re.compile(r"\s*\(.*|,.*", re.DOTALL)


def plainly(reason: str) -> str:
    """SLURM's reason in plain words; what is not known here is shown as SLURM says it. Empty stays empty."""
    word = _ALL_LISTED.sub("", reason).strip()  # "ReqNodeNotAvail, UnavailableNodes:n[1-4]"
    if word in PLAIN:
        return PLAIN[word]
    if match := _LIMIT.fullmatch(word):
        scope = "each user may have" if "User" in match["what"] or match["scope"] == "Max" else "all may have together"
        return f"as much runs as {scope} under this {_WHOSE[match['whose']]} ({word})"
    return word
