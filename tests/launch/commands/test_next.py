"""The last line of a command can be pasted into a shell, and does what it says."""

import shlex
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsync.train.reporter import next_command
from launch.cli import DONE, main
from launch.commands.data import Pack
from launch.commands.flags import flags_of, typed
from sharding.config import PackConfig
from tests.media import Video, write_video

ODD = "it's $HOME; my data"


@given(st.lists(st.text(min_size=1)))
def test_a_shell_reads_what_was_meant(words: list[str]) -> None:
    assert shlex.split(typed(*words)) == ["avsync", *words]


SETTINGS = {
    "fps": st.sampled_from(["30", "30000/1001", "25"]),
    "size": st.sampled_from([32, 256]),
    "width": st.sampled_from([None, 64]),
    "fit": st.sampled_from(["squash", "crop"]),
    "channels": st.integers(1, 2),
    "trim_s": st.sampled_from(["0", "0.25"]),
    "codec": st.sampled_from(["h264", "raw"]),
    "workers": st.sampled_from([None, 0, 3]),
    "memory_gb": st.sampled_from([None, 4]),
}


@given(st.fixed_dictionaries({}, optional=SETTINGS))
def test_settings_as_flags_give_the_same_settings(settings: dict[str, Any]) -> None:
    config = PackConfig(**settings)
    flags = flags_of(config)
    assert Pack.parse(["videos", "dataset", *flags], "avsync pack").config == config
    assert len(flags) == 2 * sum(value != getattr(PackConfig(), name) for name, value in settings.items())
    assert "--codec" not in flags_of(config, leave_out=("codec",))


def closing_line(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Its words, as a shell would read them."""
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("Next: ")
    return shlex.split(last.removeprefix("Next: "))


def returning(result: object) -> Callable[..., object]:
    return lambda *_, **__: result


def test_advise_repeats_every_setting_it_was_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sharding.advise.advise.advise", returning("raw"))
    told = ["--fps", "30000/1001", "--size", "64", "--clip-s", "3", "--min-clip-s", "2", "--workers", "3"]
    assert main(["advise", ODD, "--root", f"{ODD}/root", "--codec", "h264-fast", *told]) == DONE
    words = closing_line(capsys)
    assert words[:2] == ["avsync", "pack"]
    pack = Pack.parse(words[2:], "avsync pack")
    assert (pack.videos, pack.options.root) == (Path(ODD), Path(ODD, "root"))
    assert pack.config == PackConfig(fps="30000/1001", size=64, clip_s="3", min_clip_s="2", workers=3, codec="raw")


MADE = SimpleNamespace(made=1, kept=0, table=Path(ODD))


@pytest.mark.parametrize(
    ("typed_in", "work", "result", "following"),
    [
        (
            ("scenes", ODD),
            "sharding.scenes.generate.generate",
            SimpleNamespace(made=1, kept=0, table=Path(ODD)),
            "pack",
        ),
        (("pack", "in", ODD), "sharding.pack.pack.pack", SimpleNamespace(clips={"train": 1}), "train"),
        (("evaluate", ODD, "data"), "avsync.evaluate.evaluate.evaluate", None, "localize"),
        (("show", "data"), "sharding.show.show.show", [Path(ODD)], ""),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_names_are_quoted_for_the_shell(
    typed_in: tuple[str, ...], work: str, result: object, following: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(work, returning(result))
    judged = SimpleNamespace(config=SimpleNamespace(separates=False))
    monkeypatch.setattr("avsync.run.info.read_run", returning(judged))
    assert main(typed_in) == DONE
    said = capsys.readouterr().out
    words = shlex.split(said.partition("Next: ")[2])
    assert words[:2] == (["avsync", following] if following else ["open", ODD])
    assert ODD in words


def test_training_quotes_the_names_of_the_next_command() -> None:
    following = next_command("evaluate", Path(ODD), "data")
    assert shlex.split(following.partition("Next: ")[2]) == ["avsync", "evaluate", ODD, "data"]


@pytest.mark.parametrize(("percent", "following"), [("0", True), ("100", False)])
def test_training_is_proposed_only_where_there_is_something_to_train_on(
    percent: str, following: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path / "in" / "a.mp4", Video(seconds=Fraction(6)))
    told = ("--size", "32", "--workers", "1", "--test-percent", "0", "--val-percent", percent)
    assert main(["pack", str(tmp_path / "in"), str(tmp_path / "out"), *told]) == DONE
    assert ("Next: avsync train" in capsys.readouterr().out) == following
