"""Which network interface leads to the other nodes. gloo looks its own host name up, and where that fails, or names the
loopback as Debian does, ranks of different nodes wait for each other in vain.

Python's own library alone: probes of the doctor run this, too.
"""

import fcntl
import socket
import struct

ADDRESS_OF = 0x8915
"""SIOCGIFADDR of linux/sockios.h."""
_NAME = 15
"""Longest name of an interface."""


def interface_towards(*hosts: str) -> str:
    """Name of the interface that leads to the first of `hosts` that is not this machine itself; failing that, the
    loopback's; empty when nothing leads there.
    """
    found = [name for host in hosts if host and (name := interface_of(_source_towards(host)))]
    return next((name for name in found if name != "lo"), found[0] if found else "")


def _source_towards(host: str) -> str:
    """The address that packets to `host` would come from; none are sent."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))
            return probe.getsockname()[0]
    except (OSError, UnicodeError):
        return ""


def interface_of(address: str) -> str:
    """Name of the interface with this IPv4 address; empty: there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asking, ADDRESS_OF, struct.pack("256s", name.encode()[:_NAME]))
            except OSError:  # it has no IPv4 address
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return ""
