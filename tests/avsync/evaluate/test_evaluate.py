"""The figures of an evaluation are those of its predictions, and the pointing game counts what it says."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from avsync_settings import quick_config
from PIL import Image

from avsync.config import EvaluateConfig, ViewConfig
from avsync.data.order import View
from avsync.evaluate.evaluate import evaluate
from avsync.evaluate.pointing import point
from avsync.evaluate.scorecard import localisation
from avsync.evaluate.truth import cropped
from avsync.honesty.predict import Predictions
from avsync.models.cam import Hottest
from avsync.train.trainer import train
from sharding.errors import FormatError, InputError
from sharding.format.clip import ClipMeta, Clock
from sharding.format.dataset import open_dataset


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    run = tmp_path_factory.mktemp("evaluated") / "run"
    train(dataset, run, replace(quick_config(), steps=4, validate_every=4))
    return run


def test_tables_files_and_plot_agree(trained, dataset):
    found = evaluate(trained, dataset, EvaluateConfig(split="test", pairs_per_clip=3))
    card, folder = found.card, found.folder
    assert folder == trained / "evaluation" / "dataset-test-step-4"
    with (folder / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == card.accuracy.count == card.clips * 3 * 2
    hits = [(float(row["logit"]) > 0) == (row["in_sync"] == "1") for row in rows]
    assert card.accuracy.value == pytest.approx(np.mean(hits))
    assert card.accuracy.low <= card.accuracy.value <= card.accuracy.high
    for row in card.actions:
        chosen = [hit for hit, line in zip(hits, rows, strict=True) if line["action"] == row.name]
        assert row.accuracy.value == pytest.approx(np.mean(chosen))
        assert row.accuracy.count == len(chosen)
    with (folder / "by_action.csv").open() as file:
        written = [(line["action"], float(line["estimate"]), line["verdict"]) for line in csv.DictReader(file)]
    assert written == [(row.name, row.estimate, row.verdict) for row in card.actions]
    assert card.shifts[0].name == "in sync"
    assert sum(row.accuracy.count for row in card.shifts) == len(rows)
    assert all(abs(float(row["shift_s"])) >= 1 for row in rows if row["in_sync"] == "0")
    assert json.loads((folder / "summary.json").read_text())["accuracy"]["count"] == len(rows)
    assert card.reliability is not None
    with (folder / "reliability.csv").open() as file:
        bins = list(csv.DictReader(file))
    read = [(name, one) for name in ("of_logits", "of_run") if (one := getattr(card.reliability, name))]
    assert [name for name, one in read for _ in one.bins] == [line["reading"] for line in bins]
    for name, one in read:
        assert sum(int(line["examples"]) for line in bins if line["reading"] == name) == len(rows)
        assert 0 <= one.error <= 1
    with Image.open(found.plot) as plot:
        assert min(plot.size) > 300
    assert card.localisation is not None
    assert 0 < card.localisation.chance < 0.5
    assert card.honesty is not None
    assert card.honesty.muted.value == 0.5, "each picture has both labels"
    assert card.honesty.other_picture.count == len(rows)
    assert card.honesty.audited is not None
    assert card.honesty.audited <= card.accuracy.value
    assert 0 <= (card.honesty.listened or 0) <= 1
    assert json.loads((folder / "summary.json").read_text())["honesty"]["spatial"] == card.honesty.spatial


def test_other_windows_and_shifts_than_those_of_training_are_asked_about_where_they_are_named(trained, dataset):
    asked = EvaluateConfig(split="test", pairs_per_clip=2, window_s=1.5, min_shift_s=0.2, max_shift_s=0.4)
    found = evaluate(trained, dataset, asked)
    assert found.folder.name == "dataset-test-window_s-1.5-min_shift_s-0.2-max_shift_s-0.4-step-4"
    with (found.folder / "predictions.csv").open() as file:
        shifts = [abs(float(row["shift_s"])) for row in csv.DictReader(file) if row["in_sync"] == "0"]
    assert shifts
    assert all(0.2 - 1e-6 <= shift <= 0.4 + 1e-6 for shift in shifts)


@pytest.mark.parametrize("flag", ["window_s", "min_shift_s", "max_shift_s"])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_windows_and_shifts_that_are_none_are_refused_by_their_flag(flag, value):
    with pytest.raises(InputError, match=flag.replace("_", "-")):
        EvaluateConfig(**{flag: value})


@pytest.mark.parametrize(
    "asked",
    [
        {"window_s": 0.04, "min_shift_s": 0.2, "max_shift_s": 0.4},  # too short for the network
        {"window_s": 900.0},  # longer than the clips
        {"min_shift_s": 900.0, "max_shift_s": 901.0},
        {"min_shift_s": 0.5, "max_shift_s": 0.4},
        {"min_shift_s": 0.0001, "max_shift_s": 0.4},  # no frame
    ],
)
def test_what_cannot_be_asked_is_refused_by_the_flags_of_evaluate(trained, dataset, asked: dict[str, Any]):
    with pytest.raises(InputError, match=r"--(window|min-shift|max-shift)-s") as error:
        evaluate(trained, dataset, EvaluateConfig(split="test", **asked))
    assert "--pairs" not in str(error.value)


def test_the_same_question_gives_the_same_answer(trained, dataset):
    cards = [evaluate(trained, dataset, EvaluateConfig(split="val", batch=batch)).card for batch in (3, 7)]
    assert cards[0].accuracy == cards[1].accuracy
    assert cards[0].loss == pytest.approx(cards[1].loss, rel=1e-4)


def test_predictions_stand_in_the_order_of_the_clips_however_they_were_asked(trained, dataset):
    folders = [evaluate(trained, dataset, EvaluateConfig(split="test", batch=batch)).folder for batch in (2, 5)]
    with (folders[0] / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    index = open_dataset(dataset, "test").index
    keys = [open_dataset(dataset, "test").key(clip) for clip in range(len(index))]
    assert [row["clip"] for row in rows] == [key for key in keys for _ in range(2 * 2)]


def copy_with(dataset: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of the dataset whose dataset.json is changed."""
    shutil.copytree(dataset, folder)
    info = json.loads((folder / "dataset.json").read_text())
    change(info)
    (folder / "dataset.json").write_text(json.dumps(info))
    return folder


