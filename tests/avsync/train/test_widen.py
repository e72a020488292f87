"""A network that sums over moments looks at longer windows: the same weights, read anew."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from avsync_settings import quick_config

from avsync.config import PairConfig
from avsync.run.network import load_network
from avsync.run.paths import RunPaths
from avsync.run.state import TrustRecord
from avsync.train.trainer import train
from avsync.train.widen import main, widen
from sharding.base.files import read_json
from sharding.errors import InputError

CPU = torch.device("cpu")


@pytest.fixture
def run(dataset: Path, tmp_path: Path) -> Path:
    short = PairConfig(window_s=1, min_shift_s=0.5, max_shift_s=2)
    train(dataset, tmp_path / "run", replace(quick_config(), model="embedding", steps=3, pairs=short))
    return tmp_path / "run"


def test_weights_stay_and_the_window_and_its_reading_are_new(run: Path, dataset: Path, tmp_path: Path) -> None:
    before = (run / "run.json").read_bytes()
    assert widen(run, str(dataset), tmp_path / "long", 2.5).steps == 3
    short, long = (load_network(folder, "last", CPU) for folder in (run, tmp_path / "long"))
    assert (short.spec.frames, long.spec.frames) == (10, 25)
    assert all(torch.equal(value, long.model.state_dict()[name]) for name, value in short.model.state_dict().items())
    assert read_json(RunPaths(tmp_path / "long").trust, TrustRecord).networks
    assert (run / "run.json").read_bytes() == before


def test_what_cannot_be_is_refused_before_anything_is_written(run: Path, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no clip is long enough"):
        widen(run, str(dataset), tmp_path / "long", 60)
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="there already"):
        widen(run, str(dataset), tmp_path / "there", 2)
    (run / "checkpoints" / "00000003").rename(tmp_path / "00000003")
    with pytest.raises(InputError, match="is not done"):
        widen(run, str(dataset), tmp_path / "long", 2)
    assert not (tmp_path / "long").exists()


@pytest.mark.parametrize(
    ("words", "said"), [((), "RUN DATASET NEW SECONDS"), (("r", "d", "n", "abc"), "SECONDS abc is no number")]
)
def test_a_wrong_line_is_told_what_to_write(words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["widen", *words])
    with pytest.raises(SystemExit, match=said):
        main()
