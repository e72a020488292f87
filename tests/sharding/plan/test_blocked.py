"""Folders and files that cannot be looked at cost themselves only, and nothing that was packed of them is lost.

Root may read everything: while something is locked here, this process goes without the capabilities that let it.
"""

import ctypes
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from rich.console import Console

from sharding.config import PackOptions
from sharding.errors import InputError
from sharding.format.records import Reject, parse_rejects
from sharding.pack.pack import pack
from sharding.sources.find import find_sources
from sharding.sources.source import walk
from tests.media import Video, write_video
from tests.sharding.conftest import SMALL, contents

SHORT = Video(seconds=Fraction(5), width=32, height=32, fps=Fraction(10))
CONFIG = replace(SMALL, val_percent=0, test_percent=0)
LINUX_CAPABILITY_VERSION_3, DAC_OVERRIDE, DAC_READ_SEARCH = 0x20080522, 1 << 1, 1 << 2
WAYS = [PackOptions(), PackOptions(remove=True), PackOptions(retry=True)]

pytestmark = pytest.mark.usefixtures("in_process")  # a new process of root would have all capabilities again


def packed(videos: Path, dataset: Path, options: PackOptions = WAYS[0]) -> str:
    """What a call says."""
    text = io.StringIO()
    pack(videos, dataset, CONFIG, Console(file=text, width=400), options)
    return text.getvalue()


@contextmanager
def locked(*paths: Path) -> Iterator[None]:
    """Nobody may read them; nor may this thread."""
    modes = [path.stat().st_mode for path in paths]
    for path in reversed(paths):
        path.chmod(0)
    try:
        with mortal():
            if any(os.access(path, os.R_OK, effective_ids=True) for path in paths):
                pytest.skip("this process may read everything")
            yield
    finally:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)


@contextmanager
def mortal() -> Iterator[None]:
    """Without the capabilities to read what the mode of a file forbids (man 2 capset)."""
    libc = ctypes.CDLL(None, use_errno=True)
    head, sets = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    libc.capget(head, sets)
    effective = sets[0]
    sets[0] &= ~(DAC_OVERRIDE | DAC_READ_SEARCH)
    libc.capset(head, sets)
    try:
        yield
    finally:
        sets[0] = effective
        libc.capset(head, sets)


def rejects(dataset: Path) -> dict[str, Reject]:
    return {one.path: one for one in parse_rejects((dataset / "rejects.csv").read_bytes())}


def tars(dataset: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(dataset).items() if name.endswith(".tar")}


def write(folder: Path, *names: str) -> Path:
    for name in names:
        write_video(folder / name, replace(SHORT, seed=sum(name.encode())))
    return folder


def test_a_locked_folder_costs_itself_and_is_taken_up_once_it_can_be_listed(tmp_path: Path):
    videos, dataset = write(tmp_path / "v", "a/1.mp4", "b/2.mp4", "locked/3.mp4", "locked/deep/4.mp4"), tmp_path / "d"
    with locked(videos / "locked", videos / "b" / "2.mp4"):
        text = packed(videos, dataset)
        assert text.count("1 folder cannot be listed, and what is in there is left out: locked") == 2
        found = rejects(dataset)
        assert set(found) == {"locked", "b/2.mp4"}
        assert {one.reason for one in found.values()} == {"unreadable"}
        assert "Permission denied" in found["locked"].detail
        assert "run the same command again" in found["locked"].detail
        assert "0 shards written" in packed(videos, dataset)
    first = tars(dataset)
    packed(videos, dataset, WAYS[2])
    assert rejects(dataset) == {}
    assert len(tars(dataset)) == len(first) + 1  # with the two of the folder; that of the file was made again
    assert {source.rel for source in find_sources(videos).sources} == {
        "a/1.mp4", "b/2.mp4", "locked/3.mp4", "locked/deep/4.mp4"
    }  # fmt: skip


