"""A resumed run says where it goes on and shows that it may; what does not fit is told plainly, before a step."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from avsync_settings import quick_config
from hypothesis import given, settings
from hypothesis import strategies as st

from avsync.config import ViewConfig
from avsync.data.batch import Batch
from avsync.data.fingerprint import SplitPrint, difference
from avsync.data.order import Draw, Order
from avsync.loading.feed import Feed
from avsync.loading.options import CPU, LoaderOptions
from avsync.run.paths import RunPaths
from avsync.run.receipt import Opening, in_order, read_receipts
from avsync.run.resume import open_run
from avsync.run.state import Best, Origin, State
from avsync.train.trainer import train
from avsync.world import World
from sharding.base.files import to_json
from sharding.errors import AvsyncError, FormatError, InputError
from sharding.format.index import Index
from tests.sharding.forge import forge, record_of, tars

CONFIG = replace(quick_config(), steps=6, validate_every=0)


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory) -> Path:
    """A run of six steps, with checkpoints of 3 and 6."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(dataset, folder, CONFIG)
    return folder


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """It died just after saving step 3."""
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    shutil.rmtree(RunPaths(run).checkpoint(6))
    return run


def change(path: Path, edit: Callable[[Any], None]) -> None:
    text = json.loads(path.read_text())
    edit(text)
    path.write_text(json.dumps(text))


def test_a_resumed_run_prints_draws_and_keeps_its_receipt(dataset, run, capsys):
    train(dataset, run, CONFIG)
    first, second = read_receipts(RunPaths(run))
    assert (first.attempt, first.step, first.clips) == (1, 0, 0)
    assert (second.attempt, second.step, second.steps, second.clips) == (2, 3, 6, 12)
    assert (second.epoch, second.position, second.epoch_clips) == (0, 12, 16)
    assert (second.skipped, second.repeated, second.unreadable) == (0, 0, 0)
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("training small on the CPU ("), "it opens with what it knows"
    opening = said.partition("log: ")[0]
    assert "1 process: 18 clips to train on" in opening
    assert "4 clips a step, resumed at step 3 to 6" in opening
    assert f"log: {RunPaths(run).tensorboard}" in said
    from curves import load

    assert load(run, "train").Tensors("opening/text_summary"), "it stands beside the curves, too"
    assert "resumed at step 3 of 6: clips skipped 0, repeated 0, digest of 12 clips matches" in said
    assert f"({second.digest}); attempt 2, epoch 0, 12 of its 16 clips done" in said


def test_a_receipt_is_drawn_where_the_curves_are(dataset, run):
    from curves import load

    train(dataset, run, CONFIG)
    texts = load(run, "train").Tensors("receipt/text_summary")
    assert [event.step for event in texts] == [0, 3]
    told = texts[1].tensor_proto.string_val[0].decode()
    assert "| skipped | 0 |" in told
    assert f"| digest | {read_receipts(RunPaths(run))[1].digest} |" in told


def test_a_torn_receipt_stops_no_run_and_is_told_when_it_is_read(dataset, run):
    paths = RunPaths(run)
    paths.receipts.write_bytes(paths.receipts.read_bytes() + b'{"attempt":2,')
    assert train(dataset, run, CONFIG).resumed_at == 3
    with pytest.raises(FormatError, match=r"receipts\.jsonl.*it is only a record: delete it"):
        read_receipts(paths)


@pytest.mark.parametrize(
    ("away", "told"),
    [
        (
            1,
            "of the 4 clips that come first at step 3, 4 are missing, and 3 of those that came had been trained on",
        ),  # the next epoch
        (-1, "of the 4 clips that come first at step 3, 4 are missing, and 4 of those that came had been trained on"),
        (-3, "of the 4 clips that come first at step 3, 4 are missing, and 4 of those that came had been trained on"),
    ],
)
def test_skipped_and_repeated_are_found_in_the_clips_that_came(dataset, run, monkeypatch, away, told):
    """A trainer that would go on at another step than the checkpoint's is stopped before it has trained on a clip."""

    def elsewhere(self: Feed, order: Order, steps: range, *rest: Any) -> Iterator[list[Draw]]:
        return rows(self, order, range(steps.start + away, steps.stop + away), *rest)

    rows = Feed.training_rows
    monkeypatch.setattr(Feed, "training_rows", elsewhere)
    with pytest.raises(RuntimeError, match=told):
        train(dataset, run, CONFIG)
    assert RunPaths(run).saved_steps() == [3]
    assert len(read_receipts(RunPaths(run))) == 1, "what did not begin has no receipt"


