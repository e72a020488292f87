"""A second account of the machine, which does what its rights let it do. Needs root, to become it."""

import json
import os
import secrets
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

NEIGHBOUR = 54321
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that others may look into: those of pytest are closed."""
    folder = Path(tempfile.mkdtemp(prefix="avsync-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def as_neighbour(act: Callable[[], str], groups: Iterable[int] = ()) -> str:
    """What `act` returns in a process that is theirs. groups: that they are in besides."""
    got, give = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgroups([*groups])
            os.setgid(NEIGHBOUR)
            os.setuid(NEIGHBOUR)
            os.write(give, act().encode())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(give)
    with os.fdopen(got, "rb") as file:
        found = file.read()
    assert os.waitpid(child, 0)[1] == 0
    return found.decode()


def intruded(paths: Iterable[Path], groups: Iterable[int] = ()) -> list[str]:
    """Where they can put something, or take away what lies there: of these paths, all in and all above them. Nothing
    is left changed.
    """
    return json.loads(as_neighbour(lambda: json.dumps(sorted({one for at in paths for one in _intrude(at)})), groups))


def _intrude(path: Path) -> Iterator[str]:
    for at in (path, *path.parents, *(path.rglob("*") if os.path.isdir(path) else ())):
        if at == Path("/"):
            continue
        with suppress(OSError):
            if os.path.isdir(at):
                made = at / secrets.token_hex(8)
                made.mkdir()
                made.rmdir()
                if not at.stat().st_mode & 0o1000 or at == path:  # where it is sticky above, that does no harm
                    yield f"into {at}"
            else:
                os.close(os.open(at, os.O_WRONLY | os.O_APPEND))
                yield f"onto {at}"
        with suppress(OSError):
            aside = at.with_name(secrets.token_hex(8))
            at.rename(aside)
            aside.rename(at)
            yield f"instead of {at}"
