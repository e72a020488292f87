"""What tests of the benchmarks share with those of avsync: a small packed dataset."""

from pathlib import Path

import pytest

from sharding.config import PackConfig
from sharding.pack.pack import pack
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import generate


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes, packed: 48x48, 10 fps, 8 kHz."""
    folder = tmp_path_factory.mktemp("packed")
    scenes = generate(folder / "scenes", SceneConfig(count=20, seconds=6, size=64, seed=1)).table
    config = PackConfig(fps="10", size=48, sample_rate=8000, min_clip_s="3", sources_per_shard=5, workers=2)
    pack(scenes, folder / "dataset", config)
    return folder / "dataset"
