"""The demo makes everything it promises, from nothing, and goes on where it stopped. Here it trains a few steps."""

from dataclasses import replace
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState, GradientState, PartialState

from avsync.config import EvaluateConfig, OptimConfig, PairConfig, RuntimeConfig
from avsync.presets import small
from avsync.run.paths import RunPaths
from launch.demo import DemoRecipe, demo
from sharding.config import PackConfig
from sharding.scenes.config import SceneConfig

RECIPE = DemoRecipe(
    scenes=SceneConfig(count=14, seconds=5, size=48, fps=10, sample_rate=8000, val_share=0.2, test_share=0.2),
    pack=PackConfig(fps="10", size=48, sample_rate=8000, min_clip_s="3", sources_per_shard=5),
    train=replace(
        small(), steps=5, batch=4, validate_every=5, pairs=PairConfig(window_s=2, min_shift_s=1, max_shift_s=2.5),
        optim=OptimConfig(name="adamw", warmup_steps=1), runtime=RuntimeConfig(device="cpu", checkpoint_every=5),
    ),
    evaluate=EvaluateConfig(device="cpu", pairs_per_clip=1),
)  # fmt: skip


@pytest.fixture(autouse=True)
def fresh_accelerate() -> None:
    """Accelerate keeps its settings in process-wide state."""
    AcceleratorState._reset_state(reset_partial_state=True)
    PartialState._reset_state()
    GradientState._reset_state()


def promised(said: str) -> list[Path]:
    """The paths under `Open:`."""
    lines = said.partition("\nOpen:\n")[2].splitlines()
    return [Path(line.removeprefix("  tensorboard --logdir ").strip().partition("   ")[0]) for line in lines if line]


def test_the_demo_keeps_its_promises_and_does_nothing_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "[/demo]"  # a name that rich would take for markup
    demo(folder, RECIPE)
    said = capsys.readouterr().out
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
