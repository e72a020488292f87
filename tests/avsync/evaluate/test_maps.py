"""Maps against a truth known by construction: drawn from it they are perfect, flat ones score what is computed."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from avsync_settings import quick_config
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from avsync.config import EvaluateConfig
from avsync.data.order import View, batches_of_rank
from avsync.evaluate.controls import CONTROLS, AskedMap, MapExaminer, white
from avsync.evaluate.evaluate import evaluate
from avsync.evaluate.map_report import ALL, ALLOWED, OFF_SCREEN, MapReport, Threshold, choose, heat_under, report, unlit
from avsync.evaluate.pointing import STEPS, PointingResult, area, ciou, success
from avsync.evaluate.truth import CELLS, out_of_sight, truth_at
from avsync.honesty.swap import Examined, examined
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.models import build_model
from avsync.models.cam import MapReading
from avsync.models.parts import SyncNet, SyncOutput
from avsync.train.trainer import train
from sharding.config import PackConfig
from sharding.format.clip import ClipMeta, Clock
from sharding.pack.pack import pack
from sharding.scenes.config import CASES, SceneConfig
from sharding.scenes.generate import generate

WHOLE = View(height=40, width=40, crop_height=40, crop_width=40, out_height=40, out_width=40)
HALF = replace(WHOLE, crop_height=20, crop_width=20)
SIDE, STEPS_IN_TIME = CELLS, 5


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes of every case, packed in the form of the other tests' dataset."""
    folder = tmp_path_factory.mktemp("cases")
    config = SceneConfig(count=28, seconds=5, size=48, fps=10, sample_rate=8000, val_share=0.4, test_share=0.4)
    generate(folder / "scenes", replace(config, cases=",".join(CASES)))
    packed = PackConfig(fps="10", size=48, sample_rate=8000, min_clip_s="3", sources_per_shard=5, workers=2)
    pack(folder / "scenes" / "scenes.csv", folder / "dataset", packed)
    return folder / "dataset"


def meta_with(**truth: object) -> ClipMeta:
    return ClipMeta(
        key="a/00000000",
        source="a",
        group="a",
        action="x",
        first_frame=0,
        frames=2,
        clock=Clock(fps=Fraction(10), sample_rate=8000),
        width=40,
        height=40,
        channels=1,
        **truth,  # type: ignore[arg-type]
    )


BOX = (0.25, 0.25, 0.75, 0.5)
DIAMOND = (0.5, 0.25, 0.75, 0.375, 0.5, 0.5, 0.25, 0.375)


def test_a_mask_is_what_lies_inside_of_the_outline_else_of_the_box() -> None:
    box, both = meta_with(boxes=((BOX,), ())), meta_with(boxes=((BOX,), ()), masks=((DIAMOND,), ()))
    found = {name: truth_at(meta, 0, WHOLE) for name, meta in (("box", box), ("outline", both))}
    assert found["box"]
    assert found["outline"]
    assert found["box"].mask(400).mean() == pytest.approx(0.125, abs=0.002)
    assert found["outline"].mask(400).mean() == pytest.approx(0.0625, abs=0.002)
    assert found["box"].covers(0.26, 0.26)
    assert not found["outline"].covers(0.26, 0.26)
    for meta in (box, both):
        truth = truth_at(meta, 1, WHOLE)
        assert truth is not None
        assert not truth
        assert not truth.mask().any(), "known: nothing is in sight"
    assert truth_at(meta_with(), 0, WHOLE) is None, "nobody knows"


def test_masks_follow_the_central_crop() -> None:
    whole, seen = (truth_at(meta_with(boxes=((BOX,), ()), masks=((DIAMOND,), ())), 0, view) for view in (WHOLE, HALF))
    assert whole
    assert seen
    assert np.array_equal(seen.mask(32), whole.mask(64)[16:48, 16:48])


