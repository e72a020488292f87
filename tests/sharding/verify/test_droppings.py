"""What desktops, file servers and editors leave in a folder is passed over; what is foreign is not."""

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from sharding.base.files import foreign, is_dropping
from sharding.config import PackConfig, PackOptions
from sharding.errors import AvsyncError
from sharding.format.dataset import open_dataset
from sharding.plan.todo import OnDisk
from sharding.show.survey import read_survey
from sharding.sources.find import find_sources
from sharding.verify.verify import verify

BEFORE = Path(__file__).parents[2] / "fixtures" / "before"
DROPPINGS = (
    ".DS_Store", "._000000.tar", "._index.npz", "._a.mp4", ".nfs0000001", "Thumbs.db", "@eaDir", ".snapshot",
    "lost+found",
    "desktop.ini", ".Trash-1000", ".fuse_hidden0001", "#recycle", ".dataset.json.swp", "dataset.json~", ".AppleDouble",
)  # fmt: skip
FOREIGN = ("notes.txt", "000000.tar.bak", "a.mp4", ".hidden", "000000.json.part", "DS_Store", "nfs1", "snapshot")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    shutil.copytree(BEFORE / "dataset-h264", tmp_path / "data")
    return tmp_path / "data"


def said(folder: Path) -> str:
    sink = io.StringIO()
    verify(folder, 1, console=Console(file=sink, width=400), progress=Console(file=io.StringIO()))
    return sink.getvalue()


def drop(folder: Path, name: str) -> None:
    """A file, or a folder with what would be a video in it."""
    if name in ("@eaDir", ".snapshot", "lost+found", "#recycle", ".AppleDouble", ".Trash-1000"):
        (folder / name / "inside").mkdir(parents=True)
        (folder / name / "inside" / "copy.mp4").write_bytes(b"x")
    else:
        (folder / name).write_bytes(b"Mac OS X")


@pytest.mark.parametrize("name", DROPPINGS)
def test_a_dropping_is_told_in_a_line_and_nothing_fails(name: str, dataset: Path) -> None:
    clips = len(open_dataset(dataset, "train").index)
    assert "passed over" not in said(dataset)
    for folder in (dataset, dataset / "train"):
        drop(folder, name)
    assert f"2 files of desktops and file servers passed over: {name}, train/{name}\n" in said(dataset)
    OnDisk(dataset).check()
    assert not read_survey(dataset).notes
    opened = open_dataset(dataset, "train")
    assert (len(opened.index), opened.missing_shards()) == (clips, [])
    opened.read(0)


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_foreign_still_fails(name: str, dataset: Path) -> None:
    assert not is_dropping(name)
    (dataset / "train" / name).write_bytes(b"x")
    with pytest.raises(AvsyncError, match="1 foreign"):
        said(dataset)


def test_droppings_among_videos_are_no_sources_and_none_in_a_new_folder_is_in_the_way(tmp_path: Path) -> None:
    videos, new = tmp_path / "videos", tmp_path / "new"
    (videos / "hop").mkdir(parents=True)
    (videos / "hop" / "a.mp4").write_bytes(b"x")
    new.mkdir()
    before = find_sources(videos, PackOptions().root, PackConfig())
    for name in DROPPINGS:
        for folder in (videos, videos / "hop", new):
            drop(folder, name)
    after = find_sources(videos, PackOptions().root, PackConfig())
    assert [source.rel for source in after.sources] == [source.rel for source in before.sources] == ["hop/a.mp4"]
    assert not after.unlisted
    OnDisk(new).check()
    assert not foreign(new, ())
    (new / "other").touch()
    assert foreign(new, ()) == ["other"]


def test_a_folder_that_a_person_called_so_is_looked_into(tmp_path: Path) -> None:
    (tmp_path / "take~").mkdir()
    (tmp_path / "take~" / "a.mp4").write_bytes(b"x")
    assert [source.action for source in find_sources(tmp_path).sources] == ["take~"]
