"""The text that sbatch is given: every line of it is readable, and the same that --dry-run shows."""

import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launch.commands.flags import typed
from launch.job.attempt import OFFSET
from launch.job.paths import JobPaths
from launch.job.record import JobRecord, Resources
from launch.job.srun import export_values
from launch.queue.squeue import MARK
from launch.site.amounts import as_clock
from launch.site.profile import ClusterProfile
from sharding.base.text import is_unicode, plain
from sharding.base.written_paths import fill_in, variables_in
from sharding.errors import InputError

OURS = frozenset(
    "array comment dependency error export kill-on-invalid-dep job-name open-mode output parsable requeue signal "
    "test-only wait wrap".split()
)
"""Options of sbatch that a profile must leave alone: avsync counts on them."""
NO_CODE = "avsync: error: the code of this job is gone; {} takes what is there now"
OF_GPUS = frozenset("cpus-per-gpu gpu-bind gpu-freq gpus gpus-per-node gpus-per-task gres mem-per-gpu".split())
"""Options that are for jobs with GPUs only."""

YES = "\0"
"""Value of an option that takes none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One call of sbatch: the whole job, or of an array as much as the site allows at once."""

    number: int = 0
    """Of the piece, from 0 ..."""
    of: int = 1
    """... of so many."""
    first: int = 0
    """Number of its first task in the whole array."""
    tasks: int = 0
    """0: it is no array."""


