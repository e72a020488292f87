"""The wheel is all that it takes: outside the checkout the demo makes everything it promises, and jobs can be made.

The demo trains a few steps here; called again, it goes on where it stopped.
"""

import pickle
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState, GradientState, PartialState

from avsync.config import EvaluateConfig, OptimConfig, PairConfig, RuntimeConfig
from avsync.presets import small
from avsync.run.paths import RunPaths
from launch.demo import DemoRecipe, demo
from sharding.config import PackConfig
from sharding.scenes.config import SceneConfig
from tests.installed import ROOT, Installed, install

SHORT = "--preset small --batch 4 --pairs.window-s 2 --pairs.min-shift-s 1 --pairs.max-shift-s 2".split()
PACKAGES = ("sharding", "avsync", "launch", "slurm")
RECIPE = DemoRecipe(
    scenes=SceneConfig(count=14, seconds=5, size=48, fps=10, sample_rate=8000, val_share=0.2, test_share=0.2),
    pack=PackConfig(fps="10", size=48, sample_rate=8000, min_clip_s="3", sources_per_shard=5),
    train=replace(
        small(), steps=5, batch=4, validate_every=5, pairs=PairConfig(window_s=2, min_shift_s=1, max_shift_s=2.5),
        optim=OptimConfig(name="adamw", warmup_steps=1), runtime=RuntimeConfig(device="cpu", checkpoint_every=5),
    ),
    evaluate=EvaluateConfig(device="cpu", pairs_per_clip=1),
)  # fmt: skip
DEMO = """
import pathlib, pickle, sys
import avsync, launch, sharding
from launch.demo import demo
assert {package.__file__.startswith(sys.prefix) for package in (avsync, launch, sharding)} == {True}, "not the wheel's"
demo(pathlib.Path(sys.argv[1]), pickle.loads(pathlib.Path(sys.argv[2]).read_bytes()))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("installed"))


@dataclass(frozen=True, slots=True)
class Made:
    """What the installed demo made, in its folder."""

    folder: Path
    said: str


@pytest.fixture(scope="module")
def made(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Made:
    outside = tmp_path_factory.mktemp("outside")
    folder, recipe = outside / "[/demo]", outside / "recipe"  # a name that rich would take for markup
    recipe.write_bytes(pickle.dumps(RECIPE))
    done = installed.run("python", "-c", DEMO, folder, recipe, cwd=outside)
    assert done.returncode == 0, done.stderr
    return Made(folder, done.stdout)


@pytest.fixture(autouse=True)
def fresh_accelerate() -> None:
    """Accelerate keeps its settings in process-wide state."""
    AcceleratorState._reset_state(reset_partial_state=True)
    PartialState._reset_state()
    GradientState._reset_state()


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(installed: Installed) -> None:
    names = {name for name in zipfile.ZipFile(installed.wheel).namelist() if ".dist-info/" not in name}
    wanted = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not path.name.startswith(".")
        if path.suffix != ".md" or "weights" in path.parts  # a card goes with the weights
    }
    assert names == wanted
    assert {f"{package}/py.typed" for package in PACKAGES} <= names


def promised(said: str) -> list[Path]:
    """The paths under `Open:`."""
    lines = said.partition("\nOpen:\n")[2].splitlines()
    return [Path(line.removeprefix("  tensorboard --logdir ").strip().partition("   ")[0]) for line in lines if line]


def test_the_demo_keeps_its_promises_and_does_nothing_twice(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    folder, said = made.folder, made.said
    assert "about" in said.partition("1 of 5")[0], "it begins with how long it takes"
    for number, command in enumerate(("scenes", "pack", "train", "evaluate", "localize"), start=1):
        assert f"{number} of 5: avsync {command} " in said
    opened = promised(said)
    assert [path.suffix for path in opened] == [".mp4", ".png", ".png", ""]
    assert all(path.exists() and path.is_relative_to(folder) for path in opened)
    assert "Held-out accuracy" in said
    assert "hottest point on the true source" in said

    checkpoint = RunPaths(folder / "run").checkpoint(5) / "model.pt"
    shards = sorted((folder / "dataset").rglob("*.tar"))
    before = [path.stat().st_mtime_ns for path in (checkpoint, *shards)]
    demo(folder, RECIPE)
    again = capsys.readouterr().out
    assert "all 5 steps are done already" in again
    assert [path.stat().st_mtime_ns for path in (checkpoint, *shards)] == before
    assert promised(again) == opened


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--version",), 0, "avsync 0."),
        (("submit", "train", "dataset", "new", *SHORT, "--cluster", "test", "--dry-run"), 0, "#SBATCH --partition="),
        (("doctor", "--cluster", "cpu-only"), 1, "scontrol is not found"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_commands_work_without_a_checkout(
    installed: Installed, made: Made, words: tuple[str, ...], code: int, told: str
) -> None:
    done = installed.run("avsync", *words, cwd=made.folder, PATH="nowhere")
    assert (done.returncode, told in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr
