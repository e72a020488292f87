"""Packing may end at any moment, by any cause; the same call again ends with the same bytes and nothing else."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sharding.pack.pack import pack
from tests.sharding.conftest import QUIET, SMALL, Packed, contents

KILLS = 25
LARGE = replace(SMALL, size=384)
SCRIPT = """
import sys
from pathlib import Path
from sharding.config import PackConfig
from sharding.pack.pack import pack
if __name__ == "__main__":
    size = int(sys.argv[3])
    pack(Path(sys.argv[1]), Path(sys.argv[2]), PackConfig(size=size, sources_per_shard=2, workers=2))
"""
FULL_DISK = """
import subprocess, sys
from pathlib import Path
from dataclasses import replace
from sharding.config import PackConfig
from sharding.errors import InputError
from sharding.pack.pack import pack
videos, disk, copy = map(Path, sys.argv[1:4])
config = PackConfig(size=32, sources_per_shard=2, workers=2)
def mount(options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)
if __name__ == "__main__":
    mount("size=200k")
    for kilobytes in range(400, 40_000, 400):
        try:
            pack(videos, disk / "out", config)
        except InputError as error:
            print(error)
            assert not (disk / "out" / "dataset.json").exists()
            mount(f"remount,size={kilobytes}k")
        else:
            break
    subprocess.run(["cp", "-r", disk / "out", copy], check=True)
"""


def start(script: str, *arguments: object, under: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [*under, sys.executable, script, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.fixture(scope="module")
def unbroken(packed: Packed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset at a size that is slow enough to be caught at work, packed in one go."""
    dataset = tmp_path_factory.mktemp("unbroken") / "dataset"
    pack(packed.videos, dataset, LARGE, QUIET)
    return dataset


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return str(path)


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_many_random_moments_it_ends_with_the_same_bytes(packed: Packed, script: str, tmp_path: Path):
    chance, dataset, whole = random.Random(1), tmp_path / "out", 0
    for _ in range(KILLS):
        process = start(script, packed.videos, dataset, 32)
        time.sleep(chance.uniform(0.2, 1.8))
        process.kill()
        process.communicate()
        assert not (dataset / "dataset.json").exists() or contents(dataset) == contents(packed.dataset)
        if (dataset / "dataset.json").exists():
            whole += 1
            shutil.rmtree(dataset)
    time.sleep(0.5)  # its workers notice and leave
    pack(packed.videos, dataset, SMALL, QUIET)
    assert contents(dataset) == contents(packed.dataset)
    assert whole < KILLS * 3 / 4, "most kills came too late to hit the work"


def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost(
    packed: Packed, unbroken: Path, script: str, tmp_path: Path
):
    process = start(script, packed.videos, tmp_path / "out", LARGE.size)
    while len(list(tmp_path.glob("out/.parts/*/*.tar.part"))) < 2:  # both workers are in the middle of a part
        time.sleep(0.01)
    os.kill(workers_of(process)[0], signal.SIGKILL)
    _, complaint = process.communicate()
    assert process.returncode == 0, complaint
    assert contents(tmp_path / "out") == contents(unbroken)


def test_ctrl_c_leaves_no_process_and_no_half_file_and_the_next_call_goes_on(
    packed: Packed, unbroken: Path, script: str, tmp_path: Path
):
    process = start(script, packed.videos, tmp_path / "out", LARGE.size)
    while not list(tmp_path.glob("out/.parts/*/*.tar.part")):
        time.sleep(0.01)
    workers = workers_of(process)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode != 0
    for worker in workers:
        assert not Path(f"/proc/{worker}").exists()
    assert not list((tmp_path / "out").rglob("*.part"))
    pack(packed.videos, tmp_path / "out", LARGE, QUIET)
    assert contents(tmp_path / "out") == contents(unbroken)


def ended_while_at_work(process: subprocess.Popen[str], dataset: Path, end: Callable[[], None]) -> str:
    """Call `end` in the middle of a shard; what it said then. No process and no half file is left."""
    while not list(dataset.glob(".parts/*/*.tar.part")):
        assert process.poll() is None, "it ended before it packed anything"
        time.sleep(0.01)
    workers = workers_of(process)
    end()
    _, said = process.communicate(timeout=60)
    assert workers
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]
    assert not list(dataset.rglob("*.part"))
    return said


PACK = ("launch", "pack", "--size", "384", "--sources-per-shard", "2", "--workers", "2")


@pytest.mark.parametrize(
    ("kill", "number"), [(os.kill, signal.SIGTERM), (os.killpg, signal.SIGHUP)], ids=["parent", "group"]
)
def test_told_to_end_it_leaves_no_process_and_no_half_file_and_says_how_to_go_on(
    kill: Callable[[int, int], None], number: int, packed: Packed, unbroken: Path, tmp_path: Path
):
    process = start("-m", *PACK, packed.videos, tmp_path / "out")
    said = ended_while_at_work(process, tmp_path / "out", lambda: kill(process.pid, number))
    assert process.returncode == 128 + number
    assert "stopped; the same avsync pack command again goes on from what is already whole" in said
    assert "Traceback" not in said
    pack(packed.videos, tmp_path / "out", LARGE, QUIET)
    assert contents(tmp_path / "out") == contents(unbroken)


def test_a_terminal_that_is_closed_ends_it_as_tidily(packed: Packed, tmp_path: Path):
    ours, theirs = os.openpty()
    # the first terminal that a session opens is its own: it gets SIGHUP when that is closed
    shell = ("sh", "-c", 'exec 0<>"$0" 1>&0 2>&0; exec "$@"', os.ttyname(theirs))
    process = start("-m", *PACK, packed.videos, tmp_path / "out", under=shell)
    os.close(theirs)
    ended_while_at_work(process, tmp_path / "out", lambda: os.close(ours))
    assert process.returncode == 128 + signal.SIGHUP


def namespace() -> tuple[str, ...]:
    """A command that may mount, for itself alone; empty where this machine does not allow it."""
    for command in (("unshare", "-m"), ("unshare", "-rm")):
        try:
            test = [*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
            if subprocess.run(test, capture_output=True, check=False).returncode == 0:
                return command
        except OSError:
            pass
    return ()


def test_a_disk_that_is_full_again_and_again_costs_time_only(packed: Packed, tmp_path: Path):
    under = namespace()
    if not under:
        pytest.skip("this machine lets nobody mount a small disk")
    (tmp_path / "script.py").write_text(FULL_DISK)
    (tmp_path / "disk").mkdir()
    process = start(str(tmp_path / "script.py"), packed.videos, tmp_path / "disk", tmp_path / "copy", under=under)
    said, complaint = process.communicate()
    assert process.returncode == 0, complaint
    assert said.count("No space left on device; mend that and run the same command again") >= 2
    assert contents(tmp_path / "copy") == contents(packed.dataset)
