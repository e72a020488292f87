"""What docs/neighbours.md shows runs: other readers get our clips, by the card; other tools' videos are packed."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sharding.base.files import from_json
from sharding.config import PackConfig
from sharding.errors import InputError
from sharding.format.clip import ClipMeta
from sharding.format.dataset import open_dataset
from sharding.format.index import CARD, read_info
from sharding.pack.card import card_of, write_card
from sharding.pack.pack import NO_OPTIONS, pack
from sharding.sources.find import find_sources
from sharding.verify.verify import verify
from tests.sharding.conftest import QUIET, SMALL, Packed, contents

PAGE = (Path(__file__).parents[3] / "docs" / "neighbours.md").read_text()


def example(title: str, language: str = "python") -> str:
    """The code of that language below a heading."""
    section = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert section
    (code,) = re.findall(rf"^```{language}\n(.*?)^```", section[1], flags=re.MULTILINE | re.DOTALL)[:1]
    assert len(code.splitlines()) <= 12
    return code


@pytest.fixture
def with_card(packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the dataset, called as in the examples."""
    shutil.copytree(packed.dataset, tmp_path / "DATASET")
    assert not write_card(tmp_path / "DATASET")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    return tmp_path / "DATASET"


def keys_of(dataset: Path) -> list[str]:
    opened = open_dataset(dataset, "train")
    return [opened.key(number) for number in range(len(opened.index))]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # webdataset leaves its files to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_it(with_card: Path, capsys: pytest.CaptureFixture[str]):
    exec(example("webdataset"), {})
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == keys_of(with_card)


@pytest.mark.parametrize(("title", "needs"), [("Hugging Face datasets", "datasets"), ("torchcodec", "torchcodec")])
def test_datasets_reads_it_by_its_card(title: str, needs: str, with_card: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("datasets", reason="avsync does not depend on it")
    pytest.importorskip(needs, reason="avsync does not depend on it")
    exec(example(title), {})
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == keys_of(with_card)


def header(text: str) -> dict[str, Any]:
    """The YAML at the top of a card."""
    start, middle, rest = text.split("---\n", 2)
    assert not start
    assert rest.startswith("\n# ")
    return yaml.safe_load(middle)


def named(features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What each feature is: the name of a scalar, a list of what, or a struct of features."""
    return {
        one["name"]: named(one["struct"]) if "struct" in one else one.get("dtype", {"list": one.get("list")})
        for one in features
    }


def agree(feature: Any, value: Any) -> Iterator[bool]:
    """Whether a value of JSON is what a feature says, with all that is in it."""
    if isinstance(value, dict):
        yield set(value) <= set(feature)
        for name, inner in value.items():
            yield from agree(feature[name], inner)
    elif isinstance(value, list):
        for inner in value:
            yield from agree(feature["list"], inner)
    else:
        yield {"string": str, "int64": int, "float64": float}[feature] is type(value)


def test_the_card_names_every_field_and_every_split_that_has_clips(with_card: Path):
    about, info = header((with_card / CARD).read_text()), read_info(with_card)
    files = {one["split"]: one["path"] for one in about["configs"][0]["data_files"]}
    assert {path.split("/")[0] for path in files.values()} == {split for split, count in info.clips.items() if count}
    assert all(list(with_card.glob(path)) for path in files.values())
    assert files.get("validation", "val/*.tar") == "val/*.tar"
    features = named(about["dataset_info"]["features"])
    assert set(features) == {"json", "mp4", "flac", "__key__", "__url__"}
    assert set(features["json"]) == {one.name for one in fields(ClipMeta)}
    opened = open_dataset(with_card, "train")
    stored = json.loads(bytes(opened.read(0).json))
    stored |= {  # what only some clips have
        "boxes": [[[0.0, 0.0, 0.5, 0.5]], []],
        "masks": [[[0.0, 0.0, 0.5, 0.0, 0.0, 0.5]], []],
        "case": "alike",
        "crop": {"track": 1, "faces": 1, "picture": [9, 9], "size": [4, 4], "corners": [[0, 0], [1, 1]]},
        "moved_sound": {"offset_ms": "1/3", "samples": 15},
        "checksums": {"frames": 8, "samples": 4000, "video": "0" * 8, "audio": "f" * 8},
    }
    whole = from_json(json.dumps(stored).encode(), ClipMeta, "it")
    assert all(is_dataclass(one) for one in (whole.crop, whole.moved_sound, whole.checksums))
    assert all(agree(features["json"], stored))


@pytest.mark.parametrize("name", ["plain", 'a: "b" # c', "new\nline", b"\xff".decode(errors="surrogateescape")])
@pytest.mark.parametrize("codec", ["h264", "raw"])
def test_a_card_is_yaml_whatever_the_dataset_is_called(name: str, codec: str, packed: Packed):
    about = header(card_of(replace(read_info(packed.dataset), codec=codec), name))
    assert isinstance(about["pretty_name"], str)
    assert about["license"] == "unknown"


def test_pack_writes_a_card_on_request_and_keeps_what_a_person_wrote(packed: Packed, tmp_path: Path):
    dataset = shutil.copytree(packed.dataset, tmp_path / "dataset")
    card = replace(NO_OPTIONS, card=True)
    assert pack(packed.videos, dataset, SMALL, QUIET, card).shards_packed == 0
    first = contents(dataset)
    assert first.keys() - contents(packed.dataset).keys() == {CARD}
    pack(packed.videos, dataset, SMALL, QUIET, card)
    assert contents(dataset) == first
    (dataset / CARD).write_text("mine")
    assert "is kept as it is" in write_card(dataset)
    pack(packed.videos, dataset, SMALL, QUIET, card)
    assert (dataset / CARD).read_text() == "mine"
    verify(dataset, 1)
    with pytest.raises(InputError, match="is not a dataset"):
        write_card(tmp_path)


def test_a_list_of_paths_becomes_a_table(tmp_path: Path):
    names = [tmp_path / "a b.mp4", tmp_path / "c, d.mp4"]
    for path in names:
        path.write_bytes(bytes(str(path), "utf-8"))
    (tmp_path / "fileslist.txt").write_text("".join(f"{path}\n" for path in names))
    line = example("Videos of LatentSync", "sh").splitlines()[0]
    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True)
    found = find_sources(tmp_path / "videos.csv", config=PackConfig()).sources
    assert [(one.path, one.absent, one.action) for one in found] == [(path, "", "speech") for path in names]


def test_clips_of_one_url_stay_on_one_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    keys = {"00000/00000_0": "x", "00000/00000_1": "x", "00001/00017": "y"}
    for key, url in keys.items():
        video = tmp_path / "FOLDER" / f"{key}.mp4"
        video.parent.mkdir(parents=True, exist_ok=True)
        video.write_bytes(key.encode())
        video.with_suffix(".json").write_text(json.dumps({"url": url, "key": key}))
        video.with_suffix(".txt").write_text("a caption")
    (tmp_path / "FOLDER" / "00000_stats.json").write_text("{}")
    plain = find_sources(tmp_path / "FOLDER")
    assert [one.rel for one in plain.sources] == [f"{key}.mp4" for key in keys]
    assert str(plain.ignored).startswith("7 files (4 .json like")
    monkeypatch.chdir(tmp_path)
    exec(example("Videos of video2dataset"), {})
    found = find_sources(tmp_path / "FOLDER" / "videos.csv").sources
    assert {one.rel.removesuffix(".mp4"): one.group for one in found} == keys
    assert not any(one.absent for one in found)
