"""avsync verify: whatever is changed is reported with its file, and its clip, and the way to mend it."""

import io
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from sharding.errors import AvsyncError, InputError
from sharding.format.index import read_info
from sharding.pack.pack import pack
from sharding.verify.findings import MOST_CLIPS, FindingKind
from sharding.verify.verify import verify
from tests.sharding.conftest import QUIET, SMALL, Packed, contents
from tests.sharding.forge import check, files, first, record_of, reported, span, tars

SOME = settings(max_examples=40)


@pytest.fixture(scope="module")
def shared(form: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To be damaged, and mended again by who damaged it: a copy for each example would cost more than the check."""
    return shutil.copytree(form, tmp_path_factory.mktemp("shared") / "dataset")


class Damaged:
    """Other content of a file, until the block ends."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._path, self._content, self._whole = path, content, path.read_bytes()

    def __enter__(self) -> None:
        self._path.write_bytes(self._content)

    def __exit__(self, *_: object) -> None:
        self._path.write_bytes(self._whole)


@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("jobs", [None, 1, 3])
def test_a_packed_dataset_is_as_packed_and_is_not_written_to(form: Path, decode: bool, jobs: int | None):
    before = contents(form)
    report = verify(form, jobs, decode=decode, progress=QUIET)
    info = read_info(form)
    assert report.findings == ()
    assert report.clips == sum(info.clips.values())
    assert report.bytes == sum(tar.stat().st_size for tar in form.rglob("*.tar"))
    assert report.shards == sum(info.shards.values())
    assert contents(form) == before


@SOME
@given(data=st.data())
def test_a_flipped_bit_anywhere_in_a_tar_names_the_tar_and_the_clip_it_is_in(data: st.DataObject, shared: Path):
    tar = data.draw(st.sampled_from(tars(shared)))
    content = bytearray(tar.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    with Damaged(tar, bytes(content)):
        found = check(shared).findings
    assert {one.file for one in found} == {tar.relative_to(shared).as_posix()}
    assert {one.clip for one in found if one.clip} == {clip.key for clip in record_of(tar).clips if at in span(clip)}


@SOME
@given(data=st.data())
def test_a_tar_cut_off_at_any_length_is_named_with_the_clips_it_lost(data: st.DataObject, shared: Path):
    tar = data.draw(st.sampled_from(tars(shared)))
    content = tar.read_bytes()
    length = data.draw(st.integers(0, len(content) - 1))
    with Damaged(tar, content[:length]):
        found = check(shared).findings
    assert {(one.kind, one.file) for one in found} == {(FindingKind.DAMAGED, tar.relative_to(shared).as_posix())}
    assert (found[0].wanted, found[0].found) == (f"{len(content)} bytes", f"{length}: cut off")
    lost = [clip.key for clip in record_of(tar).clips if span(clip).stop > length]
    assert [one.clip for one in found if one.clip] == lost


@SOME
@given(data=st.data())
def test_any_content_of_any_file_is_told_at_that_file(data: st.DataObject, shared: Path):
    name = data.draw(st.sampled_from([name for name in files(shared) if name != "dataset.json"]))
    whole = (shared / name).read_bytes()
    piece = data.draw(st.binary(max_size=600))
    at = data.draw(st.integers(0, len(whole)))
    content = data.draw(st.sampled_from([piece, whole[:at] + piece, whole + piece + b"\1", piece + whole]))
    with Damaged(shared / name, content):
        found = reported(shared)
    same = content.strip() == whole.strip() if name.endswith(".json") else content == whole  # blanks say nothing
    if same or name.endswith("index.npz"):  # zip archives may be followed by anything
        assert {file for _, file in found} <= {name}
    elif name == "rejects.csv":  # as many rows as before are as good
        assert {file for _, file in found} <= {name}
    else:
        assert name in {file for _, file in found}


@SOME
@given(content=st.binary(max_size=400), at=st.integers(0, 400))
def test_a_dataset_json_of_any_content_is_an_error_that_names_it(content: bytes, at: int, shared: Path):
    path = shared / "dataset.json"
    with Damaged(path, path.read_bytes()[:at] + content), pytest.raises(AvsyncError, match=re.escape(str(shared))):
        check(shared)


def test_what_is_deleted_is_missing(own: Path):
    for name in files(own):
        content = (own / name).read_bytes()
        (own / name).unlink()
        if name == "dataset.json":
            with pytest.raises(InputError, match=r"is not .*dataset.*: no dataset\.json"):
                check(own)
        else:
            assert ("missing", name) in reported(own)
            assert {file for _, file in reported(own)} == {name}
        (own / name).write_bytes(content)
    assert reported(own) == []


def test_a_deleted_shard_is_missing_by_name(own: Path):
    name = first(own).relative_to(own).as_posix()
    first(own).with_suffix(".json").unlink()
    (own / name).unlink()
    assert ("missing", name) in reported(own)
    (own / "plan.json").unlink()  # then the index still knows it
    index = f"{name.partition('/')[0]}/index.npz"
    assert {("missing", "plan.json"), ("disagrees", index)} <= set(reported(own))


def test_two_tars_that_changed_places_are_both_named_with_every_clip(own: Path):
    one, other, *_ = tars(own)
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    found = check(own).findings
    for tar in (one, other):
        mine = [finding for finding in found if finding.file == tar.relative_to(own).as_posix()]
        assert {finding.clip for finding in mine if finding.clip} == {clip.key for clip in record_of(tar).clips}


FOREIGN = (
    "train/999999.tar",
    "train/999999.json",
    "train/000000.tar.part",
    "dataset.json.part",
    "notes.txt",
    "a\x1b[2J",
    "é",
)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_that_belongs_to_nothing_is_foreign(name: str, own: Path):
    (own / name).write_bytes(b"?")
    assert reported(own) == [("foreign", name)]


def test_names_that_are_no_text_and_parts_of_a_stopped_pack_are_foreign(own: Path):
    (own / ".parts" / "0123").mkdir(parents=True)
    Path(os.fsdecode(os.fsencode(own) + b"/train/\xff\n.tar")).touch()
    out = io.StringIO()
    with pytest.raises(AvsyncError, match=r"\(2 foreign\)"):
        verify(own, console=Console(file=out, width=200), progress=QUIET)
    assert "foreign: train/\\udcff\\n.tar: wanted nothing" in out.getvalue()
    assert "foreign: .parts: wanted nothing, found what a stopped avsync pack left" in out.getvalue()


@pytest.mark.parametrize("suffix", ["tar", "json"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "nowhere"])
def test_what_is_no_file_is_told_and_not_waited_for(kind: str, suffix: str, own: Path):
    path = first(own).with_suffix(f".{suffix}")
    path.unlink()
    make: dict[str, Callable[[], None]] = {
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "device": lambda: path.symlink_to("/dev/zero"),
        "nowhere": lambda: path.symlink_to("nowhere"),
    }
    make[kind]()
    wanted = "missing" if kind == "nowhere" else "unreadable"
    assert (wanted, path.relative_to(own).as_posix()) in reported(own)


def test_a_tar_that_is_a_link_to_another_disk_is_read_like_any_other(own: Path, tmp_path: Path):
    tar = first(own)
    tar.rename(tmp_path / "elsewhere.tar")
    tar.symlink_to(tmp_path / "elsewhere.tar")
    assert reported(own) == []


def test_a_folder_that_cannot_be_listed_is_unreadable(own: Path, monkeypatch: pytest.MonkeyPatch):
    real = os.listdir

    def refuse(path: Path) -> list[str]:
        if path == own / "val":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "listdir", refuse)
    assert reported(own) == [("unreadable", "val")]


def test_a_disk_that_fails_in_the_middle_of_a_tar_is_told(own: Path, monkeypatch: pytest.MonkeyPatch):
    tar = first(own)

    class Failing(io.FileIO):
        def readinto(self, buffer, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
            raise OSError(5, "Input/output error")

    import sharding.verify.shard as shard

    real = shard.open_file
    monkeypatch.setattr(shard, "open_file", lambda path: Failing(path) if path == tar else real(path))
    (found,) = check(own).findings
    assert (found.kind, found.file, found.found) == (
        FindingKind.UNREADABLE,
        tar.relative_to(own).as_posix(),
        "Input/output error",
    )


def test_what_was_told_is_the_way_to_mend_it(packed: Packed, tmp_path: Path):
    dataset = shutil.copytree(packed.dataset, tmp_path / "out")
    one, other, third, *_ = tars(dataset)
    one.write_bytes(one.read_bytes()[:5000])
    other.write_bytes(other.read_bytes().replace(b"moov", b"vomo", 1))
    third.with_suffix(".json").write_text("{}")
    (dataset / "train" / "index.npz").write_bytes(b"PK")
    (dataset / "train" / "777777.tar").touch()
    (dataset / "rejects.csv").unlink()
    out = io.StringIO()
    with pytest.raises(
        AvsyncError,
        match=r"delete each file marked damaged above, then .*pack again.*; move away or delete what is foreign",
    ):
        verify(dataset, console=Console(file=out, width=200), progress=QUIET)
    named = set(re.findall(r"^(?!missing)\w+: ([\w./]+)[:,]", out.getvalue(), re.MULTILINE))
    assert named == {
        *(tar.relative_to(dataset).as_posix() for tar in (one, other, third.with_suffix(".json"))),
        "train/index.npz",
        "train/777777.tar",
    }
    for name in named:
        (dataset / name).unlink()
    pack(packed.videos, dataset, SMALL, QUIET)
    assert reported(dataset) == []
    assert contents(dataset) == contents(packed.dataset)


def test_a_tar_with_many_damaged_clips_does_not_flood_the_screen():
    from sharding.verify.findings import Finding, shortened

    def clips(kind: FindingKind, count: int) -> list[Finding]:
        return [Finding(kind=kind, file="a", wanted="a", found="b", clip=f"c{number}") for number in range(count)]

    of_file = Finding(kind=FindingKind.DAMAGED, file="a", wanted="the whole", found="half")
    short = shortened([*clips(FindingKind.DAMAGED, 130), *clips(FindingKind.DISAGREES, MOST_CLIPS), of_file])
    assert [str(one) for one in short] == [
        "damaged: a: wanted the whole, found half",
        *(f"damaged: a, clip c{number}: wanted a, found b" for number in range(MOST_CLIPS)),
        f"damaged: a: and {130 - MOST_CLIPS} clips more",
        *(f"disagrees: a, clip c{number}: wanted a, found b" for number in range(MOST_CLIPS)),
    ]


@pytest.mark.parametrize(
    ("kinds", "start"),
    [
        (("missing",), "run the same avsync pack again: it makes what is missing and keeps the rest"),
        (("foreign",), "move away or delete each file named above; all else is as packed"),
        (("damaged",), "delete each file marked damaged above, then run the same avsync pack again: it makes"),
        (
            ("missing", "unreadable", "disagrees"),
            "delete each file marked unreadable or disagrees above, then run",
        ),
        (("missing", "foreign"), "run the same avsync pack again: it makes what is missing and keeps the rest; move"),
    ],
)
def test_only_what_applies_is_advised(kinds: tuple[str, ...], start: str):
    from sharding.verify.findings import Finding, remedy

    advice = remedy([Finding(kind=FindingKind(kind), file="a", wanted="", found="") for kind in kinds])
    assert advice.startswith(start)
    assert ("delete each file" in advice) == (kinds != ("missing",) and kinds != ("missing", "foreign"))
    assert ("move away" in advice) == ("foreign" in kinds)


def test_the_command_says_all_as_packed_or_ends_with_1(own: Path, capsys: pytest.CaptureFixture[str]):
    from launch.cli import (
        DONE,
        FAILED,
        USAGE,
        main,
    )

    info = read_info(own)
    assert main(["verify", str(own), "--jobs", "1"]) == DONE
    shards, clips = sum(info.shards.values()), sum(info.clips.values())
    assert re.fullmatch(rf"{shards} shards, {clips} clips, [\d,]+ bytes: all as packed\n", capsys.readouterr().out)
    first(own).unlink()
    assert main(["verify", str(own)]) == FAILED
    shown = capsys.readouterr()
    assert f"missing: {first_name(own)}: wanted a shard, found no such file\n" in shown.out
    assert "is not as it was packed (1 missing); run the same avsync pack again" in shown.err
    assert main(["verify", str(own), "--jobs", "-1"]) == USAGE
    assert "--jobs -1 must not be below 0" in capsys.readouterr().err


def first_name(dataset: Path) -> str:
    missing = [path for path in dataset.rglob("0*.json") if not path.with_suffix(".tar").exists()]
    return missing[0].with_suffix(".tar").relative_to(dataset).as_posix()
