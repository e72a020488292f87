"""Paths in commands, wherever they are typed: ~ filled in, variables that are not set named, broken links told."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from launch.cli import DONE, FAILED, USAGE, main
from launch.commands.entries import COMMANDS, command_class
from launch.commands.flags import Flag, declared
from launch.commands.parse import check_links, filled_in
from launch.submit.command import OWN
from sharding.base.files import broken_link
from sharding.errors import InputError

NO_PATHS = frozenset(
    "fps cases clip_s min_clip_s trim_s codec step task command after memory nodes time partition account qos "
    "constraint name kind host wait of".split()
)
"""Fields that take a word, and are no paths: a new one must be put here, or carry the note IS_PATH."""
LATE = {"--runtime.scratch"}
"""Filled in by the machine that trains, when it trains."""
BESIDE = {"--fix-to": ("--fix",)}
"""Flags that a flag needs."""
PATHS = [
    (name, flag)
    for name in COMMANDS
    for flag in dict.fromkeys((*declared(command_class(name)).words, *declared(command_class(name)).flags.values()))
    if flag.is_path
]


def values(command: object) -> Iterator[str]:
    """Every path in a command, as text, deep."""
    for name in getattr(command, "__dataclass_fields__", ()):
        value = getattr(command, name)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, (str, Path)):
                yield str(one)
            yield from values(one)


def line(name: str, flag: Flag, value: str) -> list[str]:
    """A whole line in which `value` is typed for a flag, the rest is `else`."""
    takes = declared(command_class(name)).words
    words = [value if word == flag else "else" for word in takes if word.needed or word.name == "VIDEO ..."]
    if name == "submit":
        words = ["verify", "else"]
    if flag.name.startswith("-"):
        return [*words, f"{flag.name}={value}", *BESIDE.get(flag.name, ())]
    return [*words, *([value] if value not in words else [])]


def test_every_word_that_can_be_typed_is_a_path_or_is_known_to_be_none() -> None:
    for name in COMMANDS:
        takes = declared(command_class(name))
        for flag in (*takes.words, *takes.flags.values()):
            if flag.kind is str and not flag.choices and flag.name not in LATE:
                assert flag.is_path == (flag.field not in NO_PATHS), f"{name} {flag.name}"


@pytest.mark.parametrize(("name", "flag"), PATHS, ids=lambda value: value.name if isinstance(value, Flag) else value)
def test_a_tilde_is_filled_in_everywhere(
    name: str, flag: Flag, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    got = list(values(command_class(name).parse(line(name, flag, "~/odd.mp4"), f"avsync {name}")))
    assert str(tmp_path / "odd.mp4") in got
    assert not [one for one in got if one.startswith("~")]


@pytest.mark.parametrize(("name", "flag"), PATHS, ids=lambda value: value.name if isinstance(value, Flag) else value)
@pytest.mark.parametrize("written", ["$NO_SUCH/x.csv", "/disk/${NO_SUCH}/x.csv", "/disk/job-$NO_SUCH.csv"])
def test_a_variable_that_is_not_set_is_named_before_anything_is_made(
    name: str, flag: Flag, written: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.delenv("NO_SUCH", raising=False)
    monkeypatch.chdir(tmp_path)
    assert main([name, *line(name, flag, written)]) == USAGE
    told = capsys.readouterr().err
    assert told.startswith("avsync: error: ")
    assert told.count("\n") == 1
    assert "$NO_SUCH is not set" in told
    if flag.name.startswith("-"):
        assert flag.name in told
    assert not list(tmp_path.iterdir())


def test_a_scratch_of_the_machine_that_trains_is_filled_in_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_SUCH", raising=False)
    monkeypatch.chdir(tmp_path)
    typed = ["data", "run", "--runtime.scratch=$NO_SUCH/x"]
    assert command_class("train").parse(typed, "avsync submit train").config.runtime.scratch == "$NO_SUCH/x"  # pyright: ignore[reportAttributeAccessIssue]
    assert main(["train", *typed]) == FAILED
    assert "--runtime.scratch $NO_SUCH/x: $NO_SUCH is not set" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_lies_there_under_that_very_name_is_meant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/h")
    Path("$HOME").mkdir()
    Path("a$NO_SUCH").mkdir()
    for name in ("$HOME", "$HOME/new", "a$NO_SUCH", "a$NO_SUCH/new", "it's $HOME; my data", "pipe:cat $HOME/{}"):
        assert command_class("train").parse([name, "run"], "avsync train").dataset == name  # pyright: ignore[reportAttributeAccessIssue]
    assert command_class("verify").parse(["$HOME.x"], "").dataset == Path("/h.x")  # pyright: ignore[reportAttributeAccessIssue]


def test_settings_without_paths_stay_the_same_object() -> None:
    for name in ("train", "pack", "audit"):
        command = command_class(name).parse(["a", "b"][: len(declared(command_class(name)).words)], "")
        assert filled_in(command) is command


BROKEN = {
    "gone": "link is a link to /gone/x, which is not there",
    "below": "link is a link to /gone/x, which is not there",
    "loop": "link is a link that leads back to itself",
    "through a file": "link is a link to file, which is no folder",
    "chain": "link is a link to other, which is not there",
}


def broken(kind: str) -> str:
    """A path with such a link in it, made in the current folder; under the same name each time."""
    if kind in ("gone", "below"):
        os.symlink("/gone/x", "link")
    elif kind == "loop":
        os.symlink("other", "link")
        os.symlink("link", "other")
    elif kind == "through a file":
        Path("file").touch()
        os.symlink("file", "link")
    else:
        os.symlink("other", "link")
        os.symlink("/gone", "other")
    return "link/x.csv" if kind in ("below", "through a file") else "link"


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "submit"])
def test_a_link_that_leads_nowhere_is_told_by_every_command(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each path in turn; the others are folders that are there."""
    monkeypatch.chdir(tmp_path)
    Path("else").mkdir()
    path = broken(kind)
    before = sorted(tmp_path.rglob("*"))
    for flag in [flag for of, flag in PATHS if of == name and flag.name != "--cluster" and not flag.many]:
        assert main([name, *line(name, flag, path)]) == FAILED, flag.name
        assert BROKEN[kind] in capsys.readouterr().err
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize(
    "typed", ["train {} run", "train else {}", "audit else --page {}", "pack {} data", "pack else {}"]
)
def test_it_is_told_before_a_job_is_queued(
    typed: str, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))
    monkeypatch.chdir(tmp_path)
    Path("else").mkdir()
    Path("else", "dataset.json").touch()
    words = typed.format(broken(kind)).split()
    assert main(["submit", *words, "--cluster", "test", "--dry-run"]) == FAILED
    assert BROKEN[kind] in capsys.readouterr().err


def test_a_link_to_what_a_job_before_it_makes_is_no_trouble(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("in", "a.mp4").write_bytes(b"x")
    os.symlink("disk/data", "data")
    Path("disk").mkdir()
    chain = "pack in disk/data --then train data run --then evaluate run data".split()
    assert main(["submit", *chain, "--cluster", "test", "--dry-run"]) == DONE, capsys.readouterr().err


def test_links_that_lead_somewhere_are_no_trouble(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("else").mkdir()
    os.symlink("else", "a")
    os.symlink("a", "b")
    for path in (Path("b"), Path("b/new"), tmp_path / "b" / "new" / "newer", Path("new"), Path()):
        assert not broken_link(path)
    check_links(command_class("train").parse(["b", "b/run"], ""))
    with pytest.raises(InputError, match="train needs DATASET"):
        command_class("train").parse([], "avsync train")
    assert OWN["--cluster"].is_path
