"""A small packed dataset of generated scenes, made once for all tests of this folder."""

from dataclasses import replace
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState, GradientState, PartialState
from avsync_settings import quick_config

from avsync.config import TrainConfig
from sharding.config import PackConfig
from sharding.pack.pack import pack
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import generate


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of 30 generated videos of 5 s with their CSV."""
    folder = tmp_path_factory.mktemp("scenes")
    generate(folder, SceneConfig(count=30, seconds=5, size=48, fps=10, sample_rate=8000, val_share=0.2, test_share=0.2))
    return folder


@pytest.fixture(scope="session")
def dataset(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenes, packed: 48x48, 10 fps, 8 kHz."""
    folder = tmp_path_factory.mktemp("packed") / "dataset"
    pack(
        scenes / "scenes.csv",
        folder,
        PackConfig(fps="10", size=48, sample_rate=8000, min_clip_s="3", sources_per_shard=5, workers=2),
    )
    return folder


@pytest.fixture(scope="session")
def raw_dataset(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, stored as it is."""
    folder = tmp_path_factory.mktemp("packed") / "dataset"
    settings = PackConfig(fps="10", size=48, sample_rate=8000, min_clip_s="3", sources_per_shard=5, workers=2)
    pack(scenes / "scenes.csv", folder, replace(settings, codec="raw"))
    return folder


@pytest.fixture
def config() -> TrainConfig:
    """Ten quick steps."""
    return quick_config()


@pytest.fixture(autouse=True)
def fresh_accelerate() -> None:
    """Accelerate keeps its settings in process-wide state; each test starts without."""
    AcceleratorState._reset_state(reset_partial_state=True)
    PartialState._reset_state()
    GradientState._reset_state()
