"""The trust that several processes find is that of one."""

from dataclasses import replace
from pathlib import Path

import pytest
from avsync_settings import quick_config
from processes import command, run_ranks

from avsync.run.paths import RunPaths
from avsync.run.state import TrustRecord
from avsync.train.trainer import train
from sharding.base.csv_table import write_csv
from sharding.base.files import read_json
from sharding.config import PackConfig, PackOptions
from sharding.pack.pack import pack

CLIPS = 25
"""Of the val split; the least that trust is found on is 24."""


@pytest.fixture(scope="module")
def mostly_val(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenes with nearly all on the val side."""
    folder = tmp_path_factory.mktemp("mostly_val")
    videos = sorted(path.relative_to(scenes).as_posix() for path in scenes.rglob("*.mp4"))
    rows = [(video, "scene", "val" if at < CLIPS else "train") for at, video in enumerate(videos)]
    write_csv(folder / "scenes.csv", ("path", "action", "split"), rows)
    form = PackConfig(fps="10", size=32, sample_rate=8000, min_clip_s="3", workers=2)
    pack(folder / "scenes.csv", folder / "dataset", form, options=PackOptions(root=scenes))
    return folder / "dataset"


def test_two_processes_ask_about_the_same_clips_as_one_and_agree(mostly_val, tmp_path):
    """Only which clip lends another its sound differs: the one that the same process asked about before."""
    config = replace(quick_config(), steps=3)
    train(mostly_val, tmp_path / "run", config)
    paths = RunPaths(tmp_path / "run")
    (alone,) = read_json(paths.trust, TrustRecord).networks
    paths.trust.unlink()
    run_ranks(command(mostly_val, tmp_path / "run", config, tmp_path), 2)
    (together,) = read_json(paths.trust, TrustRecord).networks
    assert (together.step, together.clips, together.sources) == (alone.step, CLIPS, CLIPS)
    assert alone.trust
    assert together.trust == pytest.approx(alone.trust, rel=0.5)
    assert together.before == pytest.approx(alone.before, abs=0.02), "with the usual reading: nearly the same files"
