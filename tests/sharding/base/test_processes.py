"""Ctrl-C, which a terminal sends to every process at once, is a matter of the parent alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sharding.base.signals import ctrl_c_held


def test_ctrl_c_is_held_until_the_end_and_workers_never_get_it():
    asks = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))"
    done = list[str]()

    def start() -> None:
        with ctrl_c_held():
            os.kill(os.getpid(), signal.SIGINT)
            done.append(subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, check=True).stdout)

    with pytest.raises(KeyboardInterrupt):
        start()
    assert done == ["True\n"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize("pause", [0.0, 0.2, 0.6])
def test_ctrl_c_stops_scenes_without_a_traceback_and_leaves_whole_files(pause: float, tmp_path: Path):
    command = [sys.executable, "-m", "launch", "scenes", str(tmp_path / "out"), "--count", "200", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as process:
        assert process.stderr is not None
        while not (tmp_path / "out" / "scenes.json").exists():
            time.sleep(0.01)
        time.sleep(pause)
        os.killpg(process.pid, signal.SIGINT)
        said = process.stderr.read().decode()
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "the same avsync scenes command again goes on" in said
    assert not list(tmp_path.rglob("*.part"))
