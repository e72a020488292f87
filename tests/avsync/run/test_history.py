"""Which clips a run was trained on can be told afterwards, and any batch made again bit by bit."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from avsync_settings import quick_config
from processes import command, run_ranks

import avsync.train.step
from avsync.config import LowRateConfig, TrainConfig
from avsync.data.batch import TENSORS, Batch
from avsync.run.history import ClipRow, open_history, rebuild
from avsync.run.paths import RunPaths
from avsync.run.show import Clips, show_attempts, show_clips
from avsync.train.trainer import train
from launch.cli import DONE, FAILED, main
from sharding.errors import FormatError, InputError
from sharding.format.dataset import open_dataset

RECORD = """
import os, sys, torch
from pathlib import Path
import avsync.train.step
from avsync.config import TrainConfig
from avsync.train.trainer import train
from sharding.base.files import read_json
seen, prepare = [], avsync.train.step.prepare
def watched(batch, *rest):
    seen.append({name: getattr(batch, name).clone() for name in ("yuv", "audio", "in_sync", "matrix", "valid")})
    return prepare(batch, *rest)
if __name__ == "__main__":
    avsync.train.step.prepare = watched
    train(Path(sys.argv[1]), Path(sys.argv[2]), read_json(Path(sys.argv[3]), TrainConfig))
    torch.save(seen, Path(sys.argv[3]).parent / f"seen-{os.environ['RANK']}.pt")
