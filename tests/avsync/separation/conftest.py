"""A sync network, and one that takes sounds apart by its features: each trained a few steps, once for all tests."""

from pathlib import Path

import pytest
from avsync_settings import one_step, quick_separation

from avsync.separation.learner import train_separator
from avsync.train.trainer import train


@pytest.fixture(scope="session")
def features(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a sync network."""
    run = tmp_path_factory.mktemp("features") / "run"
    train(dataset, run, one_step())
    return run


@pytest.fixture(scope="session")
def whole(dataset: Path, features: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a separator, without an interruption."""
    run = tmp_path_factory.mktemp("whole") / "run"
    train_separator(dataset, run, quick_separation(), features=features)
    return run
