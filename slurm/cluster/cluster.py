"""A cluster as one object: start it, run commands in it, preempt its jobs, pull a node's plug; and what SLURM did."""

import os
import re
import subprocess
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sharding.base.files import read_json, write_json
from slurm.cluster.config_files import ClusterPaths, Ports, write_config
from slurm.cluster.daemons import Daemons, prepare_folder
from slurm.cluster.packages import Programs, find_programs, path_without
from slurm.cluster.processes import kill, node_processes, wait_gone
from slurm.cluster.settings import ClusterError, ClusterSettings

COMMAND_TIMEOUT_S = 60
FIELD = re.compile(r"(?:^|(?<= ))([A-Z][\w/:]*)=(.*?)(?= [A-Z][\w/:]*=|\s*$)")
"""One of the fields that scontrol prints on a line, without quotes; a value may hold blanks."""


# What happened to the jobs, read from the controller's log.
#
# The log says it at once, to the millisecond, for every attempt. sacct lags by seconds, needs accounting, and knows no
# causes; asking for the state again and again misses what is short.


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterEvent:
    """One thing that SLURM did to one job."""

    time: str
    """When, as the log has it: ISO, local time, milliseconds."""
    job: str
    """The job's id, N or N_INDEX."""
    what: str
    """A word of EVENTS."""
    detail: str
    """The line of the log."""


EVENTS = {
    "submitted": r"_slurm_rpc_submit_batch_job: JobId=([\d_]+)",
    "started": r"(?:Started|Allocate) JobId=([\d_]+)",
    "given grace": r"setting \d+ sec preemption grace time for JobId=([\d_]+)",
    "preempted": r"preempted JobId=([\d_]+)",
    "cancelled": r"REQUEST_KILL_JOB JobId=([\d_]+)",
    "timed out": r"Time limit exhausted for JobId=([\d_]+)",
    "lost its node": r"requeue job JobId=([\d_]+) due to failure of node",
    "requeued": r"Requeuing JobId=([\d_]+)",
    "ended": r"_job_complete: JobId=([\d_]+) done",
}
"""What happened -> how slurmctld says it, in 22.05; the group is the job."""
EVENT = re.compile(r"\[(\S+)\] (.*)")


def read_events(log: str) -> list[ClusterEvent]:
    """The events in the text of slurmctld.log."""
    found = list[ClusterEvent]()
    for moment, text in EVENT.findall(log):
        for what, pattern in EVENTS.items():
            if match := re.search(pattern, text):
                found.append(ClusterEvent(time=moment, job=match[1], what=what, detail=text))
                break
    return found


