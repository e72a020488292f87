"""What is refused rather than waited for, overwritten or passed on: each refusal names its cause and the remedy."""

import io
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from sharding.base.files import from_json, publish_folder
from sharding.errors import FormatError, InputError, RejectError
from sharding.format.clip import Clock
from sharding.format.dataset import open_dataset
from sharding.format.index import Index, read_info
from sharding.media.probe import open_media, probe
from sharding.pack.pack import dry_run, pack
from tests.media import Video, write_video
from tests.sharding.conftest import QUIET, SMALL, Packed, contents


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "device", "folder"])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(kind: str, tmp_path: Path):
    path = tmp_path / "a.mp4"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to a pipe":
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to("pipe")
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    for reader in (open_media, probe):
        with pytest.raises(RejectError, match=r"unreadable: is (not a regular file|a folder)"):
            reader(path)


def test_a_pipe_among_videos_is_a_reject_and_the_others_are_packed(tmp_path: Path):
    write_video(tmp_path / "in" / "good.mp4")
    os.mkfifo(tmp_path / "in" / "pipe.mp4")
    summary = pack(tmp_path / "in", tmp_path / "out", SMALL, QUIET)
    found = [(one.path, one.reason, one.detail) for one in summary.rejects]
    assert found == [("pipe.mp4", "unreadable", "is not a regular file")]
    assert sum(summary.clips.values()) == 1


OTHER_FORMS = {
    "codec was h264, is raw": {"codec": "raw"},
    "fps was 30, is 30000/1001": {"fps": "30000/1001"},
    "sample_rate was 44100, is 16000": {"sample_rate": 16_000},
    "height was 32, is 96, width was 32, is 96": {"size": 96},
    "max_clips_per_source was not set, is 3": {"max_clips_per_source": 3},
    "channels was 1, is 2": {"channels": 2},
    "fit was squash, is pad": {"fit": "pad"},
    "clip_s was 10, is 8": {"clip_s": "8"},
    "val_percent was 10, is 20": {"val_percent": 20},
    "audio_stream was not set, is 1": {"audio_stream": 1},
    "strict was not set, is True": {"strict": True},
}


@pytest.mark.parametrize("fact", OTHER_FORMS)
def test_a_finished_dataset_of_another_form_is_not_replaced(fact: str, packed: Packed):
    before = contents(packed.dataset)
    for work in (pack, dry_run):
        with pytest.raises(InputError, match=rf"with other settings \({fact}\); name another folder.*or delete this"):
            work(packed.videos, packed.dataset, replace(SMALL, **OTHER_FORMS[fact]), QUIET)
    assert contents(packed.dataset) == before


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ('"format_version": 2', '"format_version": 99', "has format version 99.*into another folder"),
        ('"fps": "30"', '"fps": "0"', r"dataset\.json.*fps=0 .*above 0; delete .*dataset\.json and run the same"),
        ('"fps": "30"', '"fps": "1/0"', r"dataset\.json is damaged"),
        ('"fps": "30"', '"fps": "30', r"dataset\.json is damaged.*; delete .*dataset\.json and run the same"),
    ],
)
def test_a_dataset_json_that_is_not_understood_is_not_replaced(
    was: str, now: str, told: str, packed: Packed, tmp_path: Path
):
    dataset = shutil.copytree(packed.dataset, tmp_path / "out")
    text = (dataset / "dataset.json").read_text()
    assert was in text
    (dataset / "dataset.json").write_text(text.replace(was, now))
    before = contents(dataset)
    for refused in (lambda: read_info(dataset), lambda: pack(packed.videos, dataset, SMALL, QUIET)):
        with pytest.raises(FormatError, match=told):
            refused()
    assert contents(dataset) == before
    (dataset / "dataset.json").unlink()  # the remedy
    pack(packed.videos, dataset, SMALL, QUIET)
    assert contents(dataset) == contents(packed.dataset)


def test_more_sources_make_more_shards_and_leave_the_old_ones_alone(tmp_path: Path):
    config = replace(SMALL, val_percent=0, test_percent=0)
    old: dict[Path, tuple[int, int]] = {}
    for number in (3, 1, 2):  # new ones sort before the old
        write_video(tmp_path / "in" / f"{number}.mp4", Video(seed=number))
        pack(tmp_path / "in", tmp_path / "out", replace(config, workers=0), QUIET)
        tars = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (tmp_path / "out").rglob("*.tar")}
        assert old.items() <= tars.items()
        assert read_info(tmp_path / "out").clips["train"] == len(tars) == len(old) + 1
        old = tars


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"val_percent": 0, "test_percent": 0}, ("val or test", "--val-percent and --test-percent", "--split train")),
        ({"val_percent": 100, "test_percent": 0}, ("into train", "lower --val-percent", "")),
        ({"val_percent": 0, "test_percent": 100}, ("into train", "and --test-percent", "")),
    ],
)
def test_a_split_without_videos_is_told_with_the_remedy(config: dict[str, int], told: tuple[str, ...], tmp_path: Path):
    write_video(tmp_path / "in" / "a.mp4")
    out = io.StringIO()
    pack(tmp_path / "in", tmp_path / "out", replace(SMALL, **config), Console(file=out, width=60))
    lines = [line for line in out.getvalue().splitlines() if line.startswith("no video fell into")]
    assert len(lines) == 1
    for words in told:
        assert words in lines[0]
    said = " ".join(out.getvalue().split())
    assert "1 of 1 source packed" in said
    assert "1 shard written" in said
    if told[2]:
        with pytest.raises(InputError, match=f"no clips in split 'test'; it has .*or give {told[2]}"):
            open_dataset(tmp_path / "out", "test")


def test_a_damaged_index_is_told_in_our_own_words(tmp_path: Path):
    path = tmp_path / "index.npz"
    for content in (b"", b"junk" * 100, b"\x80\x04N."):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=re.escape(str(path)) + ".*run the same avsync pack again") as caught:
            Index.load(path)
        assert "pickle" not in str(caught.value)
    with path.open("wb") as file:
        np.savez(file, key=np.array([object()]))
    with pytest.raises(FormatError) as caught:
        Index.load(path)
    assert "pickle" not in str(caught.value)


def test_an_impossible_value_in_stored_json_is_laid_at_its_file():
    with pytest.raises(FormatError, match=r"^here is damaged.*fps=-1"):
        from_json(b'{"fps": "-1", "sample_rate": 1}', Clock, "here")


def test_a_folder_whose_writer_fails_leaves_nothing(tmp_path: Path):
    def fail() -> None:
        with publish_folder(tmp_path / "saved") as part:
            (part / "half").touch()
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert not list(tmp_path.iterdir())


def test_a_wrong_name_of_the_videos_makes_no_folder(tmp_path: Path):
    with pytest.raises(InputError, match=r"vidoes does not exist; name a folder of videos"):
        pack(tmp_path / "vidoes", tmp_path / "out", SMALL, QUIET)
    assert not list(tmp_path.iterdir())
