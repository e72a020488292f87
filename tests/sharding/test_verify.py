"""avsync verify: whatever is changed is told with its file, and its clip; what is told is the way to mend it."""

import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from sharding.clip import ClipMeta
from sharding.codec import codec_named
from sharding.errors import AvsyncError, FormatError, InputError
from sharding.files import from_json, to_json, write_json
from sharding.index import Index, read_info
from sharding.pack import pack
from sharding.verify.findings import MOST_CLIPS, Kind, Report
from sharding.verify.verify import inspect, verify
from tests.sharding.conftest import QUIET, SMALL, Packed, contents
from tests.sharding.forge import files, forge, record_of, span, tars

SOME = settings(max_examples=40)


def check(dataset: Path, *, decode: bool = False) -> Report:
    return inspect(dataset, 1, decode=decode, progress=QUIET)


def told(dataset: Path, *, decode: bool = False) -> list[tuple[str, str]]:
    return [(str(one.kind), one.file) for one in check(dataset, decode=decode).findings]


@pytest.fixture(scope="module")
def shared(form: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To be damaged, and mended again by who damaged it: a copy for each example would cost more than the check."""
    return shutil.copytree(form, tmp_path_factory.mktemp("shared") / "dataset")


@pytest.fixture
def own(form: Path, tmp_path: Path) -> Path:
    return shutil.copytree(form, tmp_path / "dataset")


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
    assert {(one.kind, one.file) for one in found} == {(Kind.DAMAGED, tar.relative_to(shared).as_posix())}
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
        found = told(shared)
    if content == whole or name.endswith("index.npz"):  # zip archives may be followed by anything
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


def first(dataset: Path) -> Path:
    return tars(dataset)[0]


def test_what_is_deleted_is_missing(own: Path):
    for name in files(own):
        content = (own / name).read_bytes()
        (own / name).unlink()
        if name == "dataset.json":
            with pytest.raises(InputError, match=r"is not a dataset: no dataset\.json"):
                check(own)
        else:
            assert ("missing", name) in told(own)
            assert {file for _, file in told(own)} == {name}
        (own / name).write_bytes(content)
    assert told(own) == []


def test_a_deleted_shard_is_missing_by_name(own: Path):
    name = first(own).relative_to(own).as_posix()
    first(own).with_suffix(".json").unlink()
    (own / name).unlink()
    assert ("missing", name) in told(own)
    (own / "plan.json").unlink()  # then the index still knows it
    index = f"{name.partition('/')[0]}/index.npz"
    assert {("missing", "plan.json"), ("disagrees", index)} <= set(told(own))


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
    assert told(own) == [("foreign", name)]


def test_names_that_are_no_text_and_parts_of_a_stopped_pack_are_foreign(own: Path):
    (own / ".parts" / "0123").mkdir(parents=True)
    Path(os.fsdecode(os.fsencode(own) + b"/train/\xff\n.tar")).touch()
    out = io.StringIO()
    with pytest.raises(AvsyncError, match=r"\(2 foreign\)"):
        verify(own, console=Console(file=out, width=200), progress=QUIET)
    assert "foreign: train/\\udcff\\n.tar: wanted nothing" in out.getvalue()
    assert "foreign: .parts: wanted nothing, found what a stopped avsync pack left" in out.getvalue()


def edited(path: Path, was: str, now: str) -> None:
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, now, 1))


NUMBERS = ("crc32", "tar_bytes", "frames", "offset", "json_bytes", "format_version")


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("number", ["1", "9" * 40, "-"])
def test_a_changed_number_in_a_side_file_is_told(field: str, number: str, own: Path):
    side = first(own).with_suffix(".json")
    edited(side, f'"{field}": ', f'"{field}": {number}')
    assert side.relative_to(own).as_posix() in {file for _, file in told(own)}


def test_another_checksum_in_a_side_file_is_laid_at_the_side_file_of_a_whole_tar(own: Path):
    tar = first(own)
    clip, *others = (record := record_of(tar)).clips
    write_json(tar.with_suffix(".json"), replace(record, clips=(replace(clip, crc32=clip.crc32 ^ 1), *others)))
    found = check(own).findings
    side = tar.with_suffix(".json").relative_to(own).as_posix()
    assert (found[0].kind, found[0].file, found[0].clip) == (Kind.DISAGREES, side, clip.key)
    assert found[0].wanted == f"CRC-32 {clip.crc32:08x} as in the tar"
    write_json(tar.with_suffix(".json"), replace(record, sha256="0" * 64))
    assert told(own) == [("damaged", tar.relative_to(own).as_posix())]


SOURCE_FACTS = ("source", "action", "stream_offset_s", "frames_repeated", "longest_still", "decode_errors")


@pytest.mark.parametrize("field", SOURCE_FACTS)
def test_what_a_side_file_tells_of_a_source_is_what_its_clips_say(field: str, own: Path):
    side = first(own).with_suffix(".json")
    source = record_of(first(own)).sources[0]
    change = {field: "other" if field in ("source", "action") else 77}
    changed = replace(source, **change) if hasattr(source, field) else replace(
        source, repairs=replace(source.repairs, **change)
    )  # fmt: skip
    record = record_of(first(own))
    write_json(side, replace(record, sources=(changed, *record.sources[1:])))
    (found,) = check(own).findings
    assert (found.kind, found.file) == (Kind.DISAGREES, side.relative_to(own).as_posix())
    assert field in found.wanted
    assert field in found.found


def test_rejects_that_stand_in_a_side_file_alone_are_told(own: Path):
    side = first(own).with_suffix(".json")
    record = record_of(first(own))
    write_json(side, replace(record, rejects=(*record.rejects, ("a.mp4", "silent", "no\nsound"))))
    (found,) = check(own).findings
    assert str(found).endswith("found a.mp4: silent: no\\nsound")


def test_a_plan_with_other_settings_or_sources_disagrees(own: Path):
    text = (own / "plan.json").read_text()
    edited(own / "plan.json", '"trim_s": "0.25"', '"trim_s": "0.5"')
    assert told(own) == [("disagrees", "plan.json")]
    name = first(own).with_suffix("").relative_to(own).as_posix()
    (own / "plan.json").write_text(text.replace(record_of(first(own)).clips[0].key.partition("/")[0], "other", 1))
    assert told(own) == [("disagrees", f"{name}.json")]


@pytest.mark.parametrize("field", ["clips", "shards", "sources", "rejects", "lost_clips"])
def test_a_changed_count_in_dataset_json_disagrees(field: str, own: Path):
    info = read_info(own)
    value = getattr(info, field)
    changed = value + 1 if isinstance(value, int) else value | {"train": value["train"] + 1}
    write_json(own / "dataset.json", replace(info, **{field: changed}))
    assert {kind for kind, _ in told(own)} == {"disagrees"}


@pytest.mark.parametrize("changed", [{"width": 10**9}, {"height": -2}, {"channels": 3}, {"codec": "mp3"}])
def test_an_impossible_form_in_dataset_json_is_refused(changed: dict[str, int | str], own: Path):
    write_json(own / "dataset.json", replace(read_info(own), **changed))
    with pytest.raises((FormatError, InputError), match=r"is damaged|'mp3' is not known"):
        check(own)


COLUMNS = ("first_frame", "frames", "offset", "json_bytes", "video_bytes", "audio_bytes", "crc32", "action", "shard")


@pytest.mark.parametrize("column", COLUMNS)
def test_a_row_of_the_index_that_says_something_else_is_told(column: str, own: Path):
    path = own / "train" / "index.npz"
    index = Index.load(path)
    values = getattr(index, column).copy()
    values[-1] += 512
    replace(index, **{column: values}).save(path)
    found = check(own).findings
    assert {(one.kind, one.file) for one in found} == {(Kind.DISAGREES, "train/index.npz")}
    key = index.key(len(index) - 1)
    assert all(one.clip in ("", key) for one in found)
    assert column == "shard" or found[0].clip == key


def test_other_groups_and_other_names_in_the_index_are_told(own: Path):
    path = own / "train" / "index.npz"
    index = Index.load(path)
    replace(index, group=np.zeros(len(index), np.int32)).save(path)
    assert told(own) == [("disagrees", "train/index.npz")]
    replace(index, group=index.group.max() - index.group).save(path)  # another numbering of the same groups
    assert told(own) == []
    names = index.names.copy()
    names[0] = ord("Z")
    replace(index, names=names).save(path)
    assert {one.found[0] for one in check(own).findings} == {"Z"}


def test_an_index_without_one_clip_or_of_another_split_is_told(own: Path):
    shutil.copy(own / "test" / "index.npz", own / "train" / "index.npz")
    assert told(own) == [("disagrees", "train/index.npz")]


def members(tar: Path) -> tuple[bytes, bytes, bytes]:
    clip = record_of(tar).clips[0]
    data = tar.read_bytes()[clip.offset :]
    video, audio = (data[start : start + length] for start, length in (clip.video, clip.audio))
    return data[: clip.json_bytes], video, audio


def forgeries(tar: Path) -> Iterator[tuple[str, dict[str, bytes], dict[str, object]]]:
    """What is told; payloads that cause it though every checksum is right; what the side file says with them."""
    codec = codec_named(read_info(tar.parent.parent).codec)
    about, video, audio = members(tar)
    meta = from_json(about, ClipMeta, "json")
    yield "the json of a clip", {"json": b"{}"}, {}
    yield "the json of a clip", {"json": b"\xff" * 1000}, {}
    yield "the json of a clip", {"json": b"[" * 100_000}, {}
    yield "key ", {"json": to_json(replace(meta, key="other/00000000"))}, {}
    yield "group ", {"json": to_json(replace(meta, group="\x1b[31m"))}, {}
    yield "width ", {"json": to_json(replace(meta, width=10**12))}, {}
    yield "first frame", {"json": to_json(replace(meta, first_frame=1))}, {}
    yield "does not open", {codec.video_suffix: b"junk" * 500}, {}
    yield f"a {codec.audio_suffix} member", {codec.audio_suffix: b""}, {}
    yield f"a {codec.video_suffix} member", {codec.video_suffix: audio}, {}
    yield f"a {codec.audio_suffix} member", {codec.audio_suffix: video[:100]}, {}
    more = to_json(replace(meta, frames=meta.frames + 1))
    yield f"({meta.frames}, ", {"json": more}, {"frames": meta.frames + 1}


def test_content_that_is_not_what_its_json_says_is_told_though_all_checksums_agree(form: Path, tmp_path: Path):
    for number, (said, payloads, record) in enumerate(forgeries(first(form))):
        dataset = shutil.copytree(form, tmp_path / str(number))
        key = forge(first(dataset), payloads, **record)
        found = check(dataset).findings
        assert [(one.kind, one.clip) for one in found] == [(Kind.DAMAGED, key)], said
        assert said in str(found[0])
        assert "\x1b" not in str(found[0])


def test_members_that_open_and_do_not_decode_are_found_by_decoding(packed: Packed, tmp_path: Path):
    dataset = shutil.copytree(packed.dataset, tmp_path / "out")
    _, video, audio = members(first(dataset))
    half = len(audio) // 2
    key = forge(first(dataset), {"flac": audio[:half] + bytes(len(audio) - half), "mp4": video})
    assert told(dataset) == []
    (found,) = check(dataset, decode=True).findings
    assert found.clip == key
    assert "do not decode" in found.found


@pytest.mark.parametrize("numbers", [{"tar_bytes": 2**62}, {"tar_bytes": -1}, {"tar_bytes": 10**30}])
def test_a_side_file_that_claims_the_impossible_is_not_followed(numbers: dict[str, int], own: Path):
    tar = first(own)
    write_json(tar.with_suffix(".json"), replace(record_of(tar), **numbers))
    name = tar.with_suffix(".json").relative_to(own).as_posix()
    assert set(told(own)) == {("damaged", name)}


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
    assert (wanted, path.relative_to(own).as_posix()) in told(own)


def test_a_tar_that_is_a_link_to_another_disk_is_read_like_any_other(own: Path, tmp_path: Path):
    tar = first(own)
    tar.rename(tmp_path / "elsewhere.tar")
    tar.symlink_to(tmp_path / "elsewhere.tar")
    assert told(own) == []


def test_a_folder_that_cannot_be_listed_is_unreadable(own: Path, monkeypatch: pytest.MonkeyPatch):
    real = os.listdir

    def refuse(path: Path) -> list[str]:
        if path == own / "val":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "listdir", refuse)
    assert told(own) == [("unreadable", "val")]


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
        Kind.UNREADABLE, tar.relative_to(own).as_posix(), "Input/output error",
    )  # fmt: skip


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
    with pytest.raises(AvsyncError, match=r"delete each file named above .*, then run the same avsync pack again"):
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
    assert told(dataset) == []
    assert contents(dataset) == contents(packed.dataset)


def test_a_tar_with_many_damaged_clips_does_not_flood_the_screen():
    from sharding.verify.findings import Finding, shortened

    many = [Finding(kind=Kind.DAMAGED, file="a", wanted="", found="", clip=str(clip)) for clip in range(1000)]
    short = shortened([*many, Finding(kind=Kind.DAMAGED, file="a", wanted="the whole", found="")])
    assert len(short) == MOST_CLIPS + 2
    assert short[-1].found == "980 clips more"


def test_the_command_says_all_as_packed_or_ends_with_1(own: Path, capsys: pytest.CaptureFixture[str]):
    from launch.cli import DONE, FAILED, USAGE, main

    info = read_info(own)
    assert main(["verify", str(own), "--jobs", "1"]) == DONE
    shards, clips = sum(info.shards.values()), sum(info.clips.values())
    assert re.fullmatch(rf"{shards} shards, {clips} clips, [\d,]+ bytes: all as packed\n", capsys.readouterr().out)
    first(own).unlink()
    assert main(["verify", str(own)]) == FAILED
    shown = capsys.readouterr()
    assert f"missing: {first_name(own)}: wanted a shard, found no such file\n" in shown.out
    assert "is not as it was packed (1 missing); delete each file named above" in shown.err
    assert main(["verify", str(own), "--jobs", "-1"]) in (FAILED, USAGE)
    assert "--jobs -1 must not be below 0" in capsys.readouterr().err


def first_name(dataset: Path) -> str:
    missing = [path for path in dataset.rglob("0*.json") if not path.with_suffix(".tar").exists()]
    return missing[0].with_suffix(".tar").relative_to(dataset).as_posix()