"""


@pytest.fixture(scope="module")
def config() -> TrainConfig:
    """Two passes a step; two steps on every second picture."""
    quick = quick_config()
    return replace(
        quick, steps=7, batch=8, validate_every=0, low_rate=LowRateConfig(steps=2, every=2),
        runtime=replace(quick.runtime, workers=1, accumulate=2),
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(dataset, config, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("history") / "run"
    train(dataset, folder, config)
    return folder


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    return {name: getattr(batch, name).clone() for name in TENSORS}


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    for name in TENSORS:
        assert one[name].shape == other[name].shape
        assert torch.equal(one[name], other[name]), name


def test_a_batch_is_made_again_bit_by_bit_as_the_trainer_saw_it(dataset, config, tmp_path, monkeypatch):
    seen: list[tuple[dict[str, torch.Tensor], tuple[str, ...]]] = []

    def watched(batch: Batch, *rest: Any) -> Any:
        seen.append((tensors(batch), batch.keys))
        return prepare(batch, *rest)

    prepare = avsync.train.step.prepare
    monkeypatch.setattr(avsync.train.step, "prepare", watched)
    train(dataset, tmp_path / "run", config)
    seen = seen[1:]  # the first picture on TensorBoard is made of the first batch
    assert len(seen) == 7 * 2
    for step in (0, 1, 2, 6):
        again = rebuild(tmp_path / "run", step)
        assert len(again) == 2
        for batch, (then, keys) in zip(again, seen[2 * step : 2 * step + 2], strict=True):
            assert batch.keys == keys
            assert bool(batch.valid.all())
            assert_equal(tensors(batch), then)


@pytest.mark.timeout(120)
def test_so_are_those_that_two_processes_shared(dataset, config, tmp_path):
    run_ranks(command(dataset, tmp_path / "run", config, tmp_path, RECORD), 2)
    for rank in range(2):
        seen = torch.load(tmp_path / f"seen-{rank}.pt", weights_only=True)[1 - rank :]
        for step in (1, 5):
            again = rebuild(tmp_path / "run", step, rank=rank, ranks=2)
            for batch, then in zip(again, seen[2 * step : 2 * step + 2], strict=True):
                assert_equal(tensors(batch), then)


def listed(run: Path, file: Path, **wanted: Any) -> list[dict[str, Any]]:
    show_clips(run, Clips(file=file, **wanted))
    with file.open() as lines:
        return list(csv.DictReader(lines)) if file.suffix == ".csv" else [json.loads(line) for line in lines]


def test_a_list_holds_every_clip_of_every_step_and_csv_and_json_agree(run, dataset, config, tmp_path):
    rows = list(open_history(run).rows(range(7)))
    assert [(row.step, row.row) for row in rows] == [(step, row) for step in range(7) for row in range(8)]
    clips = open_dataset(dataset, "train")
    assert [clips.index.find(row.key) for row in rows] == [row.clip for row in rows]
    as_json = listed(run, tmp_path / "clips.jsonl")
    assert [row["key"] for row in as_json] == [row.key for row in rows]
    assert [tuple(row["sounds"]) for row in as_json] == [row.sounds for row in rows]
    as_csv = listed(run, tmp_path / "clips.csv")
    assert list(as_csv[0]) == list(ClipRow.__dataclass_fields__)
    for one, other in zip(as_csv, as_json, strict=True):
        for name, value in other.items():
            values = value if isinstance(value, list) else [value]
            assert one[name].split() == [str(int(v)) if isinstance(v, bool) else str(v) for v in values]


def test_the_list_names_what_the_batches_held(run):
    rows = list(open_history(run).rows([3]))
    batches = rebuild(run, 3)
    drawn = [draw for batch in batches for draw in batch.draws]
    assert [row.key for row in rows] == [key for batch in batches for key in batch.keys]
    assert [(row.picture, row.flip, row.top, row.left) for row in rows] == [
        (draw.pair.picture, draw.flip, draw.top, draw.left) for draw in drawn
    ]


@pytest.mark.parametrize(
    ("step", "steps"), [("", range(7)), ("4", range(4, 5)), ("2:5", range(2, 5)), ("5:", range(5, 7)), (":2", range(2))]
)
def test_steps_are_chosen_as_they_are_typed(run, tmp_path, step, steps):
    rows = listed(run, tmp_path / "clips.csv", step=step)
    assert sorted({int(row["step"]) for row in rows}) == list(steps)


@pytest.mark.parametrize("step", ["7", "-1", "x", "3:2", "1:2:3", "0:8"])
def test_steps_that_the_run_does_not_have_are_refused(run, step):
    with pytest.raises(InputError, match="names none of the steps 0 to 6; write it like 12, or 12:15 for three"):
        show_clips(run, Clips(step=step))


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_the_command_shows_attempts_then_clips_with_their_proof(run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["show", str(run)]) == DONE
    told = said(capsys)
    assert "small, 7 of 7 steps saved" in told
    assert f"Next: avsync show {run} --clips" in told
    assert main(["show", str(run), "--clips", "--step", "6"]) == DONE
    told = said(capsys)
    assert all(row.key in told for row in open_history(run).rows([6]))
    assert "the digest of all 56 clips of steps 0 to 6 matches the checkpoint's" in told


@pytest.mark.parametrize("flag", [("--page", "x.html"), ("--sheet", "x.png")])
def test_a_flag_for_datasets_is_refused_with_a_run_and_the_other_way_round(run, dataset, flag, capsys):
    assert main(["show", str(run), *flag]) == FAILED
    assert f"{flag[0]} is for a dataset, and {run} is a run" in capsys.readouterr().err
    assert main(["show", str(dataset), "--clips"]) == FAILED
    assert f"--clips is for a run, and {dataset} has no run.json" in capsys.readouterr().err


def test_a_long_list_is_cut_at_the_terminal_and_says_how_to_see_the_rest(run, capsys, monkeypatch):
    monkeypatch.setattr("avsync.run.show.LINES", 10)
    show_clips(run, Clips())
    assert "... 46 more: a shorter --step, or all in a file with --csv FILE" in said(capsys)


def test_of_very_many_steps_the_last_block_is_proven_and_no_more_are_listed_than_anybody_reads(
    run, capsys, monkeypatch
):
    monkeypatch.setattr("avsync.run.show.MOST_STEPS", 3)
    show_clips(run, Clips(step="2:4"))
    assert "the digest of the last block before step 7 matches the checkpoint's" in said(capsys)
    for step in ("", "0:7"):
        with pytest.raises(InputError, match="these are 7 steps: say which 3 at most with --step A:B"):
            show_clips(run, Clips(step=step))


@pytest.mark.parametrize("step", [6, 8, 2**53])
def test_a_checkpoint_that_says_another_step_than_its_folder_decides_nothing(run, tmp_path, step):
    mine = RunPaths(Path(shutil.copytree(run, tmp_path / "run")))
    state = mine.checkpoint(7) / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"step": step}))
    with pytest.raises(FormatError, match=f"00000007 is of step {step}, by its state.json, of a run of 7: it was cha"):
        show_clips(mine.root, Clips())


@pytest.mark.parametrize("name", ["00000000000000000009", "٠٠٠٠٠٠٠٩", "9", "00000009.part", "1e8"])
def test_what_is_no_name_of_a_checkpoint_is_none(run, tmp_path, name):
    mine = RunPaths(Path(shutil.copytree(run, tmp_path / "run")))
    steps = mine.saved_steps()
    (mine.checkpoints / name).mkdir()
    assert mine.saved_steps() == steps


def test_of_very_many_attempts_the_last_are_shown_and_what_they_say_steers_no_terminal(
    run, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "160")  # else a narrow terminal cuts the numbers
    mine = RunPaths(Path(shutil.copytree(run, tmp_path / "run")))
    line = json.loads(mine.receipts.read_text().splitlines()[0])
    strange = {"begun": "\x1b[2J" * 100, "digest": "\x1b]0;x\x07" * 100}
    lines = [json.dumps(line | {"attempt": number} | strange) for number in range(1, 5001)]
    mine.receipts.write_text("\n".join(lines))
    show_attempts(mine.root)
    shown = capsys.readouterr().out
    assert "4,900 attempts before these" in shown
    assert " 5000 " in shown
    assert " 4900 " not in shown
    assert all(map(str.isprintable, shown.split("\n")))


def test_data_that_has_moved_is_named_and_data_that_has_changed_refused(run, dataset, tmp_path):
    import numpy as np

    mine = Path(shutil.copytree(run, tmp_path / "run"))
    text = json.loads((mine / "run.json").read_text())
    (mine / "run.json").write_text(json.dumps(text | {"dataset_path": str(tmp_path / "gone")}))
    with pytest.raises(InputError, match=r"gone is not a dataset.*if it was moved, give --dataset"):
        open_history(mine)
    assert len(list(open_history(mine, dataset).rows([0]))) == 8
    other = Path(shutil.copytree(dataset, tmp_path / "other"))
    index = dict(np.load(other / "train/index.npz"))
    index["crc32"][0] ^= 1
    np.savez(other / "train/index.npz", **index)
    with pytest.raises(InputError, match="the same clips with other bytes"):
        rebuild(mine, 0, dataset=other)


@pytest.mark.parametrize("recorded", ["pipe:touch {note}; cat {{}}", "http://127.0.0.1:9/data"])
def test_a_url_that_run_json_names_is_never_opened_and_no_scratch_folder_of_it_is_made(
    run, dataset, tmp_path, recorded
):
    mine, note = Path(shutil.copytree(run, tmp_path / "run")), tmp_path / "note"
    text = json.loads((mine / "run.json").read_text()) | {"dataset_path": recorded.format(note=note)}
    text["config"]["runtime"]["scratch"] = str(tmp_path / "scratch")
    (mine / "run.json").write_text(json.dumps(text))
    for ask in (lambda: open_history(mine), lambda: rebuild(mine, 0), lambda: show_clips(mine, Clips(step="0"))):
        with pytest.raises(InputError, match=r"a URL that a file names is not opened: .* with --dataset DIR"):
            ask()
    with pytest.raises(InputError, match=r"pipe:cat \.\.\. is a URL, and .* give --dataset DIR"):
        open_history(mine, f"pipe:cat {dataset}/{{}}")
    assert len(list(open_history(mine, dataset).rows([0]))) == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"step": -1}, r"has no step -1: its steps are 0 to 6"),
        ({"step": 7}, r"has no step 7: its steps are 0 to 6"),
        ({"step": 0, "rank": 2, "ranks": 2}, r"there is no process 2 of 2"),
        ({"step": 0, "rank": -1}, r"there is no process -1 of 1"),
        ({"step": 0, "accumulate": 0}, r"with 0 passes"),
        ({"step": 0, "ranks": 3}, r"--batch 8 cannot be shared by 3 processes in --runtime\.accumulate 2 passes"),
    ],
    ids=str,
)
def test_a_batch_that_never_was_is_refused(run, wanted, told):
    with pytest.raises(InputError, match=told):
        rebuild(run, **wanted)


@pytest.mark.parametrize("passes", [1, 4])
def test_a_batch_is_made_again_in_other_passes_too(run, passes):
    told = [key for batch in rebuild(run, 5) for key in batch.keys]
    again = rebuild(run, 5, accumulate=passes)
    assert [len(batch.keys) for batch in again] == [8 // passes] * passes
    assert [key for batch in again for key in batch.keys] == told


def test_a_checkpoint_that_other_clips_made_is_not_explained_away_and_no_list_of_it_is_written(run, tmp_path):
    mine = Path(shutil.copytree(run, tmp_path / "run"))
    state = RunPaths(mine).checkpoint(7) / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"digest": "00" * 16}))
    for file in (None, tmp_path / "clips.csv"):
        with pytest.raises(FormatError, match="step 7 was trained on other clips than these: its digest differs"):
            show_clips(mine, Clips(step="0", file=file))
    assert not (tmp_path / "clips.csv").exists()


def test_a_run_without_a_checkpoint_shows_what_it_will_train_on(run, tmp_path, capsys):
    mine = Path(shutil.copytree(run, tmp_path / "run"))
    shutil.rmtree(RunPaths(mine).checkpoints)
    with pytest.raises(InputError, match="has no checkpoint yet: say which steps with --step A or --step A:B"):
        show_clips(mine, Clips())
    show_clips(mine, Clips(step="2"))
    assert "no checkpoint yet: this is what will be trained on" in said(capsys)


@pytest.mark.parametrize(("name", "told"), [("a.txt", "must end in .csv, or in .jsonl"), ("no/a.csv", "no folder")])
def test_a_file_that_cannot_be_meant_is_refused(run, tmp_path, name, told):
    with pytest.raises(InputError, match=told):
        show_clips(run, Clips(file=tmp_path / name))
