"""Many calls pack one dataset, each a share of its shards, at the same time, in any order, ended at any moment."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import sharding.base.console
from launch.cli import FAILED, USAGE, main
from sharding.base.environment import JOBS
from sharding.base.locks import folder_lock, share_lock
from sharding.base.share_progress import PACK_PROGRESS, ShareTeller, read_shares, together
from sharding.config import PackConfig, PackOptions
from sharding.errors import BusyError, FormatError, InputError
from sharding.format.index import INFO, PARTS, SPLITS, read_info
from sharding.pack.pack import NO_OPTIONS, ShareSummary, divide, pack, pack_share
from sharding.plan.plan import ShardPlan
from sharding.plan.shares import SHARES, divided, read_division, read_share
from sharding.plan.todo import OnDisk, find_todo, listed
from sharding.sources.source import Source
from sharding.verify.verify import verify
from tests.media import Video, write_video
from tests.sharding.conftest import QUIET, SMALL, Packed, contents
from tests.sharding.pack.test_interrupted import start, workers_of

TRAIN_ONLY = replace(SMALL, val_percent=0, test_percent=0, sources_per_shard=1)


def small_share(videos: Path, dataset: Path, share: int, config: PackConfig = SMALL) -> ShareSummary:
    return pack_share(videos, dataset, config, NO_OPTIONS, share, QUIET)


def at_work(dataset: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a call is in the middle of a part."""
    while not list(dataset.glob(f"{PARTS}/*/*.tar.part")):
        assert process.poll() is None, "it ended before it packed anything"
        time.sleep(0.002)


def test_shares_in_any_order_one_killed_one_never_run_make_the_bytes_of_one_pack(
    packed: Packed, form: Path, tmp_path: Path
):
    config, dataset = replace(SMALL, codec=read_info(form).codec), tmp_path / "out"
    assert divide(packed.videos, dataset, config, NO_OPTIONS, 3, QUIET).missing == 8
    assert not list(dataset.rglob("*.tar"))
    flags = ("--size", "32", "--sources-per-shard", "2", "--workers", "1", "--codec", config.codec)
    process = start("-m", "launch", "pack", packed.videos, dataset, *flags, "--share", "1")
    at_work(dataset, process)
    process.kill()
    process.communicate()
    assert small_share(packed.videos, dataset, 2, config) == ShareSummary(packed=3, kept=0)
    resumed = small_share(packed.videos, dataset, 1, config)
    assert resumed.packed
    assert resumed.packed + resumed.kept == 4
    assert small_share(packed.videos, dataset, 1, config) == ShareSummary(packed=0, kept=4)
    assert not (dataset / INFO).exists()
    assert not list(dataset.rglob("index.npz"))
    summary = pack(packed.videos, dataset, config, QUIET)
    assert (summary.shards_packed, summary.shards_kept) == (1, 7)
    assert contents(dataset) == contents(form)
    assert verify(dataset, console=QUIET, progress=QUIET).clips == 9


