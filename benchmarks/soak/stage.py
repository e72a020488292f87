"""A machine of its own for the soak: processes, accounts, a small disk and a cluster that nobody else sees.

The program starts itself anew in namespaces of Linux (util-linux's unshare): a process table in which only its own
processes stand, so that none of others can be hit and all end with it; and mounts of its own, so that the accounts, the
disk that fills and /dev/shm are nowhere else. This needs root.
"""

import os
import shutil
import signal
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from benchmarks.base.runner import ROOT
from sharding.errors import InputError
from slurm.cluster.guardian import die_with_parent

INSIDE = "AVSYNC_SOAK_INSIDE"
FIRST_UID = 61_001
"""Of the accounts; they are known to this machine's /etc/passwd only within the soak."""
DISK_MB, DISK_MB_A_MINUTE = 200, 40
"""The small disk: room for what two accounts leave in so many minutes. To fill it takes as much memory."""
LIMIT_S = 240.0
"""Of a command of an account: more than `avsync cancel` waits for a run to save."""


def enter() -> None:
    """Go on as the first process of namespaces of its own. Raises InputError where that is not possible."""
    if os.environ.get(INSIDE):
        signal.signal(signal.SIGTERM, _leave)  # the first process of a table has no default actions
        return
    if os.geteuid() != 0 or not shutil.which("unshare"):
        raise InputError("the soak makes accounts and disks of its own: run it as root, where util-linux's unshare is")
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    words = [*own, sys.executable, "-m", "benchmarks.soak", *sys.argv[1:]]
    signal.signal(signal.SIGTERM, _leave)
    child = subprocess.Popen(words, env=os.environ | {INSIDE: "1"}, preexec_fn=die_with_parent)
    try:
        sys.exit(child.wait())
    finally:
        child.kill()  # unshare heeds nothing else; all inside goes with it


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """An ordinary one."""

    name: str
    uid: int
    home: Path
    tmp: Path
    disk: Path
    """Folder on the small disk for runs and datasets."""
    environment: dict[str, str]

    def run(self, *argv: str, limit_s: float = LIMIT_S) -> subprocess.CompletedProcess[str]:
        """A command of this account; never raises for how it ends. 124: it took too long, and was ended."""
        child = subprocess.Popen(
            argv, env=self.environment, cwd=self.disk, text=True, user=self.uid, group=self.uid, extra_groups=[],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            out, _ = child.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, _ = child.communicate()
            return subprocess.CompletedProcess(argv, 124, out)
        return subprocess.CompletedProcess(argv, child.returncode, out)

    def avsync(self, *words: str, limit_s: float = LIMIT_S) -> subprocess.CompletedProcess[str]:
        """`avsync ...` as typed."""
        return self.run(sys.executable, "-m", "launch", *words, limit_s=limit_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """Where everything lies."""

    folder: Path

    @property
    def disk(self) -> Path:
        """The small one, for runs and datasets of all accounts."""
        return self.folder / "disk"

    @property
    def filler(self) -> Path:
        """What fills it."""
        return self.disk / "filler"

    @property
    def scenes(self) -> Path:
        return self.folder / "scenes"

    @property
    def profile(self) -> Path:
        return self.folder / "profile.toml"

    @property
    def scratch(self) -> Path:
        return self.folder / "scratch"

    def set_up(self, minutes: float) -> None:
        """Make folders and mounts, for so long a soak. They are gone with the last process inside."""
        for folder in (self.folder, self.disk, self.scratch):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)
        _mount_memory(self.disk, f"size={round(DISK_MB + DISK_MB_A_MINUTE * minutes)}m,mode=755")
        _mount_memory(Path("/dev/shm"), "mode=1777")
        self.scratch.chmod(0o1777)
        for needed in {Path(sys.base_prefix), ROOT}:
            _open_way_to(needed, self.folder)

    def accounts(self, names: list[str], environment: dict[str, str]) -> list[Account]:
        """Make them; environment: what all need to reach the cluster."""
        known = [(name, FIRST_UID + number) for number, name in enumerate(names)]
        _know(self.folder, known)
        found = list[Account]()
        for name, uid in known:
            own = {kind: self.folder / kind / name for kind in ("home", "tmp", "disk")}
            for folder in own.values():
                folder.mkdir(parents=True)
                folder.chmod(0o755)
                os.chown(folder, uid, uid)
            variables = {
                **environment,
                "HOME": str(own["home"]),
                "TMPDIR": str(own["tmp"]),
                "USER": name,
                "LOGNAME": name,
                "PYTHONPATH": str(ROOT),
                "COLUMNS": "200",
                "OMP_NUM_THREADS": "1",
            }
            found.append(Account(name=name, uid=uid, **own, environment=variables))
        return found

    def fill(self) -> int:
        """Take all that is free on the small disk; returns how much."""
        free = shutil.disk_usage(self.disk).free
        with self.filler.open("ab") as file:
            try:
                os.posix_fallocate(file.fileno(), file.tell(), max(free, 1))
            except OSError:  # somebody was faster with the rest
                pass
        return free

    def free(self) -> None:
        """Give it back."""
        self.filler.unlink(missing_ok=True)


def _mount_memory(where: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "soak", str(where)], check=True)


def _open_way_to(needed: Path, folder: Path) -> None:
    """Let everybody reach it, here, where it lies below a folder that is closed, as /root is."""
    ways = [*reversed(needed.resolve().parents), needed.resolve()]
    closed = next((way for way in ways if not way.stat().st_mode & stat.S_IXOTH), None)
    if closed is None:
        return
    aside = folder / "aside" / needed.name
    aside.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", str(needed.resolve()), str(aside)], check=True)
    if closed != needed.resolve():
        _mount_memory(closed, "mode=755")
        needed.resolve().mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(aside), str(needed.resolve())], check=True)


def _know(folder: Path, accounts: list[tuple[str, int]]) -> None:
    """Add accounts to what this machine knows, here only."""
    for table, form in (("passwd", "{name}:x:{uid}:{uid}::{home}:/bin/bash"), ("group", "{name}:x:{uid}:")):
        lines = [form.format(name=name, uid=uid, home=folder / "home" / name) for name, uid in accounts]
        text = Path("/etc", table).read_text()
        if taken := [name for name, uid in accounts if f":x:{uid}:" in text or f"\n{name}:" in text]:
            raise InputError(f"/etc/{table} has the name or number of {taken[0]} already; take it out")
        own = folder / table
        own.write_text(text.rstrip("\n") + "\n" + "\n".join(lines) + "\n")
        own.chmod(0o644)
        subprocess.run(["mount", "--bind", str(own), f"/etc/{table}"], check=True)
