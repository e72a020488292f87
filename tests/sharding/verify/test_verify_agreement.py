"""avsync verify: files that are whole and say different things, and clips that are not what their json says."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import UNSET

from sharding.base.files import from_json, to_json, write_json
from sharding.errors import FormatError, InputError
from sharding.format.clip import ClipMeta
from sharding.format.codec import codec_named
from sharding.format.index import Index, read_info
from sharding.verify.findings import FindingKind
from tests.sharding.conftest import Packed
from tests.sharding.forge import check, edited, first, forge, record_of, reported

NUMBERS = ("crc32", "tar_bytes", "frames", "offset", "json_bytes", "format_version")


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("number", ["1", "9" * 40, "-"])
def test_a_changed_number_in_a_side_file_is_told(field: str, number: str, own: Path):
    side = first(own).with_suffix(".json")
    edited(side, f'"{field}": ', f'"{field}": {number}')
    assert side.relative_to(own).as_posix() in {file for _, file in reported(own)}


def test_another_checksum_in_a_side_file_is_laid_at_the_side_file_of_a_whole_tar(own: Path):
    tar = first(own)
    clip, *others = (record := record_of(tar)).clips
    write_json(tar.with_suffix(".json"), replace(record, clips=(replace(clip, crc32=clip.crc32 ^ 1), *others)))
    found = check(own).findings
    side = tar.with_suffix(".json").relative_to(own).as_posix()
    assert (found[0].kind, found[0].file, found[0].clip) == (FindingKind.DISAGREES, side, clip.key)
    assert found[0].wanted == f"CRC-32 {clip.crc32:08x} as in the tar"
    write_json(tar.with_suffix(".json"), replace(record, sha256="0" * 64))
    assert reported(own) == [("damaged", tar.relative_to(own).as_posix())]


SOURCE_FACTS = ("source", "action", "stream_offset_s", "frames_repeated", "longest_still", "decode_errors")


@pytest.mark.parametrize("field", SOURCE_FACTS)
def test_what_a_side_file_tells_of_a_source_is_what_its_clips_say(field: str, own: Path):
    side = first(own).with_suffix(".json")
    source = record_of(first(own)).sources[0]
    change = {field: "other" if field in ("source", "action") else 77}
    changed = (
        replace(source, **change)
        if hasattr(source, field)
        else replace(source, repairs=replace(source.repairs, **change))
    )
    record = record_of(first(own))
    write_json(side, replace(record, sources=(changed, *record.sources[1:])))
    (found,) = check(own).findings
    assert (found.kind, found.file) == (FindingKind.DISAGREES, side.relative_to(own).as_posix())
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
    assert reported(own) == [("disagrees", "plan.json")]
    name = first(own).with_suffix("").relative_to(own).as_posix()
    (own / "plan.json").write_text(text.replace(record_of(first(own)).clips[0].key.partition("/")[0], "other", 1))
    assert reported(own) == [("disagrees", f"{name}.json")]


@pytest.mark.parametrize("field", ["clips", "shards", "sources", "rejects", "lost_clips"])
def test_a_changed_count_in_dataset_json_disagrees(field: str, own: Path):
    info = read_info(own)
    value = getattr(info, field)
    changed = value + 1 if isinstance(value, int) else value | {"train": value["train"] + 1}
    write_json(own / "dataset.json", replace(info, **{field: changed}))
    assert {kind for kind, _ in reported(own)} == {"disagrees"}


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
    assert {(one.kind, one.file) for one in found} == {(FindingKind.DISAGREES, "train/index.npz")}
    key = index.key(len(index) - 1)
    assert all(one.clip in ("", key) for one in found)
    assert column == "shard" or found[0].clip == key


def test_other_groups_and_other_names_in_the_index_are_told(own: Path):
    path = own / "train" / "index.npz"
    index = Index.load(path)
    replace(index, group=np.zeros(len(index), np.int32)).save(path)
    assert reported(own) == [("disagrees", "train/index.npz")]
    replace(index, group=index.group.max() - index.group).save(path)  # another numbering of the same groups
    assert reported(own) == []
    names = index.names.copy()
    names[0] = ord("Z")
    replace(index, names=names).save(path)
    assert {one.found[0] for one in check(own).findings} == {"Z"}


def test_an_index_without_one_clip_or_of_another_split_is_told(own: Path):
    shutil.copy(own / "test" / "index.npz", own / "train" / "index.npz")
    assert reported(own) == [("disagrees", "train/index.npz")]


def members(tar: Path) -> tuple[bytes, bytes, bytes]:
    clip = record_of(tar).clips[0]
    data = tar.read_bytes()[clip.offset :]
    video, audio = (data[start : start + length] for start, length in (clip.video, clip.audio))
    return data[: clip.json_bytes], video, audio


def forgeries(tar: Path) -> Iterator[tuple[str, dict[str, bytes], dict[str, object]]]:
    """The problem; payloads that cause it though every checksum is right; what the side file says with them."""
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
    for strange in ((0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 1.0, 0.5, 1.5)):
        yield "masks ", {"json": to_json(replace(meta, masks=((strange,),) * meta.frames))}, {}
    yield "masks ", {"json": to_json(replace(meta, masks=((),)))}, {}
    yield "does not open", {codec.video_suffix: b"junk" * 500}, {}
    yield f"a {codec.audio_suffix} member", {codec.audio_suffix: b""}, {}
    yield f"a {codec.video_suffix} member", {codec.video_suffix: audio}, {}
    yield f"a {codec.audio_suffix} member", {codec.audio_suffix: video[:100]}, {}
    more = to_json(replace(meta, frames=meta.frames + 1, checksums=UNSET))
    yield f"({meta.frames}, ", {"json": more}, {"frames": meta.frames + 1}


def test_content_that_is_not_what_its_json_says_is_told_though_all_checksums_agree(form: Path, tmp_path: Path):
    for number, (problem, payloads, record) in enumerate(forgeries(first(form))):
        dataset = shutil.copytree(form, tmp_path / str(number))
        key = forge(first(dataset), payloads, **record)
        found = check(dataset).findings
        assert [(one.kind, one.clip) for one in found] == [(FindingKind.DAMAGED, key)], problem
        assert problem in str(found[0])
        assert "\x1b" not in str(found[0])


def test_members_that_open_and_do_not_decode_are_found_by_decoding(packed: Packed, tmp_path: Path):
    dataset = shutil.copytree(packed.dataset, tmp_path / "out")
    _, video, audio = members(first(dataset))
    half = len(audio) // 2
    key = forge(first(dataset), {"flac": audio[:half] + bytes(len(audio) - half), "mp4": video})
    assert reported(dataset) == []
    (found,) = check(dataset, decode=True).findings
    assert found.clip == key
    assert "do not decode" in found.found


@pytest.mark.parametrize("numbers", [{"tar_bytes": 2**62}, {"tar_bytes": -1}, {"tar_bytes": 10**30}])
def test_a_side_file_that_claims_the_impossible_is_not_followed(numbers: dict[str, int], own: Path):
    tar = first(own)
    write_json(tar.with_suffix(".json"), replace(record_of(tar), **numbers))
    name = tar.with_suffix(".json").relative_to(own).as_posix()
    assert set(reported(own)) == {("damaged", name)}
