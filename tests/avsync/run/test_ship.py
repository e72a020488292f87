"""Weights that ship: half the bytes, the same answers, a run to all who ask, named by a word where no run is."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from avsync_settings import quick_config

from avsync.config import EvaluateConfig
from avsync.evaluate.evaluate import evaluate
from avsync.run import paths
from avsync.run.checkpoint import SHIPPED, weights_of
from avsync.run.network import load_network
from avsync.run.paths import RunPaths, run_of
from avsync.run.ship import LARGEST, ship
from avsync.run.state import NetworkTrust, TrustRecord
from avsync.train.trainer import train
from sharding.base.files import read_json, write_json
from sharding.errors import FormatError, InputError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shipped") / "run"
    train(dataset, folder, replace(quick_config(), steps=4, validate_every=4))
    return folder


@pytest.fixture
def shipped(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As a network called `mine` that comes with avsync."""
    monkeypatch.setattr(paths, "SHIPPED", tmp_path / "weights")
    monkeypatch.chdir(tmp_path)
    ship(run, tmp_path / "weights" / "mine")
    return tmp_path / "weights" / "mine"


def test_it_is_half_as_large_and_its_weights_are_the_same_to_three_digits(run: Path, shipped: Path) -> None:
    before, after = (load_network(folder, "best", CPU) for folder in (run, run_of(Path("mine"))))
    assert after.step == before.step
    assert (after.threshold, after.calibration) == (before.threshold, before.calibration)
    for name, value in before.model.state_dict().items():
        torch.testing.assert_close(after.model.state_dict()[name], value, rtol=1e-3, atol=1e-4)
        assert after.model.state_dict()[name].dtype == value.dtype
    sizes = [weights_of(RunPaths(folder).checkpoint(after.step)).stat().st_size for folder in (run, shipped)]
    assert sizes[1] < 0.6 * sizes[0]
    assert sizes[1] < LARGEST


def test_it_is_trusted_as_little_as_the_val_split_leaves_possible(run: Path, tmp_path: Path) -> None:
    said = NetworkTrust(step=4, trust=5.0, low=2.0, high=9.0, clips=30, sources=3)
    untold = NetworkTrust(step=3, trust=None, why="too few clips")
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    write_json(RunPaths(folder).trust, TrustRecord(networks=(said, untold)))
    ship(folder, tmp_path / "new")
    got = read_json(RunPaths(tmp_path / "new").trust, TrustRecord)
    assert [one.trust for one in got.networks] == [2.0, None]


def test_nothing_in_it_tells_where_it_was_made_and_nothing_can_be_unpickled(run: Path, shipped: Path) -> None:
    files = [path for path in shipped.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    assert not any(str(run.parent).encode() in path.read_bytes() for path in files)


def test_what_is_asked_of_it_is_kept_where_the_person_stands(dataset: Path, shipped: Path) -> None:
    found = evaluate(Path("mine"), dataset, EvaluateConfig(pairs_per_clip=1))
    assert found.folder.is_relative_to("avsync-mine/evaluation")
    assert found.folder.is_dir()
    assert not (shipped / "evaluation").exists()


def test_a_run_of_that_name_goes_first_and_an_empty_folder_does_not(run: Path, shipped: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    assert run_of(Path("mine")) == shipped
    shutil.copy(RunPaths(run).info, mine)
    assert run_of(Path("mine")) == Path("mine")
    assert run_of(Path("other")) == Path("other")
    assert run_of(Path("weights/mine")) == Path("weights/mine")


def test_a_run_may_start_from_it(
    dataset: Path, shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(dataset, tmp_path / "new", replace(quick_config(), steps=3, validate_every=0), Path("mine"))
    assert f"starts from {shipped}" in "".join(capsys.readouterr()).replace("\n", "")


@pytest.mark.parametrize("harm", ["cut", "empty", "no header"])
def test_damaged_weights_are_named(harm: str, shipped: Path) -> None:
    (weights,) = shipped.glob(f"checkpoints/*/{SHIPPED}")
    whole = weights.read_bytes()
    weights.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "no header": b"\xff" * 100}[harm])
    with pytest.raises(FormatError, match=SHIPPED):
        load_network(shipped, "best", CPU)


def test_a_folder_that_is_there_and_weights_that_are_too_many_are_refused(
    run: Path, shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="is there already"):
        ship(run, shipped)
    monkeypatch.setattr("avsync.run.ship.LARGEST", 1000)
    with pytest.raises(InputError, match="more than"):
        ship(run, tmp_path / "again")
    assert not (tmp_path / "again").exists()
