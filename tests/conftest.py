"""What all tests share: marks that skip themselves, and runs that repeat."""

import os
import signal
from collections.abc import Iterator

import hypothesis
import pytest

from sharding.base import guarded
from slurm.cluster.packages import HOW, find_programs
from tests.data import no_data

# Two pytest workers whose torch each starts a thread per core slow each other down.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Under nohup, or in the background of a script, these are ignored from birth, and would be by all that tests start.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

hypothesis.settings.register_profile("gate", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("gate")


def has_gpu() -> bool:
    import torch  # late: most test files need none

    return torch.cuda.is_available()


def no_slurm() -> str:
    missing = find_programs().missing(accounting=REQUIRED["slurm"] in os.environ)
    return f"this machine has no {', '.join(missing)}: {HOW}" if missing else ""


MISSING = {"gpu": lambda: "" if has_gpu() else "this machine has no gpu", "slurm": no_slurm, "data": no_data}
"""Mark -> why this machine cannot run it; nothing where it can."""
REQUIRED = {"slurm": "AVSYNC_REQUIRE_SLURM", "data": "AVSYNC_REQUIRE_DATA"}
"""Mark -> variable that makes a failure of what would be skipped."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Find out, once a mark, what this machine cannot run."""
    for mark, why in MISSING.items():
        marked = [item for item in items if item.get_closest_marker(mark)]
        if marked and (reason := why()):
            for item in marked:
                item.stash[CANNOT] = (mark, reason)


CANNOT = pytest.StashKey[tuple[str, str]]()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, or fail where it has to be run."""
    mark, reason = item.stash.get(CANNOT, ("", ""))
    if reason and os.environ.get(REQUIRED.get(mark, "")):
        pytest.fail(f"{reason}; {REQUIRED[mark]} is set, so this is a failure", pytrace=False)
    if reason:
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def _nothing_stays_claimed() -> Iterator[None]:
    """A process of tests is that of many commands: what one of them has claimed is not the next one's."""
    before = dict(guarded._claimed)
    yield
    guarded._claimed.clear()
    guarded._claimed.update(before)
    guarded._owner_of.cache_clear()
