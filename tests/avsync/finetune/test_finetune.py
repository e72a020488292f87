"""The parts of a comparison: features for a task, clips and classes, and numbers that do not promise too much."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from avsync_settings import quick_config
from torch import nn

from avsync.config import TrainConfig
from avsync.data.pairs import InSync
from avsync.data.selection import Selection
from avsync.data.transforms import NetworkInput
from avsync.finetune.arms import Arm, PooledFeatures, TaskNet
from avsync.finetune.compare import compare, difference, mean_of_classes
from avsync.finetune.config import FINETUNE_PRESETS, TASK_NAMES, ArmName, FinetuneConfig
from avsync.finetune.out_folder import Begun
from avsync.finetune.presentation import COLORS, comparison_plot
from avsync.finetune.scoring import ArmAnswers
from avsync.finetune.task import TASKS, Splits
from avsync.models import MODELS, build_model
from avsync.models.embedding import CosineFusion
from avsync.models.parts import CamHead
from avsync.train.step import build_optimizer
from sharding.errors import InputError
from sharding.format.dataset import open_dataset
from sharding.format.index import INDEX
from tests.avsync.models.test_models import inputs, on_meta, tiny

POOLED = [name for name in MODELS if name != "embedding"]
"""Networks that end in features of picture and sound together."""


def test_a_network_without_a_head_gives_what_it_compares() -> None:
    spec = tiny("embedding")
    network = build_model("embedding", spec).eval()
    frames, sounds = inputs(spec, clips=2, per_clip=1)
    fusion = network.fused
    assert isinstance(fusion, CosineFusion)
    with torch.no_grad():
        task = TaskNet(network, 3, frozen=True).eval()
        seen, heard = task.trunk.video(frames), task.trunk.audio(sounds.flatten(0, 1))
        features = fusion.features(seen, heard)
        assert task(frames, sounds).shape == (2, 3)
        assert torch.allclose(task.trunk.fused(seen, heard), features.mean(dim=(2, 3, 4)))
    whole, sound, product = features.flatten(2).chunk(3, dim=1)
    assert torch.allclose(whole.norm(dim=1), torch.ones(len(whole), whole.shape[2]), atol=1e-4)
    assert torch.allclose(whole * sound, product)


@pytest.mark.parametrize("name", POOLED)
def test_every_network_gives_the_features_that_its_own_head_looked_at(name: str) -> None:
    spec = tiny(name)
    network = build_model(name, spec).eval()
    frames, sounds = inputs(spec, clips=1, per_clip=1)
    head = network.fused.head
    assert isinstance(head, CamHead)
    with torch.no_grad():
        logit = network(frames, sounds).logit
        task = TaskNet(network, 3, frozen=True).eval()
        features = task.trunk.fused(task.trunk.video(frames), task.trunk.audio(sounds.flatten(0, 1)))
        assert task(frames, sounds).shape == (1, 3)
    assert isinstance(network.fused.head, PooledFeatures)
    assert torch.allclose(head.linear(features), logit, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_every_network_tells_as_many_classes_as_it_is_asked_to(name: str) -> None:
    spec = tiny(name)
    with torch.device("meta"):
        task = TaskNet(on_meta(name, spec), 7, frozen=False).eval()
    assert task(*inputs(spec, clips=2, per_clip=1, device="meta")).shape == (2, 7)


def arm_of(*, frozen: bool) -> Arm:
    torch.manual_seed(0)
    network = TaskNet(build_model("small", tiny("small")), 2, frozen=frozen)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    config = small_config()
    return Arm("frozen" if frozen else "learned", network, build_optimizer(weights, config.optim))


def small_config() -> FinetuneConfig:
    return FINETUNE_PRESETS["small"]()


def some_clips() -> tuple[NetworkInput, torch.Tensor, torch.Tensor]:
    labels = torch.tensor([0, 1] * 3)
    return NetworkInput(*inputs(tiny("small"), clips=6, per_clip=1)), labels, torch.ones(6, dtype=torch.bool)


def test_a_frozen_trunk_keeps_every_number_and_its_last_layer_learns() -> None:
    arm, config = arm_of(frozen=True), small_config()
    before = {name: value.clone() for name, value in arm.network.state_dict().items()}
    arm.step(*some_clips(), 1e-2, config)
    after = arm.network.state_dict()
    changed = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {"norm", "linear"}


def test_an_arm_learns_a_handful_of_clips_by_heart() -> None:
    arm, clips, config = arm_of(frozen=False), some_clips(), small_config()
    sums = [arm.step(*clips, 3e-3, config) for _ in range(25)]
    assert sums[-1][0] < 0.3 * sums[0][0]
    assert sums[-1].tolist()[1:] == [6, 6]


def test_clips_that_could_not_be_read_change_neither_sums_nor_gradients() -> None:
    seen, labels, valid = some_clips()
    valid[2:] = False
    arms = [arm_of(frozen=True) for _ in range(2)]
    for arm in arms:
        arm.network.norm = nn.Identity()  # batch norm looks at all clips of a batch, here as in every network
    sums = arms[0].step(seen, labels, valid, 1e-2, small_config())
    other = arms[1].step(NetworkInput(seen.frames[:2], seen.sounds[:2]), labels[:2], valid[:2], 1e-2, small_config())
    assert torch.allclose(sums, other)
    assert torch.allclose(arms[0].network.linear.weight, arms[1].network.linear.weight, atol=1e-6)


def test_windows_are_in_sync_lie_in_the_clip_and_need_no_room_for_a_shift() -> None:
    law, rng = InSync(window=20), np.random.default_rng(0)
    starts = set()
    for _ in range(200):
        pair = law(24, rng)
        assert [(sound.frame, sound.roll, sound.in_sync) for sound in pair.sounds] == [(pair.picture, 0, True)]
        starts.add(pair.picture)
    assert starts == {0, 1, 2, 3, 4}
    assert law(law.shortest(), rng).picture == 0
    assert set(law.ways(24).picture) == starts


def opened(folder: Path, config: TrainConfig, clips: int = 0) -> Splits[Selection]:
    """As somebody opens it who reads no clip."""
    return Splits.open(folder, "action", config, clips, lambda chosen: chosen)


def test_clips_too_short_for_a_shift_are_used(dataset: Path) -> None:
    frames = open_dataset(dataset, "train").index.frames
    config = replace(quick_config(), pairs=replace(quick_config().pairs, window_s=float(frames.min()) / 10))
    splits = opened(dataset, config)
    assert len(splits.feeds["train"].clips) == len(frames)
    assert len(splits.classes) > 1


def relabelled(dataset: Path, folder: Path, split: str, action: int) -> Path:
    """A copy in which every clip of a split shows one action."""
    copy = Path(shutil.copytree(dataset, folder))
    index = open_dataset(copy, split).index
    replace(index, action=np.full_like(index.action, action)).save(copy / split / INDEX)
    return copy


def test_one_action_alone_is_refused(dataset: Path, tmp_path: Path) -> None:
    copy = relabelled(dataset, tmp_path / "copy", "train", 1)
    name = open_dataset(copy, "train").info.actions[1]
    with pytest.raises(InputError, match=rf"'train' of .*copy has clips of one action only, '{name}': .*at least two"):
        opened(copy, quick_config())


def test_an_action_that_is_not_trained_on_is_refused_by_name(dataset: Path, tmp_path: Path) -> None:
    copy = relabelled(dataset, tmp_path / "copy", "test", 0)
    index = open_dataset(copy, "train").index
    others = np.where(index.action == 0, 1 + index.action % 2, index.action).astype(np.int32)
    others[0] = 2
    others[1] = 1
    replace(index, action=others).save(copy / "train" / INDEX)
    val = open_dataset(copy, "val").index
    replace(val, action=np.ones_like(val.action)).save(copy / "val" / INDEX)
    name = open_dataset(copy, "train").info.actions[0]
    with pytest.raises(InputError, match=rf"split 'test' of .* 1 action that split 'train' has none of \({name}\)"):
        opened(copy, quick_config())


def test_a_missing_split_is_told_with_what_it_is_for(dataset: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(dataset, tmp_path / "copy"))
    info = json.loads((copy / "dataset.json").read_text())
    info["clips"]["val"] = 0
    (copy / "dataset.json").write_text(json.dumps(info))
    with pytest.raises(InputError, match=r"all three splits are needed, split 'val' picks the checkpoint: .* no clips"):
        opened(copy, quick_config())


def test_a_window_longer_than_every_clip_is_refused_with_both_lengths(dataset: Path) -> None:
    config = replace(quick_config(), pairs=replace(quick_config().pairs, window_s=9.0))
    with pytest.raises(InputError, match=r"no clip in split 'train' .* window of 9\.00 s; the longest has 4\.\d+ s"):
        opened(dataset, config)


def test_fewer_clips_to_train_on_are_always_the_same_ones(dataset: Path) -> None:
    few, again, all_of_them = (opened(dataset, quick_config(), count) for count in (12, 12, 0))
    clips = few.feeds["train"].clips
    assert len(clips) == 12
    assert set(clips) < set(all_of_them.feeds["train"].clips)
    assert clips.tolist() == again.feeds["train"].clips.tolist()
    assert len(few.feeds["test"].clips) == len(all_of_them.feeds["test"].clips)


def test_so_few_clips_that_one_action_is_left_blame_the_flag(dataset: Path) -> None:
    with pytest.raises(InputError, match="--train-clips 1 leaves clips of one action only; raise it"):
        opened(dataset, quick_config(), 1)


def test_tables_and_names_agree() -> None:
    assert set(TASK_NAMES) == set(TASKS)
    assert set(COLORS) == set(get_args(ArmName))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"task": "cooking"}, "--task cooking is not known; choose one of action"),
        ({"steps": 0}, "--steps 0 must be at least 1"),
        ({"batch": 1}, "--batch 1 must be at least 2"),
        ({"workers": -1}, "--workers -1 and --train-clips 0 must not be negative"),
        ({"steps": 500}, "--optim.warmup-steps 500 must be below --steps 500"),
    ],
)
def test_settings_that_cannot_work_are_named(wrong: dict, told: str) -> None:
    with pytest.raises(InputError, match=told):
        FinetuneConfig(**wrong)


def answers_of(said: dict[ArmName, np.ndarray], labels: np.ndarray, groups: np.ndarray, classes: int = 4) -> ArmAnswers:
    """Answers in which an arm names class `said` with certainty."""
    sure: dict[ArmName, np.ndarray] = {arm: np.eye(classes)[guess] * 0.9 + 0.1 / classes for arm, guess in said.items()}
    return ArmAnswers(clips=np.arange(len(labels)), labels=labels, groups=groups, probabilities=sure, unreadable=0)


def guesses(labels: np.ndarray, accuracy: float, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(len(labels)) < accuracy, labels, (labels + 1) % 4)


def test_equal_arms_are_called_different_no_more_often_than_promised() -> None:
    rng, called, covered, runs = np.random.default_rng(0), 0, 0, 80
    for _ in range(runs):
        labels, groups = rng.integers(0, 4, 90), np.arange(90) // 3
        got = answers_of({"learned": guesses(labels, 0.7, rng), "scratch": guesses(labels, 0.7, rng)}, labels, groups)
        found = difference(got, "learned", "scratch")
        called += found.p_value < 0.05
        covered += found.top1.low <= 0 <= found.top1.high
    assert called <= 8
    assert covered >= 0.9 * runs


def test_a_better_arm_is_found_and_named() -> None:
    rng = np.random.default_rng(1)
    labels, groups = rng.integers(0, 4, 150), np.arange(150)
    got = answers_of({"learned": guesses(labels, 0.9, rng), "scratch": guesses(labels, 0.6, rng)}, labels, groups)
    found = difference(got, "learned", "scratch")
    assert found.top1.low > 0
    assert found.verdict.endswith("learned is better")
    assert difference(got, "scratch", "learned").verdict.endswith("learned is better")


def test_with_one_clip_a_source_the_test_is_mcnemars() -> None:
    labels = np.zeros(20, int)
    learned, scratch = np.zeros(20, int), np.zeros(20, int)
    scratch[:7] = 1  # seven that only learned knows ...
    learned[7:9] = 1  # ... two that only scratch knows
    found = difference(
        answers_of({"learned": learned, "scratch": scratch}, labels, np.arange(20)), "learned", "scratch"
    )
    exact = 2 * sum(math.comb(9, wins) for wins in range(3)) / 2**9
    assert found.p_value == pytest.approx(exact)
    assert found.top1.value == pytest.approx(5 / 20)
    assert found.verdict.endswith("no difference can be told")


def test_the_mean_of_classes_has_an_interval_that_holds_what_it_promises() -> None:
    rng, covered, runs = np.random.default_rng(2), 0, 200
    truth = np.array([0.95, 0.8, 0.6, 0.3])
    sources = np.repeat(np.arange(4), (40, 20, 10, 10))  # classes of sources, of three clips each
    groups = np.repeat(np.arange(len(sources)), 3)
    for _ in range(runs):
        quality = rng.beta(3 * truth[sources], 3 * (1 - truth[sources]))
        share = mean_of_classes(rng.random(len(groups)) < quality[groups], sources[groups], groups)
        covered += share.low <= truth.mean() <= share.high
    assert 0.92 * runs < covered


def test_arms_that_are_always_right_are_not_called_perfect_nor_equal_for_certain() -> None:
    labels = np.arange(40) % 4
    got = answers_of({"learned": labels, "scratch": labels}, labels, np.arange(40))
    share = mean_of_classes(got.hits("learned"), labels, got.groups)
    assert (share.value, share.high) == (1, 1)
    assert share.low < 0.93
    found = difference(got, "learned", "scratch")
    assert found.p_value == 1
    assert found.top1.low < -0.02 < 0.02 < found.top1.high


def test_a_tiny_p_value_is_told_as_a_bound() -> None:
    labels = np.zeros(60, int)
    found = difference(
        answers_of({"learned": labels, "scratch": labels + 1}, labels, np.arange(60)), "learned", "scratch"
    )
    assert "p < 1e-06: learned is better" in found.verdict


def test_a_tie_is_no_hit_and_the_best_five_hold_the_best_one() -> None:
    said = np.full((2, 6), 1 / 6)
    said[1] = [0.3, 0.25, 0.2, 0.15, 0.06, 0.04]
    each: dict[ArmName, np.ndarray] = {"learned": said}
    got = ArmAnswers(clips=np.arange(2), labels=np.array([0, 3]), groups=np.arange(2), probabilities=each, unreadable=0)
    assert got.hits("learned").tolist() == [False, False]
    assert got.hits("learned", 5).tolist() == [False, True]
    assert got.loss("learned") == pytest.approx(-(math.log(1 / 6) + math.log(0.15)) / 2)


def begun_with(classes: int) -> Begun:
    return Begun(
        config=small_config(), run="run", run_step=1, model="small", dataset="data", data={},
        classes=tuple(f"action {number}" for number in range(classes)),
    )  # fmt: skip


def test_baselines_need_no_network_and_rare_classes_count_as_much_as_common_ones() -> None:
    labels = np.array([0] * 16 + [1, 2, 3, 4])
    always_first = np.zeros(20, int)
    got = answers_of({"learned": always_first, "scratch": labels}, labels, np.arange(20), classes=8)
    found = compare(begun_with(8), "cpu", got, np.array([0, 0, 1]), {"learned": (4, 0.8), "scratch": (2, 1.0)})
    learned, scratch = found.arms
    assert (found.chance, found.majority.value) == (1 / 8, 0.8)
    assert (learned.top1.value, learned.per_class.value, learned.picked_step) == (0.8, pytest.approx(1 / 5), 4)
    assert (scratch.top1.value, scratch.per_class.value) == (1, 1)
    assert scratch.top5 is not None
    assert scratch.top5.value == 1
    assert [(one.better, one.than) for one in found.differences] == [("learned", "scratch")]
    assert comparison_plot(found, []).startswith(b"\x89PNG")
