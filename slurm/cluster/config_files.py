"""The settings as SLURM reads them: slurm.conf, gres.conf, slurmdbd.conf, and the key of munge."""

import os
import pwd
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from slurm.cluster.packages import Programs
from slurm.cluster.settings import FAKE_GPUS, ClusterSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterPaths:
    """Every file name of a cluster."""

    folder: Path

    @property
    def settings(self) -> Path:
        return self.folder / "etc/settings.json"

    @property
    def slurm_conf(self) -> Path:
        return self.folder / "etc/slurm.conf"

    @property
    def gres_conf(self) -> Path:
        return self.folder / "etc/gres.conf"

    @property
    def slurmdbd_conf(self) -> Path:
        return self.folder / "etc/slurmdbd.conf"

    @property
    def munge(self) -> Path:
        return self.folder / "munge"

    @property
    def munge_key(self) -> Path:
        return self.munge / "key"

    @property
    def munge_socket(self) -> Path:
        return self.munge / "socket"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def logs(self) -> Path:
        return self.folder / "log"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def database(self) -> Path:
        return self.folder / "database"

    @property
    def guardian_socket(self) -> Path:
        return self.run / "guardian"

    def log_of(self, daemon: str) -> Path:
        """The log of slurmctld, slurmdbd, mariadbd, munged, or of a node."""
        return self.logs / f"{daemon}.log"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    """The block of ports that belongs to one cluster, from `first` on."""

    first: int

    @property
    def slurmctld(self) -> int:
        return self.first

    @property
    def slurmdbd(self) -> int:
        return self.first + 91

    @property
    def mariadbd(self) -> int:
        return self.first + 92

    def node(self, number: int) -> int:
        """Port of node number 1, 2, ..."""
        return self.first + number


def user_name() -> str:
    """Who runs the cluster. Not from LOGNAME, which lies under su and runuser."""
    return pwd.getpwuid(os.getuid()).pw_name


def write_config(settings: ClusterSettings, paths: ClusterPaths, ports: Ports, programs: Programs) -> None:
    """Write every configuration file and the key; the folders are there."""
    paths.munge_key.touch(mode=0o600)
    paths.munge_key.write_bytes(secrets.token_bytes(128))
    paths.slurm_conf.write_text(slurm_conf(settings, paths, ports, programs))
    gpus = FAKE_GPUS[: settings.gpus_per_node]
    paths.gres_conf.write_text("".join(f"Name=gpu File={device}\n" for device in gpus))
    if settings.accounting:
        paths.slurmdbd_conf.touch(mode=0o600)  # slurmdbd refuses to read what others may read
        paths.slurmdbd_conf.write_text(slurmdbd_conf(paths, ports, programs))


def slurm_conf(settings: ClusterSettings, paths: ClusterPaths, ports: Ports, programs: Programs) -> str:
    """The whole slurm.conf."""
    parts = (
        _daemons(paths, ports, programs),
        SCHEDULING,
        f"KillWait={settings.kill_wait_s}\nMaxArraySize={settings.max_array_size}\n",
        "JobAcctGatherParams=OverMemoryKill\n" if settings.over_memory_kill else "",
        _accounting(paths, ports) if settings.accounting else "AccountingStorageType=accounting_storage/none\n",
        settings.extra_conf.strip() + "\n",
        _nodes(settings, ports),
    )
    return "".join(parts)


def _daemons(paths: ClusterPaths, ports: Ports, programs: Programs) -> str:
    # cred_expire: a requeued job may start that many seconds later; the default would be 120.
    return f"""\
ClusterName=avsync
SlurmctldHost={socket.gethostname().split(".")[0]}(127.0.0.1)
SlurmctldPort={ports.slurmctld}
SlurmUser={user_name()}
SlurmdUser={user_name()}
AuthType=auth/munge
AuthInfo=socket={paths.munge_socket},cred_expire=5
CredType=cred/munge
SlurmctldPidFile={paths.run}/slurmctld.pid
SlurmdPidFile={paths.run}/slurmd.%n.pid
SlurmctldLogFile={paths.log_of("slurmctld")}
SlurmdLogFile={paths.log_of("%n")}
StateSaveLocation={paths.state}
SlurmdSpoolDir={paths.spool}/%n
{f"PluginDir={programs.plugins}" if programs.plugins else ""}
"""


# config_overrides: the nodes claim more CPUs and memory than the machine has.
# SlurmdTimeout: a dead node is noticed in about 15 s; one that answers late, after up to 7 s, stays up.
SCHEDULING = """\
SlurmctldDebug=debug
SlurmdDebug=debug
DebugFlags=NO_CONF_HASH
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=100000,bf_interval=1,defer_batch
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
MessageTimeout=10
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=2
InactiveLimit=0
MinJobAge=300
JobCompType=jobcomp/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
GresTypes=gpu
"""


def _accounting(paths: ClusterPaths, ports: Ports) -> str:
    # The "password" is munge's socket: AuthInfo is not used for what goes to slurmdbd.
    return f"""\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports.slurmdbd}
AccountingStoragePass={paths.munge_socket}
"""


def _nodes(settings: ClusterSettings, ports: Ports) -> str:
    several = settings.nodes > 1
    names = f"n[1-{settings.nodes}]" if several else "n1"
    numbers = f"[{ports.node(1)}-{ports.node(settings.nodes)}]" if several else f"{ports.node(1)}"
    gres = f" Gres=gpu:{settings.gpus_per_node}" if settings.gpus_per_node else ""
    per_cpu = max(1, settings.memory_mb // (4 * settings.cpus_per_node))
    return f"""\
NodeName={names} NodeHostname={socket.gethostname().split(".")[0]} NodeAddr=127.0.0.1 Port={numbers} \
CPUs={settings.cpus_per_node} RealMemory={settings.memory_mb}{gres} State=UNKNOWN
PartitionName=DEFAULT Nodes=ALL State=UP MaxTime=INFINITE DefaultTime=10 DefMemPerCPU={per_cpu} OverSubscribe=NO
PartitionName=low Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime={settings.grace_s}
PartitionName=grace PriorityTier=1 PreemptMode=REQUEUE GraceTime=30
PartitionName=high PriorityTier=10 PreemptMode=OFF
"""


def slurmdbd_conf(paths: ClusterPaths, ports: Ports, programs: Programs) -> str:
    """The whole slurmdbd.conf."""
    return f"""\
AuthType=auth/munge
AuthInfo=socket={paths.munge_socket}
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={ports.slurmdbd}
SlurmUser={user_name()}
LogFile={paths.log_of("slurmdbd")}
PidFile={paths.run}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports.mariadbd}
StorageUser=root
StorageLoc=slurm_acct_db
CommitDelay=1
{f"PluginDir={programs.plugins}" if programs.plugins else ""}
"""
