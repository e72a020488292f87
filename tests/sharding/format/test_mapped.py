"""A mapped index: the clips of a whole one, no lie of it believed, and no page kept that was looked at."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharding.errors import AvsyncError, FormatError
from sharding.format import columns, index, mapped
from sharding.format.columns import COLUMNS, PRINTED
from sharding.format.dataset import Dataset, open_dataset
from sharding.format.index import Index, MappedIndex
from sharding.format.mapped import check_bytes, checksums
from sharding.format.tar import BLOCK, padded
from sharding.format.walk import chunks
from tests.sharding.conftest import Packed
from tests.sharding.format.test_index import ACTIONS, ENDS, HOSTILE, clip, saved, shard

PAGE = 4


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (mapped, index):
        monkeypatch.setattr(module, "PAGE", PAGE)


def many(path: Path, shards: int = 7, clips: int = 3) -> Path:
    """Clips of one source lie in several shards, so that pages share sources."""
    step = padded(clip("a/00000000").size) + BLOCK
    records = [
        (
            2 * number,
            shard(
                *(
                    clip(f"s{(number + row) % 5}/{number:08d}", BLOCK + row * step, frames=200 + row)
                    for row in range(clips)
                )
            ),
        )
        for number in range(shards)
    ]
    Index.build(records, ACTIONS).save(path)
    return path


def opened(path: Path, clips: int = 3) -> MappedIndex:
    return MappedIndex.open(path, clips, len(ACTIONS))


def test_a_mapped_index_tells_of_every_clip_what_the_whole_one_does(tmp_path: Path) -> None:
    path = many(tmp_path / "index.npz")
    whole = Index.load(path)
    found = opened(path, len(whole))
    assert len(found) == len(whole) > 2 * PAGE
    for row in range(len(whole)):
        page, place = found.at(row)
        assert (found.key(row), found.layout(row)) == (whole.key(row), whole.layout(row))
        for name in ("first_frame", "frames", "shard", "offset", "crc32", "action"):
            assert getattr(page, name)[place] == getattr(whole, name)[row] == getattr(found, name)[row]
        assert found.find(whole.key(row)) == row
        assert row in found.clips_of(int(whole.shard[row]))
    assert found.prints() == whole.prints()
    for runs in (found.runs, whole.runs):
        assert (runs.number.tolist(), runs.size.tolist()) == ([0, 2, 4, 6, 8, 10, 12], [3] * 7)


@pytest.mark.parametrize("told", HOSTILE)
def test_no_row_of_columns_that_do_not_fit_each_other_is_believed(told: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "index.npz", **HOSTILE[told])
    with pytest.raises(FormatError, match=f"{re.escape(str(path))} is damaged: .*{re.escape(told)}.*avsync pack again"):
        opened(path).at(0)


@pytest.mark.parametrize("ends", ENDS, ids=str)
def test_ends_of_names_that_wrap_around_or_fall_are_not_followed(ends: list[int], tmp_path: Path) -> None:
    path = saved(tmp_path / "index.npz", name_end=np.array(ends, np.int64))
    try:
        got = opened(path).at(0)[0]
    except FormatError as error:
        assert str(path) in str(error)  # noqa: PT017 - ends that lie where they should, of sources that no clip is of
    else:
        assert got.names.tobytes() in saved(tmp_path / "whole.npz").read_bytes()


@pytest.mark.parametrize("row", range(9))
@pytest.mark.parametrize("name", ["offset", "action", "first_frame", "source", "group", "json_bytes"])
def test_a_page_with_an_impossible_row_is_refused_and_the_others_are_as_they_were(
    name: str, row: int, tmp_path: Path
) -> None:
    path = many(tmp_path / "index.npz")
    whole = Index.load(path)
    column = getattr(whole, name).copy()
    column[row] = np.iinfo(column.dtype).max
    np.savez(path, **{each: column if each == name else getattr(whole, each) for each in COLUMNS})  # pyright: ignore[reportArgumentType]
    found = opened(path, len(whole))
    told = f"is damaged: .* in rows {row // PAGE * PAGE} to "
    if name != "json_bytes" or row % 3 != 2:  # the last clip of its shard can be of any length: its tar tells
        with pytest.raises(FormatError, match=told):
            found.key(row)
    for other in range(len(whole)):
        if other // PAGE not in (row // PAGE, (row - 1) // PAGE):
            assert found.key(other) == whole.key(other)


@given(data=st.data())
def test_a_changed_byte_anywhere_is_an_error_of_ours_or_leaves_an_index_that_can_be_used(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = saved(tmp_path_factory.mktemp("changed") / "index.npz")
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2, len(content) - 1]))])
    try:
        found = opened(path)
        keys = [found.key(row) for row in range(len(found))]
    except AvsyncError as error:
        assert str(path) in str(error)  # noqa: PT017 - most changes are noticed, but one in an unread field is none
    else:
        assert len(set(keys)) == 3
        assert [found.layout(row).size for row in range(3)]


def test_shards_without_order_are_found_before_a_table_of_them_grows(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="shards are not in order"):
        opened(saved(tmp_path / "index.npz", shard=np.array([7, 3, 7], np.int32)))


def test_a_large_index_holds_its_digests_and_one_that_lies_about_them_is_found_by_the_whole_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = many(tmp_path / "small.npz")
    monkeypatch.setattr(columns, "WHOLE", 3)
    large = many(tmp_path / "large.npz")
    whole = Index.load(large)
    assert opened(small, len(whole)).__dict__["_prints"] is None
    assert opened(large, len(whole)).__dict__["_prints"] == opened(small, len(whole)).prints() == whole.prints()
    assert whole.prints().keys() == PRINTED.keys()
    arrays = {name: getattr(whole, name) for name in COLUMNS}
    np.savez(large, **arrays, prints=np.array(["0" * 16] * len(PRINTED), np.bytes_))  # pyright: ignore[reportArgumentType]
    with pytest.raises(FormatError, match="its digests are not those of its columns"):
        Index.load(large)


def test_the_checksums_of_an_index_tell_of_any_other_content(tmp_path: Path) -> None:
    path = many(tmp_path / "index.npz")
    check_bytes(path)
    content, said = path.read_bytes(), checksums(path)
    assert [name for name, _, _ in said] == [f"{name}.npy" for name in COLUMNS]
    whole = Index.load(path)
    for name in COLUMNS:
        place = content.index(getattr(whole, name).tobytes())
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(FormatError, match="no archive of the columns"):
            check_bytes(path)
        changed = {each: getattr(whole, each) ^ (each == name) for each in COLUMNS}
        np.savez(path, **changed)
        assert checksums(path) != said


def test_digests_that_are_none_make_no_index(tmp_path: Path) -> None:
    whole = Index.load(many(tmp_path / "index.npz"))
    for wrong in (["x" * 16] * 4, ["0" * 16] * 3, ["0" * 17] * 4, [1, 2, 3, 4], "0" * 16):
        path = tmp_path / "wrong.npz"
        np.savez(
            path,
            **{name: getattr(whole, name) for name in COLUMNS},
            prints=np.array(wrong, None if wrong == [1, 2, 3, 4] else np.bytes_),
        )  # pyright: ignore[reportArgumentType]
        with pytest.raises(FormatError, match="no archive of the columns"):
            opened(path, len(whole))
        with pytest.raises(FormatError, match="its digests are not those of its columns"):
            Index.load(path)


def read_everything(dataset: Dataset) -> list[object]:
    clips = range(len(dataset.index))
    return [
        dataset.shards(),
        dataset.missing_shards(),
        *((dataset.key(at), bytes(dataset.read(at).json)) for at in clips),
    ]


def test_a_dataset_reads_the_same_whether_its_index_is_mapped_or_not(
    packed: Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = open_dataset(packed.dataset, "train")
    monkeypatch.setattr(index, "WHOLE", 0)
    found = open_dataset(packed.dataset, "train")
    assert (type(found.index), type(whole.index)) == (MappedIndex, Index)
    assert read_everything(found) == read_everything(whole)


def resident(path: Path) -> int:
    """Kilobytes of a file that this process has in its own pages."""
    maps = Path("/proc/self/smaps").read_text().split(str(path))[1:]
    return sum(int(found[1]) for one in maps if (found := re.search(r"\nRss: +(\d+) kB", one)))


def test_pages_that_were_looked_at_are_given_back(tmp_path: Path) -> None:
    names = {name: np.zeros(2**20, kind) for name, kind in COLUMNS.items()}
    np.savez(tmp_path / "index.npz", **names)  # pyright: ignore[reportArgumentType]
    found = mapped.map_columns(tmp_path / "index.npz", 2**20)[0]
    found["offset"].sum()
    assert resident(tmp_path / "index.npz") > 7000
    assert sum(len(chunk) for chunk in chunks(found["offset"])) == 2**20
    assert resident(tmp_path / "index.npz") < 1000