def test_answers_about_another_dataset_of_the_same_name_stand_beside_the_first(trained, dataset, tmp_path):
    config = EvaluateConfig(split="test", pairs_per_clip=1)
    other = Path(shutil.copytree(dataset, tmp_path / dataset.name))
    first, second, again = (evaluate(trained, folder, config).folder for folder in (dataset, other, dataset))
    assert (first.name, second.name, again) == ("dataset-test-step-4", "dataset-test-step-4-2", first)
    assert json.loads((second / "summary.json").read_text())["dataset"] == str(other)


@pytest.mark.parametrize(
    ("change", "trait"),
    [
        (lambda info: info["clock"].update(fps="5"), "trained with pictures a second 10, the dataset 5:"),
        (lambda info: info.update(fit="pad"), "trained with fit squash, the dataset pad:"),
        (
            lambda info: info.update(channels=2, fit="crop"),
            "trained with audio channels 1, the dataset 2; with fit squash, the dataset crop:",
        ),
    ],
)
def test_a_dataset_of_another_form_is_refused_by_what_differs(trained, dataset, tmp_path, change, trait):
    other = copy_with(dataset, tmp_path / "other", change)
    config = EvaluateConfig(split="test")
    with pytest.raises(InputError, match=f"does not fit this network, which was {trait} pack the videos"):
        evaluate(trained, other, config)


@pytest.mark.parametrize("name", ["[/x]", "[bold]guitar", "a$b_$c^", ":car:"])
def test_names_are_shown_as_they_are(trained, dataset, tmp_path, capsys, name):
    def rename(info: dict[str, Any]) -> None:
        info["actions"] = [name, *info["actions"][1:]]

    other = copy_with(dataset, tmp_path / name.replace("/", "|"), rename)
    split = "train"  # has clips of every action
    evaluate(trained, other, EvaluateConfig(split=split, pairs_per_clip=1))
    shown = capsys.readouterr().out
    assert name in shown
    assert other.name in shown.replace("\n", "")