def test_each_share_tells_how_many_of_its_sources_are_done_until_the_dataset_is_whole(
    packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    dataset, told = tmp_path / "out", list[tuple[int, float | None]]()
    division = divide(packed.videos, dataset, SMALL, NO_OPTIONS, 3, QUIET)
    sources = [share.sources for share in division.shares]
    tell = ShareTeller.tell

    def noted(teller: ShareTeller, more: int, left_s: float | None) -> None:
        told.append((more, left_s))
        tell(teller, more, left_s)

    monkeypatch.setattr(ShareTeller, "tell", noted)
    for number in (2, 0):
        small_share(packed.videos, dataset, number)
        assert told[-1] == (sources[number], 0.0)
        assert [more for more, _ in told] == sorted(more for more, _ in told)
        told.clear()
    small_share(packed.videos, dataset, 0)  # once more, with nothing left to do
    found = read_shares(dataset / PACK_PROGRESS, 3)
    assert {number: (one.done, one.sources) for number, one in found.items()} == {
        number: (sources[number], sources[number]) for number in (0, 2)
    }
    whole = together(list(found.values()), running=0)
    assert whole
    assert (whole.done, whole.sources) == (sources[0] + sources[2], sum(sources))
    (dataset / PACK_PROGRESS / "share-00000.json").write_bytes(b"{")
    pack(packed.videos, dataset, SMALL, QUIET)
    assert told[-1] == (sources[1], 0.0)
    assert not (dataset / PARTS).exists()


def test_shares_at_the_same_time_do_not_touch_each_other(packed: Packed, tmp_path: Path):
    dataset = tmp_path / "out"
    divide(packed.videos, dataset, SMALL, NO_OPTIONS, 4, QUIET)
    flags = ("--size", "32", "--sources-per-shard", "2", "--workers", "1")
    calls = [start("-m", "launch", "pack", packed.videos, dataset, *flags, "--share", number) for number in range(4)]
    said = [call.communicate() for call in calls]
    assert [call.returncode for call in calls] == [0] * 4, said
    assert "share 3 of 4 is whole: " in said[3][0]
    assert pack(packed.videos, dataset, SMALL, QUIET).shards_packed == 0
    assert contents(dataset) == contents(packed.dataset)


def test_a_share_clears_up_after_itself_and_leaves_what_others_write(packed: Packed, tmp_path: Path):
    dataset = tmp_path / "out"
    division = divide(packed.videos, dataset, SMALL, NO_OPTIONS, 2, QUIET)
    [plans, others] = [read_share(n, division, dataset, packed.videos, None, SMALL) for n in (0, 1)]
    halves: list[Path] = []
    for plan in (plans[-1], others[0]):
        folder = dataset / PARTS / plan.parts_folder
        folder.mkdir()
        halves += [dataset / f"{plan.name}.tar.part", folder / "000009-00000.tar.part"]
    for half in halves:
        half.write_bytes(b"half")
    small_share(packed.videos, dataset, 0)
    assert [half.exists() for half in halves] == [False, False, True, True]
    pack(packed.videos, dataset, SMALL, QUIET)
    assert contents(dataset) == contents(packed.dataset)


def plans_of(sizes: list[int]) -> list[ShardPlan]:
    source = Source(id="x", path=Path("x"), rel="x", action="x", group="x")
    return [
        ShardPlan(split="train", number=number, digest="", sources=(replace(source, size=size),))
        for number, size in enumerate(sizes)
    ]


@given(st.lists(st.integers(0, 10**12)), st.integers(1, 12))
def test_shards_are_divided_evenly_and_each_belongs_to_one_share(sizes: list[int], count: int):
    plans = plans_of(sizes)
    shares = divided(plans, count)
    assert sorted((plan for share in shares for plan in share), key=lambda plan: plan.number) == plans
    assert len(shares) == min(count, len(plans))
    assert all(share == sorted(share, key=lambda plan: plan.number) and share for share in shares)
    loads = [sum(plan.bytes + 1 for plan in share) for share in shares]
    assert not loads or max(loads) - min(loads) <= max(sizes) + 1
    assert divided(plans, count) == shares


ODD_ROWS = """path,action,start_s,end_s,split,group,boxes,audio_stream
a.mp4,x,1,,val,g,a.json,
../in/b.mp4,"y, z",0.5,17/3,,,../in/a.json,1
{far}/c.mp4,ünï,,,train,,,
gone %41.mp4,x,,,,,,
../in/über.mp4,x,,,,,,
"""


def odd_list(folder: Path) -> Path:
    for name in ("a.mp4", "b.mp4", "../far/c.mp4"):
        write_video(folder / name, Video(seed=len(name) + ord(name[-5])))
    write_video(folder / "u\u0308ber.mp4", Video(seed=7))  # the list has one character for it
    (folder / "a.json").write_text('{"fps": "30", "boxes": [[[0,0,0.5,1]]]}')
    (folder / "list.csv").write_text(ODD_ROWS.format(far=folder.parent / "far"))
    return folder / "list.csv"


def odd_folder(folder: Path) -> Path:
    names = (b"new\nline.mp4", b"not utf-8 \xff.mp4", b"100%41.mp4", "映画.mp4".encode(), b"..mp4")
    for seed, name in enumerate(names):
        write_video(folder / "x.mp4", Video(seed=seed)).rename(folder / os.fsdecode(name))
    return folder


def odd_kinetics(folder: Path) -> Path:
    (folder / "k.csv").write_text(
        "label,youtube_id,time_start,time_end,split\nx,aaaaaaaaaaa,0,10,train\nx,bbbbbbbbbbb,1,5,validate\nx,gone,0,9,test\n"
    )
    write_video(folder / "deep" / "aaaaaaaaaaa_000000_000010.mp4", Video(seed=1))
    write_video(folder / "bbbbbbbbbbb.mp4", Video(seed=2))
    return folder / "k.csv"


@pytest.mark.parametrize("make", [odd_list, odd_folder, odd_kinetics])
def test_a_share_knows_its_sources_exactly_whatever_they_are_called(make: Callable[[Path], Path], tmp_path: Path):
    (tmp_path / "in").mkdir()
    videos = make(tmp_path / "in")
    division = divide(videos, tmp_path / "out", TRAIN_ONLY, NO_OPTIONS, 9, QUIET)
    found, _ = listed(videos, TRAIN_ONLY, NO_OPTIONS)
    work = find_todo(found, OnDisk(tmp_path / "out"), TRAIN_ONLY, NO_OPTIONS, QUIET)
    shares = [read_share(n, division, tmp_path / "out", videos, None, TRAIN_ONLY) for n in range(len(division.shares))]
    assert sorted((plan for share in shares for plan in share), key=lambda plan: work.plans.index(plan)) == list(
        work.plans
    )
    for number in reversed(range(len(shares))):
        small_share(videos, tmp_path / "out", number, TRAIN_ONLY)
    assert pack(videos, tmp_path / "out", TRAIN_ONLY, QUIET).shards_packed == 0
    pack(videos, tmp_path / "whole", TRAIN_ONLY, QUIET)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two videos, divided into two shares in tmp_path/out."""
    for seed in range(2):
        write_video(tmp_path / "in" / f"{seed}.mp4", Video(seed=seed))
    divide(tmp_path / "in", tmp_path / "out", TRAIN_ONLY, NO_OPTIONS, 2, QUIET)
    return tmp_path / "in"


FORGED = {
    "a path above": ({"path": "../secret.mp4"}, "none of your videos"),
    "a hidden path above": ({"path": "a/%2e%2e/../../secret.mp4"}, "none of your videos"),
    "a path from the root": ({"path": "/etc/hostname"}, "none of your videos"),
    "boxes elsewhere": ({"boxes": "/etc/hostname"}, "none of your videos"),
    "another video": ({"path": "1.mp4"}, "videos have changed"),
    "no path": ({"path": ""}, "is no path"),
    "a path cut short": ({"path": "0.mp4%00"}, "is no path"),
    "an id that is a path": ({"id": "../../x-0123456789abcdef"}, "is no id"),
    "an unknown split": ({"split": "../x"}, "is no split"),
    "a span that is none": ({"span": ["3", "2"]}, "begin after its end"),
    "a span too long to read": ({"span": ["1e999999999", None]}, "damaged"),
    "a stream below 0": ({"audio_stream": -1}, "a stream below 0"),
    "another stream": ({"audio_stream": 1}, "videos have changed"),
    "another action": ({"action": "y"}, "videos have changed"),
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_share_leads_nowhere_else(forged: str, two: Path, tmp_path: Path):
    change, told = FORGED[forged]
    path = tmp_path / "out" / PARTS / "share-00000.json"
    share = json.loads(path.read_text())
    share["shards"][0]["sources"][0] |= change
    path.write_text(json.dumps(share))
    with pytest.raises((InputError, FormatError), match=told):
        small_share(two, tmp_path / "out", 0, TRAIN_ONLY)
    assert not list(tmp_path.rglob("*.tar*"))


@pytest.mark.parametrize("change", [{"split": "../../evil"}, {"number": -1}, {"number": 10**6}, {"number": 1}])
def test_a_forged_shard_is_refused(change: dict[str, object], two: Path, tmp_path: Path):
    path = tmp_path / "out" / PARTS / "share-00000.json"
    share = json.loads(path.read_text())
    share["shards"][0] |= change
    path.write_text(json.dumps(share))
    with pytest.raises((InputError, FormatError), match=r"is no shard|other shards than"):
        small_share(two, tmp_path / "out", 0, TRAIN_ONLY)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["in", "out"]


def test_a_path_outside_that_the_list_does_not_name_any_more_is_refused(tmp_path: Path):
    (tmp_path / "in").mkdir()
    videos = odd_list(tmp_path / "in")
    division = divide(videos, tmp_path / "out", TRAIN_ONLY, NO_OPTIONS, 9, QUIET)
    videos.write_text("path,action\na.mp4,x\n")
    refused = list[str]()
    for number in range(len(division.shares)):
        try:
            read_share(number, division, tmp_path / "out", videos, None, TRAIN_ONLY)
        except InputError as error:
            refused.append(str(error))
    told = "is none of your videos; divide them again: avsync pack ... --shares N"
    paths = ("../in/b.mp4", "../in/u\u0308ber.mp4", f"{tmp_path}/far/c.mp4")
    assert sorted(refused) == [f"'{path}' {told}" for path in paths]


HOLDER = """
import sys, time
from pathlib import Path
from sharding.base.locks import folder_lock, share_lock
with {lock}:
    print("held", flush=True)
    time.sleep(60)
"""


def holding(tmp_path: Path, lock: str) -> subprocess.Popen[str]:
    """A process that holds tmp_path/out."""
    (tmp_path / "holder.py").write_text(HOLDER.format(lock=lock))
    process = start(str(tmp_path / "holder.py"), tmp_path / "out")
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_while_a_share_runs_only_other_shares_may(two: Path, tmp_path: Path):
    dead = holding(tmp_path, "share_lock(Path(sys.argv[1]), 'avsync pack --share 0', 0)")
    end(dead)
    process = holding(tmp_path, "share_lock(Path(sys.argv[1]), 'avsync pack --share 1', 1)")
    told = rf"out is in use by avsync pack --share 1 \(process {process.pid} on"
    try:
        with pytest.raises(BusyError, match=told):
            small_share(two, tmp_path / "out", 1, TRAIN_ONLY)
        with pytest.raises(BusyError, match=told):
            pack(two, tmp_path / "out", TRAIN_ONLY, QUIET)
        with pytest.raises(BusyError, match=told):
            divide(two, tmp_path / "out", TRAIN_ONLY, NO_OPTIONS, 2, QUIET)
        assert small_share(two, tmp_path / "out", 0, TRAIN_ONLY).packed == 1
    finally:
        end(process)
    assert small_share(two, tmp_path / "out", 1, TRAIN_ONLY).packed == 1  # the lock died with its holder


def test_while_all_is_packed_no_share_may(two: Path, tmp_path: Path):
    process = holding(tmp_path, "folder_lock(Path(sys.argv[1]), 'avsync pack')")
    try:
        with pytest.raises(BusyError, match=rf"in use by avsync pack \(process {process.pid} on"):
            small_share(two, tmp_path / "out", 1, TRAIN_ONLY)
    finally:
        end(process)
    assert small_share(two, tmp_path / "out", 1, TRAIN_ONLY).packed == 1


def test_a_lock_says_who_holds_what_and_forgets_it(tmp_path: Path):
    lock = tmp_path / ".lock"
    with share_lock(tmp_path, "avsync pack --share 3", 3):
        assert lock.read_bytes().strip(b"\0 \n").startswith(b"avsync pack --share 3 (process ")
        assert lock.stat().st_size == 5 * 256
    assert not lock.read_bytes().strip(b"\0")
    with folder_lock(tmp_path, "avsync pack"):
        assert lock.read_bytes().startswith(b"avsync pack (process ")
    assert not lock.read_bytes()


def test_a_share_of_other_settings_is_refused(two: Path, tmp_path: Path):
    for other, told in (
        (replace(TRAIN_ONLY, size=64), "width was 32, is 64.*divide them again"),
        (replace(TRAIN_ONLY, sources_per_shard=2), "sources_per_shard was 1, is 2"),
        (replace(TRAIN_ONLY, val_percent=1), "val_percent was 0, is 1"),
        (replace(TRAIN_ONLY, strict=True), "strict was None, is True"),
    ):
        with pytest.raises(InputError, match=told):
            small_share(two, tmp_path / "out", 0, other)
    assert small_share(two, tmp_path / "out", 0, replace(TRAIN_ONLY, workers=2)).packed == 1


def test_a_share_of_other_videos_is_refused_and_the_whole_pack_takes_them(two: Path, tmp_path: Path):
    small_share(two, tmp_path / "out", 1, TRAIN_ONLY)
    moved = shutil.copytree(two, tmp_path / "moved" / two.name)
    (two / "0.mp4").unlink()
    write_video(two / "1.mp4", Video(seed=7))
    for number in range(2):
        with pytest.raises(
            InputError, match=rf"videos have changed, or .* \({number}.mp4\): name the same ones, or div"
        ):
            small_share(two, tmp_path / "out", number, TRAIN_ONLY)
    assert small_share(moved, tmp_path / "out", 0, TRAIN_ONLY).packed == 1  # the same files elsewhere are the same
    assert pack(moved, tmp_path / "out", TRAIN_ONLY, QUIET).shards_kept == 2


def test_a_division_of_another_plan_is_noticed(two: Path, tmp_path: Path):
    write_video(two / "2.mp4", Video(seed=2))
    out = tmp_path / "out"
    old = (out / PARTS / SHARES).read_text()
    divide(two, out, TRAIN_ONLY, NO_OPTIONS, 2, QUIET)
    (out / PARTS / SHARES).write_text(old)
    with pytest.raises(InputError, match=r"of another plan than its plan.json: divide them again"):
        small_share(two, out, 0, TRAIN_ONLY)


def test_what_is_no_share_is_refused_but_one_of_too_many_has_nothing_to_do(two: Path, tmp_path: Path):
    out = tmp_path / "out"
    assert len(divide(two, out, TRAIN_ONLY, NO_OPTIONS, 5, QUIET).shares) == 2
    assert small_share(two, out, 4, TRAIN_ONLY) == ShareSummary(packed=0, kept=0)
    with pytest.raises(InputError, match=r"--share 5 is not there: .* was divided into 5, from 0 on"):
        small_share(two, out, 5, TRAIN_ONLY)
    pack(two, out, TRAIN_ONLY, QUIET)
    with pytest.raises(InputError, match=r"is not divided into shares.*--shares N"):
        small_share(two, out, 0, TRAIN_ONLY)
    with pytest.raises(InputError, match="is not divided"):
        small_share(two, tmp_path / "elsewhere", 0, TRAIN_ONLY)
    assert not (tmp_path / "elsewhere").exists()


def test_a_whole_dataset_has_no_shares_and_stays_as_it_is(packed: Packed, tmp_path: Path):
    dataset = shutil.copytree(packed.dataset, tmp_path / "out")
    assert not divide(packed.videos, dataset, SMALL, NO_OPTIONS, 3, QUIET).shares
    assert contents(dataset) == contents(packed.dataset)
    assert not (dataset / PARTS).exists()


def test_dividing_again_divides_what_is_left(two: Path, tmp_path: Path):
    small_share(two, tmp_path / "out", 0, TRAIN_ONLY)
    division = divide(two, tmp_path / "out", TRAIN_ONLY, NO_OPTIONS, 2, QUIET)
    assert [(share.shards, share.sources) for share in division.shares] == [(("train/000001",), 1)]
    assert division == read_division(tmp_path / "out", TRAIN_ONLY)
    assert sorted(path.name for path in (tmp_path / "out" / PARTS).glob("*.json")) == ["share-00000.json", SHARES]


def test_a_dataset_grows_by_shares_and_a_failing_end_leaves_no_false_dataset(two: Path, tmp_path: Path, monkeypatch):
    out = tmp_path / "out"
    pack(two, out, TRAIN_ONLY, QUIET)
    write_video(two / "2.mp4", Video(seed=2))
    divide(two, out, TRAIN_ONLY, NO_OPTIONS, 2, QUIET)
    small_share(two, out, 0, TRAIN_ONLY)
    assert read_info(out).clips["train"] == 2  # until the end it is the dataset it was
    with monkeypatch.context() as fault:
        fault.setattr("sharding.base.housekeeping.shutil.rmtree", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            pack(two, out, TRAIN_ONLY, QUIET)
    assert not (out / INFO).exists()  # the new index and the old dataset.json would be no dataset
    assert pack(two, out, TRAIN_ONLY, QUIET).clips["train"] == 3


def test_what_was_corrupt_is_tried_again_once(packed: Packed, tmp_path: Path):
    dataset, again = shutil.copytree(packed.dataset, tmp_path / "out"), PackOptions(retry=True)
    division = divide(packed.videos, dataset, SMALL, again, 9, QUIET)
    assert division.missing == 2
    for _ in range(2):
        for number in range(2):
            pack_share(packed.videos, dataset, SMALL, again, number, QUIET)
    assert pack(packed.videos, dataset, SMALL, QUIET).shards_packed == 0
    assert contents(dataset) == contents(packed.dataset)


def test_too_many_failures_in_a_row_stop_a_share_and_it_tries_them_again(tmp_path: Path):
    for number in range(4):
        path = tmp_path / "in" / f"{number}.mp4"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"no video: {number}")
    config = replace(TRAIN_ONLY, stop_after=3)
    divide(tmp_path / "in", tmp_path / "out", config, NO_OPTIONS, 1, QUIET)
    with pytest.raises(InputError, match=r"3 sources in a row could not be read"):
        small_share(tmp_path / "in", tmp_path / "out", 0, config)
    assert small_share(tmp_path / "in", tmp_path / "out", 0, replace(config, stop_after=0)).packed == 4


def test_the_launcher_may_keep_its_files_beside_a_dataset(two: Path, tmp_path: Path):
    shutil.rmtree(tmp_path / "out")
    log = tmp_path / "out" / JOBS / "pack" / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("said")
    divide(two, tmp_path / "out", TRAIN_ONLY, NO_OPTIONS, 2, QUIET)
    small_share(two, tmp_path / "out", 1, TRAIN_ONLY)
    pack(two, tmp_path / "out", TRAIN_ONLY, QUIET)
    assert verify(tmp_path / "out", console=QUIET, progress=QUIET).clips == 2
    assert log.read_text() == "said"


def test_told_to_end_as_slurm_does_a_share_ends_tidily_and_goes_on_later(packed: Packed, tmp_path: Path):
    dataset, config = tmp_path / "out", replace(SMALL, size=384)
    divide(packed.videos, dataset, config, NO_OPTIONS, 2, QUIET)
    flags = ("--size", "384", "--sources-per-shard", "2", "--workers", "2", "--share", "1")
    process = start("-m", "launch", "pack", packed.videos, dataset, *flags)
    at_work(dataset, process)
    workers = workers_of(process)
    for number in (signal.SIGTERM, signal.SIGCONT, signal.SIGTERM):
        os.killpg(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped; the same avsync pack command again goes on from what is already whole" in said
    assert "Traceback" not in said
    assert workers
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]
    assert not list(dataset.rglob("*.part"))
    for number in range(2):
        small_share(packed.videos, dataset, number, config)
    pack(packed.videos, dataset, config, QUIET)
    pack(packed.videos, tmp_path / "whole", config, QUIET)
    assert contents(dataset) == contents(tmp_path / "whole")


def test_a_log_gets_plain_lines(two: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(sharding.base.console, "LINE_EVERY_S", 0.0)
    log = io.StringIO()
    pack(two, tmp_path / "out", TRAIN_ONLY, Console(file=log, width=40))
    lines = [line for line in log.getvalue().splitlines() if line.startswith("packing")]
    form = (
        r"packing: [012] of 2 videos \(\d+ % of their bytes\), 0 rejected, (ETA (unknown|<?[\d.,]+ (s|min|h))|all read)"
    )
    assert len(lines) > 2
    assert all(re.fullmatch(form, line) for line in lines), lines
    assert lines[-1] == "packing: 2 of 2 videos (100 % of their bytes), 0 rejected, all read"


def test_the_command_line_says_what_comes_next(two: Path, tmp_path: Path, capsys):
    flags = ["--size", "32", "--val-percent", "0", "--test-percent", "0", "--sources-per-shard", "1"]
    words = ["pack", str(two), str(tmp_path / "out"), *flags]
    again = " ".join(["avsync", *words])
    assert main([*words, "--shares", "2"]) == 0
    said = capsys.readouterr().out
    assert f"{tmp_path}/out: 2 missing shards in 2 shares" in said
    assert said.endswith(f"Next: {again} --share I for each I from 0 to 1, at once; then: {again}\n")
    assert main([*words, "--share", "1"]) == 0
    assert capsys.readouterr().out.endswith(f"Next, when all shares are whole: {again}\n")
    for wrong in (
        ["--shares", "2", "--share", "0"],
        ["--shares", "0"],
        ["--share", "-1"],
        ["--share", "0", "--dry-run"],
    ):
        assert main([*words, *wrong]) == USAGE
    assert main([*words, "--share", "2"]) == FAILED
    assert "--share 2 is not there" in capsys.readouterr().err


def test_a_split_folder_that_was_deleted_is_made_again(two: Path, tmp_path: Path):
    for split in SPLITS:
        shutil.rmtree(tmp_path / "out" / split, ignore_errors=True)
    assert small_share(two, tmp_path / "out", 0, TRAIN_ONLY).packed == 1
