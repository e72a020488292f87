"""What all tests share: marks that skip themselves, and runs that repeat."""

import os
import shutil
import signal

import hypothesis
import pytest

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


MISSING = {"gpu": lambda: not has_gpu(), "slurm": lambda: shutil.which("sbatch") is None}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run."""
    for mark, missing in MISSING.items():
        marked = [item for item in items if item.get_closest_marker(mark)]
        if marked and missing():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=f"this machine has no {mark}"))
