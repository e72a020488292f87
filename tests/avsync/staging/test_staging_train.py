"""Training by way of copies: the same clips, the same losses, wherever the dataset lies and whatever happens to it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from curves import curve
from slow_server import SlowServer

from avsync.config import TrainConfig
from avsync.loading.feed import Feed
from avsync.loading.options import CPU, LoaderOptions, StoppedWaiting
from avsync.run.paths import RunPaths
from avsync.staging.copies import discard
from avsync.staging.mirror import StagedDataset
from avsync.staging.scratch import Scratch
from avsync.staging.stager import keep_ahead
from avsync.train.trainer import train
from avsync.world import World
from sharding.errors import AvsyncError, InputError


@pytest.fixture
def server(dataset: Path) -> Iterator[SlowServer]:
    with SlowServer(dataset) as server:
        yield server


def with_scratch(config: TrainConfig, tmp_path: Path) -> TrainConfig:
    return replace(config, runtime=replace(config.runtime, scratch=str(tmp_path / "scratch"), log_every=1))


@pytest.mark.parametrize("kind", ["folder", "http"])
def test_losses_are_those_of_the_folder_itself(
    kind: str, dataset: Path, server: SlowServer, config: TrainConfig, tmp_path: Path
) -> None:
    plain = replace(config, runtime=replace(config.runtime, log_every=1))
    train(dataset, tmp_path / "plain", plain)
    train(dataset if kind == "folder" else server.url, tmp_path / "run", with_scratch(config, tmp_path))
    assert curve(tmp_path / "run", "train", "loss") == curve(tmp_path / "plain", "train", "loss")
    if kind == "http":
        assert max(count for name, count in server.asked.items() if name.endswith(".tar")) == 1


def test_a_run_on_a_folder_goes_on_from_a_url(
    dataset: Path, server: SlowServer, config: TrainConfig, tmp_path: Path
) -> None:
    train(dataset, tmp_path / "run", config)
    paths = RunPaths(tmp_path / "run")
    shutil.rmtree(paths.checkpoint(10))
    summary = train(server.url, tmp_path / "run", with_scratch(config, tmp_path))
    assert (summary.resumed_at, summary.steps) == (9, 10)


def test_a_url_without_scratch_is_refused_before_a_run_is_begun(
    server: SlowServer, config: TrainConfig, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"say where with --runtime.scratch"):
        train(server.url, tmp_path / "run", config)
    assert not (tmp_path / "run").exists()


def spoil(copy: Path) -> None:
    with suppress(FileNotFoundError):
        copy.write_bytes(bytes(copy.stat().st_size))


@pytest.mark.parametrize("fault", [discard, spoil])
@pytest.mark.parametrize("kind", ["folder", "http"])
def test_no_clip_is_lost_when_copies_go_or_spoil(
    fault: Callable[[Path], None], kind: str, dataset: Path, server: SlowServer, config: TrainConfig, tmp_path: Path
) -> None:
    config = with_scratch(config, tmp_path)
    source = StagedDataset.open(dataset if kind == "folder" else server.url, config.runtime)
    feed = Feed.of(source, "train", config.pairs, config.view, staged=True)
    assert isinstance(feed.shelf, Scratch)
    order = feed.order(config.batch, config.seed)
    world = World(
        rank=0, ranks=1, device=CPU, gather=lambda table: table, broadcast=lambda _: None, autocast=nullcontext
    )
    wanted = [feed.dataset.key(clip) for step in range(6) for clip in order.step(step).clips.tolist()]
    seen = list[str]()
    with feed.loader(LoaderOptions(workers=2)) as loader, keep_ahead(feed.shelf, order.blocks(0)) as coming:
        rows = feed.training_rows(order, range(6), world, coming=coming)
        for number, batch in enumerate(loader.batches(rows)):
            seen += batch.keys
            for copy in feed.shelf.folder.rglob("*.tar") if number == 1 else ():
                fault(copy)
    assert seen == wanted
    assert loader.budget.total == 0


@pytest.mark.parametrize("room", [1, 2, 3])
def test_no_clip_is_lost_to_a_tight_limit(
    room: int, dataset: Path, server: SlowServer, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avsync.staging.copies.GIVEN_S", 1)
    largest = max(path.stat().st_size for path in (dataset / "train").glob("*.tar"))
    config = with_scratch(config, tmp_path)
    config = replace(config, runtime=replace(config.runtime, scratch_gb=room * largest / 1e9))
    feed = Feed.of(StagedDataset.open(server.url, config.runtime), "train", config.pairs, config.view, staged=True)
    rows = [feed.fixed_draws(feed.clips)] * 3
    with feed.loader(LoaderOptions(workers=2)) as loader:
        assert all(batch.valid.all() for batch in loader.batches(rows))
    assert loader.budget.total == 0


def stalled(server: SlowServer, config: TrainConfig, tmp_path: Path) -> tuple[Feed, Path]:
    """The train split at an address that has stopped answering, and the name of its first shard."""
    feed = Feed.of(
        StagedDataset.open(server.url, with_scratch(config, tmp_path).runtime), "train", config.pairs, config.view
    )
    server.answering = False
    return feed, Path(f"train/{int(feed.dataset.index.shard[feed.clips[0]]):06d}.tar")


def test_a_wait_for_a_copy_is_told_and_then_ended(
    server: SlowServer, config: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    feed, shard = stalled(server, config, tmp_path)
    options = LoaderOptions(workers=1, rank=3, report_after_s=0.3, stop_after_s=1)
    with pytest.raises(AvsyncError) as caught, feed.loader(options) as loader:
        next(loader.batches([feed.fixed_draws(feed.clips)]))
    told = capsys.readouterr().err
    assert "rank 3: no clip came in for 0 s:" in told
    assert f"no clip came in for 1 s (--runtime.stop-after-s):\n  waiting for a copy of {server.url}/" in str(
        caught.value
    )
    for text in (told, str(caught.value)):
        assert f"  waiting for a copy of {server.url}/{shard}" in text


def test_a_wish_to_stop_ends_a_wait_for_a_copy(server: SlowServer, config: TrainConfig, tmp_path: Path) -> None:
    feed, shard = stalled(server, config, tmp_path)
    options = LoaderOptions(workers=1, stopping=lambda: server.asked[str(shard)] > 0)
    with pytest.raises(StoppedWaiting), feed.loader(options) as loader:
        next(loader.batches([feed.fixed_draws(feed.clips)]))
