"""SIGTERM and SIGHUP end a command as Ctrl-C does; who has asked to be left alone is."""

import os
import signal
from collections.abc import Iterator

import pytest

from launch.cli import SIGNALS, SignalEnd, main
from launch.commands.data import Pack


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_command_that_is_told_to_end_says_how_to_go_on(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def execute(_: Pack) -> str:
        os.kill(os.getpid(), number)
        return "not reached"

    monkeypatch.setattr(Pack, "execute", execute)
    assert main(["pack", "videos", "dataset"]) == 128 + number
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.strip() == (
        "avsync: stopped; the same avsync pack command again goes on from what is already whole"
    )


@pytest.mark.parametrize("number", SIGNALS)
def test_a_terminal_that_is_gone_does_not_change_how_it_ends(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def execute(_: Pack) -> str:
        try:
            os.kill(os.getpid(), number)
        finally:
            raise OSError(5, "Input/output error")  # a progress bar, say, takes its leave

    monkeypatch.setattr(Pack, "execute", execute)
    assert main(["pack", "videos", "dataset"]) == 128 + number


@pytest.mark.parametrize("number", SIGNALS)
def test_more_signals_do_not_disturb_the_end(number: int) -> None:
    tidied = False
    with SignalEnd() as ending:
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            for other in SIGNALS:
                os.kill(os.getpid(), other)
            tidied = True
    assert tidied
    assert ending.code == 128 + number
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None], ids=["ignored", "handled"])
def test_a_signal_that_somebody_has_provided_for_is_left_to_them(handler: signal.Handlers) -> None:
    for number in SIGNALS:
        signal.signal(number, handler)
    with SignalEnd() as ending:
        for number in SIGNALS:
            assert signal.getsignal(number) is handler
            os.kill(os.getpid(), number)
    assert ending.number is None


def test_one_of_several_ranks_is_left_to_who_started_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with SignalEnd():
        assert {signal.getsignal(number) for number in SIGNALS} == {signal.SIG_DFL}
    monkeypatch.setenv("WORLD_SIZE", "1")
    with SignalEnd():
        assert signal.SIG_DFL not in {signal.getsignal(number) for number in SIGNALS}
