"""The replay makes its page from nothing, goes on where it stopped, and claims nothing that its numbers do not say."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from accelerate.state import AcceleratorState, GradientState, PartialState
from PIL import Image

from avsync.audit.config import AuditConfig
from avsync.config import OptimConfig, PairConfig, RuntimeConfig
from avsync.presets import small
from avsync.replay.result import ReplayResult
from avsync.replay.runs import fork, read_curves
from avsync.run.paths import RunPaths
from launch.replay.recipe import ARMS, ReplayRecipe
from launch.replay.replay import replay
from launch.replay.sentences import rows
from sharding.base.files import read_json
from sharding.config import PackConfig
from sharding.errors import BusyError, InputError
from sharding.scenes.config import SceneConfig

pytestmark = pytest.mark.slow

RECIPE = ReplayRecipe(
    scenes=SceneConfig(count=30, seconds=5, size=32, fps=10, sample_rate=8000, val_share=0.2, test_share=0.3, hum=0.05),
    pack=PackConfig(fps="10", size=32, sample_rate=8000, min_clip_s="3", sources_per_shard=15),
    train=replace(
        small(),
        steps=4,
        batch=4,
        validate_every=2,
        pairs=PairConfig(window_s=2, min_shift_s=1, max_shift_s=2.5),
        optim=OptimConfig(name="adamw", warmup_steps=1),
        runtime=RuntimeConfig(device="cpu", checkpoint_every=2, keep=100, log_every=1),
    ),
    audit=AuditConfig(device="cpu", clips=16, pairs_per_clip=1),
    arms=tuple(replace(arm, honest_steps=2 * bool(arm.honest_steps), steps=0) for arm in ARMS),
    audited=("symmetric",),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for state in (AcceleratorState, PartialState, GradientState):
        state._shared_state.clear()  # accelerate keeps its settings for the whole process
    folder = tmp_path_factory.mktemp("replay") / "[/x]"  # a name that rich would take for markup
    replay(folder, recipe=RECIPE)
    return folder


def test_it_takes_no_folder_of_something_else_and_asks_for_videos_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "dataset.json").touch()
    with pytest.raises(InputError, match=r"holds other files \(dataset.json\) and is no replay"):
        replay(tmp_path / "mine", recipe=RECIPE)
    with pytest.raises(InputError, match=r"--videos .*nowhere does not exist; name a folder of videos or a .csv"):
        replay(tmp_path / "new", tmp_path / "nowhere", RECIPE)
    assert {path.name for path in tmp_path.rglob("*")} == {"mine", "dataset.json"}


def test_two_at_once_do_not_write_into_one_folder(tmp_path: Path) -> None:
    holder = (
        "import sys, time; from pathlib import Path; from sharding.base.locks import folder_lock\n"
        "with folder_lock(Path(sys.argv[1]), 'avsync replay'): print('held', flush=True); time.sleep(60)"
    )
    here = tmp_path / "here"
    with subprocess.Popen([sys.executable, "-c", holder, str(here)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "held"
        with pytest.raises(BusyError, match=rf"in use by avsync replay \(process {other.pid} on "):
            replay(here, recipe=RECIPE)
        other.kill()
    assert not (here / "scenes").exists()


def test_every_number_of_the_table_is_in_the_files(folder: Path) -> None:
    result = read_json(folder / "replay.json", ReplayResult)
    with (folder / "replay.csv").open(newline="") as file:
        written = list(csv.reader(file))
    assert [arm.name for arm in result.stages[0].arms] == [arm.name for arm in ARMS]
    assert written[1:] == [["scenes", *row] for arm in result.stages[0].arms for row in rows(arm)]
    held_out = result.stages[0].clips["test"]
    for arm in result.stages[0].arms:
        assert arm.last.step == 4
        assert arm.last.honest.count == 4 * held_out  # two pairs of each clip, two sounds of each pair
        assert arm.last.localisation
    assert [one.config.pairs.law for one in result.stages[0].audits] == ["symmetric"]


def test_the_page_shows_everything_and_loads_nothing(folder: Path) -> None:
    page = (folder / "replay.html").read_text()
    assert page.count('src="data:image/png;base64,') == 3
    assert "http" not in page.replace("http-equiv", "")
    for name in ("curves", "maps", "join"):
        pixels = np.asarray(Image.open(folder / "scenes" / f"{name}.png"))
        assert pixels.std() > 5
    for arm in ARMS:
        assert arm.title in page


def test_a_second_call_does_nothing_twice(folder: Path) -> None:
    def state() -> dict[str, int]:
        kept = ("*.tar", "model.pt", "answers/*.json", "maps.png", "join.png")
        return {str(path): path.stat().st_mtime_ns for name in kept for path in folder.rglob(name)}

    before, page = state(), (folder / "replay.html").read_bytes()
    replay(folder, recipe=RECIPE)
    assert state() == before
    assert (folder / "replay.html").read_bytes() == page


def test_an_answer_of_another_checkpoint_is_asked_for_anew(folder: Path) -> None:
    (answer,) = folder.rglob("answers/cyclic-last.json")
    before = answer.read_bytes()
    answer.write_bytes(before.replace(b'"step": ', b'"step": 1', 1))
    replay(folder, recipe=RECIPE)
    assert answer.read_bytes() == before


def test_the_muted_time_is_the_thesis_s_at_any_rate() -> None:
    assert ReplayRecipe().pairs_of("cyclic", muted=True).mute_samples == round(10_000 * 16_000 / 44_100)
    assert ReplayRecipe().pairs_of("cyclic").mute_samples == 0


def test_a_fork_goes_on_with_the_same_clips_and_one_curve(folder: Path) -> None:
    honest, forked = (folder / "scenes" / "runs" / name for name in ("symmetric", "collapse"))
    ends = [json.loads((RunPaths(run).checkpoint(4) / "state.json").read_text()) for run in (honest, forked)]
    assert ends[0]["digest"] == ends[1]["digest"]
    curves = [read_curves(run) for run in (honest, forked)]
    assert curves[1].accuracy.steps == curves[0].accuracy.steps == (2, 4)
    assert curves[1].loss.values[0] == curves[0].loss.values[0]
    assert curves[1].loss.values[1] != curves[0].loss.values[1]


def test_a_fork_of_a_step_that_was_not_kept_is_told(folder: Path, tmp_path: Path) -> None:
    run, dataset = folder / "scenes" / "runs" / "symmetric", folder / "scenes" / "dataset"
    with pytest.raises(InputError, match="no checkpoint of step 3"):
        fork(run, 3, tmp_path / "new", dataset, RECIPE.config_of(ARMS[-1]))
    assert not (tmp_path / "new").exists()