def damage(dataset: Path, clips: int) -> None:
    """The first `clips` clips of the test split, in their shards."""
    split = open_dataset(dataset, "test")
    for clip in range(clips):
        with split.shard_path(clip).open("r+b") as shard:
            shard.seek(int(split.index.offset[clip]) + split.index.layout(clip).size // 2)
            shard.write(b"damage")


def test_clips_that_cannot_be_read_are_counted_once_and_said(trained, dataset, tmp_path, capsys):
    copy = Path(shutil.copytree(dataset, tmp_path / "copy"))
    whole = len(open_dataset(copy, "test").index)
    damage(copy, 2)
    card = evaluate(trained, copy, EvaluateConfig(split="test", pairs_per_clip=3)).card
    assert (card.clips, card.unreadable) == (whole - 2, 2)
    shown = " ".join(capsys.readouterr().out.split())
    assert "2 clips could not be read and count for nothing; the last: clip" in shown


def test_a_split_without_a_readable_clip_is_an_error_that_says_so(trained, dataset, tmp_path):
    copy = Path(shutil.copytree(dataset, tmp_path / "copy"))
    count = len(open_dataset(copy, "test").index)
    damage(copy, count)
    config = EvaluateConfig(split="test", pairs_per_clip=1)
    with pytest.raises(FormatError, match=rf"none of the {count} clips in split 'test' .*the last: clip .*pack the"):
        evaluate(trained, copy, config)


def test_a_missing_split_lists_those_there_are(trained, dataset, tmp_path):
    copy = copy_with(dataset, tmp_path / "copy", lambda info: info["clips"].update(test=0))
    with pytest.raises(InputError, match=r"no clips in split 'test'; it has train \(\d+ clips\), val \(\d+ clips\)"):
        evaluate(trained, copy, EvaluateConfig(split="test"))


def test_another_format_version_is_refused(trained, dataset, tmp_path):
    copy = copy_with(dataset, tmp_path / "copy", lambda info: info.update(format_version=99))
    with pytest.raises(Exception, match=r"has format version 99, this avsync reads 2: pack the videos again"):
        evaluate(trained, copy, EvaluateConfig(split="test"))


WHOLE = View.build(ViewConfig(crop=1.0), 48, 48)
HALF = View.build(ViewConfig(crop=0.5), 64, 64)


def meta_with(*boxes) -> ClipMeta:
    clock = Clock(fps=Fraction(10), sample_rate=8000)
    return ClipMeta(
        key="k", source="s", group="g", action="a", first_frame=0, frames=2, clock=clock, width=48, height=48,
        channels=1, boxes=(tuple(boxes), ()),
    )  # fmt: skip


def test_pointing_counts_hits_centre_and_chance():
    meta = meta_with((0.0, 0.0, 0.5, 0.5), (0.25, 0.0, 0.5, 0.5))  # the second lies within the first
    hit = point(Hottest(0, 0.1, 0.4), meta, 0, WHOLE)
    assert hit is not None
    assert (hit.hit, hit.centre_hit) == (True, True)
    assert hit.chance == pytest.approx(0.25, abs=0.01)
    miss = point(Hottest(0, 0.6, 0.4), meta, 0, WHOLE)
    assert miss is not None
    assert not miss.hit
    assert point(Hottest(1, 0.1, 0.1), meta, 0, WHOLE) is None  # no source is heard at that moment


def test_boxes_follow_the_central_crop():
    assert cropped(((0.25, 0.25, 0.5, 0.75),), HALF).tolist() == [[0.0, 0.0, 0.5, 1.0]]


def test_sources_beyond_the_crop_are_no_miss_but_no_question():
    beyond, inside = (0.0, 0.0, 0.2, 1.0), (0.25, 0.25, 0.5, 0.75)
    assert point(Hottest(0, 0.1, 0.4), meta_with(beyond), 0, HALF) is None
    both = point(Hottest(0, 0.1, 0.4), meta_with(beyond, inside), 0, HALF)
    assert both is not None
    assert both.hit
    assert both.chance == pytest.approx(0.5, abs=0.01)


def test_no_boxes_no_localisation():
    assert localisation([], np.array([], int)) is None


def test_loss_of_predictions_is_binary_cross_entropy():
    got = Predictions(
        clip=np.zeros(2, np.int64), shift=np.zeros(2, np.int64), in_sync=np.array([True, False]),
        logit=np.array([2.0, -1.0], np.float32),
    )  # fmt: skip
    assert got.loss == pytest.approx(np.mean([np.log1p(np.exp(-2)), np.log1p(np.exp(-1))]), rel=1e-5)
    assert got.hits.tolist() == [True, True]
    assert replace(got, logit=np.array([-2.0, -1.0], np.float32)).hits.tolist() == [False, True]