@pytest.mark.parametrize("options", WAYS)
def test_what_was_packed_of_a_folder_stays_while_it_is_locked(options: PackOptions, tmp_path: Path):
    videos, dataset = (
        write(tmp_path / "v", "a/1.mp4", "a/2.mp4", "b/3.mp4", "c/4.mp4", "c/5.mp4", "c/6.mp4"),
        tmp_path / "d",
    )
    packed(videos, dataset)
    before = contents(dataset)
    with locked(videos / "b", videos / "c"):
        text = packed(videos, dataset, options)
        assert "2 shards kept as before, for sources cannot be read now: " in text
        assert tars(dataset) == {name: data for name, data in before.items() if name.endswith(".tar")}
        assert contents(dataset)["plan.json"] == before["plan.json"]
        write(videos, "a/new.mp4")  # a shard more; those that wait stay
        assert "1 shard written" in packed(videos, dataset, options)
    grown = tars(dataset)
    assert len(grown) == 4
    assert "0 shards written" in packed(videos, dataset, options)
    assert tars(dataset) == grown
    assert before.items() - {(n, before[n]) for n in before if not n.endswith(".tar")} <= grown.items()


@pytest.mark.parametrize("lock", ["a", "a/1.mp4", "c/copy.mp4"])
@pytest.mark.parametrize("way", ["a folder", "a list", "a list of pieces"])
def test_a_copy_of_a_source_that_cannot_be_read_stays_a_copy(way: str, lock: str, tmp_path: Path):
    folder, dataset = write(tmp_path / "v", "a/1.mp4", "b/2.mp4"), tmp_path / "d"
    (folder / "c").mkdir()
    shutil.copy(folder / "a" / "1.mp4", folder / "c" / "copy.mp4")
    spans = ["0,4.7", "0.3,5"] if way == "a list of pieces" else [","]
    rows = (f"{name},x,{span}\n" for name in ("a/1.mp4", "b/2.mp4", "c/copy.mp4") for span in spans)
    (folder / "list.csv").write_text("path,action,start_s,end_s\n" + "".join(rows))
    videos = folder if way == "a folder" else folder / "list.csv"
    packed(videos, dataset)
    before = tars(dataset)
    for _ in range(2):
        with locked(folder / lock):
            packed(videos, dataset)
        assert rejects(dataset)["c/copy.mp4"].detail == "the same bytes as a/1.mp4"
        assert tars(dataset) == before
    packed(videos, dataset)
    assert tars(dataset) == before


def test_what_is_really_gone_is_still_asked_for_and_taken_out(tmp_path: Path):
    videos, dataset = write(tmp_path / "v", "a/1.mp4", "a/2.mp4", "b/3.mp4", "b/4.mp4"), tmp_path / "d"
    packed(videos, dataset)
    before = tars(dataset)
    (videos / "a" / "1.mp4").unlink()
    with locked(videos / "b"):
        with pytest.raises(InputError, match="has 1 source that your videos do not"):
            packed(videos, dataset)
        assert "1 source taken out: a-1-" in packed(videos, dataset, WAYS[1])
        after = tars(dataset)
    assert [name for name in before if before[name] == after[name]] == ["train/000001.tar"]


@pytest.mark.parametrize("options", WAYS)
def test_clips_of_a_listed_file_that_is_locked_stay(options: PackOptions, tmp_path: Path):
    videos, dataset = write(tmp_path / "v", "a/1.mp4", "a/2.mp4", "b/3.mp4"), tmp_path / "d"
    rows = "a/1.mp4,x\na/2.mp4,x\nb/3.mp4,x\n"
    (videos / "list.csv").write_text(f"path,action\n{rows}")
    packed(videos / "list.csv", dataset)
    before = tars(dataset)
    write_video(videos / "a" / "2.mp4", replace(SHORT, seed=99))  # its shard must be made again
    with locked(videos / "a" / "1.mp4", videos / "b"):
        assert "2 shards kept as before" in packed(videos / "list.csv", dataset, options)
        assert tars(dataset) == before
    assert "1 shard written" in packed(videos / "list.csv", dataset, options)
    assert rejects(dataset) == {}