def pieces(tasks: int, most: int) -> list[Piece]:
    """An array of that many tasks in pieces of at most `most`; 0 tasks: a job that is no array."""
    firsts = range(0, tasks, most) if tasks else range(1)
    return [
        Piece(number=number, of=len(firsts), first=first, tasks=min(most, tasks - first))
        for number, first in enumerate(firsts)
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Waits:
    """What a job waits for."""

    well: tuple[str, ...] = ()
    """Jobs that must end well; when one does not, this one is removed from the queue."""
    over: str = ""
    """Job that must end, however: the one before in a line of successors."""

    @property
    def text(self) -> str:
        """Of --dependency; a comma means `and`."""
        return ",".join([*(f"afterok:{job}" for job in self.well), *([f"afterany:{self.over}"] if self.over else [])])


def script(record: JobRecord, paths: JobPaths, piece: Piece, waits: Waits) -> str:
    """Raises InputError for what no script can hold."""
    if odd := [text for text in (record.name, *record.words, record.directory) if not is_unicode(text)]:
        raise InputError(
            f"{plain(odd[0])}: these bytes are no UTF-8, and a script and job.json hold nothing else; rename it"
        )
    asked = [_option(name, value) for name, value in _options(record, paths, piece, waits).items()]
    profile = record.profile
    gone = shlex.quote(NO_CODE.format(_again(paths)))
    lines = [
        "#!/bin/bash",
        f"# {plain(typed(*record.words))}",
        "# Written by avsync submit; what it runs is described in job.json beside it.",
        "",
        *asked,
        "",
        "# A warning may come before there is anybody to hear it; it must not end the script.",
        "trap '' USR1 USR2",
        "",
        "# A site may start this with nothing of a login's environment.",
        *basics(),
        "",
        *_own_alone(paths),
        *(["# The site's own lines, from its profile.", *profile.setup, ""] if profile.setup else []),
        "# The work runs the copy of avsync that was made when it was submitted, whatever becomes of the checkout.",
        f"export PYTHONPATH={shlex.quote(str(paths.code))}${{PYTHONPATH:+:$PYTHONPATH}}",
        "export PYTHONSAFEPATH=1",
        "export PYTHONUTF8=1 PYTHONIOENCODING=utf-8  # names and logs are the same text whatever the locale",
        f"test -d {shlex.quote(str(paths.code))} || {{ echo {gone}; exit 1; }}",
        *exports(profile.environment),
        *([f"export {OFFSET}={piece.first}"] if piece.tasks else []),
        *_cpus(record),
        "",
        f"cd {shlex.quote(record.directory)} || exit",
        "# It starts the tasks, passes signals on, and decides at the end whether there is more to do.",
        f"exec {shlex.quote(record.argv[0])} -m launch.job.supervise {shlex.quote(str(paths.root))}",
        "",
    ]
    return "\n".join(lines)


def _own_alone(paths: JobPaths) -> list[str]:
    """Lines of bash that end a job whose files others could have changed, as launch/job/own.py sees it; it cannot ask
    that file, which is one of them. The script itself SLURM keeps where nobody else comes to it.
    """
    root = shlex.quote(str(paths.root))
    remedy = shlex.quote(f"so nothing of this job is run: chmod -R go-w {root}; {_again(paths)}; or submit it anew")
    return [
        "# What it runs has lain here while it waited, and must be its user's alone. A server may write other owners",
        "# and modes than ours for all that is made here, so a file is made, and looked at.",
        "me=$EUID open=(-perm /022)",
        f"if probe=$(mktemp {root}/.avsync-XXXXXXXX 2>/dev/null); then",
        '  me=$(stat -c %u "$probe")',
        '  [ -z "$(find "$probe" -perm /022)" ] || open=(-false)',
        '  rm -f "$probe"',
        "fi",
        r"""odd=(\( -type l -o ! \( -uid 0 -o -uid "$EUID" -o -uid "$me" \) -o "${open[@]}" \)""",
        r"""     -printf '%p (owner %u, mode %m)\n' -quit)""",
        f'found=$(find {root} "${{odd[@]}}" -o -prune',
        f'        cd {root} && find job.json script*.sh "${{odd[@]}}"; find code "${{odd[@]}}") 2>/dev/null',
        'if [ -n "$found" ]; then',
        r"""  name=$(printf %s "${found%%$'\n'*}" | tr -c '[:print:]' '?')""",
        f'  echo "avsync: error: $name: others could have changed it," {remedy}',
        "  exit 2",
        "fi",
        "",
    ]


def _again(paths: JobPaths) -> str:
    return plain(typed("resubmit", paths.target, "--kind", paths.root.name, "--new-code"))


def basics() -> list[str]:
    """What bash itself knows is handed on; SLURM's programs may lie where only the login shell looks."""
    folder = str(Path(shutil.which("srun") or "/usr/bin/srun").parent)
    elsewhere = "" if folder in os.defpath.split(os.pathsep) else f'"$PATH":{shlex.quote(folder)}'
    return [f"export HOME=${{HOME:-~}} PATH{'=' * bool(elsewhere)}{elsewhere}"]


def exports(environment: Mapping[str, str]) -> list[str]:
    """Lines of bash. A value with a variable that is not set on the node is left out, and the log says so."""
    return [_export(name, value) for name, value in environment.items()]


def _export(name: str, value: str) -> str:
    names = variables_in(value)
    if not names:
        return f"export {name}={shlex.quote(fill_in(value, {}).text)}"
    # filled in by itself, each becomes ${NAME}; all else is quoted, so that nothing of it can become a command
    marks = {one: f"\0{one}\0" for one in names}
    quoted = [shlex.quote(part) if part else "" for part in fill_in(value, marks).text.split("\0")]
    text = "".join(f'"${{{part}}}"' if number % 2 else part for number, part in enumerate(quoted))
    there = "".join(f"${{{one}:+x}}" for one in names)
    word = f"avsync: warning: [environment] {name} is left out: {' or '.join(names)} is not set on this node"
    return f'if [ "{there}" = {"x" * len(names)} ]; then export {name}={text}; else echo {shlex.quote(word)}; fi'


def _cpus(record: JobRecord) -> list[str]:
    """Some versions of SLURM do not hand --cpus-per-task on to srun."""
    count = record.resources.cpus_per_task
    return [f"export SRUN_CPUS_PER_TASK={count}"] if count else []


def _options(record: JobRecord, paths: JobPaths, piece: Piece, waits: Waits) -> dict[str, str]:
    """Name -> value; empty ones are left out."""
    asked, profile = record.resources, record.profile
    log = paths.logs / "%A_%a.txt" if piece.tasks else paths.log
    options = {
        "job-name": record.name,
        "comment": f"{MARK}{paths.root}",
        "output": _pattern(str(log.parent)) + f"/{log.name}",
        "open-mode": "append",
        "requeue": requeue_value(profile),
        "signal": f"B:USR2@{profile.signal_lead_s}",
        "array": f"0-{piece.tasks - 1}" if piece.tasks else "",
        "dependency": waits.text,
        "kill-on-invalid-dep": "yes" if waits.well else "",
        "partition": asked.partition,
        "account": asked.account,
        "qos": asked.qos,
        "constraint": asked.constraint,
        "exclude": ",".join(asked.exclude),
        "time": as_clock(asked.time_s),
        **_shape(asked),
        "gpus-per-node": str(asked.gpus_per_node or ""),
        "mem": f"{asked.memory_mb}M" if asked.memory_mb else "",
    }
    if taken := sorted(OURS & profile.sbatch.keys()):
        raise InputError(f"{profile.name}: sbatch.{taken[0]} is set by avsync itself; take it out of the profile")
    if withheld := [value for value in export_values(profile.srun) if value.split(",")[0] != "ALL"]:
        raise InputError(
            f"{profile.name}: srun --export={withheld[0]} would keep from the ranks what the job has for them; "
            "take it out of the profile's srun, and put variables into its [environment]"
        )
    own = {name: value or YES for name, value in profile.sbatch.items() if asked.gpus_per_node or name not in OF_GPUS}
    return {name: value for name, value in (options | own).items() if value}


def _shape(asked: Resources) -> dict[str, str]:
    """Nodes, and what of each. With a number of tasks SLURM always gives the least of a range of nodes, or after a
    requeue as many as the last time (seen with 22.05): then it gets none, and srun alone says what each node runs.
    """
    nodes, cpus = {"nodes": str(asked.node_counts)}, asked.cpus_per_task
    if asked.node_counts.is_range:
        return {**nodes, "cpus-per-task": str(asked.tasks_per_node * max(cpus, 1))}
    return {**nodes, "ntasks-per-node": str(asked.tasks_per_node), "cpus-per-task": str(cpus or "")}


def requeue_value(profile: ClusterProfile) -> str:
    """Of --requeue."""
    return YES if profile.requeue == "plain" else profile.requeue


def _option(name: str, value: str) -> str:
    if value == YES:
        return f"#SBATCH --{name}"
    if not value.isprintable() or ("\\" in value and name == "output"):  # a backslash there means: fill nothing in
        raise InputError(f"sbatch cannot read {name} = {plain(value)}: a letter of it is special; choose another name")
    return f"#SBATCH --{name}={_quoted(value)}"


def _quoted(value: str) -> str:
    """As sbatch reads its lines: quotes as in a shell, but a backslash takes the next letter even within quotes."""
    return shlex.quote(value.replace("\\", "\\\\"))


def _pattern(path: str) -> str:
    """A path in which sbatch shall fill nothing in."""
    return path.replace("%", "%%")
