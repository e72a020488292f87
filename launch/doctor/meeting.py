"""Tasks of different nodes meet: by which name is the first one reached, how far apart are the clocks.

Runs on a node, with Python's own library alone.
"""

import json
import os
import socket
import threading
import time
from typing import Any

from launch.doctor.on_node import PATIENCE_S, wait_for, write
from launch.job.interface import interface_of


class Meeting:
    """Task 0: it answers whoever comes with the time, and says where it is."""

    def __init__(self, folder: str, guests: int) -> None:
        self.folder, self.guests = folder, guests
        self.server = socket.create_server(("", 0), backlog=16)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        self.written = time.time()
        names = {
            "node": os.environ.get("SLURMD_NODENAME", ""),
            "host": socket.gethostname(),
            "full": socket.getfqdn(),
            "launch": os.environ.get("SLURM_LAUNCH_NODE_IPADDR", ""),
        }
        write(os.path.join(folder, "meet.json"), {"port": self.server.getsockname()[1], "names": names})

    def serve(self) -> None:
        """Until every guest has said good-bye."""
        while self.guests:
            guest, _ = self.server.accept()
            guest.settimeout(PATIENCE_S)
            try:
                word = guest.recv(16)
                guest.sendall(f"{time.time():.6f}".encode())
                self.guests -= word == b"bye"
            except OSError:
                pass
            guest.close()

    def answers(self) -> dict[str, Any]:
        """How long a word takes to the login node and back, through the shared folder; and that node's clock."""
        path = os.path.join(self.folder, "from-login")
        login = wait_for(lambda: float(open(path).read()))
        now = time.time()
        if login is None:
            return {"shared_round_s": None, "clock_s": None}
        return {"shared_round_s": now - self.written, "clock_s": login - (now + self.written) / 2}

    def wait(self) -> None:
        """Not for ever: a guest that cannot reach this node never comes."""
        self.thread.join(PATIENCE_S * 2)


def visit(folder: str) -> dict[str, Any]:
    """Another node: how to reach the first one."""
    place = wait_for(lambda: json.load(open(os.path.join(folder, "meet.json"))))
    if place is None:
        return {"seen_meeting": False}
    found = {kind: reach(name, place["port"]) for kind, name in place["names"].items() if name}
    open_way = next((name for kind, name in place["names"].items() if found.get(kind, {}).get("reached")), "")
    rest = goodbye(open_way, place["port"]) if open_way else {}
    return {"seen_meeting": True, "ways": found, **rest}


def reach(name: str, port: int) -> dict[str, Any]:
    """Whether a name has an address, and whether a port there can be reached."""
    address = resolved(name)
    if not address:
        return {"name": name, "address": "", "reached": False}
    try:
        with socket.create_connection((address, port), timeout=5) as connection:
            connection.sendall(b"time")
            return {"name": name, "address": address, "reached": bool(connection.recv(64))}
    except OSError:
        return {"name": name, "address": address, "reached": False}


def goodbye(name: str, port: int) -> dict[str, Any]:
    """The difference of the clocks, and the network device that leads there."""
    with socket.create_connection((name, port), timeout=5) as connection:
        own, before = connection.getsockname()[0], time.time()
        connection.sendall(b"bye")
        there, after = float(connection.recv(64)), time.time()
    return {"clock_between_s": there - (before + after) / 2, "device": interface_of(own)}


def resolved(name: str) -> str:
    """The address behind a name; empty: there is none."""
    try:
        return socket.gethostbyname(name)
    except OSError:
        return ""
