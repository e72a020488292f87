"""A job's log: attempt after attempt, task after task, and as it grows."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import made
import pytest
from made import ran

from launch.job.record import End
from launch.watch.logs import errors_in

pytestmark = pytest.mark.usefixtures("laptop")

LOG = """avsync: attempt 1 of job 7 begins on n1
step 1
avsync: attempt 1 ended: preempted
avsync: attempt 2 of job 7 begins on n2
0: Traceback (most recent call last):
0:   File "x.py", line 1
0: ValueError: [/boom]
1: all is well
"""
LINES = LOG.splitlines()


def test_a_log_shows_where_each_attempt_begins_and_its_words_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made.job(tmp_path / "run").log.write_text(LOG)
    assert ran("logs", "run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip("─ ") for line in lines if "─" in line] == ["attempt 1", "attempt 2"]
    assert [line for line in lines if "─" not in line] == LINES


@pytest.mark.parametrize(
    ("count", "first"), [(1, "1: all is well"), (3, '0:   File "x.py", line 1'), (0, LOG.split("\n")[0])]
)
def test_only_the_last_lines_are_shown_if_so_wished(
    tmp_path: Path, count: int, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made.job(tmp_path / "run").log.write_text(LOG)
    ran("logs", "run", "-n", str(count))
    shown = [line for line in capsys.readouterr().out.splitlines() if "─" not in line]
    assert shown[0] == first
    assert len(shown) == (count or len(LINES))


def test_of_a_traceback_all_is_an_error_and_nothing_else_is() -> None:
    assert list(errors_in(LINES)) == [line for line in LINES if line not in ("step 1", "1: all is well")]


def test_an_arrays_logs_are_told_apart_by_task_also_in_pieces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = made.job(tmp_path / "data", kind="pack", ids=("7", "8"), array=4)
    paths.script(1, 2).write_text("#!/bin/bash\nexport AVSYNC_SHARE_OFFSET=2\n")
    for name in ("7_0", "7_1", "8_0", "8_1"):
        (paths.logs / f"{name}.txt").write_text(f"this is {name}\n")
    ran("logs", "data")
    lines = [line.strip("─ ") for line in capsys.readouterr().out.splitlines()]
    assert lines == ["task 0", "this is 7_0", "task 1", "this is 7_1", "task 2", "this is 8_0", "task 3", "this is 8_1"]
    ran("logs", "data", "--task", "3")
    assert "this is 8_1" in capsys.readouterr().out


def test_following_goes_on_over_a_requeue_and_a_log_that_begins_anew_until_the_job_is_over(tmp_path: Path) -> None:
    paths = made.job(tmp_path / "run")
    paths.log.write_text("one\nhalf a ")
    command = [sys.executable, "-m", "launch", "logs", str(tmp_path / "run"), "-f"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        shown = list[str]()
        reader = threading.Thread(target=lambda: shown.extend(map(str.rstrip, process.stdout or ())))
        reader.start()
        for addition, awaited in (("line\n", "half a line"), ("avsync: attempt 2 of job 7 begins on n2\n", "begins")):
            with paths.log.open("a") as file:
                file.write(addition)
            _wait(lambda awaited=awaited: any(awaited in line for line in shown))
        new = paths.log.with_name("new")
        new.write_text("anew\n")
        new.replace(paths.log)
        _wait(lambda: "anew" in shown)
        with paths.log.open("a") as file:
            file.write("the last word\n")
        made.over(paths, End.DONE, "all steps")
        assert process.wait(30) == 0
        reader.join()
    words = [line for line in shown if "─" not in line]
    assert words == [
        "one",
        "half a line",
        "avsync: attempt 2 of job 7 begins on n2",
        "anew",
        "the last word",
        "done: all steps",
    ]


def _wait(true: object) -> None:
    assert callable(true)
    ends = time.monotonic() + 30
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.05)
