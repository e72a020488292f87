"""The command line of the cluster: `python -m slurm.cluster --help`."""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from sharding.base.surroundings import speak_anywhere
from sharding.errors import AvsyncError
from slurm.cluster.cluster import Cluster
from slurm.cluster.config_files import user_name
from slurm.cluster.install import install
from slurm.cluster.packages import find_programs
from slurm.cluster.settings import ClusterSettings

Arguments = argparse.Namespace


def default_folder() -> Path:
    """One for each user, so that `--folder` is rarely needed."""
    return Path(tempfile.gettempdir()) / f"slurm-{user_name()}"


def new_cluster(arguments: Arguments) -> Cluster:
    """As the flags say; with accounting where its programs are there."""
    programs = find_programs()
    accounting = arguments.accounting and not programs.missing(accounting=True)
    if arguments.accounting and not accounting:
        print(f"no accounting, so no sacct: {', '.join(programs.missing(accounting=True))} not found", file=sys.stderr)
    settings = ClusterSettings(
        folder=arguments.folder, nodes=arguments.nodes, grace_s=arguments.grace, accounting=accounting
    )
    return Cluster(settings, programs)


def start(arguments: Arguments) -> int:
    """Start a cluster that runs until `stop`."""
    cluster = new_cluster(arguments)
    cluster.start(owner=0)
    print_environment(cluster)
    return 0


def print_environment(cluster: Cluster) -> None:
    """The shell's lines that make a terminal use the cluster."""
    for name in ("SLURM_CONF", *(("PATH", "LD_LIBRARY_PATH") if cluster.programs.is_unpacked else ())):
        print(f"export {name}={shlex.quote(cluster.environment[name])}")


def stop(arguments: Arguments) -> int:
    """Kill every process of the cluster."""
    Cluster.attach(arguments.folder).stop()
    return 0


def status(arguments: Arguments) -> int:
    """Show nodes and queue, and how to reach the cluster from a terminal."""
    cluster = Cluster.attach(arguments.folder)
    print_environment(cluster)
    print(cluster.run("sinfo"))
    print(cluster.run("squeue"), end="")
    return 0


def shell(arguments: Arguments) -> int:
    """Start a cluster, run a shell or a command in it, stop it; returns the command's exit code."""
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for what runs in the shell; the handler is not inherited
    with new_cluster(arguments) as cluster:
        command = arguments.command or [os.environ.get("SHELL", "/bin/sh")]
        return subprocess.call(command, env=cluster.environment)


def preempt(arguments: Arguments) -> int:
    """Evict what runs on some nodes, or on all."""
    nodes = arguments.nodes
    names = int(nodes) if nodes and nodes.isdigit() else nodes.split(",") if nodes else None
    print(Cluster.attach(arguments.folder).preempt(names, arguments.seconds, wait=False))
    return 0


def kill_node(arguments: Arguments) -> int:
    """End a node as a power failure does."""
    Cluster.attach(arguments.folder).kill_node(arguments.node)
    return 0


def start_node(arguments: Arguments) -> int:
    """Switch a killed node on again."""
    Cluster.attach(arguments.folder).start_node(arguments.node)
    return 0


def events(arguments: Arguments) -> int:
    """Print what SLURM did to the jobs."""
    for event in Cluster.attach(arguments.folder).events():
        print(event.time, event.job, event.what, sep="\t")
    return 0


def logs(arguments: Arguments) -> int:
    """Print the ends of the daemons' logs."""
    print(Cluster.attach(arguments.folder).logs())
    return 0


def install_packages(_: Arguments) -> int:
    """Get SLURM's packages where they are missing; where that does not work, say so, and go on without."""
    try:
        for sentence in install():
            print(sentence, flush=True)
    except AvsyncError as error:
        line = "!" * 100
        print(f"{line}\nNO SLURM HERE: tests with the mark slurm will be SKIPPED\n{error}\n{line}", file=sys.stderr)
    return 0


def parser() -> argparse.ArgumentParser:
    """All commands and their flags."""
    top = argparse.ArgumentParser(prog="python -m slurm.cluster", description="A real SLURM cluster on this machine.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Callable[[Arguments], int]) -> argparse.ArgumentParser:
        about = (function.__doc__ or "").strip()
        one = commands.add_parser(name, help=about.splitlines()[0], description=about)
        one.set_defaults(function=function)
        one.add_argument("--folder", type=Path, default=default_folder(), help="where the cluster lies (%(default)s)")
        return one

    for name, function in {"start": start, "shell": shell}.items():
        one = add(name, function)
        one.add_argument("--nodes", type=int, default=4, help="how many (%(default)s)")
        one.add_argument("--grace", type=int, default=0, help="seconds between SIGTERM and the end, in partition low")
        one.add_argument(
            "--no-accounting", dest="accounting", action="store_false", help="no sacct, but a faster start"
        )
        if function is shell:
            one.add_argument("command", nargs="*", help="run this instead of $SHELL; put -- before it")
    for name, function in {"stop": stop, "status": status, "events": events, "logs": logs}.items():
        add(name, function)
    for name, function in {"kill-node": kill_node, "start-node": start_node}.items():
        add(name, function).add_argument("node", help="n1, n2, ...")
    one = add("preempt", preempt)
    one.add_argument("--nodes", help="how many, or which (n1,n2); all by default")
    one.add_argument("--seconds", type=int, default=2, help="how long the nodes are taken (%(default)s)")
    add("install", install_packages)
    return top


def main() -> int:
    """Run one command; an error that a person can mend is one line."""
    speak_anywhere()
    arguments = parser().parse_args()
    try:
        return arguments.function(arguments)
    except AvsyncError as error:
        print(f"slurm.cluster: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
