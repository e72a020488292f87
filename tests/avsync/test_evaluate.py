"""The figures of an evaluation are those of its predictions, and the pointing game counts what it says."""

import csv
import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from avsync_settings import quick_config
from PIL import Image

from avsync.cam import Hottest
from avsync.config import EvaluateConfig
from avsync.draw import View
from avsync.evaluate import evaluate
from avsync.pointing import cropped, point
from avsync.predict import Predictions
from avsync.scorecard import localisation
from avsync.trainer import train
from sharding.clip import ClipMeta, Clock
from sharding.errors import InputError


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    run = tmp_path_factory.mktemp("evaluated") / "run"
    train(dataset, run, replace(quick_config(), steps=4, validate_every=4))
    return run


def test_tables_files_and_plot_agree(trained, dataset):
    card = evaluate(trained, dataset, EvaluateConfig(split="test", pairs_per_clip=3))
    folder = trained / "evaluation" / "dataset-test"
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
    assert card.shifts[0].name == "in sync"
    assert sum(row.accuracy.count for row in card.shifts) == len(rows)
    assert all(abs(float(row["shift_s"])) >= 1 for row in rows if row["in_sync"] == "0")
    assert json.loads((folder / "summary.json").read_text())["accuracy"]["count"] == len(rows)
    with Image.open(folder / "plot.png") as plot:
        assert min(plot.size) > 300
    assert card.localisation is not None
    assert 0 < card.localisation.chance < 0.5


def test_the_same_question_gives_the_same_answer(trained, dataset):
    cards = [evaluate(trained, dataset, EvaluateConfig(split="val", batch=batch)) for batch in (3, 7)]
    assert cards[0].accuracy == cards[1].accuracy
    assert cards[0].loss == pytest.approx(cards[1].loss, rel=1e-4)


def test_a_dataset_of_another_shape_is_refused(trained, scenes, tmp_path):
    from sharding.config import PackConfig
    from sharding.pack import pack

    pack(scenes / "scenes.csv", tmp_path / "other", PackConfig(fps="5", size=48, sample_rate=8000, min_clip_s="3"))
    with pytest.raises(InputError, match="does not fit this network"):
        evaluate(trained, tmp_path / "other", EvaluateConfig(split="test"))


def test_a_missing_split_lists_those_there_are(trained, dataset, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    info = json.loads((copy / "dataset.json").read_text())
    info["clips"]["test"] = 0
    (copy / "dataset.json").write_text(json.dumps(info))
    with pytest.raises(InputError, match=r"no clips in split 'test'; it has train \(\d+ clips\), val \(\d+ clips\)"):
        evaluate(trained, copy, EvaluateConfig(split="test"))


def test_another_format_version_is_refused(trained, dataset, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    info = json.loads((copy / "dataset.json").read_text())
    (copy / "dataset.json").write_text(json.dumps(info | {"format_version": 99}))
    with pytest.raises(Exception, match=r"has format version 99, this avsync reads 1: pack the videos again"):
        evaluate(trained, copy, EvaluateConfig(split="test"))


WHOLE = View(height=48, width=48, crop_height=48, crop_width=48)


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
    view = View(height=64, width=64, crop_height=32, crop_width=32)
    assert cropped(((0.25, 0.25, 0.5, 0.75),), view).tolist() == [[0.0, 0.0, 0.5, 1.0]]


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