def test_out_of_sight_is_known_and_all_the_time() -> None:
    assert out_of_sight(meta_with(boxes=((), ())), range(2))
    assert not out_of_sight(meta_with(boxes=((), (BOX,))), range(2))
    assert out_of_sight(meta_with(boxes=((), (BOX,))), range(1))
    assert not out_of_sight(meta_with(), range(2))


def test_ciou_of_maps_whose_value_is_known() -> None:
    truth = np.zeros((8, 8), bool)
    truth[2:4, 2:6] = True
    assert ciou(truth.astype(float), truth) == 1
    assert ciou(5.0 * truth + 2.4 * ~truth, truth) == 1, "below half of the maximum nothing counts"
    assert ciou((~truth).astype(float), truth) == 0
    assert ciou(np.ones((8, 8)), truth) == 8 / 64
    assert ciou(np.zeros((8, 8)), truth) == 0
    half = truth & (np.arange(8) < 4)
    assert ciou(half.astype(float), truth) == 0.5
    assert ciou((truth | (np.arange(8)[:, None] == 0)).astype(float), truth) == 8 / 16
    consensus = 0.5 * truth
    assert ciou(np.ones((8, 8)), consensus) == 4 / (4 + 56), "annotators who agree half, as published"


def test_the_area_is_that_of_the_rates() -> None:
    assert area(np.ones(5)) == pytest.approx(1)
    assert area(np.zeros(5)) == pytest.approx(0.025), "at 0 every map succeeds"
    spread = np.linspace(0, 1, 10_001)
    assert area(spread) == pytest.approx(0.5, abs=0.001)
    assert success(np.array([0.05, 0.5, 0.55])).tolist() == [
        np.mean([one >= step - 1e-9 for one in (0.05, 0.5, 0.55)]) for step in STEPS
    ]


def asked(heat: float, *, off: bool = False, **controls: float) -> AskedMap:
    return AskedMap(group=int(1e6 * heat), case="", off_screen=off, heat=heat, controls=controls)


