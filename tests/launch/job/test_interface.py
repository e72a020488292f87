import shutil
import subprocess

import pytest

from launch.job.interface import interface_towards


def test_the_loopback_leads_to_the_machine_itself() -> None:
    assert interface_towards("127.0.0.1") == "lo"


def test_nothing_leads_to_a_name_that_does_not_resolve() -> None:
    assert interface_towards("no-such-node.invalid", "") == ""


@pytest.mark.skipif(shutil.which("ip") is None, reason="needs iproute2 to know the answer")
def test_another_interface_is_taken_before_the_loopback() -> None:
    told = subprocess.run(["ip", "-4", "-o", "address"], capture_output=True, text=True, check=True).stdout
    others = [line.split() for line in told.splitlines() if line.split()[1] != "lo"]
    if not others:
        pytest.skip("this machine has the loopback only")
    name, address = others[0][1], others[0][3].split("/")[0]
    assert interface_towards("127.0.0.1", address) == name
