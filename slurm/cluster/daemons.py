"""Which daemons a cluster has, in which order they start, and when each is ready."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slurm.cluster.config_files import ClusterPaths, Ports, user_name
from slurm.cluster.packages import Programs
from slurm.cluster.settings import ClusterError, ClusterSettings

START_TIMEOUT_S = 60
CONTROLLER_STARTS = 3
PROJECT = Path(__file__).parents[2]
TABLES = ("mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql")


@dataclass(frozen=True, kw_only=True, slots=True)
class Daemons:
    """The daemons of one cluster, owned by its guardian."""

    paths: ClusterPaths
    programs: Programs
    environment: dict[str, str]

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """One request to the guardian. Raises ClusterError when it is not there, or could not do it."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(START_TIMEOUT_S)
            try:
                connection.connect(str(self.paths.guardian_socket))
                with connection.makefile("rwb") as lines:
                    lines.write(json.dumps({"do": do, **fields}).encode() + b"\n")
                    lines.flush()
                    answer = json.loads(lines.readline() or b"{}")
            except OSError as error:
                raise ClusterError(f"no cluster runs in {self.paths.folder}: {error}") from error
        if "error" in answer:
            raise ClusterError(f"the cluster in {self.paths.folder} could not {do} {fields}: {answer['error']}")
        return answer

    @property
    def ports(self) -> Ports:
        return Ports(first=self.ask("state")["first_port"])

    def start_guardian(self, owner: int) -> subprocess.Popen[bytes]:
        """Start the guardian, and wait until it listens; it lives as long as process `owner` (0: until stopped)."""
        argv = [sys.executable, "-m", "slurm.cluster.guardian", str(self.paths.guardian_socket), str(owner)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT), *sys.path])}
        log = self.paths.log_of("guardian")
        with log.open("wb") as file:
            guardian = subprocess.Popen(
                argv,
                env=environment,
                cwd=self.paths.folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # Ctrl-C is for the owner
            )
        end = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < end and guardian.poll() is None:
            try:
                self.ask("state")
                return guardian
            except ClusterError:
                time.sleep(0.02)
        guardian.kill()
        guardian.wait()
        raise ClusterError(f"the guardian of {self.paths.folder} did not start: {log.read_text().strip()}")

    def start(self, name: str, argv: list[str | Path], ready: Callable[[], bool]) -> None:
        """Start a daemon, and wait until it is ready."""
        self.launch(name, argv)
        self.wait_until(ready, name)

    def launch(self, name: str, argv: list[str | Path]) -> None:
        """Start a daemon; what it prints goes to log/NAME.out, beside the log that it writes itself."""
        out = self.paths.logs / f"{name}.out"
        self.ask("start", name=name, argv=[str(part) for part in argv], environment=self.environment, log=str(out))

    def wait_until(self, ready: Callable[[], bool], name: str) -> None:
        """Raises ClusterError with the end of the daemon's logs when it ends, or takes too long."""
        end = time.monotonic() + START_TIMEOUT_S
        while not ready():
            code = self.ask("state")["daemons"][name]["code"]
            if code is not None or time.monotonic() > end:
                fact = f"ended with {code}" if code is not None else f"was not ready after {START_TIMEOUT_S} s"
                raise ClusterError(f"{name} {fact}:\n{self.tail(name)}")
            time.sleep(0.02)

    def tail(self, name: str, lines: int = 20) -> str:
        """The last lines that a daemon logged; what it printed, if it did not come to logging."""
        for path in (self.paths.log_of(name), self.paths.logs / f"{name}.out"):
            if path.is_file() and path.stat().st_size:
                return "\n".join([f"== {path}", *path.read_text(errors="replace").splitlines()[-lines:]])
        return f"== {name} logged nothing"

    def start_munged(self) -> None:
        """--force: it would refuse to work below a folder that all may write, such as /tmp."""
        munge = self.paths.munge
        options = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        files = [f"--{option}={munge / name}" for option, name in options.items()]
        argv = [self.programs.path_of("munged"), "-F", "--force", "--num-threads=4", *files]
        self.start("munged", argv, lambda: _answers(socket.AF_UNIX, str(self.paths.munge_socket)))

    def start_database(self, ports: Ports) -> None:
        """An empty MariaDB, reachable from this machine, and slurmdbd, which fills it."""
        program, texts, folder = self.programs.path_of("mariadbd"), self.programs.mariadb_texts, self.paths.database
        argv: list[str | Path] = [
            program,
            "--no-defaults",
            f"--user={user_name()}",
            f"--datadir={folder}",
            f"--tmpdir={self.paths.run}",  # it empties its folder for them when it starts: that of others, in /tmp
            f"--lc-messages-dir={texts}",
            f"--character-sets-dir={texts / 'charsets'}",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=8M",
            "--innodb-flush-log-at-trx-commit=0",
        ]
        sql = "create database mysql;\nuse mysql;\n" + "".join((texts / name).read_text() for name in TABLES)
        made = subprocess.run([*argv, "--bootstrap"], input=sql, env=self.environment, capture_output=True, text=True)
        if made.returncode:
            raise ClusterError(f"mariadbd could not make an empty database in {folder}:\n{made.stderr[-2000:]}")
        argv += ["--bind-address=127.0.0.1", f"--port={ports.mariadbd}", "--skip-grant-tables"]
        argv += [f"--socket={self.paths.run / 'mariadb'}", f"--pid-file={self.paths.run / 'mariadbd.pid'}"]
        self.start("mariadbd", argv, lambda: _answers(socket.AF_INET, ("127.0.0.1", ports.mariadbd)))
        slurmdbd = [self.programs.path_of("slurmdbd"), "-D"]
        self.start("slurmdbd", slurmdbd, lambda: _answers(socket.AF_INET, ("127.0.0.1", ports.slurmdbd)))

    def start_controller(self, ports: Ports) -> None:
        argv = [self.programs.path_of("slurmctld"), "-D", "-f", self.paths.slurm_conf]
        for attempt in range(CONTROLLER_STARTS, 0, -1):  # under load slurmdbd may listen before it can answer
            try:
                self.start("slurmctld", argv, lambda: _answers(socket.AF_INET, ("127.0.0.1", ports.slurmctld)))
                return
            except ClusterError:
                if attempt == 1:
                    raise
                time.sleep(1)

    def launch_node(self, node: str) -> None:
        """Start the slurmd of a node. -d: it would look for slurmstepd where the package is usually installed."""
        stepd = self.programs.path_of("slurmstepd")
        argv = [self.programs.path_of("slurmd"), "-D", "-f", self.paths.slurm_conf, "-N", node, "-d", stepd]
        self.launch(node, argv)

    def start_node(self, node: str) -> None:
        """The same, and wait until it listens: slurmctld may not know yet that it was gone."""
        self.launch_node(node)
        port = self.ports.node(int(node.removeprefix("n")))
        self.wait_until(lambda: _answers(socket.AF_INET, ("127.0.0.1", port)), node)


def prepare_folder(settings: ClusterSettings, paths: ClusterPaths) -> None:
    """Make the cluster's folders, empty; nothing else in `folder` is touched."""
    for folder in (
        paths.slurm_conf.parent,
        paths.munge,
        paths.run,
        paths.logs,
        paths.state,
        paths.spool,
        paths.database,
    ):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    paths.munge.chmod(0o711)
    for node in settings.node_names:
        (paths.spool / node).mkdir()


def _answers(family: socket.AddressFamily, address: str | tuple[str, int]) -> bool:
    with socket.socket(family) as probe:
        return probe.connect_ex(address) == 0