@pytest.mark.parametrize("seed", range(20))
def test_the_threshold_is_the_lowest_at_which_every_control_of_val_stays_dark_enough(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def draw(high: float) -> float:
        return float(rng.choice([0.0, round(rng.gamma(2, high), 1), rng.gamma(2, high)]))

    maps = [
        asked(draw(3), off=bool(rng.random() < 0.2), silence=draw(1), noise=draw(2), swap=draw(1)) for _ in range(50)
    ]

    def worst(threshold: float) -> float:
        return max((heat_under(name, its) >= threshold).mean() for name, its in unlit(maps).items())

    chosen = choose({MapReading(): maps}, "val")
    assert chosen.heat > 0, "a map without heat is never lit"
    assert worst(chosen.heat) <= ALLOWED
    below = max(heat for one in maps for heat in (one.heat, *one.controls.values()) if heat < chosen.heat)
    assert not below or worst(below) > ALLOWED


def test_what_is_lit_and_right_is_counted_as_it_is_said() -> None:
    hit, miss = (PointingResult(hit=hit, centre_hit=False, chance=0.1) for hit in (True, False))
    maps = [
        replace(asked(2.0, silence=0.0, noise=3.0, swap=1.0), case="a", point=hit, ciou=0.6),
        replace(asked(0.5, silence=0.0, noise=3.0, swap=0.5), case="a", point=hit, ciou=0.4),
        replace(asked(3.0, silence=0.0, noise=0.5, swap=0.5), case="a", point=miss, ciou=0.0),
        replace(asked(4.0, silence=0.0, noise=0.5), case="b"),
        replace(asked(1.0, off=True, silence=0.0, noise=0.5, swap=0.5), case=OFF_SCREEN),
        replace(asked(0.9, off=True, silence=0.0, noise=0.5, swap=0.5), case=OFF_SCREEN),
    ]
    got = report(maps, Threshold(heat=1.0, split="val", maps=9))
    assert got
    assert {one.control: (one.lit.value, one.lit.count) for one in got.false} == {
        "silence": (0, 6),
        "noise": (2 / 6, 6),
        "swap": (1 / 5, 5),
        OFF_SCREEN: (1 / 2, 2),
    }
    rows = {row.name: row for row in got.cases}
    assert [(row.right.value, row.right.count, row.lit.value) for row in (rows["all"], rows["a"])] == [
        (2 / 5, 5, 4 / 6),
        (1 / 3, 3, 2 / 3),
    ]
    assert rows["b"].right.count == 0, "beyond the crop nothing is right or wrong"
    assert rows[OFF_SCREEN].right.value == 1 / 2
    assert rows["a"].hottest
    assert rows["a"].found
    assert (rows["a"].hottest.value, rows["a"].found.value) == (2 / 3, 1 / 3)


def test_noise_is_as_loud_as_the_sound_and_the_same_again() -> None:
    sounds = (
        torch.randn(3, 1, 8000, generator=torch.Generator().manual_seed(0))
        * torch.tensor([0.01, 0.1, 0])[:, None, None]
    )
    noise = white(sounds, [4, 5, 6])
    assert torch.allclose(noise.std(dim=2), sounds.std(dim=2), rtol=0.05)
    assert torch.equal(noise[1:], white(sounds[1:], [5, 6]))
    assert not torch.allclose(noise[0], white(sounds[:1], [5])[0])


class Drawn(SyncNet):
    """Knows a picture's own sound by its number, and draws the map that it was given of it."""

    def __init__(self, other: float) -> None:
        torch.nn.Module.__init__(self)
        self.other = other
        self.audio = lambda sounds: torch.full((len(sounds), 1, 1), -1.0)  # silence and noise are no picture's own

    def fuse(self, seen: Tensor, heard: Tensor) -> SyncOutput:
        """seen: (N, 2, t, h, w), the picture's number and the map of its own sound; heard: (N, 1, 1)."""
        own = seen[:, 0] == heard[..., None]
        cam = torch.where(own, seen[:, 1], self.other * seen[:, 1].abs().amax().clamp_min(1))
        return SyncOutput(torch.zeros(len(seen), 1), cam[:, None])


Draw = Callable[[NDArray[np.bool_]], NDArray[np.generic]]


def drawn_maps(folder: Path, split: str, draw: Draw, other: float) -> dict[MapReading, list[AskedMap]]:
    """Answers about real batches of a network that draws each own sound's map by its true masks."""
    feed = Feed.open(folder, split, quick_config().pairs, quick_config().view)
    examiner = MapExaminer(Drawn(other), feed, read=lambda cam, *_: cam.relu())
    for got in real_answers(feed):
        batch = got.answer.batch
        frames, (clips, sounds) = got.answer.given.frames.shape[2], batch.in_sync.shape
        seen = torch.zeros(clips, 2, STEPS_IN_TIME, SIDE, SIDE)
        for row, (meta, its) in enumerate(zip(batch.metas, batch.draws, strict=True)):
            seen[row, 0] = row
            for step in range(STEPS_IN_TIME if meta else 0):
                assert meta
                moment = its.pair.picture + int((step + 0.5) * frames / STEPS_IN_TIME)
                truth = truth_at(meta, moment, feed.view)
                assert truth is not None
                seen[row, 1, step] = torch.from_numpy(draw(truth.mask()).astype(np.float32))
        cam = seen[:, 1, None].expand(-1, sounds, -1, -1, -1)
        heard = torch.arange(clips).repeat_interleave(sounds).float()[:, None, None]
        answer = got.answer._replace(output=SyncOutput(got.answer.output.logit, cam))
        examiner.ask(got._replace(answer=answer, seen=seen, heard=heard))
    return examiner.answers


def real_answers(feed: Feed) -> Iterator[Examined]:
    network = build_model("small", feed.spec()).eval()
    rows = batches_of_rank(feed.fixed_draws(feed.clips, 1), 4, 0, 1)
    with feed.loader(LoaderOptions(workers=1)) as loader:
        yield from examined(network, loader.batches(rows), feed.view, 0, feed.dataset.index.group)


def found(folder: Path, draw: Draw, other: float = 0.0) -> MapReport:
    maps = {split: drawn_maps(folder, split, draw, other) for split in ("val", "test")}
    threshold = choose(maps["val"], "val")
    got = report(maps["test"][threshold.reading], threshold)
    assert got is not None
    assert {row.name for row in got.cases} == {"all", *CASES}
    assert {one.control for one in got.false} == {*CONTROLS, OFF_SCREEN}
    return got


def test_a_map_drawn_from_the_mask_is_perfect_and_never_false(cases: Path) -> None:
    got = found(cases, lambda mask: mask)
    assert {one.lit.value for one in got.false} == {0}
    assert got.separation == 1
    for row in got.cases:
        assert row.right.value == 1
        if row.name == OFF_SCREEN:
            assert row.ciou is None
            assert row.lit.value == 0
        else:
            assert row.ciou
            assert row.hottest
            assert (row.ciou.value, row.hottest.value) == (1, 1)
            assert row.auc == pytest.approx(1)


def test_a_flat_map_covers_the_picture_and_tells_nothing(cases: Path) -> None:
    got = found(cases, lambda mask: np.ones_like(mask), other=1.0)
    assert got.separation == 0.5
    assert {one.lit.value for one in got.false} == {row.lit.value for row in got.cases} == {0}
    whole = got.cases[0]
    assert whole.ciou
    assert 0.01 < whole.ciou.value < 0.15, "as much as is covered by what sounds"
    assert {row.right.value for row in got.cases if row.name not in (ALL, OFF_SCREEN)} == {0}


def test_a_map_without_heat_is_right_only_off_screen(cases: Path) -> None:
    got = found(cases, lambda mask: np.zeros_like(mask))
    for row in got.cases[1:]:
        assert row.right.value == (row.name == OFF_SCREEN)
        assert row.lit.value == 0
    assert {one.lit.value for one in got.false} == {0}


@pytest.mark.parametrize(("other", "lit"), [(0.5, 1), (1.0, 0)])
def test_a_map_that_is_as_hot_under_controls_is_never_lit(cases: Path, other: float, lit: float) -> None:
    got = found(cases, lambda mask: mask, other)
    assert {row.lit.value for row in got.cases if row.name in ("single", "several", "alike")} == {lit}
    assert {one.lit.value for one in got.false} == {0}


def test_evaluate_writes_what_it_found_by_case_with_pictures(cases: Path, dataset: Path, tmp_path: Path) -> None:
    train(dataset, tmp_path / "run", replace(quick_config(), steps=4, validate_every=4))
    result = evaluate(tmp_path / "run", cases, EvaluateConfig(pairs_per_clip=1))
    got = result.card.maps
    assert got
    assert got.threshold.split == "val"
    with (result.folder / "by_case.csv").open() as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"all", *CASES}
    assert int(rows["all"]["maps"]) == sum(int(rows[case]["maps"]) for case in CASES)
    assert float(rows["alike"]["right"]) == got.cases[1].right.value
    with (result.folder / "false_maps.csv").open() as file:
        assert {row["control"]: float(row["lit"]) for row in csv.DictReader(file)} == {
            one.control: one.lit.value for one in got.false
        }
    for name in ("maps.png", "maps-sheet.png"):
        with Image.open(result.folder / name) as picture:
            assert min(picture.size) > 300
    written = json.loads((result.folder / "summary.json").read_text())["maps"]
    assert written["threshold"]["heat"] == got.threshold.heat
    plain = evaluate(tmp_path / "run", dataset, EvaluateConfig(pairs_per_clip=1, split="val")).card.maps
    assert plain
    assert [row.name for row in plain.cases] == ["all"], "boxes alone are asked about, too"
    assert plain.threshold.split == "val"
