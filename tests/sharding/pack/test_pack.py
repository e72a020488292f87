"""Packing is repeatable to the byte, survives every interruption, and says what it left out and why."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sharding.base.locks import folder_lock
from sharding.config import PackOptions
from sharding.errors import BusyError, FormatError, InputError
from sharding.format.dataset import open_dataset
from sharding.format.index import SPLITS, read_info
from sharding.pack.pack import dry_run, pack
from sharding.sources.boxes import read_boxes
from sharding.verify.verify import verify
from tests.media import Video, write_video
from tests.sharding.conftest import QUIET, SMALL, Packed, contents


def test_every_bad_source_is_rejected_with_its_reason_and_nothing_else_is_lost(packed: Packed):
    with (packed.dataset / "rejects.csv").open(newline="") as file:
        reasons = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons == {
        "bad/blind.mp4": "no_video",
        "bad/empty.mp4": "corrupt",
        "bad/mute.mp4": "no_audio",
        "bad/short.mp4": "too_short",
        "bad/silent.mp4": "silent",
        "bad/text.mp4": "corrupt",
        "drums/take 0.mp4": "duplicate",
    }
    assert sum(packed.summary.clips.values()) == 9  # seven of one clip, one of two
    assert read_info(packed.dataset).actions == ("bell", "drums")
    assert read_info(packed.dataset).rejects == 7


def test_two_workers_write_the_bytes_of_one(packed: Packed, tmp_path: Path):
    pack(packed.videos, tmp_path / "out", replace(SMALL, workers=2), QUIET)
    assert contents(tmp_path / "out") == contents(packed.dataset)


def test_the_same_call_again_keeps_every_shard(packed: Packed, tmp_path: Path):
    dataset = shutil.copytree(packed.dataset, tmp_path / "out")
    dates = {path: path.stat().st_mtime_ns for path in dataset.rglob("*.tar")}
    again = pack(packed.videos, dataset, SMALL, QUIET)
    assert (again.shards_packed, again.clips) == (0, packed.summary.clips)
    assert {path: path.stat().st_mtime_ns for path in dataset.rglob("*.tar")} == dates


@pytest.mark.parametrize(
    "damage", ["tar gone", "tar cut", "side file gone", "side file damaged", "index gone", "parts left"]
)
def test_what_is_missing_or_damaged_is_made_again(damage: str, packed: Packed, tmp_path: Path):
    dataset = shutil.copytree(packed.dataset, tmp_path / "out")
    tar = min(dataset.rglob("*.tar"))
    if damage == "tar gone":
        tar.unlink()
    elif damage == "tar cut":
        os.truncate(tar, 700)
    elif damage == "side file gone":
        tar.with_suffix(".json").unlink()
    elif damage == "side file damaged":
        tar.with_suffix(".json").write_bytes(b"{")
    elif damage == "index gone":
        (tar.parent / "index.npz").unlink()
    else:
        (tar.parent / "000007.tar.part").write_bytes(b"half")
        (tar.parent / "000007.tar").write_bytes(b"of a larger plan")
    pack(packed.videos, dataset, SMALL, QUIET)
    assert contents(dataset) == contents(packed.dataset)


def clip_keys(dataset: Path) -> list[str]:
    info = read_info(dataset)
    splits = [open_dataset(dataset, split) for split in SPLITS if info.clips[split]]
    return [split.key(clip) for split in splits for clip in range(len(split.index))]


def test_sources_that_are_taken_out_leave_no_orphans(packed: Packed, tmp_path: Path):
    videos = shutil.copytree(packed.videos, tmp_path / "in")
    dataset = shutil.copytree(packed.dataset, tmp_path / "out")
    for number in (3, 4):
        (videos / "bell" / f"take {number}.mp4").unlink()
    with pytest.raises(InputError, match=r"has 2 sources that your videos do not \(bell-take_3-\S+, .*--remove takes"):
        pack(videos, dataset, SMALL, QUIET)
    pack(videos, dataset, SMALL, QUIET, options=PackOptions(remove=True))
    assert sorted(clip_keys(dataset)) == sorted(
        key for key in clip_keys(packed.dataset) if not key.startswith(("bell-take_3", "bell-take_4"))
    )
    shards = {path.with_suffix("") for path in dataset.glob("*/0*")}
    assert len(list(dataset.glob("*/0*"))) == 2 * len(shards) == 2 * sum(read_info(dataset).shards.values())
    assert not list(dataset.rglob("*.part*"))


def test_two_packers_in_one_folder_the_second_refuses(packed: Packed, tmp_path: Path):
    holder = "import sys, time\nfrom pathlib import Path\nfrom sharding.base.locks import folder_lock\n"
    holder += "with folder_lock(Path(sys.argv[1]), 'avsync pack'):\n    print('held', flush=True)\n    time.sleep(60)\n"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", holder, str(tmp_path / "out")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(BusyError, match=rf"avsync pack \(process {process.pid} on"):
            pack(packed.videos, tmp_path / "out", SMALL, QUIET)
        process.kill()
    with folder_lock(tmp_path / "out", "test"):
        pass  # the lock died with its holder


def test_a_folder_that_is_no_dataset_is_left_alone(packed: Packed, tmp_path: Path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"is not a dataset and not empty \(it holds thesis.tex\)"):
        pack(packed.videos, tmp_path, SMALL, QUIET)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_dataset_folder_that_is_a_file_is_refused(packed: Packed, tmp_path: Path):
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match="cannot use"):
        pack(packed.videos, tmp_path / "out", SMALL, QUIET)


def test_when_everything_is_rejected_the_error_counts_the_reasons(tmp_path: Path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text(f"no video: {name}")
    with pytest.raises(InputError, match=r"none of 2 sources could be packed \(2 corrupt\).*rejects.csv"):
        pack(tmp_path / "in", tmp_path / "out", SMALL, QUIET)
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_a_missing_file_of_a_csv_is_a_reject_and_a_span_cuts_its_part(tmp_path: Path):
    write_video(tmp_path / "a.mp4", Video())
    (tmp_path / "list.csv").write_text("path,action,start_s,split\na.mp4,x,1,train\ngone.mp4,x,,train\n")
    summary = pack(tmp_path / "list.csv", tmp_path / "out", SMALL, QUIET)
    assert [(reject.path, reject.reason) for reject in summary.rejects] == [("gone.mp4", "unreadable")]
    meta = open_dataset(tmp_path / "out", "train").read(0).meta()
    assert meta.first_frame == 38  # 1 s, and a quarter trimmed
    assert meta.frames == 134


def test_boxes_reach_the_clip_and_refuse_a_fit_that_moves_them(tmp_path: Path):
    write_video(tmp_path / "a.mp4", Video())
    (tmp_path / "a.json").write_text('{"fps": "30", "boxes": [' + ",".join(["[[0,0,0.5,1]]"] * 180) + "]}")
    (tmp_path / "list.csv").write_text("path,action,split,boxes\na.mp4,x,train,a.json\n")
    pack(tmp_path / "list.csv", tmp_path / "out", SMALL, QUIET)
    meta = open_dataset(tmp_path / "out", "train").read(0).meta()
    assert meta.boxes == (((0, 0, 0.5, 1),),) * meta.frames
    with pytest.raises(InputError, match="--fit crop would move the boxes"):
        pack(tmp_path / "list.csv", tmp_path / "other", replace(SMALL, fit="crop"), QUIET)
    (tmp_path / "a.json").write_text('{"fps": "30", "boxes": [[[0,0,7,1]]]}')
    with pytest.raises(InputError, match=r"a.json.*no box between 0 and 1"):
        pack(tmp_path / "list.csv", tmp_path / "other", SMALL, QUIET)


@pytest.mark.parametrize("boxes", [[], [[[0, 0, 0.5, 1]]] * 180])
def test_masks_and_their_case_reach_the_clip(tmp_path: Path, boxes: list[Any]):
    write_video(tmp_path / "a.mp4", Video())
    truth = {"fps": "30", "boxes": boxes, "masks": [[[0, 0, 0.5, 0.2, 0.1, 1]]] * 180, "case": "alike"}
    (tmp_path / "a.json").write_text(json.dumps(truth))
    (tmp_path / "list.csv").write_text("path,action,split,boxes\na.mp4,x,train,a.json\n")
    pack(tmp_path / "list.csv", tmp_path / "out", SMALL, QUIET)
    meta = open_dataset(tmp_path / "out", "train").read(0).meta()
    assert meta.boxes == (((0, 0, 0.5, 1),),) * meta.frames
    assert meta.masks == (((0, 0, 0.5, 0.2, 0.1, 1),),) * meta.frames
    assert meta.case == "alike"
    assert not verify(tmp_path / "out", 1).findings


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"masks": [[[0, 0, 1, 1]]] * 180}, "is no mask"),
        ({"masks": [[[0, 0, 1, 1, 0.5, 2]]] * 180}, "is no mask"),
        ({"masks": [[[0, 0, 1, 1, 0.5]]] * 180}, "is no mask"),
        ({"masks": [[]] * 9}, "boxes of 180 frames and masks of 9: give as many"),
        ({"case": ""}, "case"),
    ],
)
def test_masks_that_are_none_are_refused_by_the_name_of_their_file(tmp_path: Path, change: dict[str, Any], words: str):
    truth = {"fps": "30", "boxes": [[[0, 0, 0.5, 1]]] * 180, **change}
    (tmp_path / "a.json").write_text(json.dumps(truth))
    with pytest.raises(InputError, match=rf"boxes file .*a.json.*{words}"):
        read_boxes(tmp_path / "a.json")


def test_settings_that_came_later_are_written_and_read_again(tmp_path: Path):
    write_video(tmp_path / "in" / "a.mp4", Video(width=32, height=32))
    config = replace(SMALL, video_stream=0, audio_stream=1, strict=True)
    for shards in (1, 0):
        assert pack(tmp_path / "in", tmp_path / "out", config, QUIET).shards_packed == shards
    settings = read_info(tmp_path / "out").settings
    assert (settings["video_stream"], settings["audio_stream"], settings["strict"]) == (0, 1, True)
    with pytest.raises(InputError, match="strict was True, is not set"):
        pack(tmp_path / "in", tmp_path / "out", replace(config, strict=False), QUIET)


def test_hostile_names_stay_inside_the_dataset(tmp_path: Path):
    videos, dataset = tmp_path / "in" / "x", tmp_path / "out" / "dataset"
    write_video(videos / "a.mp4", Video())
    names = ["a..mp4", "-rf *.mp4", "n" * 200 + ".mp4", "ünïcode 映画.mp4", "new\nline.mp4"]
    for seed, name in enumerate(names, 1):
        write_video(tmp_path / "b.mp4", Video(seed=seed)).rename(videos / name)
    (tmp_path / "in" / "list.csv").write_text(
        "path,action\n../in/x/a.mp4,../../evil\n" + f"{videos / 'a..mp4'},/evil\n"
    )
    pack(videos, dataset, SMALL, QUIET)
    pack(tmp_path / "in" / "list.csv", tmp_path / "out" / "second", SMALL, QUIET)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dataset", "second"]
    top = {"dataset.json", "plan.json", "rejects.csv", ".lock", *SPLITS}
    assert {path.name for path in dataset.iterdir()} <= top
    assert sum(read_info(dataset).clips.values()) == 6
    assert read_info(tmp_path / "out" / "second").actions == ("../../evil", "/evil")


def test_a_dry_run_writes_nothing(packed: Packed, tmp_path: Path, capsys):
    dry_run(packed.videos, tmp_path / "out", SMALL)
    assert not (tmp_path / "out").exists()
    said = capsys.readouterr().out
    assert "8 new, 0 made again because" in said
    assert re.search(r"left out as no videos: 1 file \(1 \.\w+: \S+\);", said)
    assert re.search(r"seen before: 1 video \(.+\)\n", said)
    assert "train" in said
    assert re.search(r"About (9|10) clips, \d\d\.\d s together, \d\.\d MB, in .*judged by 14 videos, ", said)


def test_a_dataset_of_another_format_version_is_refused(packed: Packed, tmp_path: Path):
    dataset = shutil.copytree(packed.dataset, tmp_path / "out")
    text = (dataset / "dataset.json").read_text()
    (dataset / "dataset.json").write_text(text.replace('"format_version": 2', '"format_version": 99'))
    with pytest.raises(FormatError, match="format version 99, this avsync reads 2"):
        read_info(dataset)
