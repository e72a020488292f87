"""The jobs of a check-up, as sbatch is given them: small, short, all at the same time."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from launch.doctor.on_node import OF_JOB
from launch.job.srun import srun_words
from launch.site.profile import ClusterProfile
from launch.submit.script import YES, basics, exports, requeue_value

LEAD_S = 40
"""Asked for before a limit of one minute, the shortest that SLURM knows."""
MOST_GPUS, MOST_CPUS = 2, 2
"""Of a node, and of a task: enough to see who gets which."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Looks:
    """What to look at."""

    nodes: int = 2
    """So many together."""
    limit: bool = True
    """What happens at the time limit, too."""


def scripts(profile: ClusterProfile, folder: Path, looks: Looks) -> dict[str, str]:
    """Name -> text."""
    gpus = min(profile.train.gpus_per_node or profile.gpus_per_node, MOST_GPUS)
    command = " ".join(map(shlex.quote, profile.scontrol)) or "scontrol"
    signals, where = "launch.doctor.probe_signals", shlex.quote(str(folder))
    cpus = str(min(profile.cpus_per_gpu, MOST_CPUS))
    shape = {"nodes": str(looks.nodes), "ntasks-per-node": str(max(gpus, 1)), "cpus-per-task": cpus}
    # as jobs start their tasks; the probe finds its code even where a site takes a job's variables from them
    words = srun_words([f"--cpus-per-task={cpus}", *profile.srun])
    step = " ".join(map(shlex.quote, [*words, "/usr/bin/env", *_of_python(folder)]))
    found = {
        "nodes": _script(
            profile,
            folder,
            "nodes",
            {"time": "5", **shape},
            f'{step} "$PY" -m launch.doctor.probe_node {where} {shlex.quote(profile.scratch)}',
            gpus,
        ),
        "limit": _script(
            profile,
            folder,
            "limit",
            {"time": "1", "signal": f"B:USR2@{LEAD_S}", "no-requeue": ""},
            f'exec "$PY" -m {signals} batch limit {where}',
            min(gpus, 1),
        ),
        "cancel": _script(
            profile,
            folder,
            "cancel",
            {"time": "5", "no-requeue": ""},
            f'exec "$PY" -m {signals} batch cancel {where}',
            min(gpus, 1),
        ),
        "requeue": _script(
            profile,
            folder,
            "requeue",
            {"time": "5", "requeue": requeue_value(profile).strip(YES), "open-mode": "append"},
            f'exec "$PY" -m {signals} requeue requeue {where} {command}',
            min(gpus, 1),
        ),
    }
    return {name: text for name, text in found.items() if name != "limit" or looks.limit}


def _script(profile: ClusterProfile, folder: Path, name: str, own: dict[str, str], work: str, gpus: int) -> str:
    options = {
        "job-name": f"avsync-doctor-{name}",
        "output": f"{folder}/{name}.log".replace("%", "%%"),
        "partition": profile.train.partition or profile.partition,
        "account": profile.train.account or profile.account,
        "qos": profile.train.qos or profile.qos,
        "constraint": profile.train.constraint or profile.constraint,
        "exclude": ",".join(profile.exclude),
        "gpus-per-node": str(gpus or ""),
    }
    flags = [f"#SBATCH --{key}={shlex.quote(value)}" for key, value in options.items() if value]
    flags += [f"#SBATCH --{key}{'=' * bool(value)}{value}" for key, value in {**profile.sbatch, **own}.items()]
    return "\n".join(
        [
            "#!/bin/bash",
            *flags,
            *basics(),
            *profile.setup,
            *exports(profile.environment),
            f"export {' '.join(map(shlex.quote, _of_python(folder)))} {OF_JOB}=1",
            f"PY={shlex.quote(sys.executable)}",
            '[ -x "$PY" ] || PY=python3  # this Python does not lie on a disk that the nodes see',
            work,
            "",
        ]
    )


def _of_python(folder: Path) -> list[str]:
    return [f"PYTHONPATH={folder / 'code'}", "PYTHONSAFEPATH=1", "PYTHONDONTWRITEBYTECODE=1"]
