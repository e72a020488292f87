"""`avsync board`: TensorBoard, its own program, as a child of this one; and the line that brings it to a laptop."""

import errno
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from avsync.run.paths import RunPaths
from launch.queue.squeue import own_name
from launch.watch.jobs import runs_below
from sharding.base.console import open_console
from sharding.base.environment import JOBS
from sharding.base.text import counted, first_few, plain
from sharding.errors import AvsyncError, InputError

START_S = 60.0
"""TensorBoard's imports, from a slow network disk."""
LOOK_S = 0.1


def board(runs: Sequence[Path], host: str, port: int) -> str:
    """Run it until Ctrl-C. Raises InputError for a folder that is no run or a port in use, AvsyncError if it fails."""
    folders = named_apart([_run(path) for path in runs] or _all_here())
    port = free_port(host, port)
    with tempfile.TemporaryDirectory(prefix="avsync-board-", ignore_cleanup_errors=True) as links:
        for name, run in folders.items():
            link = Path(links, "runs", name)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(RunPaths(run).tensorboard)  # it may come into being later
        output = Path(links, "output.txt")
        argv = [sys.executable, "-m", "tensorboard.main", "--logdir", str(Path(links, "runs"))]
        with output.open("wb") as out:
            server = subprocess.Popen([*argv, "--host", host, "--port", str(port)], stdout=out, stderr=out)
        try:
            _wait_until_it_serves(server, host, port, output)
            open_console().print(how_to_reach(folders, host, port), soft_wrap=True)
            server.wait()
        except KeyboardInterrupt:  # the way to end it
            return ""
        finally:
            _end(server)
        raise AvsyncError(f"TensorBoard ended by itself: {_last_word(output)}")


def named_apart(runs: Sequence[Path]) -> dict[str, Path]:
    """Runs by the shortest ends of their paths that tell them apart."""
    distinct = list(dict.fromkeys(runs))
    depth, names = 0, [""] * len(distinct)
    while len(set(names)) < len(names) or not depth:
        depth += 1
        names = ["/".join(part for part in run.parts[-depth:] if part != "/") for run in distinct]
    return dict(zip(names, distinct, strict=True))


def how_to_reach(runs: Mapping[str, Path], host: str, port: int) -> str:
    """What to type and what to open."""
    user, here = own_name(), _own_address()
    lines = [f"TensorBoard shows {counted(len(runs), 'run')}: {first_few(list(runs), 20)}"]
    if host in ("localhost", "127.0.0.1", "::1"):
        lines += ["On your own machine, type", f"  {tunnel(port, user, here, os.environ)}", "and open there"]
        lines += [f"  http://localhost:{port}"]
    else:
        lines += ["Open", f"  http://{here if host in ('0.0.0.0', '::') else host}:{port}"]
    return "\n".join([*lines, "Ctrl-C ends it."])


def _own_address() -> str:
    """With its domain, if this machine knows that."""
    full = socket.getfqdn()
    return socket.gethostname() if full.startswith("localhost") else full


def tunnel(port: int, user: str, here: str, environment: Mapping[str, str]) -> str:
    """The ssh line. Into a job's node the way leads through the machine that the job was submitted on."""
    login = environment.get("SLURM_SUBMIT_HOST", "") if "SLURM_JOB_ID" in environment else ""
    jump = f"-J {user}@{login} " if login and login != here else ""
    return f"ssh -N -L {port}:localhost:{port} {jump}{user}@{here}"


def free_port(host: str, port: int = 0) -> int:
    """One that nobody listens on, or `port` itself if given. Raises InputError when it is taken, or no host here."""
    try:
        with socket.create_server((host, port)) as tried:
            return int(tried.getsockname()[1])
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"--port {port}: port {port} of {host} is in use; leave it out for a free one") from error
        raise InputError(f"--host {host}: it cannot be listened on ({error.strerror}); leave it out") from error


def _run(path: Path) -> Path:
    run = path.absolute()
    paths = RunPaths(run)
    if not any(one.exists() for one in (paths.tensorboard, paths.info, run / JOBS)):
        lacks = f"neither {paths.info.name} nor {paths.tensorboard.name}"
        raise InputError(f"{path} is no run: it has {lacks}; name a folder of avsync train")
    return run


def _all_here() -> list[Path]:
    found = runs_below(Path.cwd())
    if not found:
        raise InputError(f"no run below {Path.cwd()}; name one: avsync board RUN")
    return found


def _wait_until_it_serves(server: subprocess.Popen[bytes], host: str, port: int, output: Path) -> None:
    ends = time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < ends:
        try:
            socket.create_connection((_reachable(host), port), timeout=1).close()
            return
        except OSError:
            time.sleep(LOOK_S)
    raise AvsyncError(f"TensorBoard does not serve on port {port}: {_last_word(output)}; choose another --port")


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _last_word(output: Path) -> str:
    lines = [line for line in output.read_text(errors="replace").splitlines() if line.strip()]
    return plain(lines[-1]) if lines else "it printed nothing"


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