class Cluster:
    """A running cluster, as a context: `with Cluster(ClusterSettings(folder=...)) as cluster: cluster.run("sinfo")`.

    It lives as long as this process, at most. Raises InputError when programs are missing, ClusterError for the rest.
    """

    def __init__(self, settings: ClusterSettings, programs: Programs | None = None) -> None:
        self.settings = settings
        self.programs = programs or find_programs()
        self.paths = ClusterPaths(folder=settings.folder)
        self.environment = self.programs.environment() | {"SLURM_CONF": str(self.paths.slurm_conf)}
        """For every process that is to use this cluster."""
        self._daemons = Daemons(paths=self.paths, programs=self.programs, environment=self.environment)

        self._guardian: subprocess.Popen[bytes] | None = None  # of a cluster that this process started

    @classmethod
    def attach(cls, folder: Path) -> Self:
        """The cluster that another process started in `folder`. Raises ClusterError when none runs there."""
        paths = ClusterPaths(folder=folder.absolute())
        if not paths.settings.exists():
            raise ClusterError(f"no cluster runs in {folder}")
        cluster = cls(read_json(paths.settings, ClusterSettings))
        cluster._daemons.ask("state")
        return cluster

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *, owner: int | None = None) -> None:
        """Start everything, and wait until all nodes are idle.

        The cluster ends with the process `owner`, by default this one; with 0 it runs until it is stopped.
        """
        self.programs.check(accounting=self.settings.accounting)
        if self.is_running:
            raise ClusterError(f"a cluster runs in {self.paths.folder} already; stop it, or choose another folder")
        prepare_folder(self.settings, self.paths)
        self._guardian = self._daemons.start_guardian(os.getpid() if owner is None else owner)
        try:
            self._start_daemons(self._daemons.ports)
        except BaseException:
            self.stop()
            raise

    def _start_daemons(self, ports: Ports) -> None:
        write_config(self.settings, self.paths, ports, self.programs)
        write_json(self.paths.settings, self.settings, lasting=False)
        self._daemons.start_munged()
        if self.settings.accounting:
            self._daemons.start_database(ports)
        self._daemons.start_controller(ports)
        for node in self.settings.node_names:
            self._daemons.launch_node(node)
        self.wait_for_nodes()

    @property
    def is_running(self) -> bool:
        try:
            return bool(self._daemons.ask("state"))
        except ClusterError:
            return False

    def stop(self) -> None:
        """Kill every process of the cluster, jobs included, as if all its machines lost power; the files stay."""
        if self.is_running:
            guardian = self._daemons.ask("state")["pid"]
            self._daemons.ask("stop")
            wait_gone([guardian])
        if self._guardian is not None:
            self._guardian.wait()

    def run(self, *argv: str | Path, timeout: float = COMMAND_TIMEOUT_S, check: bool = True) -> str:
        """Run a command in the cluster's environment; returns what it wrote to stdout.

        Raises ClusterError when it takes longer than `timeout` seconds or, with `check`, fails.
        """
        words = [str(word) for word in argv]
        try:
            done = subprocess.run(
                words, env=self.environment, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"`{' '.join(words)}` did not end in {timeout} s") from error
        if check and done.returncode:
            raise ClusterError(f"`{' '.join(words)}` failed with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def submit(self, *options: str) -> str:
        """Call sbatch; returns the job's id."""
        return self.run("sbatch", "--parsable", *options).strip().split(";")[0]

    def job(self, job: str | int) -> dict[str, str]:
        """The fields of `scontrol show job`, of the first task where an array is named."""
        for _ in range(5):  # while a job changes its state, scontrol now and then shows nothing
            if fields := dict(FIELD.findall(self.run("scontrol", "-o", "show", "job", str(job)).partition("\n")[0])):
                return fields
            time.sleep(0.1)
        raise ClusterError(f"scontrol says nothing about job {job}")

    def wait_for(self, job: str | int, states: str | Collection[str], timeout: float = 120) -> dict[str, str]:
        """Wait until the job is in one of the states, and return its fields. ClusterError after `timeout` seconds."""
        wanted, end = {states} if isinstance(states, str) else set(states), time.monotonic() + timeout
        while (fields := self.job(job))["JobState"] not in wanted:
            if time.monotonic() > end:
                found = f"{fields['JobState']} ({fields['Reason']})"
                raise ClusterError(f"job {job} is {found} after {timeout} s, not {' or '.join(sorted(wanted))}")
            time.sleep(0.1)
        return fields

    def preempt(self, nodes: int | str | Iterable[str] | None = None, seconds: int = 2, *, wait: bool = True) -> str:
        """Evict what runs on `nodes`: how many, or which; all by default.

        A more important job takes them whole for `seconds`. Returns its id; with `wait`, after its end.
        """
        if isinstance(nodes, int) or nodes is None:
            where = f"--nodes={nodes or self.settings.nodes}"
        else:
            names = [nodes] if isinstance(nodes, str) else list(nodes)
            where = f"--nodelist={','.join(names)}"
        quiet = ("--job-name=preempt", "--output=/dev/null", "--chdir=/", "--no-requeue")
        job = self.submit("--partition=high", "--exclusive", where, *quiet, f"--wrap=sleep {seconds}")
        if wait:
            self.wait_for(job, "COMPLETED", timeout=seconds + 120)
        return job

    def kill_node(self, node: str) -> None:
        """End a node as a power failure does: SIGKILL to slurmd, its stepds and all tasks; nobody hears of it."""
        state = self._daemons.ask("state")
        kill([state["daemons"][node]["pid"]])  # first of all: it would start more, and report the others' end
        while victims := node_processes(state["pid"], node, self.paths.log_of(node)):
            kill(victims)
            wait_gone(victims, 0.2)

    def start_node(self, node: str, *, wait: bool = True) -> None:
        """Switch a killed node on again, and, with `wait`, wait until it is idle: where jobs wait, it may never be."""
        self._daemons.start_node(node)
        if wait:
            self.wait_for_nodes([node])

    def kill_controller(self) -> None:
        """SIGKILL to slurmctld: jobs go on, and nobody can ask or command anything."""
        controller = self._daemons.ask("state")["daemons"]["slurmctld"]["pid"]
        kill([controller])
        wait_gone([controller])

    def start_controller(self) -> None:
        """Start slurmctld again from what it had saved, and wait until it answers."""
        self._daemons.start_controller(self._daemons.ports)

    def node_states(self) -> dict[str, str]:
        """Node -> idle, mixed, allocated, down, ...; a star behind it: it does not answer."""
        lines = self.run("sinfo", "--noheader", "--Node", "--partition=low", "--format=%N %T").splitlines()
        return dict(line.split(maxsplit=1) for line in lines)

    def wait_for_nodes(self, nodes: Iterable[str] | None = None, timeout: float = 60) -> None:
        """Wait until these nodes, all by default, are idle. ClusterError with the logs after `timeout` seconds."""
        wanted, end = set(nodes or self.settings.node_names), time.monotonic() + timeout
        while busy := {node: state for node, state in self.node_states().items() if node in wanted and state != "idle"}:
            if time.monotonic() > end:
                raise ClusterError(f"these nodes are not idle after {timeout} s: {busy}\n{self.logs()}")
            time.sleep(0.05)

    def tidy(self) -> None:
        """Cancel every job, switch killed nodes on, and wait until all nodes are idle: as after the start."""
        if jobs := self.run("squeue", "--noheader", "--format=%A").split():
            self.run("scancel", "--signal=KILL", "--full", *jobs, check=False)
            self.run("scancel", *jobs, check=False)
        daemons = self._daemons.ask("state")["daemons"]
        for node, state in self.node_states().items():
            if daemons[node]["code"] is not None:
                self._daemons.start_node(node)
            if state.startswith("drain"):
                self.run("scontrol", "update", f"nodename={node}", "state=resume", check=False)
        self.wait_for_nodes()

    def environment_without(self, *programs: str) -> dict[str, str]:
        """The environment of a machine that lacks these programs; all else is found as before."""
        links = self.paths.folder / "without" / "-".join(sorted(programs))
        return self.environment | {"PATH": path_without(programs, self.environment["PATH"], links)}

    def events(self) -> list[ClusterEvent]:
        """What SLURM did to jobs since the start, in order."""
        return read_events(self.paths.log_of("slurmctld").read_text(errors="replace"))

    def logs(self, lines: int = 30) -> str:
        """The ends of the logs of slurmctld and of every node."""
        names = ("slurmctld", *self.settings.node_names)
        return "\n".join(self._daemons.tail(name, lines) for name in names)
