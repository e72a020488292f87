"""Training by way of copies: the same clips, the same losses, wherever the dataset lies and whatever happens to it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from curves import curve
from slow_server import SlowServer

from avsync.checkpoint import RunPaths
from avsync.config import TrainConfig
from avsync.feed import Feed
from avsync.loading.options import CPU, LoaderOptions
from avsync.resume import order_of
from avsync.staging.mirror import Source
from avsync.staging.room import discard
from avsync.staging.scratch import Scratch
from avsync.staging.stager import keep_ahead
from avsync.trainer import train
from avsync.world import World
from sharding.errors import InputError


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
    source = Source.open(dataset if kind == "folder" else server.url, config.runtime)
    feed = Feed.of(source, "train", config.pairs, config.view, staged=True)
    assert isinstance(feed.shelf, Scratch)
    order = order_of(feed, config)
    world = World(
        rank=0, ranks=1, device=CPU, gather=lambda table: table, broadcast=lambda _: None, autocast=nullcontext
    )
    wanted = [feed.dataset.key(clip) for step in range(6) for clip in order.step(step).clips.tolist()]
    seen = list[str]()
    with feed.loader(LoaderOptions(workers=2)) as loader, keep_ahead(feed.shelf, order.blocks(0)) as coming:
        rows = feed.training_rows(order, config, world, range(6), coming)
        for number, batch in enumerate(loader.batches(rows)):
            seen += batch.keys
            for copy in feed.shelf.folder.rglob("*.tar") if number == 1 else ():
                fault(copy)
    assert seen == wanted
    assert loader.budget.total == 0
