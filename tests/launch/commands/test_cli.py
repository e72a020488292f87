"""The console command: what a person types, what they are told, and the exit code a script sees."""

import errno
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from launch import cli
from launch.cli import (
    BUG,
    COMMANDS,
    DONE,
    FAILED,
    STOPPED,
    USAGE,
    main,
)
from launch.commands import data as commands
from launch.commands.entries import command_class
from launch.commands.flags import declared
from launch.commands.train import PRESETS, Train
from sharding.errors import BusyError, InputError, UsageError


def exit_code(*arguments: str) -> int:
    """As a shell would see it: tyro leaves through SystemExit."""
    try:
        return main(arguments)
    except SystemExit as left:
        return int(left.code or 0)


@pytest.fixture
def make_pack_raise(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Let `avsync pack` end with an error, without packing."""

    def arrange(error: BaseException) -> None:
        def execute(_: commands.Pack) -> str:
            raise error

        monkeypatch.setattr(commands.Pack, "execute", execute)

    return arrange


@pytest.mark.parametrize("arguments", [(), ("-h",), ("--help",), ("help",)], ids=str)
def test_the_overview_names_every_command(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(*arguments) == DONE
    shown = capsys.readouterr().out
    for name, entry in COMMANDS.items():
        assert f"  {name} {entry.usage}" in shown
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_its_arguments_and_flags(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(name, "--help") == DONE
    shown = capsys.readouterr().out
    assert f"usage: avsync {name}" in shown
    for word in COMMANDS[name].usage.strip("[]").split():
        assert word in shown.splitlines()[0]


def test_the_version_says_what_a_bug_report_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--version") == DONE
    shown = capsys.readouterr().out
    for word in ("avsync 0.", "Python 3.", "torch 2.", "av 1", "numpy 2."):
        assert word in shown


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("pakc", "command 'pakc' is not known; did you mean avsync pack?"),
        ("localise", "did you mean avsync localize?"),
        ("zzz", "avsync --help lists them all"),
        ("--verbose", "option '--verbose' is not known"),
    ],
)
def test_an_unknown_command_gets_a_suggestion(typed: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(typed) == USAGE
    shown = capsys.readouterr()
    assert told in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("train D R --stesp 3", "train has no flag --stesp; did you mean --steps? avsync train --help lists all"),
        ("pack videos dataset --sise 3", "pack has no flag --sise; did you mean --size? avsync pack --help lists all"),
        ("train d r --lr 0.1", "train has no flag --lr; did you mean --optim.lr? avsync train --help lists all"),
        ("train d r --no-view.flip", "did you mean --view.no-flip?"),
        ("evaluate r d --zzz=3", "evaluate has no flag --zzz; avsync evaluate --help lists all"),
        (
            "logs d --cluster x",
            "logs has no flag --cluster: it is a flag of submit, doctor; avsync logs --help",
        ),
        ("pack videos", "pack needs DATASET: avsync pack VIDEOS DATASET; avsync pack --help explains them"),
        ("train --steps 3", "train needs DATASET and RUN: avsync train DATASET RUN;"),
        ("score", "score needs VIDEO ...: avsync score [RUN] VIDEO ...;"),
        ("submit train d", "submit train needs RUN: avsync submit train DATASET RUN;"),
        (
            "submit train d r --stesp 3",
            "submit train has no flag --stesp; did you mean --steps? avsync submit train",
        ),
        ("submit --clutser x train d r", "submit has no flag --clutser; did you mean --cluster?"),
        ("submit train d r --cluster", "--cluster needs a value: a word"),
        ("show d r", "r is one word too many: avsync show DATASET|RUN|VIDEO; a flag begins with --"),
        ("doctor now", "now is one word too many: avsync doctor; a flag begins with --"),
        ("train dataset run --steps", "--steps needs a value: a whole number; write it like 12"),
        ("train dataset run --steps --batch 3", "--steps needs a value"),
        ("train dataset run --preset", "--preset needs a value: one of paper, thesis, small, covariance"),
        ("pack videos dataset --dry-run=yes", "--dry-run takes no value; leave =yes out"),
        ("train dataset run --steps many", "--steps many is not a whole number"),
        ("logs -n x run", "--lines x is not a whole number"),
        ("train dataset run --model big", "--model big is not known; choose one of thesis, paper, small, covariance"),
        (
            "train dataset run --preset smal",
            "--preset smal is not known; did you mean small? choose one of paper,",
        ),
        (
            "train dataset run --optim.name lion",
            "--optim.name lion is not known; choose one of sgd, momentum, adam,",
        ),
    ],
)
def test_a_wrong_flag_is_told_in_one_line_with_what_would_do(
    typed: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*typed.split()) == USAGE
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n"), shown.err[:15]) == ("", 1, "avsync: error: ")
    assert told in shown.err


def swapped(flag: str) -> set[str]:
    """The flag with two letters that stand side by side in each other's place."""
    places = range(2, len(flag) - 1)
    made = (flag[:place] + flag[place + 1] + flag[place] + flag[place + 2 :] for place in places)
    return {one for one in made if one[2].isalpha()}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_with_two_letters_swapped_is_answered_with_the_flag(name: str) -> None:
    kind = command_class(name)
    flags = {flag for flag in declared(kind).flags if flag.startswith("--")}
    for flag in flags:
        for typed in swapped(flag) - flags:
            with pytest.raises(InputError) as refused:
                kind.parse([typed], f"avsync {name}")
            said = str(refused.value)
            assert said == f"{name} has no flag {typed}; did you mean {flag}? avsync {name} --help lists all"


@pytest.mark.parametrize("name", COMMANDS)
def test_flags_and_words_are_known_as_help_tells_them(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(name, "--help") == DONE
    shown = capsys.readouterr().out
    takes = declared(command_class(name))
    heads = [line.strip("│| ").split("  ")[0] for line in shown.splitlines() if line.strip("│| ").startswith("-")]
    listed = {flag for head in heads for flag in re.findall(r"(?<![\w-])--?[a-z](?:[\w.-]*\w)?", head)}
    assert listed == takes.flags.keys() | {"-h", "--help"}
    assert takes.usage == COMMANDS[name].usage.strip("[]") or takes.words[-1].many or not takes.words[0].needed


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("pack videos dataset --size 3", "--size 3 must be an even number"),
        ("pack videos dataset --fps fast", "--fps fast is not a number"),
        ("pack videos dataset --size abc", "--size abc is not a whole number; write it like 12"),
        ("pack videos dataset --workers=1.5", "--workers 1.5 is not a whole number"),
        ("train dataset run --optim.lr nan", "--optim.lr nan is not a number"),
        ("score run video.mp4 --late-ms inf", "--late-ms inf is not a number"),
        ("train dataset run --optim.lr 1e300", "--optim: lr=1e+300 must be above 0, at most 1e6"),
        ("train dataset run --view.size 99999999", "--view.size 99999999 must be 0 (the cut-out's own) to 4096 pixels"),
        ("audit dataset --pairs-per-clip 101", "--pairs-per-clip 101 must lie in 1 to 100"),
        ("train dataset run --optim.weight-decay much", "--optim.weight-decay much is not a number"),
        ("verify dataset --jobs -1", "--jobs -1 must not be below 0; 0 is one for each CPU core"),
        (
            "train dataset run --preset small --optim.warmup-steps 5000",
            f"must be below --steps {PRESETS['small']().steps}",
        ),
        ("train dataset run --pairs.window-s 0", "--pairs.window-s 0.0 must be above 0"),
        ("localize run video.mp4 --overlap 1", "--overlap 1.0 must lie in [0, 1)"),
    ],
)
def test_an_impossible_setting_is_told_in_one_line(typed: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(*typed.split()) == USAGE
    shown = capsys.readouterr().err
    assert shown.startswith("avsync: error: ")
    assert shown.count("\n") == 1
    assert told in shown
    assert "Traceback" not in shown


def test_of_two_flags_with_the_same_value_the_wrong_one_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("pack", "videos", "dataset", "--codec", "abc", "--size", "abc") == USAGE
    assert "error: --size abc is not a whole number" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_help_speaks_of_no_python(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(name, "--help") == DONE
    assert "None" not in capsys.readouterr().out


def test_flags_override_the_preset_wherever_it_stands() -> None:
    for typed in (
        "--preset small --steps 50 --optim.warmup-steps 2",
        "--steps 50 --optim.warmup-steps 2 --preset=small",
    ):
        train = Train.parse(["dataset", "run", *typed.split()], "avsync train")
        assert (train.config.model, train.config.steps, train.config.optim.name) == ("small", 50, "adamw")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_on_the_command_line_is_the_preset_in_the_code(name: str) -> None:
    train = Train.parse(["dataset", "run", "--preset", name], "avsync train")
    assert train.config == PRESETS[name]()
    assert (train.dataset, train.run) == ("dataset", Path("run"))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("no such folder: x"), FAILED),
        (UsageError("--batch 8 cannot be shared by 12 processes"), USAGE),
        (BusyError("run is in use by avsync train"), FAILED),
    ],
)
def test_a_mistake_of_the_person_is_one_line_without_traceback(
    error: Exception, code: int, make_pack_raise: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    make_pack_raise(error)
    assert exit_code("pack", "videos", "dataset") == code
    assert capsys.readouterr().err == f"avsync: error: {error}\n"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "dataset/train/000001.tar.part"), "make room"),
        (PermissionError(errno.EACCES, "Permission denied", "dataset"), "dataset: Permission denied; choose another"),
        (OSError(errno.EROFS, "Read-only file system", "dataset"), "dataset: Read-only file system; choose another"),
        (FileExistsError(errno.EEXIST, "File exists", "demo"), "demo: File exists; choose another"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "a/.lock"), "a/.lock: Is a directory; choose another"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a.txt/b"), "a.txt/b: Not a directory; choose another"),
        (MemoryError(), "out of memory"),
    ],
)
def test_a_full_disk_or_memory_is_told_with_the_remedy(
    error: Exception, told: str, make_pack_raise: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    make_pack_raise(error)
    assert exit_code("pack", "videos", "dataset") == FAILED
    shown = capsys.readouterr().err
    assert told in shown
    assert "Traceback" not in shown


def test_a_bug_keeps_its_traceback_and_asks_to_be_reported(
    make_pack_raise: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    make_pack_raise(KeyError("shape"))
    assert exit_code("pack", "videos", "dataset") == BUG
    shown = capsys.readouterr().err
    for word in ("Traceback", "KeyError: 'shape'", "bug in avsync pack", "Python 3."):
        assert word in shown


def test_an_error_of_ffmpeg_does_not_pass_for_one_of_the_disk(
    make_pack_raise: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    from av.error import PermissionError

    make_pack_raise(PermissionError(errno.EACCES, "Permission denied", "video.mp4"))
    assert exit_code("pack", "videos", "dataset") == BUG
    assert "choose another folder" not in capsys.readouterr().err


def test_ctrl_c_says_how_to_go_on(
    make_pack_raise: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    make_pack_raise(KeyboardInterrupt())
    assert exit_code("pack", "videos", "dataset") == STOPPED
    assert "the same avsync pack command again goes on" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_promises_to_go_on_only_where_work_is_kept(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_build", stop)
    assert exit_code(name) == STOPPED
    told = capsys.readouterr().err
    goes_on = name in ("scenes", "pack", "curate", "train", "finetune", "demo", "replay")
    assert ("again goes on" in told) == goes_on
    assert ("nothing half-written is left" in told) != goes_on


def test_the_closing_line_goes_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @dataclass
    class Greeting:
        def execute(self) -> str:
            return "hello"

    monkeypatch.setattr(cli, "_build", lambda name, rest: Greeting())
    assert exit_code("pack") == DONE
    assert capsys.readouterr().out == "hello\n"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    run = subprocess.run(
        f"{sys.executable} -m launch train --help | head -1", shell=True, capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("usage: avsync train")
    assert "Traceback" not in run.stderr


def test_python_m_launch_is_the_same_command() -> None:
    run = subprocess.run([sys.executable, "-m", "launch", "pakc"], capture_output=True, text=True, check=False)
    assert run.returncode == USAGE
    assert "did you mean avsync pack?" in run.stderr