def test_clips_of_a_list_of_kinetics_stay_while_their_folder_is_locked(tmp_path: Path):
    videos, dataset = write(tmp_path / "v", "a/one.mp4", "b/two.mp4", "b/three.mp4"), tmp_path / "d"
    rows = "".join(f"x,{name},0,5,train\n" for name in ("one", "two", "three"))
    (videos / "list.csv").write_text(f"label,youtube_id,time_start,time_end,split\n{rows}")
    packed(videos / "list.csv", dataset)
    before = tars(dataset)
    with locked(videos / "b"):
        packed(videos / "list.csv", dataset, WAYS[1])
        assert tars(dataset) == before
        packed(videos / "list.csv", tmp_path / "new")
        assert "1 folder there cannot be listed" in rejects(tmp_path / "new")["two_000000_000005"].detail
    assert "0 shards written" in packed(videos / "list.csv", dataset)


def test_a_damaged_shard_with_a_locked_source_is_neither_kept_nor_thrown_away(tmp_path: Path):
    videos, dataset = write(tmp_path / "v", "a/1.mp4", "b/2.mp4"), tmp_path / "d"
    packed(videos, dataset)
    tar = dataset / "train" / "000000.tar"
    tar.write_bytes(tar.read_bytes()[:-512])
    before = contents(dataset)
    with locked(videos / "b"):
        with pytest.raises(InputError, match=r"000000.tar is damaged, and cannot be made again while.* \(b/2.mp4\)"):
            packed(videos, dataset, WAYS[1])
    assert contents(dataset) == before
    packed(videos, dataset)


def test_the_folder_itself_must_be_listed_and_hold_a_video(tmp_path: Path):
    videos = write(tmp_path / "v", "a/1.mp4")
    with locked(videos), pytest.raises(InputError, match=r"cannot read .*/v: Permission denied"):
        packed(videos, tmp_path / "d")
    with locked(videos / "a"), pytest.raises(InputError, match=r"1 folder cannot be listed, and what is in .* out: a"):
        packed(videos, tmp_path / "d")


def test_links_that_lead_nowhere_or_in_circles_and_names_that_are_no_text_cost_themselves(tmp_path: Path):
    videos, dataset = write(tmp_path / "v", "a/1.mp4"), tmp_path / "d"
    (videos / "broken.mp4").symlink_to("nowhere.mp4")
    (videos / "disk").symlink_to("/nowhere/at/all")
    (videos / "round").symlink_to("round")
    (videos / "round.mp4").symlink_to("round.mp4")
    (videos / "back").symlink_to(".")
    lost = Path(os.fsdecode(os.fsencode(videos) + b"/\xff\xfe"))
    lost.mkdir()
    with locked(lost):
        packed(videos, dataset)
    found = rejects(dataset)
    assert set(found) == {"broken.mp4", "disk", "round", "round.mp4", "\ufffd\ufffd"}
    assert {one.reason for one in found.values()} == {"unreadable"}
    assert "No such file" in found["disk"].detail
    assert "symbolic links" in found["round"].detail


def test_a_walk_goes_on_behind_a_folder_that_fails_midway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("a/1.mp4", "b/2.mp4", "c/d/3.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "z").symlink_to("b")  # the same folder is not walked under another name
    real = os.scandir

    def scandir(path: Path):
        if path.name == "b":
            raise OSError(5, "Input/output error")
        return real(path)

    with monkeypatch.context() as broken:
        broken.setattr(os, "scandir", scandir)
        walked = [(folder.below, folder.names, folder.trouble) for folder in walk(tmp_path)]
    assert walked == [
        ("", (), ""),
        ("a", ("1.mp4",), ""),
        ("b", (), "Input/output error"),
        ("c", (), ""),
        ("c/d", ("3.mp4",), ""),
    ]


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv of util-linux is not here")
def test_the_command_packs_the_others(tmp_path: Path):
    videos, dataset = write(tmp_path / "v", "a/1.mp4", "locked/2.mp4"), tmp_path / "d"
    without = "-dac_override,-dac_read_search"
    as_user = ["setpriv", f"--bounding-set={without}", f"--inh-caps={without}"] if os.geteuid() == 0 else []
    command = [*as_user, sys.executable, "-m", "launch", "pack", str(videos), str(dataset), "--size", "32"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    (videos / "locked").chmod(0)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    (videos / "locked").chmod(0o700)
    assert done.returncode == 0, done.stderr
    assert "1 folder cannot be listed, and what is in there is left out: locked" in done.stdout
    assert set(rejects(dataset)) == {"locked"}