@settings(deadline=None, max_examples=60)
@given(st.integers(12, 200), st.integers(1, 12), st.data())
def test_each_clip_that_is_missing_or_had_its_turn_is_counted(count, batch, data):
    clips = np.arange(count)
    order = Order(clips=clips, shards=(clips // 7).astype(np.int32), batch=batch, seed=5)
    done = data.draw(st.integers(0, 3 * order.steps_per_epoch - 1))
    opening = Opening(
        paths=RunPaths(Path("none")), order=order, steps=10**6, done=done, ranks=1,
        before=State(step=0, model="small", digest="", skipped=0),
    )  # fmt: skip
    due = order.step(done).clips
    assert (opening.receipt(due).skipped, opening.receipt(due).repeated) == (0, 0)
    first = done - done % order.steps_per_epoch
    gone = [int(clip) for step in range(first, done) for clip in order.step(step).clips]
    lost = data.draw(st.integers(1, len(due)))
    came = due.copy()
    came[:lost] = data.draw(st.lists(st.sampled_from(gone or [int(due[-1])]), min_size=lost, max_size=lost))
    missing = len(set(due.tolist()) - set(came.tolist()))
    repeated = sum(clip in gone for clip in came.tolist()) or len(came) - len(set(came.tolist()))
    if not (missing or repeated):
        return
    with pytest.raises(RuntimeError, match=f" {missing} are missing, and {repeated} of those"):
        opening.receipt(came)


def test_unreadable_clips_are_told_when_there_are_some(dataset, run, capsys):
    change(RunPaths(run).checkpoint(3) / "state.json", lambda state: state.update(skipped=2))
    train(dataset, run, CONFIG)
    assert read_receipts(RunPaths(run))[1].unreadable == 2
    assert ", 2 of them unreadable; attempt 2" in " ".join(capsys.readouterr().out.split())


def test_only_the_process_that_writes_looks_whether_the_folder_is_free(dataset, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json.part").touch()  # process 0 is at it
    for rank in range(2):
        world = World(
            rank=rank, ranks=2, device=CPU, gather=lambda table: table, broadcast=lambda _: None, autocast=nullcontext
        )
        with ExitStack() as held, nullcontext() if rank else pytest.raises(InputError, match="holds other files"):
            assert open_run(dataset, run, CONFIG, world, held).order.batch == CONFIG.batch


def test_a_state_stays_small_however_long_the_run(finished):
    longest = State(
        step=2**62, model="thesis", digest="f" * 32, skipped=2**62, best=Best(2**62, 1 / 3, 1 / 3), mark="f" * 32,
        origin=Origin(seed=2**32 - 1, batch=2**31, data="f" * 16), ranks=2**20,
    )  # fmt: skip
    assert len(to_json(longest)) < 1000
    assert len((RunPaths(finished).checkpoint(6) / "state.json").read_bytes()) < 1000


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "content": (lambda index: index["crc32"].__setitem__(0, 1), "the same clips with other bytes: packed again"),
    "shards": (lambda index: index["shard"].__iadd__(1), "the same clips in other shards"),
    "frames": (lambda index: index["frames"].__setitem__(0, 49), "clips of other lengths"),
    "names": (lambda index: index["names"].__setitem__(0, ord("z")), "other clips, or in another order"),
    "places": (lambda index: index["first_frame"].__setitem__(0, 7), "other clips, or in another order"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_changes_in_a_dataset_is_named(dataset, name):
    edit, told = CHANGES[name]
    columns = dict(np.load(dataset / "train" / "index.npz"))
    before = SplitPrint.of(Index(**columns))
    assert difference("train", before, SplitPrint.of(Index(**columns))) == ""
    edit(columns)
    assert f"its train split has {told}" in difference("train", before, SplitPrint.of(Index(**columns)))


def test_every_column_that_training_depends_on_is_part_of_the_fingerprint(dataset):
    columns = dict(np.load(dataset / "train" / "index.npz"))
    before = SplitPrint.of(Index(**columns))
    for name in ("names", "name_end", "source", "first_frame", "frames", "shard", "crc32"):
        other = columns | {name: columns[name] + np.ones(1, columns[name].dtype)}
        assert SplitPrint.of(Index(**other)) != before, name


def test_more_or_fewer_clips_are_counted(dataset):
    columns = dict(np.load(dataset / "train" / "index.npz"))
    count = len(columns["source"])
    names = [name for name in columns if len(columns[name]) == count and name != "name_end"]
    fewer = SplitPrint.of(Index(**columns | {name: columns[name][:-2] for name in names}))
    all_of_them = SplitPrint.of(Index(**columns))
    assert difference("val", all_of_them, fewer) == f"its val split has fewer clips: {count} then, {count - 2} now"
    assert "more clips" in difference("val", fewer, all_of_them)


def damage_draws(run: dict[str, Any]) -> None:
    run["draws"], run["numpy"] = "0" * 16, "0.9"


def damage_codec(run: dict[str, Any]) -> None:
    run["dataset"]["codec"], run["dataset"]["clock"]["fps"] = "raw", str(Fraction(30000, 1001))


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (
            damage_draws,
            r"software that draws other clips or windows from the same seed \(.* NumPy 0\.9; now .*Use that",
        ),
        (damage_codec, r"other data: its stored form was raw, is h264; its frames a second was 30000/1001, is 10 \("),
        (lambda run: run["config"].update(seed=3), r"other settings: --seed was 3, is 0\. Give the same ones"),
        (lambda run: run["config"].update(batch=8), r"other settings: --batch was 8, is 4\."),
        (lambda run: run["data"]["train"].update(keys="0"), r"other clips, or in another order \(the dataset was"),
    ],
    ids=["draws", "form", "seed", "batch", "clips"],
)
def test_a_run_that_was_begun_otherwise_is_refused_before_a_step(dataset, run, edit, told):
    change(run / "run.json", edit)
    before = sorted(path.name for path in run.rglob("*"))
    with pytest.raises(InputError, match=told):
        train(dataset, run, CONFIG)
    assert sorted(path.name for path in run.rglob("*")) == before


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda state: state["origin"].update(batch=8), r"--batch was 8, the run's is 4\. It belongs to another run"),
        (lambda state: state["origin"].update(seed=7), r"--seed was 7, the run's is 0"),
        (lambda state: state["origin"].update(data="0"), r"the dataset was another one"),
        (lambda state: state.update(digest="00" * 16), r"trained on other clips than this dataset and seed give"),
        (lambda state: state.update(mark="00" * 16), r"trained on other clips than this dataset and seed give"),
        (lambda state: state.update(step=2), r"trained on other clips than this dataset and seed give"),
        (lambda state: state.update(mark="no digest"), r"trained on other clips than this dataset and seed give"),
        (lambda state: state.update(mark=7), r"state\.json is damaged or was written by another version"),
    ],
    ids=["batch", "seed", "data", "digest", "mark", "step", "no digest", "no text"],
)
def test_a_checkpoint_of_other_clips_is_refused_before_a_step(dataset, run, edit, told):
    change(RunPaths(run).checkpoint(3) / "state.json", edit)
    with pytest.raises(AvsyncError, match=told):
        train(dataset, run, CONFIG)
    assert RunPaths(run).saved_steps() == [3]


