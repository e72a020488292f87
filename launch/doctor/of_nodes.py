"""What the tasks found on their nodes: network, shared folder, disks, GPUs, programs."""

import socket
import sys
from collections.abc import Sequence

from launch.doctor.of_signals import IN_LINE
from launch.doctor.on_node import OF_JOB, OF_SHELL
from launch.doctor.results import (
    SiteFinding,
    TaskResults,
    fine,
    judged,
    noted,
    unknown,
)
from launch.site.profile import ClusterProfile
from sharding.base.libraries import FAULTS, known_fault
from sharding.base.text import duration, first_few, size

CLOCK_S, SHARED_S = 2.0, 15.0
"""More than this apart, or on the way, is worth a word."""
SMALL_SHM = 10**9
NO_DISK = "the nodes have no disk of their own"


def of_nodes(profile: ClusterProfile, tasks: Sequence[TaskResults], nodes: int) -> list[SiteFinding]:
    """All findings of one job."""
    if not tasks:
        return [unknown("nodes", "the job did not run, or this folder is not on a disk that the nodes share")]
    firsts = [task for task in tasks if task.local == 0]
    guests = [task for task in firsts if task.rank]
    return [
        *_programs(firsts),
        _shared(firsts[0]),
        *(_network(guests) if nodes > 1 else []),
        _clock(firsts),
        _tools(profile, firsts),
        _variables(tasks),
        *_gpus(profile, tasks, firsts),
        _cpus(tasks),
        scratch(profile, firsts),
        noted(
            "/dev/shm",
            size(min(task.shm for task in firsts)),
            min(task.shm for task in firsts) >= SMALL_SHM,
            "less than 1 GB: ask for more, NCCL uses it between the GPUs of a node",
        ),
        noted(
            "locked memory",
            _locked(tasks[0].memlock),
            tasks[0].memlock < 0,
            "ask for PropagateResourceLimitsExcept=MEMLOCK and no limit, if the nodes have InfiniBand",
        ),
    ]


def _programs(firsts: Sequence[TaskResults]) -> list[SiteFinding]:
    own = sys.executable
    elsewhere = [task.node for task in firsts if task.executable != own]
    missing = sorted({name for task in firsts for name in ("torch", "av") if not task.packages.get(name)})
    versions = dict.fromkeys((name, version) for task in firsts for name, version in task.packages.items())
    faulty = [fault for name, version in versions if name in FAULTS and (fault := known_fault(name, version))]
    have = ", ".join(f"{name} {version}" for name, version in firsts[0].packages.items() if version)
    return [
        judged(
            "Python",
            f"{firsts[0].python}, {firsts[0].executable}",
            not elsewhere,
            f"{own} is not there on {first_few(elsewhere)}: install avsync on a disk that the nodes share",
        ),
        judged("packages", have or "none", not missing, f"{', '.join(missing)} is not installed for that Python"),
        noted(
            "known faults", "; ".join(faulty) or "none that matters here", not faulty, "install a newer one: make setup"
        ),
    ]


def _shared(first: TaskResults) -> SiteFinding:
    check, took = "shared folder", first.shared_round_s
    speed = f", writes {size(round(first.shared.bytes_per_s))}/s" if first.shared else ""
    if took is None:
        return unknown(check, f"no answer from the login node{speed}")
    found = f"a file is seen on the other side and answered in {duration(took)}{speed}"
    return noted(
        check, found, took <= SHARED_S, "status and cancel are seen so much later; another file system may be faster"
    )


