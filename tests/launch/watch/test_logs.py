"""A job's log: attempt after attempt, task after task, and as it grows."""

import os
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import made
import pytest
from made import ran

from launch.job.record import End
from launch.watch.log_files import added, last_lines
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


STEERING = "\x1b]52;c;aGk=\x07 \x1b[2J \x9b1A \u202e \x7f"


def test_what_a_log_holds_steers_no_terminal_unless_it_is_wished_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = made.job(tmp_path / "run")
    paths.log.write_text(
        f"\x1b[31mError:\x1b[0m a\tb {STEERING}\n\x1b[\x1b[31m2J error: 10 %\r20 %\r{'x' * 10**6} error: end\n"
    )
    for words in (("logs", "run"), ("logs", "run", "-n", "0"), ("logs", "run", "--errors")):
        assert ran(*words) == 0
        shown = capsys.readouterr().out
        assert all(map(str.isprintable, shown.split("\n")))
        assert "Error: a        b \\x1b]52;c" in shown, "colours are left out"
        assert "\\x1b[2J error: 10 %\n" in shown, "nor put together from what is left"
        assert "error: end" in shown
        assert len(shown) < 10_000
    assert ran("logs", "run", "--raw") == 0
    assert capsys.readouterr().out == paths.log.read_text().replace("\r", "\n")


def test_of_a_log_without_an_end_the_end_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = made.job(tmp_path / "run")
    with paths.log.open("wb") as file:
        file.truncate(3 * 10**12)
        file.seek(0, os.SEEK_END)
        file.write(b"\nstep 7\nValueError: so\n")
    tracemalloc.start()
    try:
        for words, said in ((("logs", "run"), "step 7"), (("logs", "run", "--errors"), "ValueError: so")):
            assert ran(*words) == 0
            assert said in capsys.readouterr().out
        assert ran("logs", "run", "-n", "1") == 0
        assert capsys.readouterr().out == "ValueError: so\n"
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("pieces", [(b"one\ntwo\nth", b"ree\nfour\n"), (b"\n", b"", b"a" * 300, b"\n\n"), (b"x", b"y")])
def test_what_is_added_to_a_log_is_shown_once_and_in_whole_lines(tmp_path: Path, pieces: tuple[bytes, ...]) -> None:
    path, place, shown = tmp_path / "log.txt", 0, list[str]()
    for piece in pieces:
        with path.open("ab") as file:
            file.write(piece)
        lines, place = added(path, place)
        shown += lines
    whole = b"".join(pieces)
    assert shown == whole[: whole.rfind(b"\n") + 1].decode().splitlines()


@pytest.mark.parametrize("lines", [1, 2, 7, 1000, 0])
@pytest.mark.parametrize("longest", [1, 100, 70_000])
def test_the_last_lines_are_those_of_the_whole_file(tmp_path: Path, lines: int, longest: int) -> None:
    path = tmp_path / "log.txt"
    text = [f"{number} é {'x' * (number * 7919 % longest)}" for number in range(60)]
    for end in ("", "\n"):
        path.write_text("\n".join(text) + end)
        found, size = last_lines(path, lines)
        assert list(found) == text[-lines:]
        assert size == path.stat().st_size


def _wait(true: object) -> None:
    assert callable(true)
    ends = time.monotonic() + 30
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.05)
