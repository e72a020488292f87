"""Folders that a purge has been through: every command says what is there, what is missing, and what to do."""

import os
import shutil
from pathlib import Path

import pytest

from avsync.run.paths import no_run, remains_of_run
from launch.cli import FAILED, main

BEFORE = Path(__file__).parents[2] / "fixtures" / "before"
INFO_OF_RUN, INFO, PLAN = "run.json", "dataset.json", "plan.json"


def emptied(tmp_path: Path, kind: str) -> Path:
    """A folder called x of that kind."""
    folder = tmp_path / "x"
    if kind.startswith("run"):
        shutil.copytree(BEFORE / "run", folder)
        (folder / INFO_OF_RUN).unlink()
    elif kind.startswith("dataset"):
        shutil.copytree(BEFORE / "dataset-h264", folder)
        for name in kind.split()[1:]:
            (folder / name).unlink()
    elif kind == "a file":
        folder.touch()
    elif kind == "empty":
        folder.mkdir()
    elif kind == "a job that waits":
        (folder / "jobs" / "train").mkdir(parents=True)
    return folder


SAID = {
    "run": ("x has no run.json", "1 checkpoint (step 8), receipts.jsonl, best.json", "put it back"),
    "dataset dataset.json": ("4 of 4 shards done, no dataset.json", "run the same avsync pack again"),
    "dataset dataset.json plan.json": ("x has lost dataset.json and plan.json", "4 shards", "put both back"),
    "empty": ("x is not a dataset: no dataset.json: it is empty", "avsync pack"),
    "nothing": ("x is not a dataset: no dataset.json: there is no such folder", "avsync pack"),
    "a job that waits": ("x has no run.json", "jobs/train, of a job that has not begun"),
}


@pytest.mark.parametrize("kind", SAID)
def test_show_says_what_is_there_and_what_is_missing(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    emptied(tmp_path, kind)
    monkeypatch.chdir(tmp_path)
    assert main(["show", "x"]) == FAILED
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    for words in SAID[kind]:
        assert words in told


@pytest.mark.parametrize("words", ["verify x", "audit x", "train x run", "show x"])
def test_every_reader_of_a_dataset_says_the_same(
    words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    emptied(tmp_path, "dataset dataset.json plan.json")
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == FAILED
    assert SAID["dataset dataset.json plan.json"][0] in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_file_and_a_run_are_no_datasets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    emptied(tmp_path, "a file")
    assert main(["verify", "x"]) == FAILED
    assert "x is not a dataset: no dataset.json: it is a file" in capsys.readouterr().err
    os.symlink(BEFORE / "run", "y")
    assert main(["verify", "y"]) == FAILED
    assert "it is a training run" in capsys.readouterr().err


def test_a_dataset_is_no_run_of_which_something_remains(tmp_path: Path) -> None:
    for kind in ("dataset", "empty", "nothing"):
        folder = emptied(tmp_path / kind, kind) if (tmp_path / kind).mkdir() is None else tmp_path
        assert not remains_of_run(folder)
        assert "is not a run: it has no run.json" in no_run(folder)
    (tmp_path / "film.mp4").touch()
    assert "is not a run: it is a file; name the folder" in no_run(tmp_path / "film.mp4")


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_split_that_is_a_link_to_what_was_purged_is_told(
    split: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = emptied(tmp_path, "dataset")
    shutil.rmtree(folder / split)
    os.symlink("/gone/away", folder / split)
    monkeypatch.chdir(tmp_path)
    for words in ("verify x", "show x", f"pack {BEFORE / 'scenes'} x"):
        assert main(words.split()) == FAILED
        shown = capsys.readouterr()
        assert f"x/{split} is a link to /gone/away, which is not there" in shown.out + shown.err


def test_checkpoints_on_a_disk_that_was_purged_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no training begins anew in their place."""
    shutil.copytree(BEFORE / "run", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    os.symlink("/gone/away", tmp_path / "run" / "checkpoints")
    (tmp_path / "data").symlink_to(BEFORE / "dataset-h264")
    monkeypatch.chdir(tmp_path)
    flags = (BEFORE / "run-flags.txt").read_text().split()
    for words in (["train", "data", "run", *flags], ["evaluate", "run", "data"]):
        assert main(words) == FAILED
        assert "run/checkpoints is a link to /gone/away, which is not there" in capsys.readouterr().err