def _network(guests: Sequence[TaskResults]) -> list[SiteFinding]:
    """From the other nodes to the first one."""
    if not guests or not all(task.ways for task in guests):
        return [unknown("node to node", "the tasks did not meet: one node did not see the other's file in time")]
    kinds = guests[0].ways
    by_name, way = all(task.ways["node"].address for task in guests if "node" in task.ways), kinds.get("node")
    reached = [kind for kind in kinds if all(task.ways[kind].reached for task in guests if kind in task.ways)]
    name = way.name if way else "node names"
    device = next((task.device for task in guests if task.device), "")
    loop = [task for task in guests if task.own_name_is.startswith("127.")]
    line = {f"environment.{variable}": f'"{device}"' for variable in ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME")}
    return [
        fine("node names", f"{name} resolves" if by_name else f"{name} does not resolve: avsync takes the address"),
        judged(
            "node to node",
            f"free ports are reached by {', '.join(reached) or 'no way'}",
            bool(reached),
            "ask for open ports between the nodes: ranks on several of them cannot meet",
        ),
        judged(
            "a node's own name",
            guests[0].own_name_is or "does not resolve",
            not loop or device in ("", "lo"),
            "gloo and NCCL would listen where no other node comes: name the network device",
            line,
        ),
    ]


def _clock(firsts: Sequence[TaskResults]) -> SiteFinding:
    apart = [abs(each) for task in firsts for each in (task.clock_s, task.clock_between_s) if each is not None]
    if not apart:
        return unknown("clocks", "no answer")
    return judged(
        "clocks",
        f"at most {duration(max(apart))} apart",
        max(apart) <= CLOCK_S,
        "ask for NTP: heartbeats go by the clock",
    )


def _tools(profile: ClusterProfile, firsts: Sequence[TaskResults]) -> SiteFinding:
    have = all(task.scontrol for task in firsts)
    found = (
        f"scontrol {'answers' if have else 'does not answer'}, squeue {'is' if firsts[0].squeue else 'is not'} there"
    )
    settled = have or profile.scontrol[:1] != ("scontrol",)
    ssh = all(task.ssh_scontrol for task in firsts)
    line = {"scontrol": f'["ssh", "{socket.gethostname()}", "scontrol"]'} if ssh else IN_LINE
    how = "by ssh it does: name the login node" if ssh else "let other jobs wait in line behind each"
    return judged("SLURM on the nodes", found, settled, how, line)


def _variables(tasks: Sequence[TaskResults]) -> SiteFinding:
    """What a job sets must be seen by its tasks; what a shell sets, only where the profile does not say it."""
    check, looked = "environment", [task.arrived for task in tasks if task.arrived is not None]
    if not looked:
        return unknown(check, "the tasks did not say which variables reach them")
    export = f" (--export={tasks[0].export})" if tasks[0].export else ""
    if not all(OF_JOB in arrived for arrived in looked):
        advice = (
            "ask what takes them away, as a TaskProlog or a plugin: ranks need the code, the [environment] and the "
            "stop file that a job names to them"
        )
        return judged(check, f"variables of a job do not reach its tasks{export}", False, advice)
    if not all(OF_SHELL in arrived for arrived in looked):
        advice = (
            "what the work needs of them, as proxies and keys of object stores, belongs into [environment] or setup"
        )
        return noted(check, f"variables of your shell do not reach a job{export}", False, advice)
    return fine(check, "variables of your shell reach a job, and those of a job its tasks")


def _gpus(profile: ClusterProfile, tasks: Sequence[TaskResults], firsts: Sequence[TaskResults]) -> list[SiteFinding]:
    if not profile.gpus_per_node:
        return []
    visible = sorted({task.gpus or "none" for task in tasks})
    names = ", ".join(sorted({line for task in firsts for line in task.nvidia})) or "nvidia-smi tells nothing"
    works = all(task.cuda.endswith("True") for task in firsts)
    return [
        judged(
            "GPUs",
            f"CUDA_VISIBLE_DEVICES {' | '.join(visible)}; {names}",
            all(task.gpus for task in tasks),
            'ask how GPUs are requested here, and add it as [sbatch] gres = "gpu:..."',
        ),
        judged(
            "torch on the GPU",
            firsts[0].cuda or "it did not answer",
            works,
            "torch sees no GPU: it needs another driver or build, or a line in setup, as module load cuda",
        ),
    ]


def _cpus(tasks: Sequence[TaskResults]) -> SiteFinding:
    got, asked = min(len(task.cpus) for task in tasks), tasks[0].cpus_asked
    return judged(
        "CPUs of a task",
        f"{got}, {asked or 'none'} asked for",
        got >= asked,
        "the tasks are bound to fewer CPUs than they have",
        {"srun": '["--cpu-bind=none"]'},
    )


def scratch(profile: ClusterProfile, firsts: Sequence[TaskResults]) -> SiteFinding:
    """The nodes' own disk: there on every node, not shared, not made of memory; the one with most room."""
    own = {disk.name: disk for disk in firsts[0].scratch if not disk.shared and not disk.memory}
    everywhere = [name for name in own if all(name in {disk.name for disk in task.scratch} for task in firsts)]
    found = "; ".join(
        f"{name} {size(own[name].free)} free, {size(round(own[name].bytes_per_s))}/s" for name in everywhere
    )
    if profile.scratch:
        there = all(profile.scratch in {disk.name for disk in task.scratch} for task in firsts)
        line = {"scratch": f'"{everywhere[0]}"' if everywhere else '""'}
        advice = f"{profile.scratch} cannot be written on every node"
        if "$" in profile.scratch:
            advice += ", or a variable of it is not set there: then runs copy nothing"
        return judged("scratch", found or NO_DISK, there, advice, line)
    best = max(everywhere, key=lambda name: own[name].free, default="")
    line = {"scratch": f'"{best}"'} if best else {}
    return noted("scratch", found or NO_DISK, not best, "shards can be copied there while a run trains", line)


def _locked(count: int) -> str:
    return "no limit" if count < 0 else size(count)
