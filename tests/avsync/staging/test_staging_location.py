"""DATASET as typed: folders and URLs told apart, opened through a mirror, and nothing in the data leads elsewhere."""

import json
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from slow_server import SlowServer
from staging_data import QUICK, write_noise

from avsync.config import RuntimeConfig
from avsync.staging.location import Location
from avsync.staging.mirror import FRESH, StagedDataset, fingerprint
from avsync.staging.room import LOCK
from avsync.staging.scratch import Scratch
from avsync.staging.shelf import DatasetFolder
from launch.cli import main
from launch.commands.train import Train
from sharding.errors import FormatError, InputError
from sharding.format.columns import COLUMNS, largest_index, save_columns
from sharding.format.dataset import open_dataset
from sharding.format.index import INDEX, INFO, Index


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_noise(tmp_path / "data")


@pytest.fixture
def server(data: Path) -> Iterator[SlowServer]:
    with SlowServer(data) as server:
        yield server


@pytest.fixture
def runtime(tmp_path: Path) -> RuntimeConfig:
    return RuntimeConfig(scratch=str(tmp_path / "scratch"))


@pytest.fixture(params=["read", "mapped"])
def index_is(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the indexes are so large that they are mapped."""
    if request.param == "mapped":
        for module in ("sharding.format.index", "avsync.staging.mirror"):
            monkeypatch.setattr(f"{module}.WHOLE", 0)
    return request.param


def own(runtime: RuntimeConfig) -> Path:
    return Path(runtime.scratch) / f"avsync-{os.geteuid()}"


def below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("typed", "folder"),
    [("data", "data"), ("/a/b", "/a/b"), ("./pipe:x", "pipe:x"), ("a:b/c", "a:b/c"), ("file:///a/b%20c", "/a/b c")],
)
def test_folders_are_folders(typed: str, folder: str) -> None:
    assert Location.of(typed).folder == Path(folder)


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("https://host/data", "https://host/data/train/000000.tar"),
        ("https://me:word@host/data/?sign=x", "https://host/data/train/000000.tar"),
        ("s3://bucket/data", "s3://bucket/data/train/000000.tar"),
        ("HTTP://host/data#x", "http://host/data/train/000000.tar"),
        ("pipe:ssh host cat /data/{}", "train/000000.tar of pipe:ssh ..."),
        ("pipe:TOKEN=abc curl -H 'Key: abc' https://me:abc@host/{}", "train/000000.tar of pipe:curl ..."),
        ("pipe:cat {} 'abc", "train/000000.tar of pipe:..."),
        ("pipe:$(get abc) {}", "train/000000.tar of pipe:..."),
        ("https://host/\x1b[2J", "https://host/\\x1b[2J/train/000000.tar"),
    ],
)
def test_urls_are_shown_without_secrets_and_control_characters(typed: str, shown: str) -> None:
    location = Location.of(typed)
    assert location.folder is None
    assert location.name_of("train/000000.tar") == shown


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("pipe:cat data", r"pipe:cat \.\.\. has no {}, which stands for a file's name: write it like 'pipe:ssh host"),
        ("https://", r"https:// names no host or bucket; write it like https://host/data"),
        ("http://[x/data", "is no URL"),
    ],
)
def test_urls_that_cannot_be_are_named(typed: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        Location.of(typed)


def test_train_keeps_a_url_as_it_was_typed() -> None:
    train = Train.parse(["https://host//data/", "run", "--runtime.scratch", "/tmp", "--runtime.scratch-gb", "0.5"], "x")
    assert train.dataset == "https://host//data/"
    assert (train.config.runtime.scratch, train.config.runtime.scratch_gb) == ("/tmp", 0.5)


@pytest.mark.parametrize(
    "typed", ["evaluate run https://host/data", "verify s3://bucket/data", "show https://host/data", "pack s3://a/b c"]
)
def test_commands_that_need_a_folder_say_so_of_a_url(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(typed.split()) != 0
    told = capsys.readouterr().err
    assert "is a URL; only avsync train reads from one" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"scratch_gb": -1}, "--runtime.scratch-gb -1 must be a number of GB, or 0 for no limit"),
        ({"scratch_gb": float("nan"), "scratch": "x"}, "--runtime.scratch-gb nan must be"),
        ({"scratch_gb": 5}, "--runtime.scratch-gb 5 needs a folder: name it with --runtime.scratch"),
    ],
)
def test_settings_that_cannot_be_are_named(settings: dict[str, float], told: str) -> None:
    with pytest.raises(InputError, match=told):
        RuntimeConfig(**settings)  # pyright: ignore[reportArgumentType]


def test_without_scratch_a_folder_is_read_as_it_is(data: Path) -> None:
    source = StagedDataset.open(data, RuntimeConfig())
    assert source.folder == data
    assert source.shelf(open_dataset(data, "train"), staged=True) == DatasetFolder(data, "train")


def test_a_url_needs_a_scratch_folder(server: SlowServer) -> None:
    with pytest.raises(InputError, match=f"{server.url} is a URL, .* say where with --runtime.scratch DIR"):
        StagedDataset.open(server.url, RuntimeConfig())


def test_what_is_no_dataset_is_told_before_anything_is_made(tmp_path: Path, runtime: RuntimeConfig) -> None:
    with pytest.raises(InputError, match=f"{tmp_path} is not a dataset"):
        StagedDataset.open(tmp_path, runtime, QUICK)
    assert not Path(runtime.scratch).exists()


def test_a_folder_with_scratch_is_opened_itself_and_its_train_shards_copied(data: Path, runtime: RuntimeConfig) -> None:
    source = StagedDataset.open(str(data), runtime, QUICK)
    assert source.folder == data
    train = source.shelf(open_dataset(data, "train"), staged=True)
    assert isinstance(train, Scratch)
    assert train.copy(3) == own(runtime) / fingerprint(data) / "train" / "000003.tar"
    assert source.shelf(open_dataset(data, "val"), staged=False) == DatasetFolder(data, "val")


@pytest.mark.usefixtures("index_is")
@pytest.mark.parametrize("kind", ["http", "pipe", "file"])
def test_a_url_is_opened_through_its_mirror(kind: str, data: Path, server: SlowServer, runtime: RuntimeConfig) -> None:
    url = {"http": f"{server.url}/", "pipe": f"pipe:cat {shlex.quote(str(data))}/{{}}", "file": f"file://{data}"}[kind]
    source = StagedDataset.open(url, runtime, QUICK)
    assert source.mirror == own(runtime) / fingerprint(data)
    for split in ("train", "val"):
        dataset = open_dataset(source.folder, split)
        shelf = source.shelf(dataset, staged=split == "train")
        for clip in (0, 19):
            shard = int(dataset.index.shard[clip])
            read = shelf.path(shard).read_bytes()
            assert read == (data / split / f"{shard:06d}.tar").read_bytes()
    left = [name for name in below(Path(runtime.scratch)) if FRESH in name]
    assert left == []


@pytest.mark.usefixtures("index_is")
def test_a_dataset_that_has_changed_gets_another_mirror(
    data: Path, server: SlowServer, tmp_path: Path, runtime: RuntimeConfig
) -> None:
    before = StagedDataset.open(server.url, runtime, QUICK)
    assert StagedDataset.open(server.url, runtime, QUICK).folder == before.folder
    again = write_noise(tmp_path / "again", seed=5)  # as many clips of the same lengths: dataset.json is the same
    assert (again / INFO).read_bytes() == (data / INFO).read_bytes()
    shutil.rmtree(data)
    shutil.copytree(again, data)
    assert StagedDataset.open(server.url, runtime, QUICK).folder == own(runtime) / fingerprint(again) != before.folder


@pytest.mark.parametrize("name", [INFO, f"train/{INDEX}", f"val/{INDEX}"])
@pytest.mark.parametrize("kind", ["http", "pipe"])
def test_metadata_that_never_end_are_refused_before_they_take_much(
    kind: str, name: str, data: Path, server: SlowServer, runtime: RuntimeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avsync.staging.mirror.LARGEST_INFO", 5_000)
    server.faults[name] = ["endless"] * 9
    url = f"pipe:cat {shlex.quote(str(data))}/{{}}; [ {{}} != {name} ] || yes" if kind == "pipe" else server.url
    with pytest.raises(FormatError, match=r"gives is no part of a dataset: it has more than [\d,]+ bytes") as caught:
        StagedDataset.open(url, runtime, QUICK)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [path for path in below(own(runtime)) if path != LOCK]


@pytest.mark.parametrize("name", [INFO, f"train/{INDEX}"])
def test_metadata_take_no_more_than_the_limit_allows(name: str, data: Path, tmp_path: Path) -> None:
    runtime = RuntimeConfig(scratch=str(tmp_path / "scratch"), scratch_gb=3e-6)
    url = f"pipe:cat {shlex.quote(str(data))}/{{}}; [ {{}} != {name} ] || yes"
    with pytest.raises(InputError, match=f"{name} of .*takes more than 3.0 kB, and the limit is 3.0 kB; raise --run"):
        StagedDataset.open(url, runtime, QUICK)
    assert not [path for path in below(own(runtime)) if path != LOCK]


def test_metadata_leave_others_a_part_of_the_disk(
    data: Path, runtime: RuntimeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = os.statvfs(data)
    floor = disk.f_bavail * disk.f_frsize - (1 << 30)  # all but a GB
    monkeypatch.setattr("avsync.staging.room._floor", lambda *_: floor + (1 << 30))
    with pytest.raises(InputError, match=r"of pipe:cat .*, and the disk of .* is full, but for .* left to others"):
        StagedDataset.open(f"pipe:cat {shlex.quote(str(data))}/{{}}", runtime, QUICK)


def test_an_index_of_any_dataset_is_as_short_as_it_must_be(tmp_path: Path) -> None:
    for clips in (1, 7, 3_000):
        names = [f"{number:080d}" for number in range(clips)]  # the longest, and as many as can be
        rows = Index.load(write_noise(tmp_path / str(clips), shards=1, clips=1) / "train" / INDEX)
        columns = {name: np.resize(getattr(rows, name), clips) for name in COLUMNS}
        columns["names"] = np.frombuffer("".join(names).encode(), np.uint8)
        columns["name_end"] = np.arange(1, clips + 1) * 80
        save_columns(tmp_path / INDEX, columns)
        assert largest_index(clips) / 2 - 40_000 < (tmp_path / INDEX).stat().st_size < largest_index(clips)


@pytest.mark.parametrize("name", [INFO, f"train/{INDEX}", f"val/{INDEX}"])
@pytest.mark.parametrize("fault", ["stall", "reset", "page", "broken_off_unannounced", "unavailable", "endless"])
def test_metadata_that_comes_badly_once_is_asked_for_again(
    name: str, fault: str, data: Path, server: SlowServer, runtime: RuntimeConfig
) -> None:
    server.faults[name] = [fault]
    assert StagedDataset.open(server.url, runtime, QUICK).folder.name == fingerprint(data)
    assert server.asked[name] == 2


def test_a_page_in_place_of_a_dataset_is_named(server: SlowServer, runtime: RuntimeConfig) -> None:
    server.faults[INFO] = ["page"] * 9
    with pytest.raises(FormatError, match=rf"what {server.url}/{INFO} gives is no part of a dataset: {server.url}"):
        StagedDataset.open(server.url, runtime, QUICK)


def test_a_url_without_a_dataset_is_named(data: Path, server: SlowServer, runtime: RuntimeConfig) -> None:
    with pytest.raises(InputError, match=f"cannot get {server.url}/elsewhere/dataset.json: HTTP 404"):
        StagedDataset.open(f"{server.url}/elsewhere", runtime, QUICK)
    assert below(Path(runtime.scratch)) == [f"{own(runtime).name}/{LOCK}"]


def test_no_name_in_the_data_leads_out_of_the_folders(
    data: Path, server: SlowServer, tmp_path: Path, runtime: RuntimeConfig
) -> None:
    info = json.loads((data / INFO).read_text())
    info["clips"] |= {"../../out": 5, "/out": 5, "a b; touch out": 5}
    info["shards"] |= {"../../out": 5}
    (data / INFO).write_text(json.dumps(info))
    with pytest.raises(FormatError, match=r"clips in split .* are not packed"):
        StagedDataset.open(server.url, runtime, QUICK)
    assert set(server.asked) == {INFO}
    assert not [name for name in below(tmp_path) if "out" in name]


@pytest.mark.parametrize("shard", [-1, 1_000_000])
def test_an_index_with_impossible_shards_is_refused(
    shard: int, data: Path, server: SlowServer, runtime: RuntimeConfig
) -> None:
    index = Index.load(data / "train" / INDEX)
    index.shard[:] = np.int32(shard)
    index.save(data / "train" / INDEX)
    with pytest.raises(FormatError, match=rf"{server.url}/train/{INDEX} gives is no part of a dataset: .*'shard'"):
        StagedDataset.open(server.url, runtime, QUICK)


def test_names_are_quoted_for_the_shell(tmp_path: Path, runtime: RuntimeConfig) -> None:
    data = write_noise(tmp_path / "it's $HOME; x")
    source = StagedDataset.open(f"pipe:cat {shlex.quote(str(data))}/{{}}", runtime, QUICK)
    assert source.folder.name == fingerprint(data)
