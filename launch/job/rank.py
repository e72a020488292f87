"""`python -m launch.job.rank JOBFOLDER`: one task of a job, just before it becomes the work itself.

srun starts one for each GPU.
"""

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from launch.job.attempt import OFFSET
from launch.job.launcher import alone, describe_rank, grant_cores, resolves
from launch.job.own import check_own
from launch.job.paths import JobPaths
from launch.job.record import SCRATCH, SCRATCH_FLAG, SCRATCH_SIZE_FLAG, SHARE, JobRecord
from sharding.base.files import read_json
from sharding.base.signals import TO_SAVE
from sharding.base.written_paths import fill_in
from sharding.errors import InputError

REFUSED = 2
"""Exit code of what can never be; as of avsync itself, and of the batch script."""
PORT, MASTER = "AVSYNC_MASTER_PORT", "AVSYNC_MASTER_NAME"
"""Where rank 0 listens, and its node: from the batch script, which runs there."""


def main(folder: str) -> None:
    """Never returns: the process becomes the work. Raises InputError, FormatError, OSError."""
    signal.pthread_sigmask(signal.SIG_BLOCK, TO_SAVE)  # what is blocked here stays so in all that follows
    paths = JobPaths(Path(folder))
    try:
        check_own(paths)
    except InputError as error:
        sys.stderr.write(f"avsync: error: {error}\n")
        sys.exit(REFUSED)
    record = read_json(paths.record, JobRecord)
    grant_cores(os.environ)
    if int(os.environ["SLURM_NTASKS"]) > 1:
        describe_rank(os.environ, meeting_place(os.environ), os.environ[PORT])
    else:
        alone(os.environ)
    sys.stdout.flush()
    os.chdir(record.directory)
    argv, left_out = filled_in(record, os.environ)
    if left_out and os.environ.get("SLURM_PROCID", "0") == "0":
        sys.stdout.write(f"avsync: warning: {left_out}\n")
        sys.stdout.flush()
    os.execvp(argv[0], argv)


def meeting_place(environment: Mapping[str, str]) -> str:
    """Rank 0's node: its name where that resolves, else its number; rank 0 lies where srun was started."""
    number, name = environment.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1"), environment[MASTER]
    return name if resolves(name) else number


def filled_in(record: JobRecord, environment: Mapping[str, str]) -> tuple[list[str], str]:
    """The words of the work, in this task; and what to say of a scratch folder that this node does not have.

    Such a one is left out: a folder called `$SLURM_TMPDIR` would lie on the very disk that copies are there to spare.
    """
    words, left_out = list[str](), ""
    waiting = iter(_apart(record.argv))
    for word in waiting:
        if word == SHARE:
            words.append(str(int(environment[OFFSET]) + int(environment["SLURM_ARRAY_TASK_ID"])))
        elif word == SCRATCH_FLAG:
            wanted = next(waiting, "")
            folder, why = scratch_folder(record.profile.scratch if wanted == SCRATCH else wanted, environment)
            left_out = why
            words += [] if why else [word, folder]
        else:
            words.append(word)
    if left_out:  # a size is of a folder
        pairs = zip(words, ["", *words], strict=False)
        words = [word for word, before in pairs if SCRATCH_SIZE_FLAG not in (word, before)]
    return words, left_out


def _apart(words: Sequence[str]) -> Iterator[str]:
    """Of a scratch folder, which may be left out, --flag=value as two words, and the flag as it is called here."""
    for word in words:
        name, equals, value = word.partition("=")
        name = name.replace("_", "-")
        ours = name in (SCRATCH_FLAG, SCRATCH_SIZE_FLAG)
        yield from ((name, value) if equals else (name,)) if ours else (word,)


def scratch_folder(text: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """The folder that is meant on this node; and why there is none here, in words for the log."""
    filled = fill_in(text, environment)
    folder = os.path.expanduser(filled.text)
    node = environment.get("SLURMD_NODENAME") or "this node"
    why = f"{' and '.join(filled.unset)} {'are' if len(filled.unset) > 1 else 'is'} not set on {node}"
    if not filled.unset and not os.path.isabs(folder):
        why = "it is no full path"
    elif not filled.unset:
        return folder, ""
    return "", f'scratch = "{text}" is left out: {why}; shards are read from the dataset itself'


if __name__ == "__main__":
    main(sys.argv[1])
