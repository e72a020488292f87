"""What a job runs is its user's alone: its folder, the copy of avsync in it, job.json and the scripts.

It waits in a queue for days, often in a folder where a whole group may write. So nobody else may write in it, whatever
the umask; and before any of it is run or queued again it is looked at: whose it is, who else may write it, and that no
link leads out of it. Folders of earlier versions lie as open as the umask had it: those are closed when they are queued
again. Where a file system keeps no modes of its own, owners alone count, and that is said.
"""

import os
import shlex
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from launch.job.paths import JobPaths
from sharding.base.files import OWN_FOLDER
from sharding.base.guarded import claim, kind_of, make_folder, owner_name
from sharding.base.trusted import ROOT, is_made_by_us, may_others_write, open_to, without_others
from sharding.errors import InputError


def check_own(paths: JobPaths) -> None:
    """Before anything of a job is run. Raises InputError, which names the file, whose it is, and what to do."""
    if why := foreign(paths):
        raise InputError(f"{why}: nothing of this job is run; submit it anew")
    why = next((why for path, status in parts(paths) if (why := open_to(path, status, own_group=False))), "")
    if why and not _modes_hold(paths.root):
        fact = "this file system keeps no modes; whose the files are is all that was looked at"
        sys.stderr.write(f"avsync: warning: {paths.root}: {fact}\n")
    elif why:
        again = shlex.join(["avsync", "resubmit", str(paths.target), "--kind", paths.root.name, "--new-code"])
        close = shlex.join(["chmod", "-R", "go-w", str(paths.root)])
        raise InputError(f"{why}: others could have changed what this job runs, and nothing of it is; {close}; {again}")


def foreign(paths: JobPaths) -> str:
    """`.../code belongs to user mira`, or what is a link instead of the job's own; empty for a job of one's own.

    What cannot be looked at is said, too: nobody knows whose it is.
    """
    try:
        found = _foreign_part(paths)
    except OSError as error:
        return f"{error.filename or paths.root} cannot be looked at: {error.strerror}"
    if not found:
        return ""
    path, status = found
    if stat.S_ISLNK(status.st_mode):
        return f"{path} is {kind_of(status)}, and a job's own files lie in its folder"
    return f"{path} belongs to {owner_name(status)}"


def foreign_owner(paths: JobPaths) -> str:
    """Whose it is, as SLURM knows them; one's own name for a link of one's own; empty where nothing is foreign."""
    with suppress(OSError):
        found = _foreign_part(paths)
        return owner_name(found[1]).removeprefix("user ") if found else ""
    return ""


def _foreign_part(paths: JobPaths) -> tuple[Path, os.stat_result] | None:
    trusted = {ROOT, os.geteuid()}
    for path, status in parts(paths):
        if stat.S_ISLNK(status.st_mode):
            return path, status
        if status.st_uid not in trusted and not is_made_by_us(status, path.parent):
            return path, status
        trusted.add(status.st_uid)
    return None


def parts(paths: JobPaths) -> Iterator[tuple[Path, os.stat_result]]:
    """The job's folder and all in it that is run or says what is; as they are, links too. Raises OSError."""
    named = [paths.root, paths.record, paths.code, *sorted(paths.root.glob("script*.sh"))]
    for path in (path for path in named if os.path.lexists(path)):
        yield path, os.lstat(path)
    yield from _below(paths.code)


def _below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    if folder.is_symlink() or not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # other processes put compiled modules there
                yield Path(entry.path), entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                yield from _below(Path(entry.path))


def make_own(paths: JobPaths) -> None:
    """The job's folder, written by nobody else from now on. Raises OSError, InputError for one of somebody else."""
    make_jobs(paths.root.parent)
    make_folder(paths.root, mode=OWN_FOLDER)
    if why := foreign(paths):
        raise InputError(f"{why}; name another folder")
    open_ones = [(path, status) for path, status in parts(paths) if may_others_write(status, own_group=False)]
    for path, status in open_ones:
        with suppress(OSError):
            path.chmod(without_others(status.st_mode))
    if open_ones and may_others_write(open_ones[0][0].lstat(), own_group=False):
        return  # it keeps no modes, which the job says
    if any(path.is_relative_to(paths.code) for path, _ in open_ones):
        lay_open = open_to(*open_ones[0], own_group=False)
        changed = "if somebody may have changed the code that the job keeps there, --new-code takes what is here"
        sys.stderr.write(f"avsync: warning: {lay_open}: only you may from now on; {changed}\n")


def make_jobs(folder: Path) -> None:
    """The folder of a run's jobs: where others may write already, no more than new ones. Raises OSError."""
    claim(folder.parent)
    make_folder(folder.parent)
    make_folder(folder, mode=OWN_FOLDER)  # through no link
    status = folder.lstat()
    if may_others_write(status) and status.st_uid == os.geteuid() and not status.st_mode & stat.S_ISVTX:
        with suppress(OSError):
            folder.chmod(stat.S_IMODE(status.st_mode) | stat.S_ISVTX)


def _modes_hold(folder: Path) -> bool:
    """Whether what is made for its owner alone is so: CIFS and others show one mode for all files."""
    probe = folder / f".avsync-{token_hex(8)}"
    with suppress(OSError):
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        found = probe.lstat()
        probe.unlink()
        return not may_others_write(found, own_group=False)
    return True
