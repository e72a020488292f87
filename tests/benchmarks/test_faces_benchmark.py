"""The comparison on faces: sizes and losses are the papers', all learn and are asked alike, and the table says it."""

import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avsync.data.batch import Batch
from avsync.data.order import Draw
from avsync.data.pairs import Pair, SoundWindow
from avsync.data.transforms import prepare
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.train.step import build_optimizer
from benchmarks.base.runner import Rounds
from benchmarks.faces.candidate import WANTED, Candidate, Losses, check_clock
from benchmarks.faces.judge import OFFSETS_MS, Verdict, judge, named, offsets_of, open_unseen, unseen
from benchmarks.faces.race import BELOW, LOOK, RECIPES, Entry, Outcome, Point, left_at, one_step, planned, run
from benchmarks.faces.report import table
from benchmarks.faces.stretches import TwoStreams
from benchmarks.faces.syncnet import MARGIN, SyncNet2016, contrastive
from benchmarks.faces.unsteady import CHANGES, JITTER, SMOOTH, jittered, shown, steady
from benchmarks.train.feed import kept, rows_of
from sharding.base.files import to_json
from sharding.base.text import percent
from sharding.config import PackConfig
from sharding.errors import UsageError
from sharding.pack.pack import pack
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import generate

ROOT = Path(__file__).parents[2]
RIVALS = sorted(RECIPES.keys() - {"ours"})


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes as the benchmark wants its faces: 25 pictures a second, 16 kHz."""
    folder = tmp_path_factory.mktemp("faces")
    look = SceneConfig(count=44, seconds=2.6, size=48, fps=25, lookalikes=0)
    scenes = generate(folder / "scenes", look).table
    settings = PackConfig(
        fps="25",
        size=48,
        sample_rate=16_000,
        min_clip_s="2.5",
        trim_s="0",
        codec="raw",
        workers=1,
        sources_per_shard=64,
    )
    pack(scenes, folder / "dataset", settings)
    return folder / "dataset"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def opened(name: str, dataset: Path, batch: int = 2) -> tuple[Candidate, Batch, Feed]:
    """A candidate with its first weights, and a batch of its own."""
    config = replace(RECIPES[name].config, batch=batch)
    feed = Feed.open(dataset, "train", config.pairs, config.view)
    torch.manual_seed(0)
    candidate = RECIPES[name].build(config, feed)
    with feed.loader(LoaderOptions(workers=1)) as loader:
        given = kept(next(loader.batches(islice(rows_of(feed, batch), 1))))
    return candidate, given, feed


@pytest.mark.parametrize("name", RECIPES)
def test_everybody_lowers_the_loss_of_a_batch_by_its_own_step(name: str, faces: Path) -> None:
    candidate, batch, _ = opened(name, faces)
    config = RECIPES[name].config
    optimizer = build_optimizer(candidate.parameters(), replace(config.optim, lr=1e-3))
    candidate.train()
    losses = [one_step(candidate, optimizer, batch, 0, config.optim.clip_norm) for _ in range(5)]
    assert all(map(math.isfinite, losses))
    assert min(losses[-2:]) < losses[0]
    assert losses[0] < 4 * candidate.level, "it begins somewhere near who knows nothing"


@pytest.mark.parametrize("name", RECIPES)
@torch.no_grad()
def test_an_answer_about_a_sound_does_not_depend_on_what_else_is_asked(name: str, faces: Path) -> None:
    candidate, _, feed = opened(name, faces)
    candidate.eval()
    samples = feed.dataset.info.clock.sample_at(1)
    pictures, side = 17, feed.view.out_height
    frames = torch.rand(2, 3, pictures, side, side) * 2 - 1
    long = torch.rand(2, 1, (pictures + 3) * samples) * 2 - 1
    sounds = torch.stack([long[..., at * samples : (at + pictures) * samples] for at in (0, 1, 3)], dim=1)
    together = candidate.score(frames, sounds)
    assert together.shape == (2, 3)
    for number in range(3):
        alone = candidate.score(frames[1:], sounds[1:, number : number + 1])
        assert torch.allclose(alone[0, 0], together[1, number], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", RIVALS)
@torch.no_grad()
def test_a_window_is_the_mean_of_its_stretches(name: str, faces: Path) -> None:
    candidate, _, feed = opened(name, faces)
    assert isinstance(candidate, TwoStreams)
    candidate.eval()
    pictures, samples, side = candidate.pictures, candidate.samples, feed.view.out_height
    frames = torch.rand(1, 3, pictures + 1, side, side) * 2 - 1
    sounds = torch.rand(1, 1, 1, (pictures + 1) * samples) * 2 - 1
    each = [
        candidate.score(frames[:, :, at : at + pictures], sounds[..., at * samples : (at + pictures) * samples])
        for at in (0, 1)
    ]
    assert torch.allclose(candidate.score(frames, sounds), torch.stack(each).mean(dim=0), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", RIVALS)
def test_who_knows_nothing_does_no_better_than_the_level(name: str, faces: Path) -> None:
    candidate, _, _ = opened(name, faces)
    assert isinstance(candidate, TwoStreams)
    answers = -torch.linspace(0, 2 * MARGIN, 801) if name == "syncnet" else torch.linspace(0, 1, 801)
    same = [float(candidate.loss(answer.expand(2), torch.tensor([1.0, 0.0]))) for answer in answers]
    assert min(same) == pytest.approx(candidate.level, rel=1e-3)


def test_the_contrastive_loss_has_the_values_of_its_definition() -> None:
    assert contrastive(torch.tensor([0.0]), torch.tensor([1.0])) == 0
    assert contrastive(torch.tensor([3.0]), torch.tensor([1.0])) == 4.5
    assert contrastive(torch.tensor([0.0]), torch.tensor([0.0]), 2.0) == 2
    assert contrastive(torch.tensor([2.5]), torch.tensor([0.0]), 2.0) == 0, "further apart than the margin is enough"
    assert contrastive(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 0.0]), 2.0) == pytest.approx((9 + 1) / 4)


def test_both_papers_sizes_are_met(faces: Path) -> None:
    candidate, _, feed = opened("syncnet", faces)
    assert isinstance(candidate, SyncNet2016)
    assert feed.spec().frames == candidate.pictures == 5
    assert (feed.view.out_height, feed.view.out_width) == (111, 111)
    sound = torch.rand(2, feed.spec().samples)
    assert candidate.mfcc(sound)[..., :20].shape == (2, 13, 20)
    assert candidate.see(torch.rand(2, 3, 5, 111, 111)).shape == candidate.hear(sound).shape == (2, 256)
    stable, _, feed = opened("stablesync", faces)
    assert feed.spec().frames == 16
    assert stable.get_submodule("mel")(torch.rand(2, feed.spec().samples)).shape == (2, 80, 52)


def test_everybody_sees_the_same_clips_and_laws() -> None:
    configs = [recipe.config for recipe in RECIPES.values()]
    assert len({(config.pairs.law, config.pairs.min_shift_s, config.pairs.max_shift_s) for config in configs}) == 1
    assert len({config.view.crop for config in configs}) == 1


@pytest.mark.parametrize("frames", [47, 58, 75])
def test_of_two_sounds_either_is_as_often_the_right_one(frames: int) -> None:
    sampler = offsets_of(RECIPES["ours"].config.pairs, WANTED)
    assert sorted(sampler.shifts) == sorted(sign * ms // 40 for ms in OFFSETS_MS for sign in (-1, 1))
    assert sampler.shortest() == 47
    ways = sampler.ways(frames)
    asked = Counter(zip(ways.picture[~ways.in_sync].tolist(), ways.sound[~ways.in_sync].tolist(), strict=True))
    assert set(asked.values()) == {1}
    assert all((sound, picture) in asked for picture, sound in asked)
    assert {abs(sound - picture) for picture, sound in asked} == {abs(shift) for shift in sampler.shifts}
    assert float((ways.ways / ways.of).sum()) == pytest.approx(1)
    dice, drawn, starts = np.random.default_rng(0), set[tuple[int, int]](), Counter[int]()
    for _ in range(1000):
        pair = sampler(frames, dice)
        own, *others = pair.sounds
        starts[pair.picture] += 1
        assert len(pair.sounds) == sampler.sounds
        assert own.in_sync
        assert all((sound.frame == pair.picture) == sound.in_sync for sound in pair.sounds)
        drawn |= {(pair.picture, sound.frame) for sound in others if not sound.in_sync}
    assert drawn == set(asked)
    assert starts.keys() == set(range(frames - sampler.window + 1))


def test_who_goes_by_the_sound_alone_is_at_chance(faces: Path) -> None:
    feed = open_unseen(faces, "train", RECIPES["ours"].config.view)
    assert judge(Loudest(), feed, 8).choice["400 ms"] == pytest.approx(0.5, abs=0.12)


class Loudest(Candidate):
    """Knows no picture."""

    level = 0.0

    def losses(self, batch: Batch, step: int) -> Losses:
        raise NotImplementedError

    def score(self, frames: torch.Tensor, sounds: torch.Tensor) -> torch.Tensor:
        return sounds.square().mean(dim=(2, 3))


def test_judged_are_speakers_that_were_not_trained_on_where_there_are_any(faces: Path) -> None:
    clips, action = np.array([4, 5, 9]), np.array([0, 2, 2])
    assert unseen(clips, action, np.array([0, 1])).tolist() == [5, 9]
    assert unseen(clips, action, np.array([0, 1, 2])).tolist() == [4, 5, 9]
    feed = open_unseen(faces, "val", RECIPES["ours"].config.view)
    assert len(feed.clips) > 0


def curve(*losses: float) -> list[Point]:
    return [Point(10.0 * (number + 1), loss) for number, loss in enumerate(losses)]


@pytest.mark.parametrize(
    ("losses", "left"),
    [
        ([0.5] * LOOK, 10 * LOOK),
        ([0.5] * (LOOK - 1), None),
        ([1.0] * 50, None),
        ([1.0] * 30 + [0.0] * LOOK, 320),  # two of twenty at 0 are 10 % below
        ([0.5] * 30 + [1.0] * LOOK, None),  # it came back
        ([1.0] * LOOK + [math.nan] * LOOK, None),
    ],
)
def test_chance_is_left_where_the_mean_over_some_steps_stays_below(losses: list[float], left: float | None) -> None:
    assert left_at(curve(*losses), 1.0) == left
    assert left_at(curve(*(3 * loss for loss in losses)), 3.0) == left


def test_the_rate_falls_as_if_the_number_of_steps_had_been_known() -> None:
    config = RECIPES["ours"].config
    assert planned(0, 0, config) > config.optim.warmup_steps
    assert planned(100, 0.25, config) == 401
    assert planned(400, 1.0, config) == 401


def test_another_clock_is_refused_in_a_line_with_what_to_do() -> None:
    check_clock(WANTED, "crops")
    for other in (replace(WANTED, fps=Fraction(30)), replace(WANTED, sample_rate=8000)):
        seen = f"crops has {other.fps} pictures a second and {other.sample_rate} Hz, "
        with pytest.raises(UsageError, match=f"^{seen}the benchmark needs 25 and 16000: pack it with --fps 25"):
            check_clock(other, "crops")


def outcome(left_s: float | None, right: float) -> Outcome:
    verdict = Verdict(choice=dict.fromkeys(map(named, OFFSETS_MS), right), pairs=160, clips=20, forward_ms=21.4)
    return Outcome(verdict=verdict, curve=(Point(1.0, 0.5),), left_s=left_s, level=1.0, parameters=898_354)


def test_the_table_has_a_row_for_each_recipe_and_hides_no_seed() -> None:
    rounds = Rounds[Any, Outcome]()
    for left_s, right in ((50.0, 0.9), (None, 0.7), (70.0, 0.8)):
        rounds.add("ours", outcome(left_s, right))
    rounds.add("syncnet", None)
    rounds.troubles["syncnet"] = "out of memory"
    found = table(rounds)
    ours, syncnet = (dict(zip(found.columns, row, strict=True)) for row in found.rows)
    assert ours["way"] == RECIPES["ours"].title
    assert ours["CPU s to leave chance"] == "60 [50 to 70] (2 of 3)"
    assert ours["40 ms"] == "80.0 % [70.0 % to 90.0 %]"
    assert (ours["CPU ms a window"], ours["parameters, M"]) == ("21", "0.90")
    assert "out of memory" in syncnet.values()
    assert f"stays {percent(1 - BELOW, 0)} below" in found.note
    assert "160 and more at each offset, of 20 clips" in found.note
    assert json.loads(to_json(rounds.by_name()))["ours"][2]["verdict"]["choice"]["400 ms"] == 0.8


def test_a_candidate_is_trained_for_its_time_and_judged(faces: Path) -> None:
    entry = Entry(name="ours", dataset=faces, seed=1, cpu_s=1.5, split="val", windows=1)
    found = run(entry)
    assert found.steps >= 1
    assert found.curve[-1].cpu_s >= 1.5
    assert found.verdict.choice.keys() == set(map(named, OFFSETS_MS))
    assert all(0 <= share <= 1 for share in found.verdict.choice.values())
    assert 0 < found.verdict.pairs <= 2 * found.verdict.clips
    assert found.verdict.forward_ms > 0


@pytest.mark.slow
def test_one_command_trains_who_is_named_and_writes_the_table(faces: Path, tmp_path: Path) -> None:
    page, figures, names = tmp_path / "faces.md", tmp_path / "faces.json", ["ours", "stablesync"]
    command = [sys.executable, "-m", "benchmarks.faces", faces, "--minutes", "0.02", "--windows", "1"]
    command += ["--only", *names, "--markdown", page, "--json", figures]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(f"| {RECIPES[name].title} |" in page.read_text() for name in names)
    assert list(json.loads(figures.read_text())["figures"]) == names


def test_a_steady_crop_is_what_training_shows_and_each_change_is_another_picture_of_the_same_sound(faces: Path) -> None:
    _, batch, feed = opened("ours", faces)
    given = prepare(batch, feed.view)
    pictures = {name: shown(change, batch, feed.view) for name, change in CHANGES.items()}
    again = {name: shown(change, batch, feed.view).frames for name, change in CHANGES.items()}
    assert all(torch.equal(one.frames, again[name]) for name, one in pictures.items()), "the same every time"
    assert all(torch.equal(one.sounds, given.sounds) for one in pictures.values())
    steady = pictures.pop("steady").frames
    edge = 2  # resampled in another order there
    assert (steady - given.frames)[..., edge:-edge, edge:-edge].abs().mean() < 0.02
    assert all((one.frames - steady).abs().mean() > 0.01 for one in pictures.values())


def test_a_jitter_is_as_far_as_it_says_and_a_wandering_one_as_far_but_slower(faces: Path) -> None:
    _, _, feed = opened("ours", faces)
    draws = [Draw(clip, Pair(0, (SoundWindow(0, 0, True),)), 0, 0, False) for clip in range(300)]
    plain = steady(draws, 40)
    for over in (1, SMOOTH):
        move = jittered(plain, feed.view, over).move * feed.view.crop_width / (2 * feed.view.width)  # of the whole side
        assert move.std() == pytest.approx(JITTER, rel=0.05)
        step = np.diff(move, axis=1).std()
        assert step == pytest.approx(JITTER * np.sqrt(2 / over), rel=0.1)
