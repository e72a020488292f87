"""A small tree of videos and a dataset packed from it, made once for all tests here."""

import shutil
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import pytest
from rich.console import Console

from sharding.config import PackConfig
from sharding.format.codec import CODECS
from sharding.pack.pack import pack
from sharding.pack.report import PackSummary
from tests.in_process import InProcess
from tests.media import Video, write_video

QUIET = Console(quiet=True)
SMALL = PackConfig(size=32, sources_per_shard=2, workers=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    videos: Path
    dataset: Path
    summary: PackSummary


def fill(videos: Path) -> Path:
    """Eight good sources of two actions (shards in all splits), and one of each kind of bad one."""
    for number in range(2):
        write_video(videos / "drums" / f"take {number}.mp4", Video(seed=number))
    write_video(videos / "bell" / "take.mkv", Video(audio_codec="flac", channels=2, seconds=Fraction(13)))
    for number in range(2, 7):
        write_video(videos / "bell" / f"take {number}.mp4", Video(seed=number))
    shutil.copy2(videos / "drums" / "take 0.mp4", videos / "drums" / "take 0 again.mp4")
    write_video(videos / "bad" / "mute.mp4", Video(audio_codec=""))
    write_video(videos / "bad" / "blind.mp4", Video(video_codec=""))
    write_video(videos / "bad" / "short.mp4", Video(seconds=Fraction(4)))
    write_video(videos / "bad" / "silent.mp4", Video(events=(), noise=0))
    (videos / "bad" / "text.mp4").write_text("no video at all")
    (videos / "bad" / "empty.mp4").touch()
    (videos / "readme.txt").touch()
    return videos


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="session")
def packed(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """Read only; copy the dataset before you break it."""
    dataset = tmp_path_factory.mktemp("packed") / "dataset"
    return Packed(videos=videos, dataset=dataset, summary=pack(videos, dataset, SMALL, QUIET))


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packing without worker processes, so that a test can put faults into their code."""
    monkeypatch.setattr("sharding.pack.pool.Workers", InProcess)


@pytest.fixture(scope="session", params=sorted(CODECS))
def form(request: pytest.FixtureRequest, packed: Packed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same videos as a dataset in each stored form. Read only, too."""
    if request.param == SMALL.codec:
        return packed.dataset
    dataset = tmp_path_factory.mktemp("forms") / request.param
    pack(packed.videos, dataset, replace(SMALL, codec=request.param), QUIET)
    return dataset


@pytest.fixture
def own(form: Path, tmp_path: Path) -> Path:
    """A copy of it that may be broken."""
    return shutil.copytree(form, tmp_path / "dataset")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below, but the lock."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
