"""No command dies of a letter: whatever the terminal's encoding, and whatever bytes a file's name holds."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from launch.cli import BUG, DONE, FAILED, main
from launch.commands.entries import COMMANDS, command_class
from launch.commands.flags import declared
from launch.job.record import End
from sharding.base.console import Bar, open_console
from sharding.base.surroundings import SIMPLER
from sharding.errors import InputError
from tests.launch.made import job, over, progress

ENCODINGS = ("ascii", "latin-1", "cp1252", "koi8-r", "shift_jis", "utf-8", "utf-16")
ODD = "Lauf ü ━─ 東 \udcff\udcc3 → …"
BEFORE = Path(__file__).parents[2] / "fixtures" / "before"


@contextmanager
def terminal(encoding: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], tuple[bytes, bytes]]]:
    """stdout and stderr as strict as Python has them; gives what came out so far."""
    sinks = io.BytesIO(), io.BytesIO()
    out = io.TextIOWrapper(sinks[0], encoding, errors="strict", write_through=True)
    err = io.TextIOWrapper(sinks[1], encoding, errors="strict", write_through=True)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", out)
        patched.setattr(sys, "stderr", err)
        yield lambda: (sinks[0].getvalue(), sinks[1].getvalue())


class Chatty:
    """A command that prints in every way that there is."""

    def __init__(self, fails: bool) -> None:
        self.fails = fails

    def execute(self) -> str:
        sys.stdout.write(ODD + "\n")
        sys.stderr.write(f"avsync: warning: {ODD}\n")
        open_console(wide=True).print(ODD, style="bold", soft_wrap=True)
        with Bar(ODD, 2, always_ends=True) as bar:
            bar.advance()
            bar.say(ODD)
        if self.fails:
            raise InputError(f"{ODD} is not there")
        return ODD


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_all_of_it_in_every_encoding(
    name: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal(encoding, monkeypatch) as printed:
        for fails in (False, True):
            monkeypatch.setattr("launch.cli._build", lambda *_, fails=fails: Chatty(fails))
            assert main([name]) == (FAILED if fails else DONE)
        out, err = printed()
    shown, told = out.decode(encoding), err.decode(encoding)
    assert shown.count("Lauf ") == 5
    assert told.count("Lauf ") >= 5
    assert "avsync: error: Lauf " in told
    if encoding == "latin-1":
        assert "Lauf ü -- ? ?? > .\n" in shown
    if encoding == "utf-8":
        assert "Lauf ü ━─ 東 ?? → …\n" in shown


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_refusals_are_said_in_every_encoding(
    name: str, encoding: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with terminal(encoding, monkeypatch) as printed:
        with pytest.raises(SystemExit) as left:
            main([name, "--help"])
        assert left.value.code in (None, DONE)
        assert main([name, *[ODD for word in declared(command_class(name)).words if word.needed], ODD, f"--{ODD}"])
        out, err = printed()
    assert name in out.decode(encoding)
    assert err.decode(encoding).startswith("avsync: error: ")


@pytest.fixture
def odd_folder(tmp_path: Path) -> Path:
    """A dataset and a job in a folder whose name is no text."""
    folder = tmp_path / ODD
    os.makedirs(folder)
    shutil.copytree(BEFORE / "dataset-h264", folder / "data")
    paths = job(folder / "run")
    progress(paths)
    over(paths, End.FAILED, reason="ö ━ 東", log_tail="ö ━ 東")
    paths.log.write_text("ö ━ 東\n")
    return folder


@pytest.mark.usefixtures("laptop")
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_tables_logs_and_json_of_names_that_are_no_text(
    encoding: str, odd_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(odd_folder)
    for words in ("status", "status run", "logs run", "logs run --errors", "show data", "verify data", "board nothing"):
        with terminal(encoding, monkeypatch) as printed:
            assert main(words.split()) in (DONE, FAILED), words
            out, err = printed()
        assert (out + err).decode(encoding), words
    with terminal(encoding, monkeypatch) as printed:
        assert main(["status", "run", "--json"]) == DONE
        out, _ = printed()
    text = out.decode(encoding)
    assert text.isascii()
    assert json.loads(text)[0]["why"] == "ö ━ 東"


def test_what_stands_for_a_letter_is_as_wide_as_it() -> None:
    assert all(len(letter) == len(simple) == 1 and simple.isascii() for letter, simple in SIMPLER.items())


FITS = (
    "--pairs.window-s",
    "0.5",
    "--pairs.min-shift-s",
    "0.25",
    "--pairs.max-shift-s",
    "0.5",
    "--batch",
    "2",
    "--preset",
    "small",
)
LOCALES = ({"PYTHONIOENCODING": "ascii:strict"}, {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"})


@pytest.mark.parametrize("settings", LOCALES, ids=("output", "locale"))
def test_a_real_process_names_the_same_files_in_every_locale(settings: dict[str, str], tmp_path: Path) -> None:
    """A dry run of submit, which names them in a script; without SLURM."""
    for name in ("DS ü", "DS \udcff"):
        shutil.copytree(BEFORE / "dataset-h264", tmp_path / name)
    environment = os.environ | settings | {"PATH": "/nowhere", "PYTHONPATH": str(BEFORE.parents[2])}

    def submit(*words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "launch", "submit", "train", *words, *FITS, "--cluster", "test", "--dry-run"]
        return subprocess.run(
            line, cwd=tmp_path, env=environment, capture_output=True, encoding="ascii", check=False, timeout=100
        )

    right = submit("DS ü", "Lauf ü")
    assert right.returncode == DONE, right.stderr
    assert "DS ?' " in right.stdout
    wrong = submit("DS \udcff", "run")
    assert wrong.returncode not in (DONE, BUG)
    assert "these bytes are no UTF-8" in wrong.stderr
