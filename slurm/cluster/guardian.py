"""The process that owns the daemons: starts them as its children, buries them, and lets none outlive its owner.

It adopts what its children leave behind (a step's processes are no children of their slurmd), so that all that a
cluster ever started descends from it, and an end is an end: SIGKILL to all of it. It ends with its owner, however that
one dies, by a request, or by SIGTERM.

`python -m slurm.cluster.guardian SOCKET OWNER`; OWNER is a process id, 0 for none.

Requests are lines of JSON over its Unix socket, one a connection:
{"do": "start", "name": ..., "argv": [...], "environment": {...}, "log": path}   -> {"pid": ...}
{"do": "state"}   -> {"pid": ..., "first_port": ..., "daemons": {name: {"pid": ..., "code": null while it lives}}}
{"do": "stop"}    -> {} when nothing is left
"""

import ctypes
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from slurm.cluster.processes import descendants, kill, wait_gone

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
FIRST_PORTS = range(17000, 32000, 100)
"""Blocks of ports, below those that Linux gives to outgoing connections."""
LIBC = ctypes.CDLL(None)


def claim_ports() -> tuple[int, socket.socket]:
    """A free block of 100 ports: its first one, and a socket on its last that keeps others away while it is open."""
    for first in random.sample(FIRST_PORTS, len(FIRST_PORTS)):
        claim = socket.socket()
        try:
            claim.bind(("127.0.0.1", first + 99))
            for port in range(first, first + 99):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the daemons do
                    probe.bind(("", port))
        except OSError:
            claim.close()
            continue
        return first, claim
    raise OSError("no block of 100 free ports between 17000 and 32000")


def die_with_parent() -> None:
    """Runs in the child: should even the guardian be killed, its daemons go, too."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Guardian:
    """The daemons of one cluster."""

    def __init__(self, first_port: int) -> None:
        self.first_port = first_port
        self.daemons = dict[str, subprocess.Popen[bytes]]()
        self.stopped = False
        self.requests: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "start": self.start,
            "state": self.state,
            "stop": self.stop,
        }

    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        with open(request["log"], "ab") as log:
            self.daemons[request["name"]] = child = subprocess.Popen(
                request["argv"],
                env=request["environment"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        return {"pid": child.pid}

    def state(self, _: dict[str, Any]) -> dict[str, Any]:
        daemons = {name: {"pid": child.pid, "code": child.returncode} for name, child in self.daemons.items()}
        return {"pid": os.getpid(), "first_port": self.first_port, "daemons": daemons}

    def stop(self, _: dict[str, Any]) -> dict[str, Any]:
        """Kill until nothing is left: a dying process may still have had the time to start another."""
        while left := descendants(os.getpid()):
            kill(left)
            self.bury()
            wait_gone(left, 0.2)
        self.stopped = True
        return {}

    def bury(self) -> None:
        """Take the exit codes of all that ended: daemons, and the adopted."""
        by_pid = {child.pid: child for child in self.daemons.values()}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in by_pid:
                by_pid[pid].returncode = os.waitstatus_to_exitcode(status)

    def answer(self, connection: socket.socket) -> None:
        """One request. A caller that says nonsense, or goes away, harms nobody."""
        connection.settimeout(5)
        with connection, suppress(OSError), connection.makefile("rwb") as lines:
            try:
                request = json.loads(lines.readline())
                answer = self.requests[request["do"]](request)
            except (OSError, ValueError, KeyError) as error:
                answer = {"error": repr(error)}
            lines.write(json.dumps(answer).encode() + b"\n")


def guard(guardian: Guardian, listener: socket.socket, owner: int) -> None:
    """Serve until stopped, or until the owner ends (0: nobody owns it)."""
    bell, ringer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(ringer)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    watched = [bell, listener.fileno()] + ([os.pidfd_open(owner)] if owner else [])
    while not guardian.stopped:
        ready = select.select(watched, [], [])[0]
        if bell in ready:
            os.read(bell, 4096)
        guardian.bury()
        if listener.fileno() in ready:
            guardian.answer(listener.accept()[0])
        elif set(ready) - {bell}:
            guardian.stop({})  # the owner is dead


def main() -> None:
    """Guard until the end, which takes everything along."""
    path, owner = Path(sys.argv[1]), int(sys.argv[2])
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
    first_port, claim = claim_ports()
    guardian = Guardian(first_port)
    with claim, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        try:
            guard(guardian, listener, owner)
        finally:
            guardian.stop({})
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
