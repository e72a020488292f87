"""What a log file is told of long work: soon, now and then, and what is waited for."""

import io
import time

import pytest
from rich.console import Console

from sharding.base import console as module
from sharding.base.console import Bar, WaitNotice, open_console


def paper() -> tuple[Console, io.StringIO]:
    """A console that is no terminal."""
    sheet = io.StringIO()
    return Console(file=sheet, width=200, markup=False), sheet


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the bar sees, in a list of one."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("first", [0, 120])
def test_a_log_hears_of_the_first_step_at_once_and_of_the_pace_from_then_on(first: int, clock: list[float]) -> None:
    console, sheet = paper()
    done = [first]
    with Bar("training", 200, done=first, console=console, line=lambda: f"step {done[0]} {bar.left()}") as bar:
        clock[0] += 60  # files, processes, compilers
        assert not sheet.getvalue()
        for step in range(first + 1, first + 30):
            done[0] = step
            bar.update(step)
            clock[0] += 1
    lines = sheet.getvalue().splitlines()
    assert lines[0].startswith(f"step {first + 1} ETA"), "the first step is reported when it is done"
    assert lines[1].startswith(f"step {first + 21} ETA"), "then there is a line every 20 s"
    seconds = 200 - (first + 21)
    assert lines[1].endswith(f"ETA {seconds / 60:.1f} min" if seconds >= 60 else f"ETA {seconds:.1f} s"), (
        "what came before the first step is no pace"
    )


def test_a_long_bar_that_passes_is_not_silent_in_a_log(clock: list[float]) -> None:
    console, sheet = paper()
    with Bar("evaluating", 5, console=console, passing=True) as bar:
        for _ in range(5):
            clock[0] += 12
            bar.advance()
    assert [line.partition("  ")[0] for line in sheet.getvalue().splitlines()] == ["evaluating:"] * 2


def test_a_bar_without_lines_of_its_own_leaves_short_work_unmentioned(clock: list[float]) -> None:
    console, sheet = paper()
    with Bar("packing", 5, console=console) as bar:
        for _ in range(5):
            bar.advance()
            clock[0] += 1
    assert not sheet.getvalue()


@pytest.mark.parametrize("long", [True, False])
def test_what_is_waited_for_is_named_only_when_it_is_long(long: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_S", 0.0 if long else 600.0)
    console, sheet = paper()
    with WaitNotice("opening [/data]", console) as notice:
        while long and "[/data]" not in sheet.getvalue():
            time.sleep(0.01)
        notice.end()
        notice.end()
    assert sheet.getvalue().startswith("opening [/data] (") == long


def test_a_quiet_console_stays_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(module, "SILENT_S", 0.0)
    with WaitNotice("x", open_console(stderr=True, quiet=True)) as notice:
        notice.say("y")
    assert not "".join(capsys.readouterr())