def test_a_clip_whose_json_names_another_is_skipped_counted_and_named_and_training_goes_on(dataset, tmp_path, capsys):
    """Every checksum is right: it is the data that is wrong, and not the loader that has lost its place."""
    copy = Path(shutil.copytree(dataset, tmp_path / "dataset"))
    tar = tars(copy / "train")[0]
    record = record_of(tar).clips[0]
    about = json.loads(tar.read_bytes()[record.offset :][: record.json_bytes])
    forge(tar, {"json": json.dumps(about | {"key": "someone-else/00000000"}).encode()})
    order = Feed.open(copy, "train", CONFIG.pairs, CONFIG.view).order(CONFIG.batch, CONFIG.seed)
    train(copy, tmp_path / "run", replace(CONFIG, steps=order.steps_per_epoch))
    state = json.loads((RunPaths(tmp_path / "run").checkpoint(order.steps_per_epoch) / "state.json").read_text())
    clip = Index.load(copy / "train" / "index.npz").find(record.key)
    met = any(clip in order.step(step).clips for step in range(order.steps_per_epoch))
    assert state["skipped"] == int(met)
    assert (f"clip {record.key}: its json says key someone-else/00000000" in capsys.readouterr().out) == met


def swapped(batches: list[Batch]) -> list[Batch]:
    return [batches[1], batches[0], *batches[2:]]


def renamed(batches: list[Batch]) -> list[Batch]:
    """The bytes of another clip came: its own json says so."""
    other = batches[1].jsons[0]
    return [replace(batches[0], jsons=(other, *batches[0].jsons[1:])), *batches[1:]]


@pytest.mark.parametrize(
    "fault",
    [
        swapped,
        renamed,
        lambda batches: batches[1:],
        lambda batches: batches[:-1],
        lambda batches: [batches[0], *batches],
        lambda batches: [*batches, batches[-1]],
    ],
    ids=["swapped", "renamed", "left out", "left out at the end", "repeated", "repeated at the end"],
)
def test_a_loader_that_loses_its_place_is_stopped_at_once(dataset, fault):
    feed = Feed.open(dataset, "train", CONFIG.pairs, ViewConfig())
    drawn = [[Draw(int(clip), feed.sampler(40, np.random.default_rng(0)), 0, 0, False)] for clip in feed.clips[:4]]
    with feed.loader(LoaderOptions(workers=1)) as loader:

        def load(wanted: Iterable[list[Draw]]) -> Iterator[Batch]:
            return iter(fault(list(loader.batches(wanted))))

        assert len(list(in_order(loader.batches, drawn))) == 4
        with pytest.raises(RuntimeError, match="the loader lost its place"):
            list(in_order(load, drawn))
